use turnleaf_projector::fold::ThreadMeta;

use super::created_ms;

const OF_VERSION_7: &str = "019c0000-0000-7000-8000-0000000000bb";
const OF_VERSION_4: &str = "019c0000-0000-4000-8000-0000000000bb";
const NAMED: &str = "/home/sessions/rollout-2026-01-02T03-04-05-019c0000.jsonl";
/// Unix milliseconds of 2026-01-02T03:04:05Z.
const OF_NAME: i64 = 1_767_323_045_000;

/// What says best when a thread began comes first.
#[test]
fn a_thread_without_a_time_in_its_head_began_as_the_rest_says() {
    let meta = |created_at_ms, first_at_ms| ThreadMeta {
        created_at_ms,
        first_at_ms,
        ..ThreadMeta::default()
    };
    let untimed = meta(None, None);
    for (meta, id, from, expect) in [
        (meta(Some(2), Some(1)), OF_VERSION_7, Some(NAMED), 2),
        (meta(None, Some(1)), OF_VERSION_7, Some(NAMED), 1),
        (untimed.clone(), OF_VERSION_7, Some(NAMED), OF_NAME),
        (
            untimed.clone(),
            OF_VERSION_7,
            Some("a.jsonl"),
            0x019c_0000_0000,
        ),
        (untimed.clone(), OF_VERSION_4, Some("rollout-x.jsonl"), 9),
        (
            untimed.clone(),
            "name",
            Some("rollout-2026-01-02T03-04-65-x"),
            9,
        ),
        // One that was created here began then.
        (untimed, OF_VERSION_7, None, 9),
    ] {
        assert_eq!(created_ms(&meta, id, from, 9), expect, "{id} {from:?}");
    }
}
