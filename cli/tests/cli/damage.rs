//! A segment that is not what it was: what each command says, and what a repair ends.

use super::*;

fn append(home: &Home) -> Option<i32> {
    let mut command = home.command(&["append", THREAD]);
    command.stdin(Stdio::piped()).stdout(Stdio::null());
    let mut child = command.stderr(Stdio::null()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    // Who is refused at once reads nothing.
    let _ = writeln!(input, "{}", message("more"));
    drop(input);
    child.wait().unwrap().code()
}

/// An opening tells a segment that is gone, empty or cut; of a changed byte the next one knows after
/// a read has met it. The thread takes no appends until a repair.
#[test]
fn a_damaged_segment_is_told_and_closes_its_thread() {
    for how in ["removed", "empty", "cut", "flipped"] {
        let home = Home::new();
        // So large that only the segment holds it.
        let lines = (0..200).map(|at| message(&format!("{at}{}", "x".repeat(8 << 10))));
        let lines: Vec<String> = lines.collect();
        let plain = format!("{}\n{}\n", head(THREAD, "legacy"), lines.join("\n"));
        home.import(&home.write("a.jsonl", plain.as_bytes()), 0);
        let segments = fs::read_dir(home.path("store/segments")).unwrap();
        let segment = segments.last().unwrap().unwrap().path();
        let mut bytes = fs::read(&segment).unwrap();
        match how {
            "removed" => fs::remove_file(&segment).unwrap(),
            "empty" => fs::write(&segment, b"").unwrap(),
            "cut" => fs::write(&segment, &bytes[..bytes.len() - 1]).unwrap(),
            _ => {
                bytes[200] ^= 1;
                fs::write(&segment, &bytes).unwrap();
                assert_eq!(home.json(&["doctor"], 0)["ok"], true);
                assert_eq!(home.run(&["context", THREAD]).status.code(), Some(4));
            }
        }
        let told = home.json(&["doctor"], 4);
        let file = format!("segments/{}", segment.file_name().unwrap().display());
        assert_eq!(told["damage"][0]["file"], *file, "{how}: {told}");
        assert_eq!(told["closedThreads"][0], THREAD, "{how}");
        assert_eq!(append(&home), Some(4), "{how}");
        home.json(&["verify"], 4);
        home.json(&["repair"], 0);
        assert_eq!(append(&home), Some(0), "{how}");
        assert_eq!(home.json(&["verify"], 0)["ok"], true, "{how}");
        assert_eq!(
            home.json(&["doctor"], 0)["damage"],
            Value::Array(Vec::new())
        );
        assert!(!home.path("store/damage").exists(), "{how}");
    }
}

/// One file that many threads lose records with is told once, by each command, and `threads` says
/// by its exit code that damage was met, whether its index could answer or not.
#[test]
fn damage_of_many_threads_is_told_once() {
    let home = Home::new();
    let dir = home.path("many");
    fs::create_dir(&dir).unwrap();
    let id = |number: u32| format!("019c0000-0000-7000-8000-0000000000{number:02x}");
    for number in 0..5 {
        let lines = (0..30).map(|at| message(&format!("{at}{}", "x".repeat(8 << 10))));
        let lines: Vec<String> = lines.collect();
        let plain = format!("{}\n{}\n", head(&id(number), "legacy"), lines.join("\n"));
        fs::write(dir.join(format!("{number}.jsonl")), plain).unwrap();
    }
    home.import(&dir, 0);
    let _ = home.json(&["threads"], 0);
    let segments = fs::read_dir(home.path("store/segments")).unwrap();
    let segments: Vec<PathBuf> = segments.map(|entry| entry.unwrap().path()).collect();
    let [pack] = segments.as_slice() else {
        panic!("{segments:?}");
    };
    fs::remove_file(pack).unwrap();
    let file = format!("segments/{}", pack.file_name().unwrap().display());
    let three: Vec<String> = (0..3).map(id).collect();
    let whose = format!("5 threads ({}, ..): ", three.join(", "));
    let lines_with = |args: &[&str], what: &str| {
        let out = home.run(args);
        assert_eq!(out.status.code(), Some(4), "{args:?}");
        let said = [out.stdout, out.stderr].concat();
        let said = String::from_utf8(said).unwrap();
        let lines = said.lines().filter(|line| line.contains(what));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    for args in [
        &["threads"][..],
        &["verify"],
        &["doctor"],
        &["repair", "--dry-run"],
    ] {
        for line in lines_with(args, &file) {
            assert!(line.contains(&whose), "{args:?}: {line}");
        }
        let told = lines_with(args, "the bytes are not there").len();
        let expect = if args == ["doctor"] { 2 } else { 1 };
        assert_eq!(told, expect, "{args:?}");
    }
    // Nor is it left out by what opens the log alone: else records would be missing without a word.
    let one = id(0);
    for args in [
        &["export", &one][..],
        &["show", &one, "--world-state"],
        &["doctor", &one],
    ] {
        assert_eq!(lines_with(args, &file).len(), 1, "{args:?}");
    }
    // Programs are told of each.
    assert_eq!(
        home.json(&["verify"], 4)["damage"]
            .as_array()
            .unwrap()
            .len(),
        5
    );
    fs::remove_file(home.path("store/index.redb")).unwrap();
    assert_eq!(lines_with(&["threads"], &file).len(), 1);
    home.json(&["repair"], 0);
    home.json(&["threads"], 0);
}

/// Damage says which forks show what it costs, however far they are from the thread that has it.
#[test]
fn damage_names_the_forks_that_inherit_it() {
    let home = Home::new();
    let lines = (0..200).map(|at| message(&format!("{at}{}", "x".repeat(8 << 10))));
    let lines: Vec<String> = lines.collect();
    let plain = format!("{}\n{}\n", head(THREAD, "legacy"), lines.join("\n"));
    home.import(&home.write("a.jsonl", plain.as_bytes()), 0);
    for (of, id, at) in [
        (THREAD, "one", "201"),
        ("one", "two", "201"),
        (THREAD, "early", "0"),
    ] {
        home.json(&["fork", of, "--id", id, "--at", at], 0);
    }
    let segments = fs::read_dir(home.path("store/segments")).unwrap();
    let segment = segments.last().unwrap().unwrap().path();
    let mut bytes = fs::read(&segment).unwrap();
    bytes[200] ^= 1;
    fs::write(&segment, &bytes).unwrap();
    for command in [&["verify"][..], &["doctor"]] {
        let told = home.json(command, 4);
        let damage = told["damage"].as_array().unwrap();
        assert_eq!(damage.len(), 1, "{told}");
        assert_eq!(damage[0]["thread"], THREAD);
        let inheriting = serde_json::json!(["one", "two"]);
        assert_eq!(damage[0]["inheritedBy"], inheriting, "{command:?}");
        let out = home.run(command);
        let text = [out.stdout, out.stderr].concat();
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains("one") && text.contains("two"), "{text}");
    }
}
