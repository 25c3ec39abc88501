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
    let (told, left) = said(6);
    assert_eq!(told, [1, 4, 0, 0, 0, 1]);
    assert!(left[0].1.contains("differs"), "{left:?}");
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
    for key in &keys[..4] {
        assert_eq!(done[key], said[key], "{key}");
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
