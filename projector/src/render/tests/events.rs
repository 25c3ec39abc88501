//! Legacy events: where they go, what they show, what rejects them.

use super::*;
use crate::payload::{InTurn, LegacyUse};
use crate::rows::{ItemKind, Phase};

fn upsert<'a>(id: &'a str, kind: ItemKind, turn: InTurn<'a>, is_begin: bool) -> LegacyHead<'a> {
    LegacyHead::Upsert {
        id: id.into(),
        kind,
        turn,
        is_begin,
    }
}

/// Checks an event that upserts the item `k`.
fn check_upsert(event: Value, kind: ItemKind, turn: InTurn<'_>, is_begin: bool, expect: Value) {
    check_event(
        event,
        |head| assert_eq!(head, upsert("k", kind, turn, is_begin)),
        expect,
    );
}

fn by_id(turn: &str) -> InTurn<'_> {
    InTurn::ById(turn.into())
}

#[test]
fn other_events_are_not_item_events() {
    for event_type in ["task_started", "token_count", "unheard_of", "warning"] {
        assert_eq!(legacy_head(event_type, raw("[]")), Ok(None));
    }
}

#[test]
fn messages_are_pushed() {
    let user = json!({ "type": "user_message", "message": " ", "images": ["u"],
                       "image_details": [null], "local_images": ["/p", "/q"],
                       "local_image_details": ["low"], "client_id": "c" });
    let is_image = |head: LegacyHead<'_>| {
        let LegacyHead::UserMessage { user } = head else {
            panic!("{head:?}")
        };
        assert_eq!(user.preview(), Some("[Image]"));
    };
    check_event(
        user,
        is_image,
        json!({ "type": "userMessage", "id": "it", "clientId": "c", "content": [
            { "type": "image", "detail": null, "url": "u" },
            { "type": "localImage", "detail": "low", "path": "/p" },
            { "type": "localImage", "detail": null, "path": "/q" },
        ] }),
    );
    check_event(
        json!({ "type": "agent_message", "message": "m", "phase": "commentary" }),
        |head| {
            let phase = Some(Phase::Commentary);
            assert_eq!(
                head,
                LegacyHead::AgentMessage {
                    phase,
                    is_empty: false
                }
            );
        },
        json!({ "type": "agentMessage", "id": "it", "text": "m", "phase": "commentary",
                "memoryCitation": null }),
    );
    check_event(
        json!({ "type": "context_compacted" }),
        |head| assert_eq!(head, LegacyHead::ContextCompacted),
        json!({ "type": "contextCompaction", "id": "it" }),
    );
    check_event_rejected(json!({ "type": "user_message" }));
    check_event_rejected(json!({ "type": "user_message", "message": "m", "local_images": null }));
    check_event_rejected(json!({ "type": "agent_message", "message": null }));
}

#[test]
fn reasoning_lines_are_joined_in_order() {
    let part = |event_type: &str, text: &str| {
        line_of(
            "event_msg",
            &json!({ "type": event_type, "text": text }).to_string(),
        )
    };
    let lines = [
        part("agent_reasoning_raw_content", "c1"),
        part("agent_reasoning", "s1"),
        part("agent_reasoning_raw_content", "c2"),
    ];
    let lines: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
    let expect = |summary: Value, content: Value| {
        Some(json!({ "type": "reasoning", "id": "r", "summary": summary, "content": content }))
    };
    assert_eq!(
        render("r", &lines),
        expect(json!(["s1"]), json!(["c1", "c2"]))
    );
    assert_eq!(render("r", &lines[..1]), expect(json!([]), json!(["c1"])));
    assert_eq!(render("r", &lines[1..2]), expect(json!(["s1"]), json!([])));
    assert_eq!(render("r", &[]), None);
    let text = json!({ "type": "agent_reasoning", "text": "" }).to_string();
    let head = legacy_head("agent_reasoning", raw(&text));
    assert_eq!(head, Ok(Some(LegacyHead::Reasoning { is_empty: true })));
}

#[test]
fn execs_go_to_their_own_turn() {
    let begin = json!({ "type": "exec_command_begin", "call_id": "k", "turn_id": "",
                        "command": ["ls"], "cwd": "/w", "parsed_cmd": [] });
    let shown = |status: &str, output: Value, code: Value, millis: Value| {
        json!({ "type": "commandExecution", "id": "it", "command": "ls", "cwd": "/w",
                "processId": null, "source": "agent", "status": status, "commandActions": [],
                "aggregatedOutput": output, "exitCode": code, "durationMs": millis })
    };
    let nothing = || Value::Null;
    let kind = ItemKind::CommandExecution;
    let in_progress = shown("inProgress", nothing(), nothing(), nothing());
    check_upsert(begin.clone(), kind, by_id(""), true, in_progress);
    let mut end = begin;
    end["type"] = json!("exec_command_end");
    end["turn_id"] = json!("t");
    end["status"] = json!("declined");
    end["exit_code"] = json!(2);
    end["duration"] = json!({ "secs": 0, "nanos": 2_999_999 });
    for text in ["stdout", "stderr", "formatted_output"] {
        end[text] = json!("x");
    }
    let ended = shown("declined", nothing(), json!(2), json!(2));
    check_upsert(end.clone(), kind, by_id("t"), false, ended);
    end["aggregated_output"] = json!("o\u{0}");
    let ended = shown("declined", json!("o\u{0}"), json!(2), json!(2));
    check_upsert(end.clone(), kind, by_id("t"), false, ended);
    end["aggregated_output"] = Value::Null;
    check_event_rejected(end.clone());
    end["aggregated_output"] = json!("");
    end["status"] = json!("in_progress");
    check_event_rejected(end);
}

#[test]
fn assessments_of_commands_make_items() {
    let assessment = |status: &str, action: Value| {
        json!({ "type": "guardian_assessment", "id": "g", "target_item_id": "k",
                "status": status, "action": action })
    };
    let command = json!({ "type": "command", "source": "shell", "command": "a 'b'", "cwd": "/w" });
    let shown = |line: &str, status: &str| {
        json!({ "type": "commandExecution", "id": "it", "command": line, "cwd": "/w",
                "processId": null, "source": "agent", "status": status,
                "commandActions": [{ "type": "unknown", "command": line }],
                "aggregatedOutput": null, "exitCode": null, "durationMs": null })
    };
    let kind = ItemKind::CommandExecution;
    for (status, is_begin, expect) in [
        ("in_progress", true, "inProgress"),
        ("denied", false, "declined"),
        ("aborted", false, "declined"),
        ("timed_out", false, "failed"),
    ] {
        let event = assessment(status, command.clone());
        check_upsert(
            event,
            kind,
            InTurn::Current,
            is_begin,
            shown("a 'b'", expect),
        );
    }
    let execve = json!({ "type": "execve", "source": "unified_exec", "program": "/bin/ls",
                         "argv": ["ls", "a b"], "cwd": "/w" });
    let mut event = assessment("denied", execve);
    event["turn_id"] = json!("t");
    check_upsert(
        event,
        kind,
        by_id("t"),
        false,
        shown("/bin/ls 'a b'", "declined"),
    );
    let none = |head: LegacyHead<'_>| assert_eq!(head, LegacyHead::NoItem);
    check_event(assessment("approved", command.clone()), none, Value::Null);
    let patch = json!({ "type": "apply_patch", "cwd": "/w", "files": ["/w/a"] });
    check_event(assessment("denied", patch), none, Value::Null);
    let mut targetless = assessment("denied", command.clone());
    targetless["target_item_id"] = Value::Null;
    check_event(targetless, none, Value::Null);
    check_event_rejected(assessment("maybe", command));
    check_event_rejected(assessment(
        "denied",
        json!({ "type": "command", "command": "x" }),
    ));
}

#[test]
fn patches_go_to_the_current_turn_without_an_id() {
    let changes = json!({ "/a": { "type": "add", "content": "x" } });
    let shown = |status: &str| {
        json!({ "type": "fileChange", "id": "it", "status": status, "changes": [
            { "path": "/a", "kind": { "type": "add" }, "diff": "x" },
        ] })
    };
    let kind = ItemKind::FileChange;
    let request = json!({ "type": "apply_patch_approval_request", "call_id": "k",
                          "changes": changes });
    check_upsert(request, kind, InTurn::Current, true, shown("inProgress"));
    let begin = json!({ "type": "patch_apply_begin", "call_id": "k", "turn_id": "t",
                        "auto_approved": true, "changes": changes });
    check_upsert(begin, kind, by_id("t"), true, shown("inProgress"));
    let mut end = json!({ "type": "patch_apply_end", "call_id": "k", "turn_id": "", "stdout": "",
                          "stderr": "", "success": true, "changes": changes, "status": "completed" });
    check_upsert(
        end.clone(),
        kind,
        InTurn::Current,
        false,
        shown("completed"),
    );
    end["turn_id"] = Value::Null;
    check_event_rejected(end);
}

#[test]
fn tool_calls_pair_up() {
    let request = json!({ "type": "dynamic_tool_call_request", "callId": "k", "turnId": "",
                          "tool": "t", "arguments": {} });
    let shown = |status: &str, content: Value, success: Value, millis: Value| {
        json!({ "type": "dynamicToolCall", "id": "it", "namespace": null, "tool": "t",
                "arguments": {}, "status": status, "contentItems": content, "success": success,
                "durationMs": millis })
    };
    let kind = ItemKind::DynamicToolCall;
    let began = shown("inProgress", Value::Null, Value::Null, Value::Null);
    check_upsert(request, kind, InTurn::Current, true, began);
    let response = json!({ "type": "dynamic_tool_call_response", "call_id": "k", "turn_id": "t",
                           "tool": "t", "arguments": {}, "content_items": [], "success": false,
                           "error": "e", "duration": { "secs": 1, "nanos": 0 } });
    check_upsert(
        response,
        kind,
        by_id("t"),
        false,
        shown("failed", json!([]), json!(false), json!(1000)),
    );
    let end = json!({ "type": "mcp_tool_call_end", "call_id": "k", "result": { "Err": "no" },
                      "invocation": { "server": "s", "tool": "t" },
                      "duration": { "secs": 0, "nanos": 0 } });
    check_upsert(
        end.clone(),
        ItemKind::McpToolCall,
        InTurn::Current,
        false,
        json!({ "type": "mcpToolCall", "id": "it", "server": "s", "tool": "t", "arguments": null,
                "status": "failed", "appContext": null, "pluginId": null, "result": null,
                "error": { "message": "no" }, "durationMs": 0 }),
    );
    let mut bad = end.clone();
    bad["result"] = json!({ "Ok": {} });
    check_event_rejected(bad);
    let mut bad = end;
    bad["duration"] = json!({ "secs": 0 });
    check_event_rejected(bad);
}

#[test]
fn views_searches_and_images_go_to_the_current_turn() {
    check_upsert(
        json!({ "type": "view_image_tool_call", "call_id": "k", "path": "file:///w/a%20b.png" }),
        ItemKind::ImageView,
        InTurn::Current,
        false,
        json!({ "type": "imageView", "id": "it", "path": "/w/a b.png" }),
    );
    check_upsert(
        json!({ "type": "web_search_begin", "call_id": "k" }),
        ItemKind::WebSearch,
        InTurn::Current,
        true,
        json!({ "type": "webSearch", "id": "it", "query": "", "action": null, "results": null }),
    );
    check_upsert(
        json!({ "type": "web_search_end", "call_id": "k", "query": "q",
                "action": { "type": "new", "query": 1 } }),
        ItemKind::WebSearch,
        InTurn::Current,
        false,
        json!({ "type": "webSearch", "id": "it", "query": "q", "action": { "type": "other" },
                "results": null }),
    );
    check_upsert(
        json!({ "type": "image_generation_begin", "call_id": "k" }),
        ItemKind::ImageGeneration,
        InTurn::Current,
        true,
        json!({ "type": "imageGeneration", "id": "it", "status": "", "revisedPrompt": null,
                "result": "" }),
    );
    check_event_rejected(json!({ "type": "web_search_end", "call_id": "k", "query": "q" }));
    check_event_rejected(
        json!({ "type": "web_search_end", "call_id": "k", "query": "q",
                                 "action": { "type": "search", "query": 1 } }),
    );
    check_event_rejected(json!({ "type": "image_generation_begin" }));
}

#[test]
fn waiting_for_agents_sorts_receivers_and_fails_with_any() {
    let (one, two) = (THREAD.replace("66", "01"), THREAD.replace("66", "02"));
    let waiting = |states: Value| {
        json!({ "type": "collab_waiting_end", "call_id": "k", "sender_thread_id": THREAD,
                "statuses": states })
    };
    let shown = |status: &str, states: Value| {
        json!({ "type": "collabAgentToolCall", "id": "it", "tool": "wait", "status": status,
                "senderThreadId": THREAD, "receiverThreadIds": [one, two], "prompt": null,
                "model": null, "reasoningEffort": null, "agentsStates": states })
    };
    let state = |status: &str| json!({ "status": status, "message": null });
    let kind = ItemKind::CollabAgentToolCall;
    check_upsert(
        waiting(json!({ &two: "shutdown", &one: "interrupted" })),
        kind,
        InTurn::Current,
        false,
        shown(
            "completed",
            json!({ &one: state("interrupted"), &two: state("shutdown") }),
        ),
    );
    check_upsert(
        waiting(json!({ &two: "not_found", &one: "running" })),
        kind,
        InTurn::Current,
        false,
        shown(
            "failed",
            json!({ &one: state("running"), &two: state("notFound") }),
        ),
    );
    check_event_rejected(waiting(json!({ "T": "running" })));
}

#[test]
fn reviews_name_their_turn_or_not() {
    let entered = json!({ "type": "entered_review_mode", "target": { "type": "uncommittedChanges" },
                          "turn_id": "t" });
    check_event(
        entered,
        |head| {
            let kind = ItemKind::EnteredReviewMode;
            let turn_id = Some("t".into());
            assert_eq!(
                head,
                LegacyHead::Review {
                    kind,
                    turn_id,
                    item_id: None
                }
            );
        },
        json!({ "type": "enteredReviewMode", "id": "it", "review": "Review requested." }),
    );
    check_event(
        json!({ "type": "exited_review_mode", "item_id": "x" }),
        |head| {
            let kind = ItemKind::ExitedReviewMode;
            let item_id = Some("x".into());
            assert_eq!(
                head,
                LegacyHead::Review {
                    kind,
                    turn_id: None,
                    item_id
                }
            );
        },
        json!({ "type": "exitedReviewMode", "id": "it",
                "review": "Reviewer failed to output a response." }),
    );
    check_event_rejected(json!({ "type": "entered_review_mode", "target": { "type": "new" } }));
}

#[test]
fn item_events_carry_their_turn() {
    let event = json!({ "type": "item_started", "thread_id": THREAD, "turn_id": "t",
                        "item": { "type": "Plan", "id": "p", "text": "x" }, "started_at_ms": 1 });
    check_event(
        event.clone(),
        |head| {
            let LegacyHead::Item {
                turn_id,
                item,
                is_begin,
                ..
            } = head
            else {
                panic!("{head:?}")
            };
            assert_eq!(
                (turn_id.as_ref(), item.id.as_ref(), is_begin),
                ("t", "p", true)
            );
            assert_eq!(item.legacy, LegacyUse::Upsert);
        },
        json!({ "type": "plan", "id": "it", "text": "x" }),
    );
    let mut bad = event.clone();
    bad["thread_id"] = json!("T");
    check_event_rejected(bad);
    let mut bad = event;
    bad["item"]["text"] = Value::Null;
    check_event_rejected(bad);
}
