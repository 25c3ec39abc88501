//! What `append` takes, and in which batches.

use super::*;

/// Runs `append` with these lines; gives the exit code and what was acknowledged.
fn append(home: &Home, args: &[&str], lines: &[String]) -> (Option<i32>, Vec<String>) {
    let mut append = home
        .command(&[&["append", THREAD], args].concat())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = append.stdin.take().unwrap();
    for line in lines {
        // Whoever refuses a line reads no more of it.
        if input.write_all(format!("{line}\n").as_bytes()).is_err() {
            break;
        }
    }
    drop(input);
    let out = append.wait_with_output().unwrap();
    let told = String::from_utf8(out.stdout).unwrap();
    (out.status.code(), told.lines().map(str::to_owned).collect())
}

/// Lines that are more together than a batch may be are several batches.
#[test]
fn a_batch_ends_where_it_is_full() {
    let home = Home::new();
    let mut lines = vec![head(THREAD, "legacy")];
    lines.extend((0..5).map(|_| "x".repeat(4 << 20)));
    let (code, told) = append(&home, &["--batch", "1000", "--create"], &lines);
    assert_eq!(code, Some(0));
    assert_eq!(told, [format!("ACK {THREAD} 4"), format!("ACK {THREAD} 6")]);
    let export = home.run(&["export", THREAD]).stdout;
    assert!(export == format!("{}\n", lines.join("\n")).as_bytes());
}

/// A line may never end: it has a bound, and leaves nothing of its batch behind.
#[test]
fn a_line_that_is_too_long_is_refused() {
    let home = Home::new();
    let longest = "x".repeat(16 << 20);
    let lines = [head(THREAD, "legacy"), longest.clone() + "x"];
    let (code, told) = append(&home, &["--batch", "9", "--create"], &lines);
    assert_eq!((code, told), (Some(2), vec![]));
    home.json(&["show", THREAD], 3);
    let lines = [head(THREAD, "legacy"), longest.clone() + "x", message("no")];
    let (code, told) = append(&home, &["--create"], &lines);
    assert_eq!((code, told), (Some(2), vec![format!("ACK {THREAD} 1")]));
    let (code, told) = append(&home, &[], &[longest]);
    assert_eq!((code, told), (Some(0), vec![format!("ACK {THREAD} 2")]));
}
