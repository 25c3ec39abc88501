//! Owns threads of a turn each, in a hundred directories: what lists of threads are measured on.

use turnleaf::Store;

/// The id of a thread.
#[must_use]
pub fn id(at: usize) -> String {
    format!("019c0000-0000-7000-8000-{at:012x}")
}

/// Makes threads, several at a time: each is durable, and they share syncs.
///
/// # Panics
/// If the store refuses one.
pub fn make_all(store: &Store, threads: usize) {
    std::thread::scope(|scope| {
        for part in 0..8 {
            scope.spawn(move || (part..threads).step_by(8).for_each(|at| make(store, at)));
        }
    });
}

/// Appends a turn to a thread, which is created where it is not there.
///
/// # Panics
/// If the store refuses it.
pub fn make(store: &Store, at: usize) {
    let id = id(at);
    let _ = store.create_thread(&id);
    let (minute, second) = (at / 60 % 60, at % 60);
    let time = format!(
        "2026-01-{:02}T00:{minute:02}:{second:02}.000Z",
        at / 3600 % 28 + 1
    );
    let line = |kind: &str, payload: &str| {
        format!(r#"{{"timestamp":"{time}","type":"{kind}","payload":{payload}}}"#)
    };
    let head = serde_json::json!({
        "id": id, "timestamp": time, "cwd": format!("/w/{}", at % 100), "originator": "t",
        "cli_version": "0", "source": "cli", "model_provider": null, "history_mode": "paginated",
    });
    let said = serde_json::json!({
        "type": "item_completed", "thread_id": id, "turn_id": "t", "completed_at_ms": 1,
        "item": {
            "type": "UserMessage", "id": "i",
            "content": [{"type": "text", "text": "please look at the tests"}],
        },
    });
    let lines = [
        line("session_meta", &head.to_string()),
        line("event_msg", r#"{"type":"task_started","turn_id":"t"}"#),
        line("event_msg", &said.to_string()),
        line("event_msg", r#"{"type":"task_complete","turn_id":"t"}"#),
    ];
    let lines: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
    store.append(&id, None, &lines).expect("appended");
}
