//! Owns random threads: records of every kind in any order, with few ids so that they meet, and
//! lines that are no records. Nothing about them makes sense, and nothing may stop because of it.

use crate::rng::Rng;

/// Line types and payloads. `$T` is a turn id, `$I` an item id, `$N` a small number, `$S` a text.
const RECORDS: &[(&str, &str)] = &[
    (
        "session_meta",
        r#"{"id":"$I","timestamp":"2026-01-01T00:00:00Z","cwd":"/w","originator":"o","cli_version":"1","source":"cli","model_provider":null,"history_mode":"legacy"}"#,
    ),
    (
        "session_meta",
        r#"{"id":"$I","timestamp":"2026-01-01T00-00-00","cwd":"/w","originator":"o","cli_version":"1","source":"vscode","model_provider":"p","history_mode":"paginated","git":{"branch":"$S"}}"#,
    ),
    (
        "turn_context",
        r#"{"turn_id":"$T","cwd":"/w","approval_policy":"never","sandbox_policy":{"type":"danger-full-access"},"model":"m$N","summary":"auto"}"#,
    ),
    (
        "compacted",
        r#"{"message":"$S","replacement_history":[],"window_number":$N,"window_id":"w$N"}"#,
    ),
    ("compacted", r#"{"message":"$S"}"#),
    ("world_state", r#"{"full":true,"state":{"a":$N}}"#),
    (
        "world_state",
        r#"{"full":false,"state":{"a":null,"b":"$S"}}"#,
    ),
    (
        "inter_agent_communication",
        r#"{"author":"/root","recipient":"/root/x","content":"$S","trigger_turn":true}"#,
    ),
    (
        "inter_agent_communication_metadata",
        r#"{"trigger_turn":false}"#,
    ),
    (
        "response_item",
        r#"{"type":"message","role":"user","content":[{"type":"input_text","text":"$S"}]}"#,
    ),
    (
        "response_item",
        r#"{"type":"message","role":"assistant","content":[{"type":"output_text","text":"$S"}]}"#,
    ),
    (
        "response_item",
        r#"{"type":"reasoning","id":"$I","summary":[],"encrypted_content":null}"#,
    ),
    (
        "response_item",
        r#"{"type":"function_call","name":"f","arguments":"{}","call_id":"$I"}"#,
    ),
    (
        "response_item",
        r#"{"type":"ghost_snapshot","ghost_commit":{"id":"x"}}"#,
    ),
    (
        "event_msg",
        r#"{"type":"task_started","turn_id":"$T","started_at":$N,"model_context_window":null}"#,
    ),
    ("event_msg", r#"{"type":"turn_started","turn_id":"$T"}"#),
    (
        "event_msg",
        r#"{"type":"task_complete","turn_id":"$T","last_agent_message":null}"#,
    ),
    (
        "event_msg",
        r#"{"type":"task_complete","turn_id":"$T","last_agent_message":null,"completed_at":$N,"duration_ms":$N}"#,
    ),
    (
        "event_msg",
        r#"{"type":"turn_aborted","turn_id":"$T","reason":"interrupted"}"#,
    ),
    (
        "event_msg",
        r#"{"type":"turn_aborted","turn_id":null,"reason":"interrupted","duration_ms":$N}"#,
    ),
    (
        "event_msg",
        r#"{"type":"thread_rolled_back","num_turns":$N}"#,
    ),
    (
        "event_msg",
        r#"{"type":"user_message","message":"$S","images":[],"local_images":[],"text_elements":[]}"#,
    ),
    (
        "event_msg",
        r#"{"type":"agent_message","message":"$S","phase":null,"memory_citation":null}"#,
    ),
    (
        "event_msg",
        r#"{"type":"agent_message","message":"$S","phase":"final_answer","memory_citation":null}"#,
    ),
    ("event_msg", r#"{"type":"agent_reasoning","text":"$S"}"#),
    (
        "event_msg",
        r#"{"type":"agent_reasoning_raw_content","text":"$S"}"#,
    ),
    (
        "event_msg",
        r#"{"type":"exec_command_begin","call_id":"$I","turn_id":"$T","command":["ls"],"cwd":"file:///w","parsed_cmd":[]}"#,
    ),
    (
        "event_msg",
        r#"{"type":"exec_command_end","call_id":"$I","turn_id":"$T","command":["ls"],"cwd":"/w","parsed_cmd":[],"stdout":"","stderr":"","aggregated_output":"$S","exit_code":$N,"duration":{"secs":0,"nanos":$N},"formatted_output":"","status":"completed"}"#,
    ),
    (
        "event_msg",
        r#"{"type":"patch_apply_begin","call_id":"$I","turn_id":"$T","auto_approved":true,"changes":{"/w/a":{"type":"add","content":"$S"}}}"#,
    ),
    (
        "event_msg",
        r#"{"type":"patch_apply_end","call_id":"$I","turn_id":"$T","stdout":"","stderr":"","success":true,"changes":{},"status":"completed"}"#,
    ),
    (
        "event_msg",
        r#"{"type":"mcp_tool_call_begin","call_id":"$I","invocation":{"server":"s","tool":"t","arguments":{}}}"#,
    ),
    (
        "event_msg",
        r#"{"type":"mcp_tool_call_end","call_id":"$I","invocation":{"server":"s","tool":"t","arguments":null},"duration":{"secs":1,"nanos":0},"result":{"Err":"$S"}}"#,
    ),
    ("event_msg", r#"{"type":"web_search_begin","call_id":"$I"}"#),
    (
        "event_msg",
        r#"{"type":"web_search_end","call_id":"$I","query":"$S","action":{"type":"search","query":"$S"}}"#,
    ),
    (
        "event_msg",
        r#"{"type":"dynamic_tool_call_request","callId":"$I","turnId":"$T","tool":"t","arguments":{}}"#,
    ),
    (
        "event_msg",
        r#"{"type":"view_image_tool_call","call_id":"$I","path":"/w/$S.png"}"#,
    ),
    (
        "event_msg",
        r#"{"type":"image_generation_begin","call_id":"$I"}"#,
    ),
    (
        "event_msg",
        r#"{"type":"entered_review_mode","target":{"type":"uncommittedChanges"},"user_facing_hint":"$S"}"#,
    ),
    (
        "event_msg",
        r#"{"type":"exited_review_mode","review_output":null}"#,
    ),
    ("event_msg", r#"{"type":"context_compacted"}"#),
    (
        "event_msg",
        r#"{"type":"error","message":"$S","codex_error_info":"other"}"#,
    ),
    (
        "event_msg",
        r#"{"type":"sub_agent_activity","event_id":"$I","occurred_at_ms":$N,"agent_thread_id":"$I","agent_path":"/root/w","kind":"started"}"#,
    ),
    (
        "event_msg",
        r#"{"type":"collab_agent_spawn_end","call_id":"$I","sender_thread_id":"$I","new_thread_id":null,"prompt":"$S","model":"m","reasoning_effort":"high","status":"not_found"}"#,
    ),
    (
        "event_msg",
        r#"{"type":"token_count","info":{"total_token_usage":{"input_tokens":1,"cached_input_tokens":0,"output_tokens":2,"reasoning_output_tokens":0,"total_tokens":$N},"last_token_usage":{"input_tokens":1,"cached_input_tokens":0,"output_tokens":2,"reasoning_output_tokens":0,"total_tokens":3},"model_context_window":null},"rate_limits":null}"#,
    ),
    (
        "event_msg",
        r#"{"type":"item_completed","thread_id":"x","turn_id":"$T","item":{"type":"UserMessage","id":"$I","content":[{"type":"text","text":"$S","text_elements":[]}]},"completed_at_ms":$N}"#,
    ),
    (
        "event_msg",
        r#"{"type":"item_completed","thread_id":"x","turn_id":"$T","item":{"type":"AgentMessage","id":"$I","content":[{"type":"Text","text":"$S"}]},"completed_at_ms":$N}"#,
    ),
    (
        "event_msg",
        r#"{"type":"item_completed","thread_id":"x","turn_id":"$T","item":{"type":"AgentMessage","id":"$I","content":[{"type":"Text","text":"$S"}],"phase":"final_answer"},"completed_at_ms":$N}"#,
    ),
    (
        "event_msg",
        r#"{"type":"item_completed","thread_id":"x","turn_id":"$T","item":{"type":"Plan","id":"$I","text":"$S"},"completed_at_ms":$N}"#,
    ),
    (
        "event_msg",
        r#"{"type":"item_completed","thread_id":"x","turn_id":"$T","item":{"type":"Reasoning","id":"$I","summary_text":["$S"]},"completed_at_ms":$N}"#,
    ),
    (
        "event_msg",
        r#"{"type":"item_completed","thread_id":"x","turn_id":"$T","item":{"type":"CommandExecution","id":"$I","command":["ls"],"cwd":"file:///w","parsed_cmd":[],"source":"agent","status":"completed"},"completed_at_ms":$N}"#,
    ),
    (
        "event_msg",
        r#"{"type":"item_completed","thread_id":"x","turn_id":"$T","item":{"type":"ContextCompaction","id":"$I"},"completed_at_ms":$N}"#,
    ),
    (
        "event_msg",
        r#"{"type":"item_completed","thread_id":"x","turn_id":"$T","item":{"type":"FromTheFuture","id":"$I"},"completed_at_ms":$N}"#,
    ),
    (
        "event_msg",
        r#"{"type":"item_started","thread_id":"x","turn_id":"$T","item":{"type":"Plan","id":"$I","text":""},"started_at_ms":$N}"#,
    ),
    ("event_msg", r#"{"type":"from_the_future","x":$N}"#),
    ("from_the_future", r#"{"x":$N}"#),
    ("event_msg", r#"["$S"]"#),
    ("response_item", "null"),
];

/// Lines that are no records, or hardly.
const ODD: &[&[u8]] = &[
    b"",
    b"  \t ",
    b"nonsense",
    b"{",
    b"null",
    b"[]",
    b"{}",
    b"\xff\xfe",
    b"\0\0\0\0",
    br#"{"id":"old","timestamp":"2025-05-01T00:00:00Z","instructions":null}"#,
    br#"{"type":"message","role":"user","content":[]}"#,
    br#"{"timestamp":"x","type":"event_msg","payload":{"type":"user_message","message":"\ud800"}}"#,
    br#"{"timestamp":"x","timestamp":"y","type":"event_msg","payload":{"type":"context_compacted"}}"#,
    br#"{"timestamp":1,"type":"event_msg","payload":{"type":"context_compacted"}}"#,
    br#"{"timestamp":"x","type":"event_msg","payload":{"type":"thread_rolled_back","num_turns":1e999}}"#,
];

const TIMES: &[&str] = &[
    "2026-01-01T00:00:00.000Z",
    "2026-01-01T00:00:01.500Z",
    "2025-12-31T23:59:59Z",
    "2026-01-01T00-00-02",
    "1970-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "yesterday",
    "",
];

const TEXTS: &[&str] = &[
    "",
    "a",
    "two words",
    r#"\"quoted\" \\ \n"#,
    r"\u00e9\u0000",
    "## My request for Codex:\\n x",
];

/// One payload of each kind, with its line type, the marks filled in.
#[must_use]
pub fn one_of_each() -> Vec<(&'static str, String)> {
    let filled = |template: &str| {
        let numbered = template.replace("$N", "1").replace("$T", "t1");
        numbered.replace("$I", "i1").replace("$S", "s")
    };
    let each = RECORDS.iter();
    each.map(|(kind, template)| (*kind, filled(template)))
        .collect()
}

/// One line, without its end.
pub fn line(rng: &mut Rng) -> Vec<u8> {
    let mut line = match rng.below(20) {
        0 => pick(rng, ODD).to_vec(),
        1 => deep(rng),
        _ => record(rng).into_bytes(),
    };
    if rng.below(12) == 0 && !line.is_empty() {
        let at = usize::try_from(rng.below(line.len() as u64)).unwrap_or(0);
        match rng.below(3) {
            0 => line.truncate(at),
            1 => drop(line.remove(at)),
            _ => line[at] = u8::try_from(rng.below(256)).unwrap_or(0),
        }
        line.retain(|byte| *byte != b'\n');
    }
    line
}

/// The lines of a thread of up to `most` lines.
#[must_use]
pub fn thread(seed: u64, most: u64) -> Vec<Vec<u8>> {
    let mut rng = Rng::new(seed);
    let count = rng.below(most) + 1;
    (0..count).map(|_| line(&mut rng)).collect()
}

fn pick<T: Copy>(rng: &mut Rng, from: &[T]) -> T {
    let at = usize::try_from(rng.below(from.len() as u64)).unwrap_or(0);
    from[at]
}

fn record(rng: &mut Rng) -> String {
    let (kind, template) = pick(rng, RECORDS);
    let time = pick(rng, TIMES);
    let ordinal = match rng.below(4) {
        0 => String::new(),
        1 => format!(r#","ordinal":{}"#, rng.number()),
        _ => format!(r#","ordinal":{}"#, rng.below(40)),
    };
    let mut payload = String::new();
    let mut parts = template.split('$');
    payload.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let (mark, rest) = part.split_at(1);
        match mark {
            "T" => payload.push_str(pick(rng, &["t1", "t2", "t3", "rollout-1", ""])),
            "I" => payload.push_str(pick(rng, &["i1", "i2", "i3", "item-1", "item-2"])),
            "N" => payload.push_str(&rng.below(5).to_string()),
            _ => payload.push_str(pick(rng, TEXTS)),
        }
        payload.push_str(rest);
    }
    format!(r#"{{"timestamp":"{time}"{ordinal},"type":"{kind}","payload":{payload}}}"#)
}

fn deep(rng: &mut Rng) -> Vec<u8> {
    let depth = usize::try_from(rng.below(400)).unwrap_or(0);
    let nested = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let kind = pick(
        rng,
        &["world_state", "event_msg", "response_item", "compacted"],
    );
    let payload =
        format!(r#"{{"type":"message","full":true,"state":{nested},"content":{nested}}}"#);
    format!(r#"{{"timestamp":"x","type":"{kind}","payload":{payload}}}"#).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_is_json_and_a_soup_is_reproducible() {
        for (kind, filled) in one_of_each() {
            let read = serde_json::from_str::<serde_json::Value>(&filled);
            assert!(read.is_ok(), "{kind} {filled}");
        }
        assert_eq!(thread(5, 100), thread(5, 100));
        assert_ne!(thread(5, 100), thread(6, 100));
    }
}
