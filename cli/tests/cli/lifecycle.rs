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
    assert!(text.contains("another store"), "{text}");
}
