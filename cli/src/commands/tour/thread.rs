//! Owns the thread that the tour makes: lines as an agent runtime writes them, in constant memory,
//! and the same bytes for the same size. It must not know the store.

use std::collections::VecDeque;
use std::io::{self, Write};

/// The id of the thread.
pub(super) const THREAD: &str = "019f0000-0000-7000-8000-0000007ea5e7";
const WORKDIR: &str = "/home/ada/teapot";
/// When the session begins, Unix milliseconds.
const BEGIN_MS: i64 = 1_772_442_000_000;
/// Bytes between two compactions.
const WINDOW_BYTES: u64 = 512 << 10;
/// Bytes of response items that a compaction repeats.
const REPEATED_BYTES: usize = 160 << 10;

const TASKS: [&str; 6] = [
    "Find out why the test of {} fails now and then.",
    "Move the checks out of {} into a function of their own.",
    "Explain what {} does when the queue is full.",
    "Make {} return an error instead of a panic.",
    "Write a test for the empty case of {}.",
    "Read {} and tell me which locks it takes, in which order.",
];
const ANSWERS: [&str; 4] = [
    "The cause was a length that was read before its checksum; {} checks it first now.",
    "Done: {} has one function less, and the tests pass.",
    "Nothing in {} needs a change; the test waited for a clock, and does so no longer.",
    "I changed {} and ran the whole suite: all tests pass.",
];
const FOLDERS: [&str; 5] = ["src", "tests", "src/queue", "src/valve", "src/store"];
const STEMS: [&str; 8] = [
    "boiler", "cache", "limit", "parser", "reader", "sensor", "timer", "writer",
];
const ACTIONS: [&str; 6] = [
    "open block",
    "read page",
    "wait for lock",
    "write frame",
    "sync file",
    "drop entry",
];

/// What was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Made {
    pub(super) bytes: u64,
    pub(super) records: u64,
    pub(super) turns: u64,
    pub(super) compactions: u64,
}

/// Writes a thread: its last turn begins before `size` bytes. `told` hears how many are written.
pub(super) fn write(size: u64, out: &mut dyn Write, told: &mut dyn FnMut(u64)) -> io::Result<Made> {
    let mut session = Session {
        out,
        random: Random(0x9e37_79b9_7f4a_7c15),
        now_ms: BEGIN_MS,
        made: Made::default(),
        window_began_at: 0,
        recent: VecDeque::new(),
        recent_bytes: 0,
        calls: 0,
    };
    session.head()?;
    while session.made.turns == 0 || session.made.bytes < size {
        session.turn()?;
        if session.made.bytes - session.window_began_at >= WINDOW_BYTES {
            session.compact()?;
        }
        told(session.made.bytes);
    }
    Ok(session.made)
}

struct Session<'o> {
    out: &'o mut dyn Write,
    random: Random,
    now_ms: i64,
    made: Made,
    /// Bytes before the newest compaction.
    window_began_at: u64,
    /// Response items that the next compaction repeats.
    recent: VecDeque<String>,
    recent_bytes: usize,
    calls: u64,
}

impl Session<'_> {
    /// Writes one line; `payload` is JSON.
    fn line(&mut self, kind: &str, payload: &str) -> io::Result<()> {
        self.now_ms += 50 + i64::from(self.random.below(900));
        let at = time(self.now_ms);
        let ordinal = self.made.records;
        let line = format!(
            "{{\"timestamp\":\"{at}\",\"ordinal\":{ordinal},\"type\":\"{kind}\",\
             \"payload\":{payload}}}\n"
        );
        self.out.write_all(line.as_bytes())?;
        self.made.records += 1;
        self.made.bytes += line.len() as u64;
        Ok(())
    }

    fn response(&mut self, payload: String) -> io::Result<()> {
        self.line("response_item", &payload)?;
        self.recent_bytes += payload.len();
        self.recent.push_back(payload);
        while self.recent_bytes > REPEATED_BYTES && self.recent.len() > 1 {
            let dropped = self.recent.pop_front().map_or(0, |item| item.len());
            self.recent_bytes -= dropped;
        }
        Ok(())
    }

    /// The finished form of an item, as the history shows it.
    fn item(&mut self, turn: &str, item: &str) -> io::Result<()> {
        let at = self.now_ms;
        self.line(
            "event_msg",
            &format!(
                "{{\"type\":\"item_completed\",\"thread_id\":\"{THREAD}\",\"turn_id\":\"{turn}\",\
                 \"item\":{item},\"completed_at_ms\":{at}}}"
            ),
        )
    }

    fn head(&mut self) -> io::Result<()> {
        let at = time(self.now_ms);
        self.line(
            "session_meta",
            &format!(
                "{{\"session_id\":\"{THREAD}\",\"id\":\"{THREAD}\",\"timestamp\":\"{at}\",\
                 \"cwd\":\"{WORKDIR}\",\"originator\":\"cli\",\"cli_version\":\"0.90.0\",\
                 \"source\":\"cli\",\"model_provider\":\"openai\",\"base_instructions\":null,\
                 \"history_mode\":\"paginated\",\"git\":{{\"branch\":\"main\"}}}}"
            ),
        )
    }

    fn turn(&mut self) -> io::Result<()> {
        self.made.turns += 1;
        let turn = format!("turn-{}", self.made.turns);
        let began_at = self.now_ms / 1000;
        let path = self.random.path();
        self.line(
            "event_msg",
            &format!(
                "{{\"type\":\"task_started\",\"turn_id\":\"{turn}\",\"started_at\":{began_at},\
                 \"model_context_window\":272000,\"collaboration_mode_kind\":\"default\"}}"
            ),
        )?;
        self.line(
            "turn_context",
            &format!(
                "{{\"turn_id\":\"{turn}\",\"cwd\":\"{WORKDIR}\",\
                 \"approval_policy\":\"on-request\",\
                 \"sandbox_policy\":{{\"type\":\"danger-full-access\"}},\"model\":\"gpt-5\",\
                 \"effort\":\"medium\",\"summary\":\"auto\"}}"
            ),
        )?;
        let task = self.random.pick(&TASKS).replace("{}", &path);
        self.message(&turn, "user", &task)?;
        for _ in 0..2 + self.random.below(8) {
            match self.random.below(10) {
                0..=1 => self.reasoning(&turn, &path)?,
                2..=3 => self.change(&turn, &path)?,
                _ => self.command(&turn, &path)?,
            }
            self.token_count()?;
        }
        let (kind, said) = if self.made.turns.is_multiple_of(25) {
            ("turn_aborted", ",\"reason\":\"interrupted\"")
        } else {
            let answer = self.random.pick(&ANSWERS).replace("{}", &path);
            self.message(&turn, "assistant", &answer)?;
            ("task_complete", ",\"last_agent_message\":null")
        };
        let ended_at = self.now_ms / 1000;
        let millis = (ended_at - began_at) * 1000;
        self.line(
            "event_msg",
            &format!(
                "{{\"type\":\"{kind}\",\"turn_id\":\"{turn}\"{said},\"started_at\":{began_at},\
                 \"completed_at\":{ended_at},\"duration_ms\":{millis}}}"
            ),
        )
    }

    fn message(&mut self, turn: &str, role: &str, text: &str) -> io::Result<()> {
        let text = quoted(text);
        let part = if role == "user" { "input" } else { "output" };
        self.response(format!(
            "{{\"type\":\"message\",\"role\":\"{role}\",\
             \"content\":[{{\"type\":\"{part}_text\",\"text\":{text}}}]}}"
        ))?;
        let item = if role == "user" {
            format!(
                "{{\"type\":\"UserMessage\",\"id\":\"user-{turn}\",\
                 \"content\":[{{\"type\":\"text\",\"text\":{text},\"text_elements\":[]}}]}}"
            )
        } else {
            format!(
                "{{\"type\":\"AgentMessage\",\"id\":\"answer-{turn}\",\
                 \"content\":[{{\"type\":\"Text\",\"text\":{text}}}],\"phase\":\"final_answer\"}}"
            )
        };
        self.item(turn, &item)
    }

    fn call(&mut self) -> String {
        self.calls += 1;
        format!("call-{}", self.calls)
    }

    fn reasoning(&mut self, turn: &str, path: &str) -> io::Result<()> {
        let id = self.call();
        let text = quoted(&format!(
            "The fault is probably in {path}: look at it first."
        ));
        let sealed = self.random.letters(600);
        self.response(format!(
            "{{\"type\":\"reasoning\",\"id\":\"{id}\",\
             \"summary\":[{{\"type\":\"summary_text\",\"text\":{text}}}],\
             \"encrypted_content\":\"{sealed}\"}}"
        ))?;
        self.item(
            turn,
            &format!(
                "{{\"type\":\"Reasoning\",\"id\":\"{id}\",\"summary_text\":[{text}],\
                 \"raw_content\":[]}}"
            ),
        )
    }

    fn command(&mut self, turn: &str, path: &str) -> io::Result<()> {
        let id = self.call();
        let command = format!("cargo test --quiet && tail -n 200 {path}.log");
        let arguments = quoted(&format!(
            "{{\"command\":[\"bash\",\"-lc\",{}]}}",
            quoted(&command)
        ));
        self.response(format!(
            "{{\"type\":\"function_call\",\"name\":\"shell\",\"arguments\":{arguments},\
             \"call_id\":\"{id}\"}}"
        ))?;
        let lines = self.random.lines();
        let output = quoted(&self.random.log(lines, path));
        self.response(format!(
            "{{\"type\":\"function_call_output\",\"call_id\":\"{id}\",\"output\":{output}}}"
        ))?;
        let (shown, millis) = (quoted(&command), 1 + self.random.below(900));
        self.item(
            turn,
            &format!(
                "{{\"type\":\"CommandExecution\",\"id\":\"{id}\",\
                 \"command\":[\"bash\",\"-lc\",{shown}],\"cwd\":\"file://{WORKDIR}\",\
                 \"parsed_cmd\":[{{\"type\":\"unknown\",\"cmd\":{shown}}}],\"source\":\"agent\",\
                 \"status\":\"completed\",\"aggregated_output\":{output},\"exit_code\":0,\
                 \"duration\":{{\"secs\":0,\"nanos\":{millis}000000}}}}"
            ),
        )
    }

    fn change(&mut self, turn: &str, path: &str) -> io::Result<()> {
        let id = self.call();
        let mut diff = String::from("@@ -1,4 +1,4 @@\n");
        for _ in 0..4 + self.random.below(30) {
            let sign = self.random.pick(&[" ", "-", "+"]);
            let (what, number) = (self.random.pick(&ACTIONS), self.random.below(9999));
            diff.push_str(&format!("{sign}    steps.push(\"{what}\", {number});\n"));
        }
        let diff = quoted(&diff);
        self.response(format!(
            "{{\"type\":\"custom_tool_call\",\"call_id\":\"{id}\",\"name\":\"apply_patch\",\
             \"input\":{diff}}}"
        ))?;
        self.response(format!(
            "{{\"type\":\"custom_tool_call_output\",\"call_id\":\"{id}\",\
             \"output\":\"Success. Updated the following files:\\nM {path}\\n\"}}"
        ))?;
        self.item(
            turn,
            &format!(
                "{{\"type\":\"FileChange\",\"id\":\"{id}\",\
                 \"changes\":{{\"{WORKDIR}/{path}\":{{\"type\":\"update\",\
                 \"unified_diff\":{diff},\"move_path\":null}}}},\"status\":\"completed\"}}"
            ),
        )
    }

    fn token_count(&mut self) -> io::Result<()> {
        let usage = |tokens: u64| {
            format!(
                "{{\"input_tokens\":{tokens},\"cached_input_tokens\":{},\"output_tokens\":{},\
                 \"reasoning_output_tokens\":0,\"total_tokens\":{tokens}}}",
                tokens / 2,
                tokens / 9
            )
        };
        let (total, last) = (
            usage(self.made.bytes / 4),
            usage(u64::from(self.random.below(9000))),
        );
        self.line(
            "event_msg",
            &format!(
                "{{\"type\":\"token_count\",\"info\":{{\"total_token_usage\":{total},\
                 \"last_token_usage\":{last},\"model_context_window\":272000}},\
                 \"rate_limits\":null}}"
            ),
        )
    }

    /// A compaction: a summary, and the newest response items once more.
    fn compact(&mut self) -> io::Result<()> {
        self.made.compactions += 1;
        let number = self.made.compactions;
        let history = Vec::from(std::mem::take(&mut self.recent)).join(",");
        self.recent_bytes = 0;
        self.line(
            "compacted",
            &format!(
                "{{\"message\":\"Summary {number} of the work so far.\",\
                 \"replacement_history\":[{history}],\"window_number\":{number}}}"
            ),
        )?;
        self.window_began_at = self.made.bytes;
        Ok(())
    }
}

/// A time as runtimes write it.
fn time(unix_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(unix_ms)
        .unwrap_or(jiff::Timestamp::UNIX_EPOCH)
        .strftime("%Y-%m-%dT%H:%M:%S%.3fZ")
        .to_string()
}

/// A text as a JSON string.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Numbers that look random and are the same in every run (xorshift64*).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: u32) -> u32 {
        u32::try_from(self.next() % u64::from(end.max(1))).unwrap_or(0)
    }

    fn pick<'t>(&mut self, from: &[&'t str]) -> &'t str {
        let end = u32::try_from(from.len()).unwrap_or(1);
        from[self.below(end) as usize]
    }

    fn path(&mut self) -> String {
        format!("{}/{}.rs", self.pick(&FOLDERS), self.pick(&STEMS))
    }

    /// Lines of an output: mostly some dozens, now and then some thousands.
    fn lines(&mut self) -> u32 {
        let end = match self.below(400) {
            0 => 6000,
            1..=20 => 400,
            _ => 40,
        };
        1 + self.below(end)
    }

    fn log(&mut self, lines: u32, path: &str) -> String {
        let mut text = String::new();
        for _ in 0..lines {
            let (level, what) = (self.pick(&["INFO", "DEBUG", "WARN"]), self.pick(&ACTIONS));
            let (line, block, micros) = (self.below(800), self.next(), self.below(3000));
            let block = block >> 40;
            text.push_str(&format!(
                "{level} {path}:{line} {what} {block:06x} took {micros} us\n"
            ));
        }
        text
    }

    /// Letters that do not compress, as encrypted bytes do not.
    fn letters(&mut self, many: usize) -> String {
        const LETTERS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let letter = |bits: u64| char::from(LETTERS[(bits >> 58) as usize]);
        (0..many).map(|_| letter(self.next())).collect()
    }
}

#[cfg(test)]
mod tests;
