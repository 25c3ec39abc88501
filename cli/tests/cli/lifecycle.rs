//! `archive`, `unarchive` and `delete` as scripts use them.

use super::*;

fn listed(home: &Home, args: &[&str]) -> usize {
    let page = home.json(&[&["threads"], args].concat(), 0);
    page["threads"].as_array().unwrap().len()
}

#[test]
fn a_thread_is_archived_and_deleted() {
    let home = Home::new();
    fs::create_dir(home.path("archived_sessions")).unwrap();
    let file = home.write("archived_sessions/a.jsonl", rollout(THREAD).as_bytes());
    home.import(&file, 0);
    assert_eq!((listed(&home, &[]), listed(&home, &["--archived"])), (0, 1));
    assert_eq!(home.json(&["show", THREAD], 0)["archived"], true);
    assert_eq!(home.json(&["unarchive", THREAD], 0)["id"], THREAD);
    assert_eq!((listed(&home, &[]), listed(&home, &["--archived"])), (1, 0));
    assert_eq!(home.json(&["archive", THREAD], 0)["cwd"], "/w");
    let said = home.run(&["archive", THREAD]).stdout;
    assert_eq!(
        String::from_utf8(said).unwrap(),
        format!("{THREAD} is archived\n")
    );

    assert_eq!(home.json(&["delete", THREAD], 0)["cwd"], "/w");
    for command in ["delete", "archive", "unarchive", "show", "turns", "export"] {
        let error = home.json(&[command, THREAD], 3);
        assert_eq!(error["error"]["code"], "not_found", "{command}");
    }
    assert_eq!((listed(&home, &[]), listed(&home, &["--archived"])), (0, 0));
    let doctor = home.json(&["doctor"], 0);
    assert_eq!(doctor["hidden"], serde_json::json!([THREAD]));
    let skipped = home.import(&file, 6);
    let reason = skipped["skipped"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("deleted"), "{reason}");
    assert_eq!(home.json(&["verify"], 0)["ok"], true);
    // Whoever imports the folder it lies in did not ask for it.
    let folder = home.path("archived_sessions");
    let said = home.import(&folder, 0);
    assert_eq!(said["skipped"], serde_json::json!([]));
    let remark = &said["remarks"][0];
    assert_eq!(remark["path"], file.to_str().unwrap());
    assert!(
        remark["reason"].as_str().unwrap().contains("deleted"),
        "{remark}"
    );
    let told = home.run(&["import", folder.to_str().unwrap()]);
    let text = String::from_utf8(told.stderr).unwrap();
    let expect = format!(
        "turnleaf: 1 files belong to threads that were deleted from the store; skipped: {}",
        file.display()
    );
    assert!(text.starts_with(&expect), "{text}");
    assert!(text.contains("import its file with --again"), "{text}");
}

/// With its name in the home, and with nothing that was done to it before.
#[test]
fn a_deleted_thread_is_imported_again_when_asked() {
    let home = Home::new();
    fs::create_dir(home.path("sessions")).unwrap();
    let file = home.write("sessions/a.jsonl", rollout(THREAD).as_bytes());
    let row = format!(
        "{{\"id\":\"{THREAD}\",\"thread_name\":\"Tea\",\"updated_at\":\"2026-01-01T00:00:00Z\"}}\n"
    );
    home.write("session_index.jsonl", row.as_bytes());
    let folder = home.path("sessions");
    let whole = ["import", "--home", folder.to_str().unwrap()];
    home.json(&whole, 0);
    home.json(&["archive", THREAD], 0);
    let before = home.json(&["turns", THREAD], 0);
    home.json(&["delete", THREAD], 0);
    assert_eq!(home.json(&whole, 0)["added_records"], 0);
    home.json(&["show", THREAD], 3);

    let again = [&whole[..], &["--again"]].concat();
    let foreseen = home.json(&[&again[..], &["--dry-run"]].concat(), 0);
    home.json(&["show", THREAD], 3);
    let said = home.json(&again, 0);
    for key in ["added_records", "threads", "names", "addedNames"] {
        assert_eq!(said[key], foreseen[key], "{key}");
    }
    assert_eq!(said["added_records"], 3);
    let listed = home.json(&["threads"], 0);
    assert_eq!(listed["threads"][0]["name"], "Tea", "and not archived");
    let after = home.json(&["turns", THREAD], 0);
    assert_eq!(after["turns"], before["turns"]);
    let old = before["backwardsCursor"].as_str().unwrap();
    home.json(&["turns", THREAD, "--cursor", old], 2);
    assert_eq!(
        home.run(&["export", THREAD]).stdout,
        rollout(THREAD).as_bytes()
    );
    assert_eq!(home.json(&["doctor"], 0)["hidden"], serde_json::json!([]));
    assert_eq!(home.json(&["verify"], 0)["ok"], true);
    assert_eq!(home.import(&file, 0)["added_records"], 0);
    home.json(&["delete", THREAD], 0);
    home.import(&file, 6);
    assert_eq!(
        home.json(&["doctor"], 0)["hidden"],
        serde_json::json!([THREAD])
    );
}

#[test]
fn a_thread_is_deleted_with_those_that_it_spawned() {
    let home = Home::new();
    let child = "019d0000-0000-7000-8000-0000000000c1";
    let source = format!(
        r#""source":{{"subagent":{{"thread_spawn":{{"parent_thread_id":"{THREAD}","depth":1}}}}}}"#
    );
    let spawned = rollout(child).replace(r#""source":"cli""#, &source);
    assert!(spawned.contains("thread_spawn"));
    for (name, lines) in [("a.jsonl", rollout(THREAD)), ("c.jsonl", spawned)] {
        let file = home.write(name, lines.as_bytes());
        home.import(&file, 0);
    }
    let fork = home.json(&["fork", child], 0)["id"].clone();
    let fork = fork.as_str().unwrap();
    let with_children = ["delete", THREAD, "--with-children"];
    let dry_run = [&with_children[..], &["--dry-run"]].concat();
    let told = home.json(&dry_run, 0);
    assert_eq!(told["threads"], serde_json::json!([child, THREAD]));
    let bases = serde_json::json!([{ "thread": child, "forks": [fork] }]);
    assert_eq!(told["bases"], bases);
    let refused = home.json(&with_children, 2);
    assert_eq!(refused["error"]["thread"], child);
    assert!(refused["error"]["message"].as_str().unwrap().contains(fork));
    assert_eq!(home.json(&["show", child], 0)["archived"], false);
    home.json(&["delete", fork], 0);
    let gone = home.json(&with_children, 0);
    assert_eq!(gone["threads"], serde_json::json!([child, THREAD]));
    assert_eq!(listed(&home, &[]), 0);
    home.json(&with_children, 3);
    // What would go is asked of a whole subtree only.
    home.json(&["delete", THREAD, "--dry-run"], 2);
}
