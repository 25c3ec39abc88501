//! What a dry run says of an import beforehand.

use super::imports::skipped;
use super::*;

/// A dry run looks into the files and says what an import would come to; it writes nothing.
#[test]
fn a_dry_run_says_what_an_import_comes_to() {
    let home = Home::new();
    let dir = home.path("sessions");
    fs::create_dir(&dir).unwrap();
    let other = "019c0000-0000-7000-8000-0000000000cc";
    let file = |name: &str, text: &str| fs::write(dir.join(name), text).unwrap();
    file("rollout-a.jsonl", &rollout(THREAD));
    file("rollout-b.jsonl", "no record\n");
    let dry = |exit: i32| home.json(&["import", "--dry-run", dir.to_str().unwrap()], exit);
    let said = |exit: i32| {
        let said = dry(exit);
        let keys = [
            "threads",
            "records",
            "added_records",
            "new",
            "grown",
            "unchanged",
        ];
        (keys.map(|key| said[key].as_u64().unwrap()), skipped(&said))
    };
    let (told, left) = said(6);
    assert_eq!(told, [1, 3, 3, 1, 0, 0]);
    assert!(left[0].1.contains("not a rollout"), "{left:?}");
    assert!(!home.path("store").exists());
    fs::remove_file(dir.join("rollout-b.jsonl")).unwrap();
    home.import(&dir, 0);
    assert_eq!(said(0), ([1, 3, 0, 0, 0, 1], vec![]));
    file(
        "rollout-a.jsonl",
        &format!("{}{}\n", rollout(THREAD), message("three")),
    );
    file("rollout-c.jsonl", &rollout(other));
    for _ in 0..2 {
        assert_eq!(said(0), ([2, 7, 4, 1, 1, 0], vec![]));
    }
    let text = home
        .run(&["import", "--dry-run", dir.to_str().unwrap()])
        .stdout;
    let text = String::from_utf8(text).unwrap();
    let expect =
        "would import 2 files into 2 threads: 1 new, 1 grown, 0 unchanged; 4 records would";
    assert!(text.starts_with(expect), "{text}");
    assert_eq!(home.json(&["stats"], 0)["records"], 3);
    assert_eq!(home.import(&dir, 0)["added_records"], 4);
    // Another history of the thread is told of beforehand, too.
    file("rollout-c.jsonl", &rollout(other).replace("one", "six"));
    let (told, _) = said(0);
    assert_eq!(told, [2, 7, 3, 0, 1, 1]);
}

/// A thread whose file lies in both folders of a home would be imported once.
#[test]
fn a_dry_run_counts_a_thread_in_both_folders_once() {
    let home = Home::new();
    let agent = home.path("agent");
    let both = [("sessions", ""), ("archived_sessions", "three")];
    for (folder, more) in both {
        fs::create_dir_all(agent.join(folder)).unwrap();
        let more = match more {
            "" => String::new(),
            text => format!("{}\n", message(text)),
        };
        let text = format!("{}{more}", rollout(THREAD));
        fs::write(agent.join(folder).join("rollout-a.jsonl"), text).unwrap();
    }
    let keys = [
        "files",
        "threads",
        "records",
        "added_records",
        "new",
        "grown",
        "unchanged",
    ];
    let args = ["import", "--dry-run", "--home", agent.to_str().unwrap()];
    let said = home.json(&args, 0);
    let told = keys.map(|key| said[key].as_u64().unwrap());
    assert_eq!(told, [2, 1, 4, 4, 1, 1, 0]);
    let done = home.json(&["import", "--home", agent.to_str().unwrap()], 0);
    for key in keys[..4].iter().chain(&["bytes"]) {
        assert_eq!(done[*key], said[*key], "{key}");
    }
}

/// An id in capitals is that of the thread, beforehand as in the import.
#[test]
fn a_dry_run_knows_an_id_in_capitals() {
    let home = Home::new();
    home.import(&home.write("a.jsonl", rollout(THREAD).as_bytes()), 0);
    let capitals = rollout(&THREAD.to_uppercase());
    let path = home.write("b.jsonl", capitals.as_bytes());
    let dry = home.run(&["import", "--dry-run", path.to_str().unwrap()]);
    let done = home.run(&["import", path.to_str().unwrap()]);
    assert_eq!(dry.status.code(), done.status.code(), "{dry:?}, {done:?}");
}

/// What becomes of names is told beforehand, with the words and numbers of the import.
#[test]
fn a_dry_run_says_what_becomes_of_names() {
    let home = Home::new();
    let agent = home.path("agent");
    fs::create_dir_all(agent.join("sessions")).unwrap();
    let (waits, gone) = (
        "019c0000-0000-7000-8000-0000000000a1",
        "019c0000-0000-7000-8000-0000000000a2",
    );
    home.import(&home.write("gone.jsonl", rollout(gone).as_bytes()), 0);
    home.json(&["delete", gone], 0);
    let file = agent.join("sessions/rollout-a.jsonl");
    fs::write(file, rollout(THREAD)).unwrap();
    let index = |rows: &[(&str, &str, &str)]| {
        let row = |(id, name, at): &(&str, &str, &str)| {
            let row = serde_json::json!({ "id": id, "thread_name": name, "updated_at": at });
            format!("{row}\n")
        };
        let rows: String = rows.iter().map(row).collect();
        fs::write(agent.join("session_index.jsonl"), rows).unwrap();
    };
    let path = agent.to_str().unwrap();
    let keys = [
        "names",
        "addedNames",
        "waitingNames",
        "records",
        "bytes",
        "remarks",
    ];
    let numbers = |args: &[&str]| {
        let said = home.json(args, 0);
        keys.map(|key| said[key].clone())
    };
    let mut told = Vec::new();
    let check = |told: &mut Vec<_>| {
        let before = numbers(&["import", "--dry-run", path]);
        assert_eq!(numbers(&["import", path]), before);
        told.push([0, 1, 2].map(|key| before[key].as_u64().unwrap()));
    };
    let old = "2026-01-01T00:00:00Z";
    index(&[
        (&THREAD.to_uppercase(), "Tea", old),
        (waits, "Coffee", old),
        (gone, "Gone", old),
        ("no/id", "None", old),
    ]);
    check(&mut told);
    check(&mut told);
    let text = home.run(&["import", "--dry-run", path]).stdout;
    let text = String::from_utf8(text).unwrap();
    let expect = "2 names of threads would be kept, 0 of them new; 1 would wait";
    assert!(text.contains(expect), "{text}");
    // Sealed, named here, cleared.
    home.json(&["name", THREAD, "Mine"], 0);
    check(&mut told);
    index(&[
        (THREAD, "", "2999-01-01T00:00:00Z"),
        (waits, "Cocoa", "2026-01-02T00:00:00Z"),
    ]);
    check(&mut told);
    assert_eq!(told, [[2, 2, 1], [2, 0, 1], [1, 0, 1], [1, 1, 1]]);
    assert_eq!(
        home.json(&["show", THREAD], 0)["thread"]["name"],
        Value::Null
    );
}

/// A file that brings no more than the end of a line has grown, and adds no record.
#[test]
fn a_file_that_only_ends_its_last_line_has_grown() {
    let home = Home::new();
    let text = rollout(THREAD);
    let dry = |path: &Path| {
        let said = home.json(&["import", "--dry-run", path.to_str().unwrap()], 0);
        ["records", "added_records", "grown", "unchanged"].map(|key| said[key].clone())
    };
    for (name, cut) in [("end", 1), ("line", 20)] {
        let path = home.write(name, &text.as_bytes()[..text.len() - cut]);
        home.import(&path, 0);
        fs::write(&path, &text).unwrap();
        assert_eq!(dry(&path), [3, 0, 1, 0], "{name}");
        let said = home.import(&path, 0);
        assert_eq!(
            (&said["records"], &said["added_records"]),
            (&3.into(), &0.into())
        );
        assert_eq!(dry(&path), [3, 0, 0, 1], "{name}");
        home.json(&["delete", THREAD], 0);
        fs::remove_dir_all(home.path("store")).unwrap();
    }
}
