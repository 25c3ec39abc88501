//! The tour does what it says, and leaves nothing behind that it was not asked to keep.

use std::fs;

use serde_json::Value;

use super::Home;

const STEPS: [&str; 6] = ["make", "import", "page", "resume", "verify", "export"];

fn tour(home: &Home, args: &[&str], exit: i32) -> Value {
    let temporary = home.path("temporary");
    fs::create_dir_all(&temporary).unwrap();
    let mut command = home.command(&["tour", "--json"]);
    let out = command
        .args(args)
        .env("TMPDIR", &temporary)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(exit), "{said}");
    assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0, "it cleans up");
    assert!(!home.path("store").exists(), "no other store is touched");
    serde_json::from_slice(&out.stdout).unwrap()
}

fn step<'a>(told: &'a Value, name: &str) -> &'a Value {
    let mut steps = told["steps"].as_array().unwrap().iter();
    steps.find(|step| step["step"] == name).unwrap()
}

#[test]
fn a_tour_shows_each_step_and_removes_what_it_made() {
    let told = tour(&Home::new(), &["--size", "700KiB"], 0);
    assert_eq!((&told["ok"], &told["store"]), (&true.into(), &Value::Null));
    let steps = told["steps"].as_array().unwrap().iter();
    let names: Vec<_> = steps.map(|step| step["step"].as_str().unwrap()).collect();
    assert_eq!(names, STEPS);
    let made = step(&told, "make");
    assert!(made["bytes"].as_u64().unwrap() >= 700 << 10);
    assert_eq!(made["compactions"], 1);
    assert_eq!(step(&told, "import")["records"], made["records"]);
    assert_eq!(step(&told, "page")["turns"], 5);
    assert_eq!(step(&told, "export")["bytes"], made["bytes"]);
    assert_eq!(step(&told, "export")["identical"], true);
    let resumed = step(&told, "resume")["records"].as_u64().unwrap();
    assert!((1..made["records"].as_u64().unwrap()).contains(&resumed));
    if cfg!(target_os = "linux") {
        let written = step(&told, "make")["writtenBytes"].as_u64().unwrap();
        assert!(written >= made["bytes"].as_u64().unwrap());
        assert!(step(&told, "export")["readBytes"].as_u64().unwrap() > 0);
    }
}

#[test]
fn a_tour_that_is_kept_can_be_read_on() {
    let home = Home::new();
    let dir = home.path("kept");
    let named = dir.to_str().unwrap();
    let told = tour(&home, &["--size", "100000", "--keep", named], 0);
    let (store, thread) = (&told["store"], &told["thread"]);
    let (store, thread) = (store.as_str().unwrap(), thread.as_str().unwrap());
    let exported = home.run(&["--store", store, "export", thread]).stdout;
    assert_eq!(exported, fs::read(dir.join("thread.jsonl")).unwrap());
    let shown = home.json(&["--store", store, "show", thread], 0);
    assert_eq!(shown["anomalies"], serde_json::json!([]));
    assert_eq!(shown["turns"], step(&told, "make")["turns"]);
    // Nothing is written over, and nothing that was there is removed.
    let refused = tour(&home, &["--keep", named], 2);
    assert_eq!(refused["error"]["code"], "invalid");
    assert!(dir.join("thread.jsonl").exists());
}

#[test]
fn a_tour_tells_people_one_line_a_step() {
    let home = Home::new();
    let out = home.run(&["tour", "--size", "50KiB"]);
    let text = String::from_utf8(out.stdout).unwrap();
    let steps: Vec<_> = text.lines().filter(|line| !line.starts_with(' ')).collect();
    assert_eq!(steps.len(), STEPS.len() + 1, "{text}");
    for (at, line) in steps[..STEPS.len()].iter().enumerate() {
        assert!(line.starts_with(&format!("{}. ", at + 1)), "{line}");
        assert!(line.contains(" ms"), "{line}");
    }
    assert!(text.contains("identical to what was imported"), "{text}");
    assert!(steps[STEPS.len()].contains("--keep"), "{text}");
}

#[test]
fn a_size_has_a_unit_that_is_known() {
    let home = Home::new();
    for size in ["1TiB", "MiB", "-1", "99999999999GiB"] {
        let out = home.run(&["tour", &format!("--size={size}")]);
        assert_eq!(out.status.code(), Some(2), "{size}");
    }
}
