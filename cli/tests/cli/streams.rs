//! Standard streams that nobody reads, or that take no bytes.

use std::fs::File;
use std::io::pipe;
use std::process::Stdio;

use super::*;

/// A pipe whose reader is gone.
fn gone() -> Stdio {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    writer.into()
}

fn full() -> Stdio {
    let device = File::options().write(true).open("/dev/full");
    device.unwrap().into()
}

fn imported() -> Home {
    let home = Home::new();
    home.import(&home.write("a.jsonl", rollout(THREAD).as_bytes()), 0);
    home
}

#[test]
fn no_command_panics_over_a_stream() {
    let home = imported();
    let commands: &[&[&str]] = &[
        &["threads"],
        &["threads", "--json"],
        &["show", THREAD],
        &["turns", "nobody"],
        &["turns", "nobody", "--json"],
        &["nonsense", "--json"],
        &["nonsense"],
        &["completions", "bash"],
        &["completions", "fish"],
        &["man"],
        &["help"],
        &["--version"],
        &["doctor"],
        &["verify", "--json"],
        &["context", THREAD],
        &["export", THREAD],
        &["import", "missing"],
        &["import", "missing", "--dry-run"],
    ];
    let streams: [fn() -> Stdio; 2] = [gone, full];
    for args in commands {
        for (which, stream) in streams.iter().enumerate() {
            let run = |out: Stdio, err: Stdio| {
                let mut command = home.command(args);
                command.stdin(Stdio::null()).stdout(out).stderr(err);
                let child = command.spawn().unwrap();
                child.wait_with_output().unwrap()
            };
            let out = run(stream(), Stdio::piped());
            let said = String::from_utf8_lossy(&out.stderr).into_owned();
            assert_ne!(out.status.code(), Some(101), "{args:?} {which}: {said}");
            let out = run(Stdio::null(), stream());
            assert_ne!(out.status.code(), Some(101), "{args:?} {which}");
        }
    }
}

#[test]
fn what_is_not_written_is_not_done_unless_nobody_reads_it() {
    let home = imported();
    let code = |args: &[&str], out: Stdio| {
        let mut command = home.command(args);
        let status = command.stdout(out).stderr(Stdio::null()).status();
        status.unwrap().code()
    };
    for args in [["threads", "--json"], ["completions", "bash"]] {
        assert_eq!(code(&args, gone()), Some(0), "{args:?}");
        assert_eq!(code(&args, full()), Some(1), "{args:?}");
    }
    assert_eq!(code(&["--version"], full()), Some(1));
}

/// Whoever does not read the answer may still look at the exit code.
#[test]
fn a_closed_pipe_does_not_hide_what_a_command_came_to() {
    let home = imported();
    let code = |args: &[&str]| {
        let mut command = home.command(args);
        let status = command.stdout(gone()).stderr(Stdio::null()).status();
        status.unwrap().code()
    };
    assert_eq!(code(&["turns", "nobody", "--json"]), Some(3));
    let missing = home.path("missing.jsonl");
    assert_eq!(code(&["import", missing.to_str().unwrap()]), Some(6));
    assert_eq!(
        code(&["import", missing.to_str().unwrap(), "--json"]),
        Some(6)
    );
}

/// Lines behind an acknowledgement that nobody took are not appended: that is no success.
#[test]
fn an_append_whose_acknowledgements_nobody_reads_fails() {
    let home = imported();
    let mut append = home
        .command(&["append", THREAD])
        .stdin(Stdio::piped())
        .stdout(gone())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = append.stdin.take().unwrap();
    let lines = format!("{}\n{}\n", message("three"), message("four"));
    input.write_all(lines.as_bytes()).unwrap();
    drop(input);
    let out = append.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(1), "{said}");
    assert!(said.contains("standard output"), "{said}");
}
