//! `archive`, `unarchive` and `delete` as scripts use them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

const THREAD: &str = "019c0000-0000-7000-8000-0000000000bb";

fn run(store: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_turnleaf"));
    let command = command.args(args).env("TURNLEAF_STORE", store);
    command.stdin(Stdio::null()).output().unwrap()
}

fn json(store: &Path, args: &[&str], exit: i32) -> Value {
    let out = run(store, &[args, &["--json"]].concat());
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(exit), "{args:?}: {said}");
    serde_json::from_slice(&out.stdout).unwrap_or_else(|_| panic!("{args:?}: no JSON"))
}

fn listed(store: &Path, args: &[&str]) -> usize {
    let page = json(store, &[&["threads"], args].concat(), 0);
    page["threads"].as_array().unwrap().len()
}

#[test]
fn a_thread_is_archived_and_deleted() {
    let home = tempfile::tempdir().unwrap();
    let store = home.path().join("store");
    let old = home.path().join("archived_sessions");
    std::fs::create_dir(&old).unwrap();
    let file = old.join("a.jsonl");
    let time = "2026-01-01T00:00:00.000Z";
    let line = format!(
        r#"{{"timestamp":"{time}","type":"session_meta","payload":{{"id":"{THREAD}","timestamp":"{time}","cwd":"/w","originator":"t","cli_version":"0","source":"cli","model_provider":null}}}}"#
    );
    std::fs::write(&file, format!("{line}\n")).unwrap();
    let file = file.to_str().unwrap();
    assert_eq!(json(&store, &["import", file], 0)["added_records"], 1);
    assert_eq!(
        (listed(&store, &[]), listed(&store, &["--archived"])),
        (0, 1)
    );
    assert_eq!(json(&store, &["show", THREAD], 0)["archived"], true);
    assert_eq!(json(&store, &["unarchive", THREAD], 0)["id"], THREAD);
    assert_eq!(
        (listed(&store, &[]), listed(&store, &["--archived"])),
        (1, 0)
    );
    assert_eq!(json(&store, &["archive", THREAD], 0)["cwd"], "/w");
    let said = run(&store, &["archive", THREAD]).stdout;
    assert_eq!(
        String::from_utf8(said).unwrap(),
        format!("{THREAD} is archived\n")
    );

    assert_eq!(json(&store, &["delete", THREAD], 0)["cwd"], "/w");
    for command in ["delete", "archive", "unarchive", "show", "turns", "export"] {
        let error = json(&store, &[command, THREAD], 3);
        assert_eq!(error["error"]["code"], "not_found", "{command}");
    }
    assert_eq!(
        (listed(&store, &[]), listed(&store, &["--archived"])),
        (0, 0)
    );
    let doctor = json(&store, &["doctor"], 0);
    assert_eq!(doctor["hidden"], serde_json::json!([THREAD]));
    let skipped = json(&store, &["import", file], 6);
    let reason = skipped["skipped"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("deleted"), "{reason}");
    assert_eq!(json(&store, &["verify"], 0)["ok"], true);
}
