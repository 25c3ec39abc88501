//! What an import takes from folders, and what it says of the rest.

use super::*;

fn skipped(said: &Value) -> Vec<(String, String)> {
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
    assert!(told.contains("session_index.jsonl: No such file"), "{told}");
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

/// A file that changed is read, also where its length is the same and its time hardly differs, or
/// lies before the one that was seen.
#[test]
fn a_file_of_another_time_is_read_again() {
    use std::time::{Duration, SystemTime};
    let home = Home::new();
    let seen = SystemTime::UNIX_EPOCH + Duration::from_secs(1_780_000_000);
    let write = |text: &str, modified: SystemTime| {
        let bytes = format!("{}{}\n", rollout(THREAD), message(text));
        let path = home.write("a.jsonl", bytes.as_bytes());
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(modified).unwrap();
        path
    };
    home.import(&write("three", seen), 0);
    for modified in [
        seen + Duration::from_nanos(1),
        seen - Duration::from_nanos(1),
        seen + Duration::from_secs(1),
        SystemTime::UNIX_EPOCH,
    ] {
        let said = home.import(&write("other", modified), 6);
        let reason = &skipped(&said)[0].1;
        assert!(reason.contains("differs"), "{modified:?}: {reason}");
        // The same bytes are there already, whatever their time.
        assert_eq!(
            home.import(&write("three", modified), 0)["added_records"],
            0
        );
    }
    // Only what was seen as it stands is not read.
    let said = home.import(&write("other", SystemTime::UNIX_EPOCH), 0);
    assert_eq!(said["added_records"], 0);
}
