//! Sources that are not where they seem, or hold nothing, and what an import says of them.

use super::*;

fn id(number: u32) -> String {
    format!("019c0000-0000-7000-8000-0000000000{number:02x}")
}

fn name_of(number: u32) -> String {
    format!("rollout-2026-01-01T00-00-00-{}.jsonl", id(number))
}

fn link(to: &str, at: &Path) {
    std::os::unix::fs::symlink(to, at).unwrap();
}

/// What an import says to people: standard output and standard error.
fn told(home: &Home, args: &[&str], exit: i32) -> (String, String) {
    let out = home.run(&[&["import"], args].concat());
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (said, warned) = (text(out.stdout), text(out.stderr));
    assert_eq!(out.status.code(), Some(exit), "{said}{warned}");
    (said, warned)
}

fn reasons(said: &Value, list: &str) -> Vec<String> {
    let rows = said[list].as_array().unwrap().iter();
    rows.map(|row| row["reason"].as_str().unwrap().to_owned())
        .collect()
}

/// A folder of sessions may be a link: what belongs to it lies beside the link, or beside the folder
/// that it leads to.
#[test]
fn a_linked_folder_of_sessions_is_in_the_home_that_holds_the_rest() {
    let home = Home::new();
    let rows = |name: &str| format!("{{\"id\":\"{THREAD}\",\"thread_name\":\"{name}\"}}\n");
    fs::create_dir_all(home.path("real/sessions")).unwrap();
    fs::create_dir(home.path("linked")).unwrap();
    home.write("real/sessions/rollout-a.jsonl", rollout(THREAD).as_bytes());
    link("../real/sessions", &home.path("linked/sessions"));
    let name = |dir: &str, path: &str| {
        let mut import = home.command(&["import", "--json", "--home", path]);
        let out = import.current_dir(home.path(dir)).output().unwrap();
        let said = String::from_utf8_lossy(&out.stdout).into_owned();
        assert_eq!(out.status.code(), Some(0), "{said}");
        let name = home.json(&["show", THREAD], 0)["thread"]["name"].clone();
        fs::remove_dir_all(home.path("store")).unwrap();
        name
    };
    let absolute = home.path("linked/sessions");
    let ways = [
        ("", "linked/sessions"),
        ("real", "../linked/sessions"),
        ("linked", "sessions"),
        ("linked", absolute.to_str().unwrap()),
    ];
    let all = |expect: &str| {
        for (dir, path) in ways {
            assert_eq!(name(dir, path), expect, "{path} in {dir:?}");
        }
    };
    home.write(
        "real/session_index.jsonl",
        rows("Beside the folder").as_bytes(),
    );
    all("Beside the folder");
    home.write(
        "linked/session_index.jsonl",
        rows("Beside the link").as_bytes(),
    );
    all("Beside the link");
    // The folder itself is where it is.
    assert_eq!(name("", "real/sessions"), "Beside the folder");
    // A link within a folder of sessions may lead out of its home.
    fs::create_dir_all(home.path("third/sessions")).unwrap();
    home.write("third/session_index.jsonl", rows("Elsewhere").as_bytes());
    link("../../real/sessions", &home.path("third/sessions/out"));
    assert_eq!(name("third", "sessions/out"), "Beside the folder");
    // A path that leaves a folder of sessions is not in it.
    fs::create_dir(home.path("linked/elsewhere")).unwrap();
    let left = home.path("linked/sessions/../../linked/elsewhere");
    fs::remove_file(home.path("linked/session_index.jsonl")).unwrap();
    home.json(&["import", "--home", left.to_str().unwrap()], 2);
}

/// Of files of deleted threads some are named, with `-v` all, and it is said what can be done.
#[test]
fn files_of_deleted_threads_are_named() {
    let home = Home::new();
    let dir = home.path("sessions");
    fs::create_dir(&dir).unwrap();
    for number in 1..=5 {
        fs::write(dir.join(name_of(number)), rollout(&id(number))).unwrap();
    }
    home.import(&dir, 0);
    let dir = dir.to_str().unwrap();
    for (count, number) in (1_usize..).zip(1..=5) {
        home.json(&["delete", &id(number)], 0);
        let named = |text: &str| (1..=5).filter(|at| text.contains(&name_of(*at))).count();
        let (_, few) = told(&home, &[dir], 0);
        let more = count.saturating_sub(3);
        assert_eq!(named(&few), count - more, "{few}");
        assert_eq!(few.contains(&format!("and {more} more")), more > 0, "{few}");
        assert!(
            few.contains("with --again") && few.contains("remove"),
            "{few}"
        );
        let (_, all) = told(&home, &["-v", dir], 0);
        assert_eq!(named(&all), count, "{all}");
        let said = home.json(&["import", dir], 0);
        assert_eq!(said["remarks"].as_array().unwrap().len(), count);
    }
}

/// What a power cut leaves of a file that was never written is no loss. A line that was begun is.
#[test]
fn files_without_a_byte_of_a_record_are_remarks() {
    let home = Home::new();
    let dir = home.path("sessions");
    fs::create_dir(&dir).unwrap();
    let nothing: [&[u8]; 5] = [
        &[0; 4096],
        b"\xef\xbb\xbf",
        b" \t\r\n\n",
        b"\xef\xbb\xbf\n\0\0\0 \n",
        &vec![0; 3 << 20],
    ];
    let packed = |bytes: &[u8]| zstd::encode_all(bytes, 3).unwrap();
    let dry = |home: &Home, path: &Path, exit| {
        home.json(&["import", "--dry-run", path.to_str().unwrap()], exit)
    };
    for bytes in nothing {
        for (name, bytes) in [
            (name_of(1), bytes.to_vec()),
            (format!("{}.zst", name_of(1)), packed(bytes)),
        ] {
            let path = dir.join(name);
            fs::write(&path, &bytes).unwrap();
            for path in [&path, &dir] {
                let said = home.import(path, 0);
                assert_eq!(reasons(&said, "skipped"), [""; 0], "{said}");
                assert_eq!(reasons(&said, "remarks").len(), 1, "{said}");
                assert_eq!(dry(&home, path, 0)["remarks"], said["remarks"]);
            }
            fs::remove_file(&path).unwrap();
        }
    }
    // It hides no packed one either.
    fs::write(dir.join(name_of(1)), [0; 4096]).unwrap();
    let whole = packed(rollout(&id(1)).as_bytes());
    fs::write(dir.join(format!("{}.zst", name_of(1))), whole).unwrap();
    assert_eq!(home.import(&dir, 0)["added_records"], 3);
    let begun = &head(THREAD, "legacy")[..90];
    // Behind much white space there is something all the same.
    let late = [" ".repeat(3 << 20).as_bytes(), rollout(THREAD).as_bytes()].concat();
    for (bytes, part) in [
        (begun.as_bytes().to_vec(), "ends within its first line"),
        (
            [begun.as_bytes(), &[0; 512]].concat(),
            "ends within its first line",
        ),
        ([b"\0\0\0 \0", begun.as_bytes()].concat(), "not a rollout"),
        (late, "not a rollout"),
    ] {
        let path = home.write(&name_of(2), &bytes);
        let said = home.import(&path, 6);
        let reason = &reasons(&said, "skipped")[0];
        assert!(reason.contains(part), "{reason}");
        assert!(reason.contains("leave it out"), "{reason}");
        assert_eq!(
            reasons(&said, "skipped"),
            reasons(&dry(&home, &path, 6), "skipped")
        );
    }
}

/// Bytes are counted as records are: those of a thread once, wherever copies of its file lie.
#[test]
fn bytes_of_copies_are_counted_once() {
    let home = Home::new();
    let agent = home.path(".codex");
    for folder in ["sessions", "archived_sessions"] {
        fs::create_dir_all(agent.join(folder)).unwrap();
        fs::write(agent.join(folder).join(name_of(1)), rollout(&id(1))).unwrap();
    }
    let other = format!("{}{}\n", rollout(&id(2)), message("three"));
    fs::write(agent.join("sessions").join(name_of(2)), &other).unwrap();
    let bytes = rollout(&id(1)).len() + other.len();
    for added in [7, 0] {
        let said = home.json(&["import"], 0);
        assert_eq!(said["added_records"], added);
        assert_eq!((&said["records"], &said["files"]), (&7.into(), &3.into()));
        assert_eq!(said["bytes"], bytes, "{said}");
    }
    // Of one copy that is behind the other, the longer one counts; of one that lost something, what
    // it had.
    fs::write(agent.join("sessions").join(name_of(2)), rollout(&id(2))).unwrap();
    let said = home.json(&["import"], 0);
    assert_eq!(
        (&said["records"], &said["bytes"]),
        (&7.into(), &bytes.into())
    );
}

/// A name that leads to nothing is told with what can be done.
#[test]
fn what_does_not_exist_is_called_so() {
    let home = Home::new();
    home.write("file", b"");
    link("nowhere.jsonl", &home.path("link.jsonl"));
    link("gone", &home.path("session_index.jsonl"));
    for (name, parts) in [
        ("missing.jsonl", ["no such file", "check the path"]),
        ("file/x.jsonl", ["no such file", "check the path"]),
        (
            "link.jsonl",
            ["a symbolic link to nowhere.jsonl", "remove the link"],
        ),
        (
            "session_index.jsonl",
            ["a symbolic link to gone", "remove the link"],
        ),
    ] {
        let path = home.path(name);
        let said = home.import(&path, 6);
        let reason = &reasons(&said, "skipped")[0];
        for part in parts {
            assert!(reason.contains(part), "{name}: {reason}");
        }
        assert!(!reason.contains("os error"), "{name}: {reason}");
        let said = home.json(&["import", "--home", path.to_str().unwrap()], 2);
        let message = said["error"]["message"].as_str().unwrap();
        assert!(message.contains(parts[0]), "{name}: {message}");
    }
    link("away", &home.path(".codex"));
    let said = home.json(&["import"], 2);
    let message = said["error"]["message"].as_str().unwrap();
    assert!(message.contains("a symbolic link to away"), "{message}");
}

/// An import of names says how many it kept, and for how many there is no thread yet.
#[test]
fn an_import_of_names_says_how_many_were_kept() {
    let home = Home::new();
    home.import(&home.write("a.jsonl", rollout(THREAD).as_bytes()), 0);
    let row = |id: &str, name: &str| {
        format!("{{\"id\":\"{id}\",\"thread_name\":\"{name}\",\"updated_at\":\"2026-01-01\"}}\n")
    };
    let rows = [
        row(THREAD, "Passing"),
        row(THREAD, "Tea"),
        row(&id(1), "Coffee"),
        row(&id(2), "Water"),
        row("../up", "No id"),
        row(&id(3), ""),
        "no row\n".to_owned(),
    ];
    let path = home.write("session_index.jsonl", rows.concat().as_bytes());
    let list = path.to_str().unwrap();
    let numbers =
        |said: &Value| ["names", "addedNames", "waitingNames"].map(|key| said[key].clone());
    let (said, _) = told(&home, &[list], 0);
    assert_eq!(
        said,
        "3 names of threads are kept, 3 of them new; 2 wait for their threads to be imported\n"
    );
    assert_eq!(numbers(&home.import(&path, 0)), [3, 0, 2]);
    home.import(&home.write("b.jsonl", rollout(&id(1)).as_bytes()), 0);
    assert_eq!(numbers(&home.import(&path, 0)), [3, 0, 1]);
    let file = home.path("a.jsonl");
    let (said, _) = told(&home, &[list, file.to_str().unwrap()], 0);
    assert!(
        said.starts_with("imported 1 files into 1 threads: "),
        "{said}"
    );
    assert!(
        said.contains("\n3 names of threads are kept, 0 of them new; 1 wait"),
        "{said}"
    );
    assert_eq!(numbers(&home.import(&file, 0)), [0, 0, 0]);
    let (said, _) = told(&home, &["-q", list], 0);
    assert_eq!(said, "");
    // The name of a thread that was deleted is not kept.
    home.json(&["delete", THREAD], 0);
    assert_eq!(numbers(&home.import(&path, 0)), [2, 0, 1]);
    let said = home.json(&["import", "--dry-run", list], 0);
    assert_eq!(numbers(&said), [2, 0, 1], "what a dry run says");
}

/// Times beyond what a zone can be applied to are shown, too.
#[test]
fn the_end_of_time_is_shown() {
    let home = Home::new();
    for (number, time, shown) in [
        (1, "9999-12-31T23:59:59Z", "9999-12-31 23:59 UTC"),
        (2, "9999-12-30T22:00:00Z", "9999-12-30 22:00 UTC"),
        (3, "9999-12-31T00:00:00Z", "9999-12-31 00:00 UTC"),
        (4, "9999-12-31T23:59:60Z", ">9999"),
    ] {
        let bytes = rollout(&id(number)).replace("2026-01-01T00:00:00.000Z", time);
        home.import(&home.write("a.jsonl", bytes.as_bytes()), 0);
        for args in [&["show", "--utc"][..], &["show"]] {
            let mut show = home.command(&[args, &[&id(number)]].concat());
            let out = show.env("TZ", "UTC").output().unwrap();
            let text = String::from_utf8(out.stdout).unwrap();
            let began = text.lines().find(|line| line.trim().starts_with("created"));
            assert!(
                began.is_some_and(|line| line.contains(shown)),
                "{time}: {text}"
            );
        }
    }
}
