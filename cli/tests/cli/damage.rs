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
