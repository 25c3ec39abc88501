//! The command as scripts use it: shapes, exit codes, bad input.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "cli/appends.rs"]
mod appends;
#[path = "cli/damage.rs"]
mod damage;
#[path = "cli/dry_runs.rs"]
mod dry_runs;
#[path = "cli/exports.rs"]
mod exports;
#[path = "cli/imports.rs"]
mod imports;
#[path = "cli/lifecycle.rs"]
mod lifecycle;
#[path = "cli/lineage.rs"]
mod lineage;
#[path = "cli/lists.rs"]
mod lists;
#[path = "cli/names.rs"]
mod names;
#[path = "cli/sources.rs"]
mod sources;
#[path = "cli/stores.rs"]
mod stores;
#[path = "cli/streams.rs"]
mod streams;
#[path = "cli/tour.rs"]
mod tour;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

const THREAD: &str = "019c0000-0000-7000-8000-0000000000bb";

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Home {
        Home(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_turnleaf"));
        command.args(args).env("TURNLEAF_STORE", self.path("store"));
        // Nothing of whoever runs the tests is imported.
        command.env("HOME", self.path("")).env_remove("CODEX_HOME");
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    fn json(&self, args: &[&str], exit: i32) -> Value {
        let mut with_json = args.to_vec();
        with_json.push("--json");
        let out = self.run(&with_json);
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(exit), "{args:?}: {said}");
        serde_json::from_slice(&out.stdout).unwrap_or_else(|_| panic!("{args:?}: no JSON"))
    }

    fn import(&self, path: &Path, exit: i32) -> Value {
        self.json(&["import", path.to_str().unwrap()], exit)
    }
}

fn head(thread: &str, mode: &str) -> String {
    format!(
        r#"{{"timestamp":"2026-01-01T00:00:00.000Z","type":"session_meta","payload":{{"id":"{thread}","timestamp":"2026-01-01T00:00:00.000Z","cwd":"/w","originator":"t","cli_version":"0","source":"cli","model_provider":null,"history_mode":"{mode}"}}}}"#
    )
}

fn message(text: &str) -> String {
    format!(
        r#"{{"timestamp":"2026-01-01T00:00:01.000Z","type":"event_msg","payload":{{"type":"user_message","message":"{text}","local_images":[],"text_elements":[]}}}}"#
    )
}

fn rollout(thread: &str) -> String {
    format!(
        "{}\n{}\n{}\n",
        head(thread, "legacy"),
        message("one"),
        message("two")
    )
}

#[test]
fn what_goes_in_comes_out_and_is_paged() {
    let home = Home::new();
    let path = home.write("a.jsonl", rollout(THREAD).as_bytes());
    let said = home.import(&path, 0);
    assert_eq!(
        (&said["threads"], &said["added_records"]),
        (&1.into(), &3.into())
    );
    assert_eq!(home.import(&path, 0)["added_records"], 0);
    let turns = home.json(&["turns", THREAD, "--limit", "1"], 0);
    assert_eq!(turns["turns"][0]["items"][0]["content"][0]["text"], "two");
    let cursor = turns["nextCursor"].as_str().unwrap().to_owned();
    let next = home.json(&["turns", THREAD, "--limit", "1", "--cursor", &cursor], 0);
    assert_eq!(next["turns"][0]["items"][0]["content"][0]["text"], "one");
    let items = home.json(&["items", THREAD], 0);
    assert_eq!(items["items"].as_array().unwrap().len(), 2);
    assert_eq!(items["items"][0]["itemId"], "item-1");
    let shown = home.json(&["show", THREAD], 0);
    assert_eq!((&shown["records"], &shown["turns"]), (&3.into(), &2.into()));
    assert_eq!(home.json(&["threads"], 0)["threads"][0]["id"], THREAD);
    assert_eq!(
        home.run(&["export", THREAD]).stdout,
        rollout(THREAD).as_bytes()
    );
    assert_eq!(
        home.run(&["context", THREAD]).stdout,
        rollout(THREAD).as_bytes()
    );
    assert_eq!(home.json(&["verify"], 0)["ok"], true);
    assert_eq!(home.json(&["rebuild-index"], 0)["threads"], 1);
    assert_eq!(home.json(&["stats"], 0)["records"], 3);
}

#[test]
fn the_world_state_is_shown_at_any_record() {
    let home = Home::new();
    let state = |full: bool, state: &str| {
        format!(
            r#"{{"timestamp":"2026-01-01T00:00:02Z","type":"world_state","payload":{{"full":{full},"state":{state}}}}}"#
        )
    };
    let lines = [
        head(THREAD, "paginated"),
        state(true, r#"{"cwd":"/w","open":["a"]}"#),
        state(false, r#"{"open":null,"branch":"main"}"#),
    ];
    let path = home.write("a.jsonl", format!("{}\n", lines.join("\n")).as_bytes());
    home.import(&path, 0);
    let at =
        |ordinal: &str, exit| home.json(&["show", THREAD, "--world-state", "--at", ordinal], exit);
    let newest = home.json(&["show", THREAD, "--world-state"], 0);
    let expect = serde_json::json!({
        "worldState": {"cwd": "/w", "branch": "main"}, "changedAt": 2,
    });
    assert_eq!((&newest, &at("2", 0)), (&expect, &expect));
    assert_eq!(at("1", 0)["worldState"]["open"][0], "a");
    assert_eq!(at("0", 0)["worldState"], Value::Null);
    assert_eq!(at("3", 2)["error"]["code"], "invalid");
    assert_eq!(
        home.run(&["show", THREAD, "--at", "1"]).status.code(),
        Some(2)
    );
}

#[test]
fn errors_have_their_codes() {
    let home = Home::new();
    assert_eq!(home.json(&["threads"], 3)["error"]["code"], "not_found");
    assert!(!home.path("store").exists(), "reading creates nothing");
    assert_eq!(home.json(&["import"], 2)["error"]["code"], "invalid");
    let path = home.write("a.jsonl", rollout(THREAD).as_bytes());
    home.import(&path, 0);
    assert_eq!(
        home.json(&["turns", "nobody"], 3)["error"]["thread"],
        "nobody"
    );
    assert_eq!(
        home.json(&["turns", "../../etc"], 2)["error"]["code"],
        "invalid"
    );
    assert_eq!(
        home.json(&["turns", THREAD, "--cursor", "nonsense"], 2)["error"]["code"],
        "invalid"
    );
    assert_eq!(
        home.json(&["turns", THREAD, "--limit", "0"], 2)["error"]["code"],
        "invalid"
    );
    assert_eq!(
        home.json(&["items", THREAD, "--turn", "none"], 3)["error"]["code"],
        "not_found"
    );
    let cursor = home.json(&["turns", THREAD, "--limit", "1"], 0)["nextCursor"].clone();
    let foreign = home.json(&["items", THREAD, "--cursor", cursor.as_str().unwrap()], 2);
    assert_eq!(foreign["error"]["code"], "invalid");
}

#[test]
fn bad_inputs_are_named_and_the_rest_goes_on() {
    let home = Home::new();
    let good = home.write("good.jsonl", rollout(THREAD).as_bytes());
    let fifo = home.path("pipe.jsonl");
    assert!(
        Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .unwrap()
            .success()
    );
    let packed = home.path("cut.jsonl.zst");
    let long = format!(
        "{}{}",
        rollout("019c0000-0000-7000-8000-0000000000cc"),
        "x".repeat(9000)
    );
    let whole = zstd::encode_all(long.as_bytes(), 3).unwrap();
    fs::write(&packed, &whole[..whole.len() - 5]).unwrap();
    let inputs = [
        good,
        fifo,
        packed,
        home.path("missing.jsonl"),
        home.write("empty.jsonl", b""),
        home.write("blank.jsonl", b"\n \n"),
        home.write("text.txt", b"dear diary\nnothing here\n"),
        home.write("mode.jsonl", head("other", "quantum").as_bytes()),
        home.write(
            "twin.jsonl",
            rollout(THREAD).replace("two", "TWO").as_bytes(),
        ),
        home.write("id.jsonl", head("../up", "legacy").as_bytes()),
    ];
    let mut args = vec!["import"];
    args.extend(inputs.iter().map(|path| path.to_str().unwrap()));
    let said = home.json(&args, 6);
    let skipped = said["skipped"].as_array().unwrap();
    let reason = |name: &str| {
        let found = skipped
            .iter()
            .find(|row| row["path"].as_str().unwrap().ends_with(name));
        found.unwrap_or_else(|| panic!("{name} is not named: {skipped:?}"))["reason"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    for (name, part) in [
        ("pipe.jsonl", "not a regular file"),
        ("cut.jsonl.zst", "cannot be read: incomplete"),
        ("missing.jsonl", "no such file"),
        ("text.txt", "not a rollout"),
        ("mode.jsonl", "unknown history mode \"quantum\""),
        ("id.jsonl", "not a thread id"),
    ] {
        assert!(reason(name).contains(part), "{name}: {}", reason(name));
    }
    assert_eq!(skipped.len(), 6);
    let remarks = said["remarks"].as_array().unwrap();
    assert_eq!(remarks.len(), 3, "what holds nothing leaves nothing out");
    let twin = remarks
        .iter()
        .find(|row| row["path"].as_str().unwrap().ends_with("twin.jsonl"));
    let told = twin.unwrap()["reason"].as_str().unwrap();
    assert!(
        told.contains("other history"),
        "both files are kept: {told}"
    );
    assert_eq!(
        home.run(&["export", THREAD]).stdout,
        rollout(THREAD).as_bytes()
    );
}

#[test]
fn malformed_lines_are_kept_to_the_byte() {
    let home = Home::new();
    let mut bytes = b"\xef\xbb\xbf".to_vec();
    bytes.extend_from_slice(head(THREAD, "legacy").as_bytes());
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(message("crlf").as_bytes());
    bytes.extend_from_slice(b"\r\n\n \t\n{\"torn\n\xff\xfe\n\0\0\0\0\n{\"a\":\"\xe2\x80\xa8\"}\n");
    bytes.extend(std::iter::repeat_n(b'z', 20_000_000));
    bytes.push(b'\n');
    bytes.extend_from_slice(message("last").as_bytes());
    let path = home.write("malformed.jsonl", &bytes);
    let said = home.import(&path, 0);
    assert_eq!(said["bytes"], bytes.len());
    assert!(said["anomalies"].as_u64().unwrap() >= 5, "{said}");
    assert!(
        home.run(&["export", THREAD]).stdout == bytes,
        "the export differs"
    );
    assert_eq!(
        home.json(&["turns", THREAD], 0)["turns"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    assert_eq!(home.json(&["verify"], 0)["ok"], true);
}

#[test]
fn lines_of_exactly_a_piece_come_back() {
    for extra in [0, 1] {
        for pieces in [1, 2] {
            for end in ["", "\n"] {
                let home = Home::new();
                let mut bytes = format!("{}\n", head(THREAD, "legacy")).into_bytes();
                bytes.extend(std::iter::repeat_n(b'q', pieces * (16 << 20) + extra));
                bytes.extend_from_slice(end.as_bytes());
                home.import(&home.write("long.jsonl", &bytes), 0);
                let out = home.run(&["export", THREAD]).stdout;
                assert!(out == bytes, "{pieces} pieces and {extra}, {end:?}");
                assert_eq!(home.json(&["verify"], 0)["records"], 2);
            }
        }
    }
}

#[test]
fn a_folder_is_searched_and_names_are_taken() {
    let home = Home::new();
    let dir = home.path("sessions/2026/01/01");
    fs::create_dir_all(&dir).unwrap();
    let name = format!("rollout-2026-01-01T00-00-00-{THREAD}.jsonl");
    let packed = zstd::encode_all(rollout(THREAD).as_bytes(), 3).unwrap();
    fs::write(dir.join(format!("{name}.zst")), &packed).unwrap();
    fs::write(dir.join("notes.txt"), "not a rollout").unwrap();
    let index = format!("{{\"id\":\"{THREAD}\",\"thread_name\":\"Tea\",\"updated_at\":\"x\"}}\n");
    fs::write(home.path("sessions/session_index.jsonl"), index).unwrap();
    let said = home.import(&home.path("sessions"), 0);
    assert_eq!(
        (&said["files"], &said["added_records"]),
        (&1.into(), &3.into())
    );
    assert_eq!(home.json(&["show", THREAD], 0)["thread"]["name"], "Tea");
    assert_eq!(
        home.run(&["export", THREAD]).stdout,
        rollout(THREAD).as_bytes()
    );
    // The plain file that grew out of the packed one wins, and adds its suffix only.
    let grown = format!("{}{}\n", rollout(THREAD), message("three"));
    fs::write(dir.join(name), &grown).unwrap();
    assert_eq!(home.import(&home.path("sessions"), 0)["added_records"], 1);
    assert_eq!(home.run(&["export", THREAD]).stdout, grown.as_bytes());
}

#[test]
fn appends_are_acknowledged_and_a_second_owner_is_refused_at_once() {
    let home = Home::new();
    let mut append = home
        .command(&["append", THREAD, "--create"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = append.stdin.take().unwrap();
    let mut output = BufReader::new(append.stdout.take().unwrap());
    let mut acknowledged = |line: &str, expected: &str| {
        writeln!(input, "{line}").unwrap();
        let mut answer = String::new();
        output.read_line(&mut answer).unwrap();
        assert_eq!(answer.trim_end(), expected);
    };
    acknowledged(&head(THREAD, "legacy"), &format!("ACK {THREAD} 1"));
    acknowledged(&message("one"), &format!("ACK {THREAD} 2"));
    let refused = home.json(&["turns", THREAD], 5);
    assert_eq!(refused["error"]["code"], "busy");
    let message_text = refused["error"]["message"].as_str().unwrap();
    assert!(
        message_text.contains(&append.id().to_string()),
        "{message_text}"
    );
    let exported = home.run(&["export", THREAD]);
    assert_eq!(
        exported.stdout,
        format!("{}\n{}\n", head(THREAD, "legacy"), message("one")).as_bytes()
    );
    drop(input);
    assert!(append.wait().unwrap().success());
    assert_eq!(
        home.json(&["turns", THREAD], 0)["turns"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let wrong = home
        .command(&["append", "other", "--create"])
        .stdin(Stdio::piped())
        .spawn();
    let mut wrong = wrong.unwrap();
    writeln!(wrong.stdin.take().unwrap(), "{}", head(THREAD, "legacy")).unwrap();
    assert_eq!(wrong.wait().unwrap().code(), Some(2));
}

#[test]
fn a_damaged_block_costs_its_records_only() {
    let home = Home::new();
    let mut whole = format!("{}\n", head(THREAD, "legacy"));
    // More than a mebibyte: it goes into a segment at once, and the journal never has it.
    for number in 0..12_000_u32 {
        let noise = number.wrapping_mul(2_654_435_761);
        whole.push_str(&message(&format!(
            "{number} {noise:x} {}",
            noise.wrapping_mul(31)
        )));
        whole.push('\n');
    }
    home.import(&home.write("a.jsonl", whole.as_bytes()), 0);
    let segments = home.path("store/segments");
    let segment = fs::read_dir(segments)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let mut bytes = fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    fs::write(&segment, &bytes).unwrap();
    let report = home.json(&["verify"], 4);
    assert_eq!(report["ok"], false);
    let damage = &report["damage"][0];
    assert_eq!(damage["thread"], THREAD);
    assert!(
        damage["file"].as_str().unwrap().starts_with("segments/"),
        "{damage}"
    );
    let first = damage["ordinals"][0].as_u64().unwrap();
    let last = damage["ordinals"][1].as_u64().unwrap();
    let offset = damage["offset"].as_u64().unwrap();
    assert!(
        offset <= middle as u64 && middle as u64 <= offset + damage["length"].as_u64().unwrap()
    );
    let out = home.run(&["export", THREAD]);
    assert_eq!(out.status.code(), Some(4));
    let lines: Vec<&str> = whole.lines().collect();
    let rest = |range: &[&str]| {
        range
            .iter()
            .map(|line| format!("{line}\n"))
            .collect::<String>()
    };
    let at = |ordinal: u64| usize::try_from(ordinal).unwrap();
    let expected = rest(&lines[..at(first)]) + &rest(&lines[at(last) + 1..]);
    assert!(
        out.stdout == expected.as_bytes(),
        "the rest of the thread is readable"
    );
    // So is what is written for the runtime: of a legacy thread without a compaction, all of it.
    let home_of_agent = home.path("agent");
    let into = home_of_agent.to_str().unwrap();
    for args in [
        ["export", THREAD, "--as-rollout", into],
        ["rescue", THREAD, "--into", into],
    ] {
        let written = home.json(&args, 4);
        let text = fs::read_to_string(written["path"].as_str().unwrap()).unwrap();
        let (_, body) = text.split_once('\n').unwrap();
        assert!(body == expected.split_once('\n').unwrap().1, "{args:?}");
    }
    let page = home.run(&["turns", THREAD, "--limit", "5"]);
    assert!(
        page.status.success(),
        "a page that does not touch the damage is whole"
    );
    let names = |repairs: &Value| -> Vec<String> {
        let all = repairs.as_array().unwrap().iter();
        all.map(|repair| repair["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let both = ["accept-loss", "rebuild-segment"];
    let dry = home.json(&["repair", THREAD, "--dry-run"], 4);
    assert_eq!(names(&dry["due"]), both);
    assert!(fs::read(&segment).unwrap() == bytes, "nothing was done");
    let done = home.json(&["repair", THREAD], 0);
    assert_eq!(names(&done["repaired"]), both);
    assert_eq!(done["repaired"][0]["threads"], serde_json::json!([THREAD]));
    let copy = done["repaired"][1]["copy"].as_str().unwrap();
    assert!(fs::read(home.path("store").join(copy)).unwrap() == bytes);
    assert!(!segment.exists());
    let _ = home.json(&["verify"], 0);
    let out = home.run(&["export", THREAD]);
    assert_eq!(out.status.code(), Some(0));
    assert!(out.stdout == expected.as_bytes(), "nothing more is lost");
    let said = String::from_utf8(out.stderr).unwrap();
    assert!(said.contains(&format!("records {first} to {last} are missing")));
    let shown = home.json(&["show", THREAD], 0);
    assert_eq!(shown["givenUp"], serde_json::json!([[first, last]]));
    let doctor = home.json(&["doctor"], 0);
    assert_eq!(doctor["ok"], true);
    assert_eq!(
        doctor["givenUp"][0]["ordinals"],
        serde_json::json!([first, last])
    );
    assert_eq!(names(&home.json(&["repair"], 0)["repaired"]), [""; 0]);
}

#[test]
fn the_doctor_names_what_is_odd_and_repair_mends_it() {
    let home = Home::new();
    home.import(&home.write("a.jsonl", rollout(THREAD).as_bytes()), 0);
    let doctor = || {
        let mut said = home.json(&["doctor"], 0);
        said.as_object_mut().unwrap().remove("sizes");
        said
    };
    let _ = home.json(&["turns", THREAD], 0);
    let healthy = doctor();
    assert_eq!(healthy["ok"], true);
    assert_eq!(healthy["threads"], serde_json::json!([]));
    assert_eq!(healthy["repairs"].as_array().unwrap().len(), 0);
    // A bad header copy and a segment that nothing mentions.
    let journal = fs::read_dir(home.path("store/journal")).unwrap();
    let file = journal.flatten().next().unwrap().path();
    let whole = fs::read(&file).unwrap();
    let mut bytes = whole.clone();
    bytes[100] ^= 1;
    fs::write(&file, &bytes).unwrap();
    let orphan = home.path("store/segments/00000000000000ff.tls");
    fs::write(&orphan, b"stray").unwrap();
    let said = home.json(&["doctor"], 0);
    assert_eq!(said["remarks"].as_array().unwrap().len(), 2);
    let dry = home.json(&["repair", "--dry-run"], 0);
    assert_eq!(dry["due"].as_array().unwrap().len(), 2);
    assert!(fs::read(&file).unwrap() == bytes && orphan.exists());
    let report = home.json(&["repair"], 0);
    let names: Vec<_> = report["repaired"].as_array().unwrap().iter().collect();
    assert_eq!(names.len(), 2, "{report}");
    for done in names {
        let copy = done["copy"].as_str().unwrap();
        assert!(home.path("store").join(copy).exists(), "{done}");
    }
    assert!(fs::read(&file).unwrap() == whole && !orphan.exists());
    assert_eq!(doctor(), healthy);
}

#[test]
fn a_backup_made_of_hard_links_is_never_written() {
    let home = Home::new();
    home.import(&home.write("a.jsonl", rollout(THREAD).as_bytes()), 0);
    let journal = fs::read_dir(home.path("store/journal")).unwrap();
    let file = journal.flatten().next().unwrap().path();
    let backup = home.path("backup");
    fs::hard_link(&file, &backup).unwrap();
    let before = fs::read(&backup).unwrap();
    let _ = home.json(&["turns", THREAD], 0);
    let refused = home.json(&["name", THREAD, "x"], 1);
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(message.contains("hard link"), "{message}");
    assert!(fs::read(&backup).unwrap() == before);
    fs::remove_file(&backup).unwrap();
    let _ = home.json(&["name", THREAD, "x"], 0);
}

#[test]
fn the_doctor_explains_anomalies() {
    let home = Home::new();
    let text = format!("{}nonsense\n", rollout(THREAD));
    home.import(&home.write("a.jsonl", text.as_bytes()), 0);
    let said = home.json(&["doctor"], 0);
    let anomaly = &said["threads"][0]["anomalies"][0];
    assert_eq!(said["threads"][0]["lag"], 0);
    assert_eq!(
        (&anomaly["count"], &anomaly["first"]),
        (&1.into(), &3.into())
    );
    assert!(anomaly["meaning"].as_str().unwrap().contains("kept"));
    let each = home.json(&["doctor", THREAD], 0);
    assert_eq!(each["anomalies"].as_array().unwrap().len(), 1);
    assert_eq!(each["anomalies"][0]["ordinal"], 3);
    assert_eq!(each["anomalies"][0]["meaning"], anomaly["meaning"]);
    assert_eq!(each["anomalies"][0]["class"], "malformed");
    let said = String::from_utf8(home.run(&["doctor"]).stdout).unwrap();
    assert!(
        said.contains("not JSON (1 times, first at record 3)"),
        "{said}"
    );
}

#[test]
fn an_anomaly_is_called_what_it_is() {
    let home = Home::new();
    let stranger = message("x").replace("user_message", "of_tomorrow");
    let text = format!("{}nonsense\n{{\"torn\n{stranger}\n", rollout(THREAD));
    let said = home.import(&home.write("a.jsonl", text.as_bytes()), 0);
    let classes = ["anomalies", "unknown", "malformed", "outOfOrder"].map(|class| &said[class]);
    assert_eq!(classes, [3, 1, 2, 0]);
    let said = |args: &[&str]| String::from_utf8(home.run(args).stdout).unwrap();
    let each = said(&["doctor", THREAD]);
    let sum = "1 of an unknown kind, 2 malformed, 0 out of order";
    assert_eq!(each.lines().last(), Some(sum), "{each}");
    let shown = said(&["show", THREAD]);
    let labelled = |label: &str| shown.lines().any(|line| line.trim().starts_with(label));
    assert!(labelled("unknown kind") && labelled("malformed"), "{shown}");
    assert!(!labelled("out of order"), "{shown}");
}

#[test]
fn a_store_with_a_damaged_journal_is_read_and_not_written() {
    let home = Home::new();
    home.import(&home.write("a.jsonl", rollout(THREAD).as_bytes()), 0);
    // Two files of one generation: neither is chosen.
    let journal = fs::read_dir(home.path("store/journal")).unwrap();
    let mut files: Vec<_> = journal.flatten().map(|entry| entry.path()).collect();
    files.sort();
    let mut bytes = fs::read(&files[0]).unwrap();
    let twin = home.path("store/journal/0000aaaa.tlj");
    fs::write(&twin, &bytes).unwrap();
    let report = home.json(&["doctor"], 4);
    assert_eq!(
        (&report["ok"], &report["closed"]),
        (&false.into(), &true.into())
    );
    let out = home.run(&["import", home.path("a.jsonl").to_str().unwrap()]);
    assert_eq!(out.status.code(), Some(4), "a closed store takes no import");
    fs::remove_file(&twin).unwrap();
    assert_eq!(home.json(&["doctor"], 0)["closed"], false);
    // The first frame of the oldest file is the catalogue's.
    bytes[8192 + 96 + 30] ^= 1;
    fs::write(&files[0], &bytes).unwrap();
    let report = home.json(&["doctor"], 4);
    assert_eq!(report["closed"], true);
}

#[test]
fn what_closes_the_store_is_told_of_each_thread() {
    let home = Home::new();
    home.import(&home.write("a.jsonl", rollout(THREAD).as_bytes()), 0);
    fs::remove_dir_all(home.path("store/journal")).unwrap();
    assert_eq!(home.json(&["doctor"], 4)["closed"], true);
    let report = home.json(&["repair", THREAD], 4);
    assert_eq!(report["damage"].as_array().unwrap().len(), 1, "{report}");
}
