//! `fork`, `revert`, `rollback`, `show` and `export --rollout` as scripts use them.

use std::collections::BTreeSet;

use super::*;

fn texts(home: &Home, thread: &str) -> Vec<String> {
    let page = home.json(&["turns", thread, "--order", "asc"], 0);
    let turns = page["turns"].as_array().unwrap().iter();
    turns
        .map(|turn| {
            turn["items"][0]["content"][0]["text"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect()
}

fn first_turn(home: &Home, thread: &str) -> String {
    let page = home.json(&["turns", thread, "--order", "asc"], 0);
    page["turns"][0]["id"].as_str().unwrap().to_owned()
}

fn exported(home: &Home, args: &[&str]) -> String {
    let out = home.run(&[&["export"], args].concat());
    assert!(out.status.success());
    String::from_utf8(out.stdout).unwrap()
}

#[test]
fn a_thread_is_forked_and_taken_back() {
    let home = Home::new();
    let file = home.write("a.jsonl", rollout(THREAD).as_bytes());
    home.import(&file, 0);
    let turn = first_turn(&home, THREAD);
    let fork = home.json(&["fork", THREAD, "--through-turn", &turn], 0);
    let id = fork["id"].as_str().unwrap().to_owned();
    assert_eq!(fork["forkedFromId"], THREAD);
    assert_eq!(texts(&home, &id), ["one"]);
    assert_eq!(
        home.json(&["show", THREAD], 0)["forks"],
        serde_json::json!([id])
    );
    assert_eq!(exported(&home, &[&id]), "");
    assert_eq!(exported(&home, &[&id, "--from", "0"]).lines().count(), 2);

    let back = home.json(&["rollback", THREAD, "--turns", "1"], 0);
    assert_eq!(back["id"], THREAD);
    assert_eq!(texts(&home, THREAD), ["one"]);
    let shown = home.json(&["show", THREAD], 0);
    let rollouts = shown["rollouts"].as_array().unwrap();
    assert_eq!(rollouts.len(), 2);
    assert_eq!(rollouts[1]["base"]["records"], 2);
    assert_eq!(
        (&rollouts[0]["isCurrent"], &rollouts[1]["isCurrent"]),
        (&false.into(), &true.into())
    );
    assert_eq!(
        exported(&home, &[THREAD, "--rollout", THREAD]),
        rollout(THREAD)
    );
    assert_eq!(
        exported(&home, &[THREAD, "--rollout", "1"]),
        rollout(THREAD)
    );
    let error = home.json(&["export", THREAD, "--rollout", "77"], 3);
    assert_eq!(error["error"]["code"], "not_found");

    let turn = first_turn(&home, THREAD);
    home.json(&["revert", THREAD, "--before-turn", &turn], 0);
    assert_eq!(texts(&home, THREAD), [""; 0]);
    let error = home.json(&["revert", THREAD, "--before-turn", "nowhere"], 3);
    assert_eq!(error["error"]["code"], "not_found");
    home.json(&["rollback", THREAD, "--turns", "0"], 2);
    home.json(&["fork", THREAD, "--id", &id], 2);
    home.json(&["fork", THREAD, "--at", "9"], 2);

    let error = home.json(&["delete", THREAD], 2);
    let told = error["error"]["message"].as_str().unwrap();
    assert!(told.contains(&id), "{told}");
    assert_eq!(home.json(&["verify"], 0)["ok"], true);
    home.json(&["delete", &id], 0);
    home.json(&["delete", THREAD], 0);
}

/// The tree of a thread, from every place in it, and the list of its forks.
#[test]
fn forks_of_forks_are_shown_as_a_tree() {
    let home = Home::new();
    let file = home.write("a.jsonl", rollout(THREAD).as_bytes());
    home.import(&file, 0);
    let line = home.write("line.jsonl", (message("said in one") + "\n").as_bytes());
    for (of, id) in [(THREAD, "one"), (THREAD, "two"), ("one", "three")] {
        home.json(&["fork", of, "--id", id], 0);
        if id == "one" {
            let mut append = home.command(&["append", id]);
            append.stdin(fs::File::open(&line).unwrap());
            assert!(append.output().unwrap().status.success());
        }
    }
    home.json(&["rollback", "one", "--turns", "2"], 0);
    let shown = home.json(&["show", "one"], 0);
    let base = serde_json::json!([{ "thread": THREAD, "records": 2 }]);
    assert_eq!(shown["bases"], base);
    let below = serde_json::json!([{ "thread": "three", "depth": 1 }]);
    assert_eq!(shown["forksBelow"], below);
    let root = home.json(&["show", THREAD], 0);
    assert_eq!(root["forksBelow"].as_array().unwrap().len(), 3);
    let third = serde_json::json!({ "thread": "three", "depth": 2 });
    assert_eq!(root["forksBelow"][1], third);
    let out = home.run(&["show", "three"]);
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(text.contains("    three (this one)"), "{text}");

    let forks = |of: &str| {
        let listed = home.json(&["threads", "--forks-of", of, "--sort", "created"], 0);
        let threads = listed["threads"].as_array().unwrap().iter();
        let ids = threads.map(|thread| thread["id"].as_str().unwrap().to_owned());
        ids.collect::<BTreeSet<_>>()
    };
    assert_eq!(forks(THREAD), ["one", "two"].map(str::to_owned).into());
    assert_eq!(forks("one"), ["three".to_owned()].into());
    let none = home.json(&["threads", "--forks-of", "two"], 0);
    assert_eq!(none["threads"], serde_json::json!([]));
}

/// What the model needs of a fork begins with what it inherits.
#[test]
fn the_context_of_a_fork_begins_with_inherited_records() {
    let home = Home::new();
    let file = home.write("a.jsonl", rollout(THREAD).as_bytes());
    home.import(&file, 0);
    let fork = home.json(&["fork", THREAD, "--at", "2"], 0);
    let id = fork["id"].as_str().unwrap();
    assert_eq!(
        (&fork["forkedFromId"], &fork["inherited"]),
        (&THREAD.into(), &2.into())
    );
    let own = home.path("own.jsonl");
    std::fs::write(&own, message("in the fork") + "\n").unwrap();
    let appended = home
        .command(&["append", id])
        .stdin(std::fs::File::open(&own).unwrap())
        .output()
        .unwrap();
    assert!(appended.status.success());
    let out = home.run(&["context", id]);
    let text = String::from_utf8(out.stdout).unwrap();
    let whole = rollout(THREAD);
    let expected: Vec<&str> = whole.lines().take(2).collect();
    assert_eq!(
        text,
        format!("{}\n{}\n", expected.join("\n"), message("in the fork"))
    );
}

/// Files for the runtime: below its folders, never in place of another, never within a store.
#[test]
fn a_thread_is_written_for_the_runtime() {
    let home = Home::new();
    let id = "019c0000-0000-7000-8000-00000000000a";
    let file = home.write("a.jsonl", rollout(id).as_bytes());
    home.import(&file, 0);
    let dir = home.path("agent/home");
    let dir = dir.to_str().unwrap();
    let said = home.json(&["export", id, "--as-rollout", dir], 0);
    let path = said["path"].as_str().unwrap();
    assert!(
        path.starts_with(&format!("{dir}/sessions/20")) && path.ends_with(&format!("-{id}.jsonl"))
    );
    assert_eq!(std::fs::read_to_string(path).unwrap(), rollout(id));
    assert_eq!((&said["id"], &said["lines"]), (&id.into(), &3.into()));
    std::fs::write(path, "mine").unwrap();
    let error = home.json(&["export", id, "--as-rollout", dir], 2);
    assert!(
        error["error"]["message"]
            .as_str()
            .unwrap()
            .contains("there already")
    );
    assert_eq!(std::fs::read_to_string(path).unwrap(), "mine");

    let rescued = home.json(&["rescue", id, "--into", dir], 0);
    let new = rescued["id"].as_str().unwrap();
    assert_eq!(
        (&rescued["rescued"], &rescued["from"]),
        (&id.into(), &0.into())
    );
    let text = std::fs::read_to_string(rescued["path"].as_str().unwrap()).unwrap();
    let head: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&head["payload"]["id"], &head["payload"]["forked_from_id"]),
        (&new.into(), &id.into())
    );
    assert_eq!(text.lines().count(), 3);
    let names = walk(&home.path("agent"));
    assert!(
        names.iter().all(|name| !name.ends_with(".tmp")),
        "{names:?}"
    );

    let within = home.path("store/segments");
    let within = within.to_str().unwrap();
    home.json(&["export", id, "--as-rollout", within], 2);
    home.json(&["rescue", id, "--into", within], 2);
    assert!(!home.path("store/segments/sessions").exists());
    let around = home.path("nothere/../store/around");
    let around = around.to_str().unwrap();
    home.json(&["export", id, "--as-rollout", around], 2);
    home.json(&["rescue", id, "--into", around], 2);
    std::os::unix::fs::symlink(home.path("store/linked"), home.path("link")).unwrap();
    let link = home.path("link");
    home.json(&["rescue", id, "--into", link.to_str().unwrap()], 1);
    for made in ["store/around", "store/linked", "nothere"] {
        assert!(!home.path(made).exists(), "{made}");
    }
    home.json(&["export", THREAD, "--as-rollout", dir], 3);
}

fn walk(dir: &std::path::Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        names.push(path.display().to_string());
        if path.is_dir() {
            names.extend(walk(&path));
        }
    }
    names
}

/// What a fork would resume with is given without one, and leaves nothing.
#[test]
fn a_context_ends_where_a_fork_would() {
    let home = Home::new();
    let file = home.write("a.jsonl", rollout(THREAD).as_bytes());
    home.import(&file, 0);
    let turn = first_turn(&home, THREAD);
    let context = |args: &[&str]| {
        let out = home.run(&[&["context", THREAD], args].concat());
        assert!(out.status.success());
        String::from_utf8(out.stdout).unwrap()
    };
    let whole = rollout(THREAD);
    let lines: Vec<&str> = whole.split_inclusive('\n').collect();
    assert_eq!(context(&[]), whole);
    assert_eq!(context(&["--through-turn", &turn]), lines[..2].concat());
    assert_eq!(context(&["--before-turn", &turn]), lines[0]);
    assert_eq!(context(&["--at", "2", "--ordinals"]), "0\n1\n");
    assert_eq!(context(&["--at", "0"]), "");
    home.json(&["context", THREAD, "--at", "4"], 2);
    home.json(&["context", THREAD, "--before-turn", "nowhere"], 3);
    home.json(&["context", THREAD, "--before-turn", &turn, "--at", "1"], 2);
    assert_eq!(
        home.json(&["show", THREAD], 0)["forks"],
        serde_json::json!([])
    );
    assert_eq!(home.json(&["stats"], 0)["threads"], 1);
}

/// A tree is told up to a bound, and how much of it is not.
#[test]
fn a_tree_of_many_forks_says_how_many_are_left_out() {
    let home = Home::new();
    let file = home.write("a.jsonl", rollout(THREAD).as_bytes());
    home.import(&file, 0);
    let store = turnleaf::Store::open(&home.path("store")).unwrap();
    for number in 0..103 {
        let of = if number == 102 { "fork-101" } else { THREAD };
        let point = turnleaf::ForkPoint::Latest;
        store.fork(of, &format!("fork-{number}"), &point).unwrap();
    }
    store.close().unwrap();
    let shown = home.json(&["show", THREAD], 0);
    assert_eq!(shown["forksBelow"].as_array().unwrap().len(), 100);
    assert_eq!(shown["moreForksBelow"], 3);
    let out = home.run(&["show", THREAD]);
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(text.contains(" and 3 more "), "{text}");
    assert_eq!(home.json(&["show", "fork-101"], 0)["moreForksBelow"], 0);
}
