//! Names: those of an agent's index and those given here.

use super::*;

fn index(home: &Home, rows: &[(&str, &str, &str)]) -> PathBuf {
    let row = |(id, name, at): &(&str, &str, &str)| {
        let row = serde_json::json!({ "id": id, "thread_name": name, "updated_at": at });
        format!("{row}\n")
    };
    let rows: String = rows.iter().map(row).collect();
    home.write("session_index.jsonl", rows.as_bytes())
}

fn name(home: &Home) -> Value {
    home.json(&["show", THREAD], 0)["thread"]["name"].clone()
}

/// Of a name in the agent's index and one that was given here the newer is right.
#[test]
fn the_newer_name_wins() {
    let home = Home::new();
    home.import(&home.write("a.jsonl", rollout(THREAD).as_bytes()), 0);
    let past = [
        (THREAD, "First", "2026-01-01T00:00:00Z"),
        (THREAD, "Second", "2026-01-01T00:00:01Z"),
    ];
    let path = index(&home, &past);
    home.import(&path, 0);
    assert_eq!(name(&home), "Second");
    home.json(&["name", THREAD, "Mine"], 0);
    for _ in 0..2 {
        home.import(&path, 0);
        assert_eq!(name(&home), "Mine", "a name given here survives");
    }
    let undated = [(THREAD, "Undated", "not a date")];
    home.import(&index(&home, &undated), 0);
    assert_eq!(name(&home), "Mine");
    let future = [past[0], past[1], (THREAD, "Newest", "2999-01-01T00:00:00Z")];
    home.import(&index(&home, &future), 0);
    assert_eq!(name(&home), "Newest");
    // It is from then on, not from the import on.
    let between = [(THREAD, "Between", "2998-01-01T00:00:00Z")];
    home.import(&index(&home, &between), 0);
    assert_eq!(name(&home), "Newest");
    let cleared = [(THREAD, "", "2999-01-01T00:00:01Z")];
    home.import(&index(&home, &cleared), 0);
    assert_eq!(name(&home), Value::Null);
    home.import(&index(&home, &future), 0);
    assert_eq!(name(&home), Value::Null, "an older name does not come back");
    // A name is also kept without an index to read it from.
    home.json(&["rebuild-index"], 0);
    assert_eq!(name(&home), Value::Null);
    assert_eq!(
        home.run(&["export", THREAD]).stdout,
        rollout(THREAD).as_bytes()
    );
}

/// A row of an index whose clock was ahead is newer than what was before it, and no newer than what
/// is said later: neither than a name that is given here, nor than a row with the right time.
#[test]
fn a_name_from_the_future_is_no_newer_than_one_that_is_given_later() {
    let home = Home::new();
    home.import(&home.write("a.jsonl", rollout(THREAD).as_bytes()), 0);
    let ahead = (THREAD, "Ahead", "2999-01-01T00:00:00Z");
    let path = index(&home, &[ahead]);
    home.import(&path, 0);
    assert_eq!(name(&home), "Ahead");
    for mine in ["Mine", "Mine, too"] {
        home.json(&["name", THREAD, mine], 0);
        home.import(&path, 0);
        assert_eq!(name(&home), mine);
    }
    let now = jiff::Timestamp::now().to_string();
    let said = home.import(&index(&home, &[ahead, (THREAD, "Right", &now)]), 0);
    assert_eq!(
        (said["addedNames"].clone(), name(&home)),
        (1.into(), "Right".into())
    );
    // A later row of that clock is news once.
    let later = index(&home, &[(THREAD, "Further", "2999-01-01T00:00:01Z")]);
    home.import(&later, 0);
    assert_eq!(name(&home), "Further");
    home.json(&["name", THREAD, ""], 0);
    home.import(&later, 0);
    home.import(&index(&home, &[ahead]), 0);
    assert_eq!(name(&home), Value::Null);
}

#[test]
fn an_undated_name_is_taken_where_there_is_none() {
    let home = Home::new();
    home.import(&home.write("a.jsonl", rollout(THREAD).as_bytes()), 0);
    home.import(&index(&home, &[(THREAD, "Undated", "not a date")]), 0);
    assert_eq!(name(&home), "Undated");
    home.import(&index(&home, &[(THREAD, "Another", "not a date")]), 0);
    assert_eq!(name(&home), "Another");
}

/// Of several indexes the newest name is right, whatever order they are given in; within one the
/// last line, which its writer reads.
#[test]
fn of_several_indexes_the_newest_name_wins() {
    let home = Home::new();
    home.import(&home.write("a.jsonl", rollout(THREAD).as_bytes()), 0);
    let index_in = |dir: &str, rows: &[(&str, &str, &str)]| {
        let path = home.path(dir);
        std::fs::create_dir(&path).unwrap();
        std::fs::rename(index(&home, rows), path.join("session_index.jsonl")).unwrap();
        path
    };
    let new = [
        (THREAD, "Passing", "2026-01-09T00:00:00Z"),
        (THREAD, "New", "2026-01-03T00:00:00Z"),
    ];
    let new = index_in("new", &new);
    let old = index_in("old", &[(THREAD, "Old", "2026-01-02T00:00:00Z")]);
    let (new, old) = (new.to_str().unwrap(), old.to_str().unwrap());
    for paths in [[new, old], [old, new]] {
        home.json(&["import", paths[0], paths[1]], 0);
        assert_eq!(name(&home), "New", "{paths:?}");
    }
}

/// A name that is said again is as new as when it was said last. The same index again adds nothing.
#[test]
fn an_affirmed_name_is_not_replaced_by_one_between() {
    let home = Home::new();
    home.import(&home.write("a.jsonl", rollout(THREAD).as_bytes()), 0);
    let import = |name: &str, at: &str| {
        home.import(&index(&home, &[(THREAD, name, at)]), 0);
    };
    let end = || {
        let said = home.json(&["verify"], 0);
        said["records"].as_u64().unwrap()
    };
    import("Tea", "2026-01-01T00:00:00Z");
    import("Tea", "2026-01-03T00:00:00Z");
    let before = end();
    import("Tea", "2026-01-03T00:00:00Z");
    import("Coffee", "2026-01-02T00:00:00Z");
    assert_eq!(name(&home), "Tea");
    assert_eq!(end(), before, "nothing was added");
    import("Coffee", "2026-01-04T00:00:00Z");
    assert_eq!(name(&home), "Coffee");
}

/// Names may be imported before the threads that they are of.
#[test]
fn a_name_waits_for_its_thread() {
    let home = Home::new();
    let rows = [
        (THREAD, "Tea", "2026-01-01T00:00:00Z"),
        ("../up", "No id", "2026-01-01T00:00:00Z"),
    ];
    home.import(&index(&home, &rows), 0);
    let is_nowhere = || {
        let listed = home.json(&["threads"], 0);
        assert_eq!(listed["threads"], serde_json::json!([]), "{listed}");
        for command in ["show", "turns", "verify", "delete", "archive"] {
            home.json(&[command, THREAD], 3);
        }
        home.json(&["name", THREAD, "Mine"], 3);
        let verified = home.json(&["verify"], 0);
        assert_eq!(
            (&verified["threads"], &verified["records"]),
            (&0.into(), &0.into())
        );
        assert_eq!(home.json(&["stats"], 0)["threads"], 0);
        assert_eq!(home.json(&["stats"], 0)["records"], 0);
        assert_eq!(home.json(&["rebuild-index"], 0)["threads"], 0);
    };
    is_nowhere();
    // A newer name takes the place of the one that waits, and an older one does not.
    for (name, at) in [("Coffee", "2026-01-02"), ("Water", "2026-01-01")] {
        let at = format!("{at}T00:00:01Z");
        home.import(&index(&home, &[(THREAD, name, &at)]), 0);
        is_nowhere();
    }
    let path = home.write("a.jsonl", rollout(THREAD).as_bytes());
    let foreseen = || {
        let said = home.json(&["import", "--dry-run", path.to_str().unwrap()], 0);
        ["new", "unchanged", "records", "added_records"].map(|key| said[key].as_u64().unwrap())
    };
    assert_eq!(foreseen(), [1, 0, 3, 3], "names are no records of the file");
    assert_eq!(home.import(&path, 0)["added_records"], 3);
    assert_eq!(foreseen(), [0, 1, 3, 0]);
    assert_eq!(home.import(&path, 0)["added_records"], 0);
    assert_eq!(name(&home), "Coffee");
    let listed = home.json(&["threads"], 0);
    assert_eq!(listed["threads"][0]["preview"], "one");
    let export = home.run(&["export", THREAD]).stdout;
    assert_eq!(export, rollout(THREAD).as_bytes());
    let context = home.run(&["context", THREAD]).stdout;
    assert_eq!(context, rollout(THREAD).as_bytes());
    assert_eq!(home.json(&["verify"], 0)["ok"], true);
    // A thread that was deleted stays so.
    home.json(&["delete", THREAD], 0);
    home.import(&index(&home, &rows), 0);
    home.json(&["show", THREAD], 3);
}

/// A thread of which only a name is known is created as any other: its first line must be its head.
/// Then it is there, also without a line.
#[test]
fn a_thread_with_a_name_alone_is_created_by_its_head() {
    let home = Home::new();
    home.import(&index(&home, &[(THREAD, "Tea", "2026-01-01T00:00:00Z")]), 0);
    let append = |create: bool, lines: &str| {
        let flags: &[&str] = if create { &["--create"] } else { &[] };
        let mut command = home.command(&[&["append", THREAD][..], flags].concat());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let _ = input.write_all(lines.as_bytes());
        drop(input);
        child.wait_with_output().unwrap().status.code()
    };
    assert_eq!(append(false, &rollout(THREAD)), Some(3));
    assert_eq!(append(true, &message("one")), Some(2));
    home.json(&["show", THREAD], 3);
    assert_eq!(append(true, &rollout(THREAD)), Some(0));
    assert_eq!(name(&home), "Tea");
    assert_eq!(home.json(&["threads"], 0)["threads"][0]["name"], "Tea");
    let export = home.run(&["export", THREAD]).stdout;
    assert_eq!(export, rollout(THREAD).as_bytes());
    assert_eq!(home.json(&["verify"], 0)["records"], 4);
}

/// The name of a UUID in capitals is that of the thread: it is taken once, and an older one never.
#[test]
fn a_name_of_an_id_in_capitals_is_taken_once() {
    let home = Home::new();
    home.import(&home.write("a.jsonl", rollout(THREAD).as_bytes()), 0);
    let path = index(
        &home,
        &[(&THREAD.to_uppercase(), "Tea", "2026-01-01T00:00:00Z")],
    );
    for added in [1, 0] {
        assert_eq!(home.import(&path, 0)["addedNames"], added);
        assert_eq!(name(&home), "Tea");
    }
    home.json(&["name", THREAD, "Mine"], 0);
    assert_eq!(home.import(&path, 0)["names"], 0);
    assert_eq!(name(&home), "Mine");
}
