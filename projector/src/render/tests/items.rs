//! Canonical items: forms, drops, rejections.

use super::*;
use crate::payload::{LegacyUse, UserText, user_title};
use crate::rows::{ItemKind, Phase};

fn command(cwd: &str, argv: Value, parsed: Value) -> Value {
    json!({
        "type": "CommandExecution", "id": "c", "command": argv, "cwd": cwd,
        "parsed_cmd": parsed, "source": "agent", "status": "completed",
    })
}

fn served_command(cwd: &str, line: &str, actions: Value) -> Value {
    json!({
        "type": "commandExecution", "id": "c", "command": line, "cwd": cwd, "processId": null,
        "source": "agent", "status": "completed", "commandActions": actions,
        "aggregatedOutput": null, "exitCode": null, "durationMs": null,
    })
}

#[test]
fn heads_tell_kind_phase_and_use() {
    let check = |item: Value, kind: ItemKind, phase: Option<Phase>, legacy: LegacyUse| {
        let text = item.to_string();
        let head = turn_item_head(raw(&text)).expect("accepted");
        assert_eq!(
            (head.kind, head.phase, head.legacy),
            (kind, phase, legacy),
            "{text}"
        );
    };
    let message = |phase: Value| {
        json!({
            "type": "AgentMessage", "id": "a", "content": [], "phase": phase,
        })
    };
    check(
        message(Value::Null),
        ItemKind::AgentMessage,
        None,
        LegacyUse::Ignored,
    );
    let (kind, phase) = (ItemKind::AgentMessage, Some(Phase::FinalAnswer));
    check(
        message(json!("final_answer")),
        kind,
        phase,
        LegacyUse::Ignored,
    );
    let plan = |text: &str| json!({ "type": "Plan", "id": "p", "text": text });
    check(plan(""), ItemKind::Plan, None, LegacyUse::Ignored);
    check(plan("x"), ItemKind::Plan, None, LegacyUse::Upsert);
    let sleep = json!({ "type": "Extension", "kind": "clock.sleep", "id": "s", "durationMs": 1 });
    check(sleep, ItemKind::Sleep, None, LegacyUse::Upsert);
    let exited = json!({ "type": "ExitedReviewMode", "id": "x" });
    check(exited, ItemKind::ExitedReviewMode, None, LegacyUse::Review);
    check_rejected(message(json!("later")));
    check_rejected(json!({ "type": "AgentMessage", "id": "a", "content": [{ "type": "text" }] }));
    check_rejected(json!({ "type": "Plan", "id": 1, "text": "" }));
    check_rejected(json!({ "type": "Plan", "id": "p" }));
    check_rejected(json!({ "type": "plan", "id": "p", "text": "" }));
    check_rejected(json!({ "id": "p", "text": "" }));
    check_rejected(json!([]));
}

#[test]
fn the_tag_may_come_last() {
    let text = r#"{"text":"a\nb","extra":{"type":1},"id":"p","type":"Plan"}"#;
    let (head, served) = item(text).expect("accepted");
    assert_eq!((head.id.as_ref(), head.kind), ("p", ItemKind::Plan));
    assert_eq!(served, json!({ "type": "plan", "id": "p", "text": "a\nb" }));
    let text = r#"{"durationMs":5,"kind":"clock.sleep","id":"s","type":"Extension"}"#;
    let (_, served) = item(text).expect("accepted");
    assert_eq!(
        served,
        json!({ "type": "sleep", "id": "s", "durationMs": 5 })
    );
}

#[test]
fn texts_that_cannot_be_decoded_reject_the_item() {
    let plan = |text: &str| format!(r#"{{"type":"Plan","id":"p","text":{text}}}"#);
    assert!(item(&plan(r#""\ud83d\ude80""#)).is_ok());
    assert!(item(&plan(r#""\\ud800""#)).is_ok());
    for bad in [
        r#""\ud800""#,
        r#""\ud800x""#,
        r#""\udc00""#,
        r#""\uD83D\n""#,
        "1",
        "null",
    ] {
        assert!(item(&plan(bad)).is_err(), "{bad}");
    }
    let call = |arguments: &str| {
        format!(
            r#"{{"type":"DynamicToolCall","id":"d","tool":"t","status":"completed","arguments":{arguments}}}"#
        )
    };
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(item(&call(&nested(124))).is_ok());
    assert!(item(&call(&nested(125))).is_err());
    assert!(item(&call("1e308")).is_ok());
    assert!(item(&call("1e309")).is_err());
    assert!(item(&call(&"9".repeat(400))).is_err());
    assert!(item(&call("18446744073709551615")).is_ok());
}

#[test]
fn user_messages_map_every_input() {
    let content = json!([
        { "type": "text", "text": "a", "text_elements": [
            { "byte_range": { "start": 0, "end": 1 }, "placeholder": "p" },
            { "byte_range": { "start": 1, "end": 1 } },
        ] },
        { "type": "text", "text": "b" },
        { "type": "image", "image_url": "u", "detail": "high" },
        { "type": "local_image", "path": "/p" },
        { "type": "audio", "audio_url": "v" },
        { "type": "local_audio", "path": "/q" },
        { "type": "skill", "name": "n", "path": "/s" },
        { "type": "mention", "name": "m", "path": "app://x" },
    ]);
    let message = json!({ "type": "UserMessage", "id": "u", "client_id": "c", "content": content });
    let expect = json!({ "type": "userMessage", "id": "u", "clientId": "c", "content": [
        { "type": "text", "text": "a", "text_elements": [
            { "byteRange": { "start": 0, "end": 1 }, "placeholder": "p" },
            { "byteRange": { "start": 1, "end": 1 }, "placeholder": null },
        ] },
        { "type": "text", "text": "b", "text_elements": [] },
        { "type": "image", "detail": "high", "url": "u" },
        { "type": "localImage", "detail": null, "path": "/p" },
        { "type": "audio", "url": "v" },
        { "type": "localAudio", "path": "/q" },
        { "type": "skill", "name": "n", "path": "/s" },
        { "type": "mention", "name": "m", "path": "app://x" },
    ] });
    let text = message.to_string();
    let (head, served) = item(&text).expect("accepted");
    assert_eq!(served, expect);
    assert_eq!(head.user, Some(UserText::new("ab".into(), true)));
    let with = |input: Value| json!({ "type": "UserMessage", "id": "u", "content": [input] });
    check_rejected(with(json!({ "type": "video", "url": "u" })));
    check_rejected(with(
        json!({ "type": "image", "image_url": "u", "detail": "huge" }),
    ));
    check_rejected(with(
        json!({ "type": "text", "text": "a", "text_elements": null }),
    ));
}

#[test]
fn previews_follow_the_request_marker() {
    let check = |text: &str, has_images: bool, title: Option<&str>, preview: Option<&str>| {
        let user = UserText::new(text.into(), has_images);
        let shown = (user.title.as_deref(), user.preview());
        assert_eq!(shown, (title, preview), "{text:?}");
    };
    check(" hi ", false, Some("hi"), Some("hi"));
    check(
        "ctx\n## My request for Codex:\n do it\n",
        true,
        Some("do it"),
        Some("do it"),
    );
    check("## My request for Codex:  ", false, None, None);
    check(" ", true, None, Some("[Image]"));
    check("", false, None, None);
}

#[test]
fn a_served_message_has_the_title_of_its_thread() {
    let check = |content: Value, title: Option<&str>| {
        let item = json!({ "type": "userMessage", "id": "u", "content": content });
        assert_eq!(user_title(&item).as_deref(), title);
    };
    let text = |text: &str| json!({ "type": "text", "text": text });
    check(json!([]), None);
    check(json!([text(" hi "), text("there")]), Some("hi there"));
    check(
        json!([text("ctx\n## My request for Codex:\n do it\n")]),
        Some("do it"),
    );
    check(
        json!([{ "type": "localImage", "path": "/p" }]),
        Some("[Image]"),
    );
    check(
        json!([{ "type": "skill", "name": "s", "path": "/p" }]),
        None,
    );
    assert_eq!(
        user_title(&json!({ "type": "plan", "id": "p", "text": "x" })),
        None
    );
}

#[test]
fn commands_are_quoted_and_their_output_is_trimmed_to_what_is_served() {
    check_item(
        json!({
            "type": "CommandExecution", "id": "c", "command": ["echo", "it's", ""],
            "cwd": "file:///w", "parsed_cmd": [], "source": "user_shell", "status": "in_progress",
            "process_id": "9", "stdout": "x", "stderr": "y", "aggregated_output": "xy",
            "exit_code": -1, "duration": { "secs": 1, "nanos": 999_999_999 },
        }),
        json!({
            "type": "commandExecution", "id": "c", "command": "echo \"it's\" ''", "cwd": "/w",
            "processId": "9", "source": "userShell", "status": "inProgress", "commandActions": [],
            "aggregatedOutput": "xy", "exitCode": -1, "durationMs": 1999,
        }),
    );
    let nul = command("file:///w", json!(["a\u{0}b"]), json!([]));
    check_item(
        nul,
        served_command("/w", "<command included NUL byte>", json!([])),
    );
    let mut long = command("file:///w", json!([]), json!([]));
    long["duration"] = json!({ "secs": u64::MAX, "nanos": 0 });
    check_item(long, served_command("/w", "", json!([])));
    let mut bad = command("file:///w", json!([]), json!([]));
    bad["exit_code"] = json!(1.5);
    check_rejected(bad.clone());
    bad["exit_code"] = json!(3_000_000_000_u64);
    check_rejected(bad);
}

#[test]
fn directories_are_served_as_native_text() {
    let check = |cwd: &str, text: &str| {
        check_item(
            command(cwd, json!([]), json!([])),
            served_command(text, "", json!([])),
        );
    };
    check("file:///w%20x/%E2%82%AC", "/w x/\u{20ac}");
    check("FILE:///w/../v/./x", "/v/x");
    check("file://localhost/w", "/w");
    check("/bare/path", "/bare/path");
    check("rel", "rel");
    check("C:\\bare", "C:\\bare");
    check("file:///C:/Users/a%20b", "C:\\Users\\a b");
    check("file:///c:", "c:\\");
    check("file://server/share/x", "\\\\server\\share\\x");
    check("file://server/", "file://server/");
    check("file://server", "file://server/");
    // Bytes that are no text, and paths that no URI can hold.
    check("file:///tmp/%ff%fe/../%E9x", "/tmp/\u{fffd}x");
    check("file://server/x%ff", "\\\\server\\x\u{fffd}");
    check("file:///%00/bad/path/L3RtcC_-", "/tmp/\u{fffd}");
    check("file:///%00/bad/path/L2EAYg", "/a\0b");
    check("file:///%00/bad/path/YQ", "file:///%00/bad/path/YQ");
    check("file:///100%", "/100%");
    for bad in [
        "http://x/y",
        "file:///%00",
        "file:///a%00b",
        "file:///%00/bad/path/",
        "file:///%00/bad/path/YR",
        "file:///%00/bad/path/YQ==",
        "file://server/%00/bad/path/L2E",
        "file:///a?b",
        "file:///a#b",
        "file://u@h/a",
        "file://h:1/a",
    ] {
        check_rejected(command(bad, json!([]), json!([])));
    }
}

#[test]
fn read_actions_are_resolved_on_posix_directories_only() {
    let read = |path: &str| json!({ "type": "read", "cmd": "cat", "name": "n", "path": path });
    let parsed =
        json!([read("a/../b"), read("/x"), read("~/y"), { "type": "list_files", "cmd": "ls" }]);
    let served =
        |path: &str| json!({ "type": "read", "command": "cat", "name": "n", "path": path });
    let list = json!({ "type": "listFiles", "command": "ls", "path": null });
    let expect = json!([served("/w/b"), served("/x"), served("~/y"), list]);
    check_item(
        command("file:///w", json!([]), parsed.clone()),
        served_command("/w", "", expect),
    );
    let foreign = command("file:///C:/w", json!([]), parsed.clone());
    check_item(foreign, served_command("C:\\w", "", json!([list])));
    let relative = command("w", json!([]), parsed);
    check_item(relative, served_command("w", "", json!([list])));
    let unknown = json!([{ "type": "write", "cmd": "x" }]);
    check_rejected(command("file:///w", json!([]), unknown));
}

#[test]
fn file_changes_are_sorted_by_path() {
    check_item(
        json!({ "type": "FileChange", "id": "f", "status": "declined", "stdout": "s", "changes": {
            "/z": { "type": "add", "content": "z" },
            "/B": { "type": "update", "unified_diff": "d", "move_path": null },
            "/a": { "type": "delete", "content": "a" },
            "/c": { "type": "update", "unified_diff": "d", "move_path": "/m" },
        } }),
        json!({ "type": "fileChange", "id": "f", "status": "declined", "changes": [
            { "path": "/B", "kind": { "type": "update", "move_path": null }, "diff": "d" },
            { "path": "/a", "kind": { "type": "delete" }, "diff": "a" },
            { "path": "/c", "kind": { "type": "update", "move_path": "/m" },
              "diff": "d\n\nMoved to: /m" },
            { "path": "/z", "kind": { "type": "add" }, "diff": "z" },
        ] }),
    );
    check_rejected(
        json!({ "type": "FileChange", "id": "f", "changes": { "/a": { "type": "add" } } }),
    );
    check_rejected(
        json!({ "type": "FileChange", "id": "f", "changes": {}, "status": "in_progress" }),
    );
}

#[test]
fn extensions_must_be_known() {
    check_item(
        json!({ "type": "Extension", "kind": "image_gen.generation", "id": "i", "status": "done",
                "revisedPrompt": "p", "result": "QQ==", "savedPath": "/w/i.png" }),
        json!({ "type": "imageGeneration", "id": "i", "status": "done", "revisedPrompt": "p",
                "result": "QQ==", "savedPath": "/w/i.png" }),
    );
    check_item(
        json!({ "type": "Extension", "kind": "web.search", "id": "w", "query": "q",
                "action": { "type": "findInPage", "url": "u" }, "results": [1] }),
        json!({ "type": "webSearch", "id": "w", "query": "q", "results": [1],
                "action": { "type": "findInPage", "url": "u", "pattern": null } }),
    );
    check_rejected(json!({ "type": "Extension", "kind": "clock.alarm", "id": "x" }));
    check_rejected(json!({ "type": "Extension", "id": "x", "durationMs": 1 }));
    check_rejected(json!({ "type": "Extension", "kind": "clock.sleep", "id": "x" }));
    check_rejected(
        json!({ "type": "Extension", "kind": "clock.sleep", "id": "x", "durationMs": -1 }),
    );
    check_rejected(
        json!({ "type": "Extension", "kind": "image_gen.generation", "id": "i",
                           "status": "s", "result": "", "savedPath": "relative" }),
    );
}

#[test]
fn thread_ids_and_agent_paths_must_be_well_formed() {
    let activity = |thread: &str, path: &str| {
        json!({ "type": "SubAgentActivity", "id": "s", "kind": "started",
                "agent_thread_id": thread, "agent_path": path })
    };
    let expect = json!({ "type": "subAgentActivity", "id": "s", "kind": "started",
                         "agentThreadId": THREAD, "agentPath": "/root/w_1" });
    let plain = THREAD.replace('-', "");
    let upper = THREAD.to_uppercase();
    for spelling in [
        THREAD,
        &plain,
        &upper,
        &format!("{{{THREAD}}}"),
        &format!("urn:uuid:{upper}"),
    ] {
        check_item(activity(spelling, "/root/w_1"), expect.clone());
    }
    for bad in [
        "",
        "T",
        &THREAD[1..],
        &THREAD.replacen('-', "0", 1),
        &format!("{THREAD}0"),
    ] {
        check_rejected(activity(bad, "/root"));
    }
    for bad in [
        "",
        "root",
        "/",
        "/rootx",
        "/root/",
        "/root//a",
        "/root/A",
        "/root/root",
        "/x",
    ] {
        check_rejected(activity(THREAD, bad));
    }
}

#[test]
fn calls_to_agents_show_states() {
    check_item(
        json!({ "type": "CollabAgentToolCall", "id": "k", "tool": "resume_agent",
                "status": "completed", "sender_thread_id": THREAD, "reasoning_effort": "odd",
                "agents_states": { THREAD: { "completed": null } } }),
        json!({ "type": "collabAgentToolCall", "id": "k", "tool": "resumeAgent",
                "status": "completed", "senderThreadId": THREAD, "receiverThreadIds": [],
                "prompt": null, "model": null, "reasoningEffort": "odd",
                "agentsStates": { THREAD: { "status": "completed", "message": null } } }),
    );
    let call = |states: Value, effort: &str| {
        json!({ "type": "CollabAgentToolCall", "id": "k", "tool": "wait", "status": "completed",
                "sender_thread_id": THREAD, "reasoning_effort": effort, "agents_states": states })
    };
    check_rejected(call(json!({}), ""));
    check_rejected(call(json!({ "x": "running" }), "low"));
    check_rejected(call(json!({ THREAD: "done" }), "low"));
    check_rejected(call(json!({ THREAD: "errored" }), "low"));
}

#[test]
fn tool_calls_drop_what_is_not_served() {
    check_item(
        json!({ "type": "McpToolCall", "id": "m", "server": "s", "tool": "t", "arguments": null,
                "status": "completed", "linkId": "l", "mcpAppResourceUri": "ui://x",
                "result": { "content": [1], "isError": true } }),
        json!({ "type": "mcpToolCall", "id": "m", "server": "s", "tool": "t", "arguments": null,
                "status": "completed", "appContext": null, "mcpAppResourceUri": "ui://x",
                "pluginId": null, "error": null, "durationMs": null,
                "result": { "content": [1], "structuredContent": null, "_meta": null } }),
    );
    let call = json!({ "type": "McpToolCall", "id": "m", "server": "s", "tool": "t",
                       "status": "completed" });
    check_rejected(call);
    let dynamic = |extra: Value| {
        let mut call = json!({ "type": "DynamicToolCall", "id": "d", "tool": "t",
                               "arguments": 1, "status": "failed" });
        call["content_items"] = extra;
        call
    };
    check_item(
        dynamic(Value::Null),
        json!({ "type": "dynamicToolCall", "id": "d", "namespace": null, "tool": "t",
                "arguments": 1, "status": "failed", "contentItems": null, "success": null,
                "durationMs": null }),
    );
    check_rejected(dynamic(json!([{ "type": "input_text", "text": "t" }])));
    check_rejected(dynamic(json!({})));
}

#[test]
fn reviews_are_served_as_text() {
    let finding = json!({
        "title": "T", "body": "a\n\nb", "confidence_score": 1, "priority": 0,
        "code_location": { "absolute_file_path": "/f", "line_range": { "start": 1, "end": 2 } },
    });
    let output = |explanation: &str, findings: Value| {
        json!({ "type": "ExitedReviewMode", "id": "x", "review_output": {
            "findings": findings, "overall_correctness": "", "overall_explanation": explanation,
            "overall_confidence_score": 0.5,
        } })
    };
    let check = |item: Value, text: &str| {
        check_item(
            item,
            json!({ "type": "exitedReviewMode", "id": "x", "review": text }),
        );
    };
    check(
        output(" ", json!([])),
        "Reviewer failed to output a response.",
    );
    check(output(" ok ", json!([])), "ok");
    let one = "Review comment:\n\n- T \u{2014} /f:1-2\n  a\n  \n  b";
    check(output("", json!([finding])), one);
    let mut bad = output("", json!([finding]));
    bad["review_output"]["findings"][0]["priority"] = json!(1.5);
    check_rejected(bad);
    check_rejected(
        json!({ "type": "EnteredReviewMode", "id": "e", "user_facing_hint": "h",
                           "target": { "type": "baseBranch" } }),
    );
}
