//! What an import takes from folders, and what it says of the rest.

use super::*;

pub(super) fn skipped(said: &Value) -> Vec<(String, String)> {
    let rows = said["skipped"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    rows.map(|row| (text(&row["path"]), text(&row["reason"])))
        .collect()
}

/// Below a folder any .jsonl file may be a rollout. One that is none is passed by, unless it has a
/// rollout's name: agents keep other lists beside their rollouts.
#[test]
fn a_folder_is_searched_for_rollouts_of_any_name() {
    let home = Home::new();
    let dir = home.path("cases/01-minimal");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("rollout.jsonl"), rollout(THREAD)).unwrap();
    let other = "019c0000-0000-7000-8000-0000000000cc";
    let packed = zstd::encode_all(rollout(other).as_bytes(), 3).unwrap();
    fs::write(dir.join("copy.jsonl.zst"), packed).unwrap();
    fs::write(dir.join("case.json"), "{}").unwrap();
    let history = "{\"session_id\":\"x\",\"ts\":1,\"text\":\"hi\"}\n";
    fs::write(dir.join("history.jsonl"), history).unwrap();
    fs::write(dir.join("empty.jsonl"), "").unwrap();
    let said = home.import(&home.path("cases"), 0);
    assert_eq!(
        (&said["files"], &said["threads"], skipped(&said)),
        (&2.into(), &2.into(), vec![])
    );
    // Whoever names the file wants to know.
    let named = home.import(&dir.join("history.jsonl"), 6);
    assert!(skipped(&named)[0].1.contains("not a rollout"), "{named}");
    fs::write(dir.join("rollout-x.jsonl"), history).unwrap();
    let said = home.import(&home.path("cases"), 6);
    assert!(skipped(&said)[0].0.ends_with("rollout-x.jsonl"), "{said}");
}

#[test]
fn people_are_told_what_was_skipped() {
    let home = Home::new();
    let dir = home.path("sessions");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("rollout-a.jsonl"), rollout(THREAD)).unwrap();
    std::os::unix::fs::symlink("nowhere", dir.join("session_index.jsonl")).unwrap();
    let said = |args: &[&str]| {
        let out = home.run(&[&["import", dir.to_str().unwrap()], args].concat());
        assert_eq!(out.status.code(), Some(6));
        String::from_utf8(out.stderr).unwrap()
    };
    let told = said(&[]);
    assert!(
        told.contains("session_index.jsonl: a symbolic link"),
        "{told}"
    );
    assert_eq!(said(&["--quiet"]), "");
}

/// What a broken file gave before it broke is stored, and is counted.
#[test]
fn the_part_of_a_broken_file_is_counted() {
    let home = Home::new();
    let mut whole = rollout(THREAD);
    for number in 0..20_000_u32 {
        let noise = number.wrapping_mul(2_654_435_761);
        whole.push_str(&message(&format!("{noise:x} {}", noise.wrapping_mul(31))));
        whole.push('\n');
    }
    let packed = zstd::encode_all(whole.as_bytes(), 3).unwrap();
    let cut = home.write("cut.jsonl.zst", &packed[..packed.len() / 2]);
    let said = home.import(&cut, 6);
    let shown = home.json(&["show", THREAD], 0);
    assert!(shown["records"].as_u64().unwrap() > 1000, "{shown}");
    assert_eq!(said["added_records"], shown["records"]);
    assert_eq!((&said["threads"], &said["files"]), (&1.into(), &0.into()));
    assert!(skipped(&said)[0].1.contains("what came before is imported"));
    let none = home.import(&home.write("no.jsonl.zst", b"not packed at all"), 6);
    let reason = skipped(&none).remove(0).1;
    assert!(!reason.contains("came before"), "{reason}");
}

/// Upstream archives by moving a file: its folder says so, wherever the command is called.
#[test]
fn an_archive_is_known_from_within() {
    let home = Home::new();
    let dir = home.path("archived_sessions");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("rollout-a.jsonl"), rollout(THREAD)).unwrap();
    let mut import = home.command(&["import", "."]);
    assert!(import.current_dir(&dir).output().unwrap().status.success());
    assert_eq!(home.json(&["show", THREAD], 0)["archived"], true);
}

/// The same bytes may lie in both folders: upstream moves files, and others copy them. The thread
/// is live then, whatever is imported again; what a user set in the store stays; and a file that
/// does move takes its thread along.
#[test]
fn a_copy_in_the_archive_archives_nothing() {
    let home = Home::new();
    let agent = home.path(".codex");
    let (live, archive) = (agent.join("sessions"), agent.join("archived_sessions"));
    fs::create_dir_all(&live).unwrap();
    fs::create_dir_all(&archive).unwrap();
    let name = format!("rollout-2026-01-01T00-00-00-{THREAD}.jsonl");
    for dir in [&live, &archive] {
        fs::write(dir.join(&name), rollout(THREAD)).unwrap();
    }
    // A file this young is not called imported.
    std::thread::sleep(std::time::Duration::from_millis(150));
    let is_archived = || home.json(&["show", THREAD], 0)["archived"].clone();
    let paths = [&live, &archive].map(|dir| dir.to_str().unwrap());
    let import = || home.json(&["import"], 0);
    let import_other_way = || home.json(&["import", paths[1], paths[0]], 0);
    for time in 1..=3 {
        import();
        assert_eq!(is_archived(), false, "import {time}");
        import_other_way();
        assert_eq!(
            is_archived(),
            false,
            "import {time}, the archive named first"
        );
    }
    for (command, archived) in [("archive", true), ("unarchive", false), ("archive", true)] {
        home.json(&[command, THREAD], 0);
        for _ in 0..2 {
            import();
            assert_eq!(is_archived(), archived, "after {command}");
        }
    }
    home.json(&["unarchive", THREAD], 0);
    fs::remove_file(live.join(&name)).unwrap();
    import();
    assert_eq!(is_archived(), true, "the live file is gone");
    fs::rename(archive.join(&name), live.join(&name)).unwrap();
    import();
    assert_eq!(is_archived(), false, "the file moved back");
}

/// What a repair gave up does not come back, and the original that still has it is told from one
/// that has nothing more.
#[test]
fn an_original_that_has_what_a_repair_gave_up_is_skipped_in_part() {
    let home = Home::new();
    let lines: Vec<String> = (0..4_000)
        .map(|at| message(&format!("{at} {}", "x".repeat(500))))
        .collect();
    let bytes = format!("{}\n{}\n", head(THREAD, "legacy"), lines.join("\n"));
    let path = home.write("a.jsonl", bytes.as_bytes());
    home.import(&path, 0);
    let segments = fs::read_dir(home.path("store/segments")).unwrap();
    let segment = segments.into_iter().next().unwrap().unwrap().path();
    let mut damaged = fs::read(&segment).unwrap();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    fs::write(&segment, damaged).unwrap();
    home.json(&["repair"], 0);
    let left = home.run(&["export", THREAD]).stdout;
    assert!(left.len() < bytes.len());
    let grown = format!("{bytes}{}\n", message("new"));
    let new = format!("{}\n", message("new"));
    for (bytes, added, left) in [
        (bytes.as_bytes(), 0, left.clone()),
        (
            grown.as_bytes(),
            1,
            [left.clone(), new.clone().into_bytes()].concat(),
        ),
        (grown.as_bytes(), 0, [left, new.into_bytes()].concat()),
    ] {
        let said = home.import(&home.write("a.jsonl", bytes), 6);
        assert_eq!(said["added_records"], added);
        let reason = said["skipped"][0]["reason"].as_str().unwrap();
        assert!(reason.contains("which a repair gave up"), "{reason}");
        assert!(home.run(&["export", THREAD]).stdout == left);
    }
    // There it is whole.
    let other = home.path("other");
    let args = [
        "import",
        path.to_str().unwrap(),
        "--store",
        other.to_str().unwrap(),
    ];
    assert_eq!(home.json(&args, 0)["added_records"], 4_002);
}

/// A file that did not change is not read. One that changed is, also where its length and its time
/// are those that were seen: a program can set the time of a file back.
#[test]
fn a_file_of_another_time_is_read_again() {
    use std::time::{Duration, SystemTime};
    let home = Home::new();
    let seen = SystemTime::UNIX_EPOCH + Duration::from_secs(1_780_000_000);
    // Whoever reads the file remarks that its head lacks a field.
    let head = rollout(THREAD).replacen(r#","cwd":"/w""#, "", 1);
    let write = |text: &str, modified: SystemTime| {
        let bytes = format!("{head}{}\n", message(text));
        let path = home.write("a.jsonl", bytes.as_bytes());
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(modified).unwrap();
        // The time of a change this young does not tell the next one.
        std::thread::sleep(Duration::from_millis(150));
        path
    };
    for modified in [
        seen,
        seen + Duration::from_nanos(1),
        SystemTime::UNIX_EPOCH,
        // Later than nanoseconds in 64 bits can say.
        SystemTime::UNIX_EPOCH + Duration::from_secs(10_000_000_000),
    ] {
        // The same bytes may be there already, whatever their time.
        let path = write("three", seen);
        let was_read = [(); 3].map(|()| {
            let said = home.import(&path, 0);
            !said["remarks"].as_array().unwrap().is_empty()
        });
        assert_eq!(was_read, [true, false, false], "{modified:?}");
        let said = home.import(&write("other", modified), 0);
        assert!(
            !said["remarks"].as_array().unwrap().is_empty(),
            "{modified:?}"
        );
    }
}

/// A head that lacks a field says whose the file is all the same, and so may the name of a file
/// whose lines have no time.
#[test]
fn files_of_incomplete_heads_are_imported_and_told_of() {
    let home = Home::new();
    let whole = head(THREAD, "paginated");
    let without = |part: &str| {
        assert!(whole.contains(part));
        whole.replacen(part, "", 1)
    };
    let time = r#""timestamp":"2026-01-01T00:00:00.000Z","#;
    let numeric = whole.replacen(time, r#""timestamp":1780000000123,"#, 1);
    let heads = [
        (without(time), "timestamp of the line"),
        (numeric, "timestamp of the line"),
        (
            without(r#","timestamp":"2026-01-01T00:00:00.000Z""#),
            "payload.timestamp",
        ),
        (without(r#","cwd":"/w""#), "payload.cwd"),
        (without(r#","originator":"t""#), "payload.originator"),
        (without(r#","cli_version":"0""#), "payload.cli_version"),
    ];
    for (head, field) in heads {
        let bytes = format!("{head}\n{}\n", message("one"));
        let said = home.import(&home.write("a.jsonl", bytes.as_bytes()), 0);
        let remark = said["remarks"][0]["reason"].as_str().unwrap();
        assert!(remark.contains(field), "{field}: {remark}");
        assert_eq!(home.run(&["export", THREAD]).stdout, bytes.as_bytes());
        let shown = home.json(&["show", THREAD], 0);
        let mode = &shown["thread"]["historyMode"];
        assert_eq!(mode, "paginated", "{field}: {shown}");
        let said = home.json(&["doctor", THREAD], 0);
        let reason = said["anomalies"][0]["reason"].as_str().unwrap();
        assert!(reason.contains(field), "{field}: {reason}");
        fs::remove_dir_all(home.path("store")).unwrap();
    }
    let timed = r#""timestamp":"2026-01-01T00:00:01.000Z","#;
    let bare = format!("{}\n", message("one").replace(timed, ""));
    let name = format!("rollout-2026-01-01T00-00-00-{THREAD}.jsonl");
    let said = home.import(&home.write(&name, bare.as_bytes()), 0);
    let counted = (&said["threads"], &said["anomalies"]);
    assert_eq!(counted, (&1.into(), &1.into()));
    // Whose it is nobody knows: that is said, also of a file with a name of its own in a folder.
    let dir = home.path("dir");
    fs::create_dir(&dir).unwrap();
    let nameless = whole.replace(&format!(r#""id":"{THREAD}","#), "");
    for (head, why) in [
        (bare, "it has no session_meta"),
        (format!("{nameless}\n"), "no payload.id"),
    ] {
        fs::write(dir.join("x.jsonl"), head).unwrap();
        let said = home.import(&dir, 6);
        let reason = &skipped(&said)[0].1;
        assert!(reason.contains(why), "{reason}");
        assert!(reason.contains("rollout-<time>-<id>"), "{reason}");
    }
}

/// Lines whose time is missing, or no text, are kept and counted, and what is wrong is said. The
/// thread began when its file's name says.
#[test]
fn lines_without_a_usable_time_are_told_apart() {
    let home = Home::new();
    let time = r#""timestamp":"2026-01-01T00:00:01.000Z","#;
    let numeric = |line: &str| line.replacen(time, r#""timestamp":1780000000123,"#, 1);
    let head = head(THREAD, "legacy").replace(
        r#""timestamp":"2026-01-01T00:00:00.000Z""#,
        r#""timestamp":1"#,
    );
    let lines = [
        head,
        numeric(&message("one")),
        numeric(&message("two")),
        message("three").replacen(time, "", 1),
    ];
    let name = format!("rollout-2026-01-02T03-04-05-{THREAD}.jsonl");
    let said = home.import(
        &home.write(&name, format!("{}\n", lines.join("\n")).as_bytes()),
        0,
    );
    assert_eq!((&said["records"], &said["unknown"]), (&4.into(), &0.into()));
    let remark = said["remarks"][0]["reason"].as_str().unwrap();
    assert!(
        remark.contains("timestamp of the line that is no text"),
        "{remark}"
    );
    let shown = home.json(&["show", THREAD], 0);
    let told = shown["anomalies"].as_array().unwrap().iter();
    let told: Vec<(&str, u64)> = told
        .map(|odd| {
            (
                odd["reason"].as_str().unwrap(),
                odd["count"].as_u64().unwrap(),
            )
        })
        .collect();
    let expect = [
        (
            "rejected: session_meta with a timestamp of the line that is no text",
            1,
        ),
        ("rejected: timestamp that is no text", 2),
        ("rejected: no timestamp", 1),
    ];
    assert_eq!(told, expect);
    assert_eq!(shown["thread"]["createdAt"], 1_767_323_045);
}

/// Records of the file are counted, each once, whatever the store says of the thread beside them.
#[test]
fn records_are_those_of_the_file() {
    let home = Home::new();
    let dir = home.path("dir");
    fs::create_dir(&dir).unwrap();
    for name in ["a.jsonl", "b.jsonl"] {
        fs::write(dir.join(name), rollout(THREAD)).unwrap();
    }
    home.import(&dir, 0);
    for name in ["One", "Two"] {
        home.json(&["name", THREAD, name], 0);
    }
    let said = home.import(&dir, 0);
    assert_eq!((&said["records"], &said["files"]), (&3.into(), &2.into()));
    assert_eq!(home.json(&["show", THREAD], 0)["records"], 3);
}

/// Where the index cannot be had, what was imported is kept, and the summary says what it lacks.
#[test]
fn what_cannot_be_counted_is_no_number() {
    let home = Home::new();
    home.import(&home.write("a.jsonl", rollout("thread-1").as_bytes()), 0);
    let index = home.path("store/index.redb");
    fs::remove_file(&index).unwrap();
    fs::create_dir_all(index.join("in-the-way")).unwrap();
    let row = "{\"id\":\"thread-1\",\"thread_name\":\"Tea\"}\n";
    let dir = home.path("dir");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("session_index.jsonl"), row).unwrap();
    fs::write(dir.join("b.jsonl"), rollout("thread-2")).unwrap();
    let said = home.import(&dir, 6);
    let numbers = (&said["records"], &said["anomalies"], &said["unknown"]);
    assert_eq!(
        numbers,
        (&Value::Null, &Value::Null, &Value::Null),
        "{said}"
    );
    assert_eq!(said["added_records"], 3, "{said}");
    let skipped = skipped(&said);
    let of = |id: &str, what: &str| {
        let named = |(path, reason): &(String, String)| path.contains(id) && reason.contains(what);
        assert!(skipped.iter().any(named), "{said}");
    };
    of("thread-1", "name was not taken");
    of("thread-2", "not counted");
}

#[test]
fn an_import_says_how_many_more_threads_there_are() {
    let home = Home::new();
    let dir = home.path("dir");
    fs::create_dir(&dir).unwrap();
    for number in 0..7 {
        let id = format!("thread-{number}");
        fs::write(dir.join(format!("{number}.jsonl")), rollout(&id)).unwrap();
    }
    let out = home.run(&["import", dir.to_str().unwrap()]);
    let said = String::from_utf8(out.stdout).unwrap();
    assert!(said.contains("thread-4\n  and 2 more threads"), "{said}");
}

/// Of an agent's home its threads and their names are imported, and nothing else: a work tree below
/// it has rollouts of its own. A rollout that was created and never written is no failure.
#[test]
fn of_a_home_its_threads_are_imported_and_nothing_else() {
    let home = Home::new();
    let agent = home.path(".codex");
    let id = |number: u32| format!("019c0000-0000-7000-8000-0000000000{number:02x}");
    let write = |path: &str, text: &str| {
        let path = agent.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let name = |number| format!("rollout-2026-01-01T00-00-00-{}.jsonl", id(number));
    let live = format!("sessions/2026/01/01/{}", name(1));
    write(&live, &rollout(&id(1)));
    write(&format!("archived_sessions/{}", name(2)), &rollout(&id(2)));
    write("worktrees/x/rollout.jsonl", &rollout(&id(3)));
    write(&format!("sessions/2026/01/01/{}", name(4)), "");
    write(
        "history.jsonl",
        "{\"session_id\":\"x\",\"ts\":1,\"text\":\"hi\"}\n",
    );
    let index = format!("{{\"id\":\"{}\",\"thread_name\":\"Tea\"}}\n", id(1));
    write("session_index.jsonl", &index);
    let ids = |args: &[&str]| -> Vec<String> {
        let said = home.json(&[&["threads", "--order", "asc"], args].concat(), 0);
        let listed = said["threads"].as_array().unwrap().iter();
        listed
            .map(|thread| thread["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let sessions = agent.join("sessions");
    let within = agent.join("sessions/2026/01");
    let (agent_path, sessions) = (agent.to_str().unwrap(), sessions.to_str().unwrap());
    let ways: [&[&str]; 4] = [
        &["import"],
        &["import", agent_path],
        &["import", sessions, "--home"],
        &["import", within.to_str().unwrap(), "--home"],
    ];
    for args in ways {
        let said = home.json(args, 0);
        assert_eq!(said["files"], 2, "{args:?}: {said}");
        assert!(skipped(&said).is_empty(), "{said}");
        let remarks = said["remarks"].as_array().unwrap();
        let empty = |row: &Value| row["path"].as_str().unwrap().ends_with(&name(4));
        assert!(remarks.iter().any(empty), "{args:?}: {said}");
        assert_eq!((ids(&[]), ids(&["--archived"])), (vec![id(1)], vec![id(2)]));
        assert_eq!(home.json(&["show", &id(1)], 0)["thread"]["name"], "Tea");
        fs::remove_dir_all(home.path("store")).unwrap();
    }
    // Of the folder alone, only what is in it.
    let said = home.json(&["import", sessions], 0);
    assert_eq!((&said["files"], ids(&["--archived"])), (&1.into(), vec![]));
    // Elsewhere there is no home.
    home.json(&["import", home.path("").to_str().unwrap(), "--home"], 2);
    let mut import = home.command(&["import"]);
    import.env("CODEX_HOME", home.path("nowhere"));
    let out = import.output().unwrap();
    assert_eq!(out.status.code(), Some(2));
    let said = String::from_utf8(out.stderr).unwrap();
    assert!(said.contains("nowhere"), "{said}");
}

/// A plain file wins over its packed sibling, because it grows; one that holds nothing does not.
#[test]
fn an_empty_file_hides_no_packed_one() {
    let home = Home::new();
    let packed = zstd::encode_all(rollout(THREAD).as_bytes(), 3).unwrap();
    home.write("rollout-a.jsonl.zst", &packed);
    home.write("rollout-a.jsonl", b"");
    let dir = home.path("");
    assert_eq!(home.import(&dir, 0)["threads"], 1);
    let out = home.run(&["export", THREAD]);
    assert_eq!(out.stdout, rollout(THREAD).as_bytes());
}

/// A folder is an agent's home if something only a home has lies beside its sessions; else all of
/// it is looked through.
#[test]
fn a_folder_with_sessions_alone_is_imported_whole() {
    let home = Home::new();
    let dir = home.path("backup");
    let other = "019c0000-0000-7000-8000-0000000000cd";
    for (folder, id) in [("sessions", THREAD), ("sessions-old", other)] {
        fs::create_dir_all(dir.join(folder)).unwrap();
        fs::write(dir.join(folder).join("rollout-a.jsonl"), rollout(id)).unwrap();
    }
    assert_eq!(home.import(&dir, 0)["threads"], 2);
    let home = Home::new();
    fs::write(dir.join("session_index.jsonl"), "").unwrap();
    let said = home.import(&dir, 0);
    assert_eq!(said["threads"], 1);
    assert_eq!(said["remarks"].as_array().unwrap().len(), 1, "{said}");
    let again = home.import(&dir, 0);
    assert!(
        again["remarks"].as_array().unwrap().is_empty(),
        "nothing is new: {again}"
    );
}

/// A part of a home that cannot be looked at is told, and not taken for one that is not there.
#[test]
fn a_folder_of_a_home_that_cannot_be_looked_at_is_skipped() {
    let home = Home::new();
    let agent = home.path(".codex");
    fs::create_dir_all(agent.join("archived_sessions")).unwrap();
    std::os::unix::fs::symlink("sessions", agent.join("sessions")).unwrap();
    let said = home.import(&agent, 6);
    assert!(skipped(&said)[0].0.ends_with("sessions"), "{said}");
}

/// What a file lost since it was imported is kept, and it is said that it lost something.
#[test]
fn a_file_that_became_shorter_is_told_of() {
    let home = Home::new();
    let whole = rollout(THREAD);
    home.import(&home.write("a.jsonl", whole.as_bytes()), 0);
    let shorter = format!("{}\n", head(THREAD, "legacy"));
    let said = home.import(&home.write("a.jsonl", shorter.as_bytes()), 0);
    let remark = said["remarks"][0]["reason"].as_str().unwrap();
    let sizes = format!(
        "{} bytes of records then and {} now",
        whole.len(),
        shorter.len()
    );
    assert!(remark.contains(&sizes), "{remark}");
    assert_eq!(said["records"], 3);
    assert_eq!(home.run(&["export", THREAD]).stdout, whole.as_bytes());
    // That is a remark and no warning: nothing is left out.
    let path = home.path("a.jsonl");
    let quiet = home.run(&["import", "-q", path.to_str().unwrap()]);
    assert_eq!((quiet.stdout, quiet.stderr), (vec![], vec![]));
}

/// A name of a file is bytes to the system.
#[test]
fn an_argument_that_is_no_text_is_taken_or_refused() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let home = Home::new();
    let path = OsStr::from_bytes(b"nonutf\xff");
    for arguments in [&["import"][..], &["export", "x", "-o"]] {
        let output = home.command(arguments).arg(path).output().unwrap();
        let code = output.status.code();
        assert!(matches!(code, Some(1..=6)), "{output:?}");
        assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"));
    }
}
