//! Owns the making of realistic rollouts of any size: the same input gives the same bytes, in
//! constant memory. It must not know the store.
//!
//! The mix follows what real sessions hold: long tool outputs, content that compactions repeat,
//! encrypted reasoning, base64 images, a token count after every step.

mod text;
mod turn;

use std::io::{self, Write};

use text::Rng;
use turn::Turn;

/// How the records of a rollout are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RolloutMode {
    /// Events that a replay turns into items.
    Legacy,
    /// Snapshots of items, with ordinals.
    Paginated,
}

/// A rollout to be written.
#[derive(Debug, Clone)]
pub struct Rollout {
    /// How records are kept.
    pub mode: RolloutMode,
    /// Decides every byte.
    pub seed: u64,
    /// The thread's id, where the seed is not to decide it.
    pub thread_id: Option<String>,
    /// The last turn begins before so many bytes.
    pub bytes_target: u64,
    /// Distance of compactions in bytes: what a resume reads stays near this.
    pub window_bytes: u64,
}

/// What was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Lines.
    pub lines: u64,
    /// Bytes, line feeds included.
    pub bytes: u64,
    /// Turns.
    pub turns: u64,
    /// Compactions.
    pub compactions: u64,
}

impl Rollout {
    /// A rollout of about `bytes_target` bytes with the usual distance of compactions.
    #[must_use]
    pub fn new(mode: RolloutMode, seed: u64, bytes_target: u64) -> Rollout {
        Rollout {
            mode,
            seed,
            thread_id: None,
            bytes_target,
            window_bytes: 512 << 10,
        }
    }

    /// The thread's id: the one that was asked for, or a UUIDv7-like one from the seed.
    #[must_use]
    pub fn thread_id(&self) -> String {
        if let Some(id) = &self.thread_id {
            return id.clone();
        }
        Rng::new(self.seed ^ 0x7468_7265_6164).uuid(1_767_225_600_000)
    }

    /// Writes the rollout.
    ///
    /// # Errors
    /// When `out` refuses.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<Summary> {
        let mut writer = LineWriter::new(self, out);
        writer.head()?;
        let tail_at = self.bytes_target.saturating_sub(TAIL_BYTES);
        let mut end = None;
        while end.is_none_or(|end| writer.summary.bytes < end) {
            if end.is_none() && writer.summary.bytes >= tail_at {
                writer.begin_tail(self.seed)?;
                end = Some(writer.summary.bytes + TAIL_BYTES.min(self.bytes_target.max(1)));
            }
            let mut turn = Turn::begin(&mut writer)?;
            turn.play()?;
            writer.summary.turns += 1;
            if writer.since_compaction >= self.window_bytes {
                writer.compact()?;
            }
        }
        Ok(writer.summary)
    }
}

/// Writes lines with envelope, time and ordinal.
pub(crate) struct LineWriter<'a> {
    out: &'a mut dyn Write,
    mode: RolloutMode,
    thread: String,
    rng: Rng,
    now_ms: i64,
    summary: Summary,
    since_compaction: u64,
    window: u64,
    window_id: String,
    first_window_id: String,
    /// Payloads of response items that the next compaction repeats.
    recent: Vec<String>,
    recent_bytes: usize,
    tokens: u64,
    line: String,
}

/// The newest bytes are made from the seed alone, so that rollouts of one seed end alike however
/// long they are: what is newest costs the same work at every length.
const TAIL_BYTES: u64 = 1_000_000;

/// Payload bytes that a compaction repeats.
const REPEATED_BYTES: usize = 320 << 10;

impl<'a> LineWriter<'a> {
    fn new(rollout: &Rollout, out: &'a mut dyn Write) -> LineWriter<'a> {
        let mut rng = Rng::new(rollout.seed);
        let now_ms = 1_767_225_600_000;
        let window_id = rng.uuid(now_ms);
        LineWriter {
            out,
            mode: rollout.mode,
            thread: rollout.thread_id(),
            rng,
            now_ms,
            summary: Summary::default(),
            since_compaction: 0,
            window: 0,
            first_window_id: window_id.clone(),
            window_id,
            recent: Vec::new(),
            recent_bytes: 0,
            tokens: 0,
            line: String::new(),
        }
    }

    /// Writes one record. `payload` is JSON.
    fn record(&mut self, kind: &str, payload: &str) -> io::Result<()> {
        use std::fmt::Write as _;
        self.now_ms += 20 + i64::try_from(self.rng.below(900)).unwrap_or(0);
        self.line.clear();
        let time = text::timestamp(self.now_ms);
        let _ = write!(self.line, "{{\"timestamp\":\"{time}\"");
        if self.mode == RolloutMode::Paginated {
            let _ = write!(self.line, ",\"ordinal\":{}", self.summary.lines);
        }
        let _ = writeln!(self.line, ",\"type\":\"{kind}\",\"payload\":{payload}}}");
        self.out.write_all(self.line.as_bytes())?;
        self.summary.lines += 1;
        self.summary.bytes += self.line.len() as u64;
        self.since_compaction += self.line.len() as u64;
        Ok(())
    }

    fn event(&mut self, payload: &str) -> io::Result<()> {
        self.record("event_msg", payload)
    }

    /// A response item, which the next compaction may repeat.
    fn response(&mut self, payload: &str) -> io::Result<()> {
        self.record("response_item", payload)?;
        self.recent_bytes += payload.len();
        self.recent.push(payload.to_owned());
        let mut drop = 0;
        while self.recent_bytes > REPEATED_BYTES && drop + 1 < self.recent.len() {
            self.recent_bytes -= self.recent[drop].len();
            drop += 1;
        }
        self.recent.drain(..drop);
        Ok(())
    }

    fn head(&mut self) -> io::Result<()> {
        let mode = match self.mode {
            RolloutMode::Legacy => "legacy",
            RolloutMode::Paginated => "paginated",
        };
        let time = text::timestamp(self.now_ms);
        let thread = &self.thread;
        let instructions = text::quote(&self.rng.prose(220));
        let payload = format!(
            "{{\"session_id\":\"{thread}\",\"id\":\"{thread}\",\"timestamp\":\"{time}\",\
             \"cwd\":\"/home/dev/project\",\"originator\":\"cli\",\"cli_version\":\"0.90.0\",\
             \"source\":\"cli\",\"model_provider\":\"openai\",\
             \"base_instructions\":{{\"text\":{instructions}}},\"history_mode\":\"{mode}\",\
             \"context_window\":{{\"window_id\":\"{}\"}},\
             \"git\":{{\"commit_hash\":\"3f1c9a7d\",\"branch\":\"main\"}}}}",
            self.window_id
        );
        self.record("session_meta", &payload)
    }

    /// Begins the part that depends on the seed only.
    fn begin_tail(&mut self, seed: u64) -> io::Result<()> {
        if self.summary.turns > 0 {
            self.compact()?;
        }
        self.rng = Rng::new(seed ^ 0x7461_696c);
        (self.since_compaction, self.recent_bytes) = (0, 0);
        self.recent.clear();
        Ok(())
    }

    /// A compaction: the summary, and the newest response items once more.
    fn compact(&mut self) -> io::Result<()> {
        let previous = std::mem::replace(&mut self.window_id, self.rng.uuid(self.now_ms));
        self.window += 1;
        let message = text::quote(&self.rng.prose(160));
        let history = self.recent.join(",");
        let payload = format!(
            "{{\"message\":{message},\"replacement_history\":[{history}],\
             \"window_number\":{},\"first_window_id\":\"{}\",\
             \"previous_window_id\":\"{previous}\",\"window_id\":\"{}\"}}",
            self.window, self.first_window_id, self.window_id
        );
        self.record("compacted", &payload)?;
        if self.mode == RolloutMode::Legacy {
            self.event("{\"type\":\"context_compacted\"}")?;
        }
        self.since_compaction = 0;
        self.summary.compactions += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
