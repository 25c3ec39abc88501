//! Which directory is a store, who makes one, and what is said where none can be.

use std::process::Stdio;

use super::*;

/// A store comes into being with the first history, not with a mistyped command.
#[test]
fn what_needs_a_thread_makes_no_store() {
    let home = Home::new();
    let missing = home.path("missing.jsonl");
    let commands: &[(&[&str], i32)] = &[
        (&["name", THREAD, "x"], 3),
        (&["append", THREAD], 3),
        (&["archive", THREAD], 3),
        (&["unarchive", THREAD], 3),
        (&["delete", THREAD], 3),
        (&["turns", THREAD], 3),
        (&["repair"], 3),
        (&["rebuild-index"], 3),
        (&["import", missing.to_str().unwrap()], 6),
        (&["import", "--dry-run", missing.to_str().unwrap()], 6),
    ];
    for (args, exit) in commands {
        let said = home.json(args, *exit);
        assert!(!home.path("store").exists(), "{args:?}: {said}");
    }
}

/// What cannot be appended is refused before a line is read: a typing user learns it at once.
#[test]
fn an_append_to_no_thread_is_refused_without_a_line() {
    let home = Home::new();
    home.import(&home.write("a.jsonl", rollout(THREAD).as_bytes()), 0);
    let code = |args: &[&str], input: Stdio| {
        let mut command = home.command(args);
        command.stdin(input).stderr(Stdio::null());
        command.status().unwrap().code()
    };
    assert_eq!(code(&["append", "nobody"], Stdio::null()), Some(3));
    assert_eq!(code(&["append", "../up"], Stdio::null()), Some(2));
    let nothing = ["append", "nobody", "--create"];
    assert_eq!(code(&nothing, Stdio::null()), Some(2));
    assert_eq!(code(&["append", THREAD], Stdio::null()), Some(0));
    // The writing end stays open: there is nothing to wait for.
    let (reader, writer) = std::io::pipe().unwrap();
    assert_eq!(code(&["append", "nobody"], reader.into()), Some(3));
    drop(writer);
}

#[test]
fn a_store_that_cannot_be_opened_is_named() {
    let home = Home::new();
    let path = home.write("a.jsonl", rollout(THREAD).as_bytes());
    home.write("store", b"a file");
    let import = ["import", path.to_str().unwrap()];
    for args in [&["threads"][..], &["stats"], &["doctor"], &import] {
        let said = home.json(args, 1);
        let told = said["error"]["message"].as_str().unwrap();
        assert!(
            told.contains(home.path("store").to_str().unwrap()),
            "{told}"
        );
        assert!(told.contains("not a directory"), "{told}");
        assert_eq!(said["error"]["code"], "io");
    }
}

#[test]
fn a_usage_error_is_told_once() {
    let home = Home::new();
    let said = home.json(&["tail", THREAD], 2);
    let message = said["error"]["message"].as_str().unwrap();
    assert!(
        message.starts_with("unrecognized subcommand 'tail'"),
        "{message}"
    );
    for later in ["search", "rescue", "metadata", "bench"] {
        assert_eq!(home.json(&[later, THREAD], 2)["error"]["code"], "invalid");
    }
}

/// A store that lost its journal is damaged, also for those who want to write.
#[test]
fn a_store_without_a_journal_is_no_missing_store() {
    let home = Home::new();
    home.import(&home.write("a.jsonl", rollout(THREAD).as_bytes()), 0);
    fs::remove_dir_all(home.path("store/journal")).unwrap();
    for args in [&["append", THREAD][..], &["delete", THREAD], &["doctor"]] {
        let mut command = home.command(args);
        let out = command.stdin(Stdio::null()).output().unwrap();
        assert_eq!(out.status.code(), Some(4), "{args:?}");
    }
}
