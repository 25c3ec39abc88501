//! What lists show, and of whom.

use super::*;

/// A head with these fields beside the usual ones.
fn head_with(thread: &str, cwd: &str, more: &str) -> String {
    format!(
        r#"{{"timestamp":"2026-01-01T00:00:00.000Z","type":"session_meta","payload":{{"id":"{thread}","timestamp":"2026-01-01T00:00:00.000Z","cwd":{},"originator":"t","cli_version":"0"{more}}}}}"#,
        serde_json::json!(cwd)
    )
}

fn id(number: u32) -> String {
    format!("019c0000-0000-7000-8000-0000000000{number:02x}")
}

fn import(home: &Home, number: u32, cwd: &str, more: &str) {
    let bytes = format!("{}\n{}\n", head_with(&id(number), cwd, more), message("hi"));
    home.import(&home.write(&format!("{number}.jsonl"), bytes.as_bytes()), 0);
}

/// The numbers of the threads that are listed.
fn listed(home: &Home, args: &[&str]) -> Vec<u32> {
    let args = [&["threads", "--sort", "created", "--order", "asc"], args].concat();
    let said = home.json(&args, 0);
    let threads = said["threads"].as_array().unwrap().iter();
    let number = |thread: &Value| {
        let id = thread["id"].as_str().unwrap();
        u32::from_str_radix(&id[id.len() - 2..], 16).unwrap()
    };
    threads.map(number).collect()
}

/// Nickname and role of a spawned thread are those of its source, as the runtime shows them, unless
/// the head has its own.
#[test]
fn a_spawned_thread_has_the_nickname_and_the_role_of_its_source() {
    let home = Home::new();
    let spawn = r#","source":{"subagent":{"thread_spawn":{"parent_thread_id":"p","depth":1,"agent_nickname":"Ada","agent_type":"worker"}}}"#;
    let lacks = r#","source":{"subagent":{"thread_spawn":{"parent_thread_id":"p","agent_nickname":null,"agent_role":7}}}"#;
    let own = format!(r#","agent_nickname":"Eve"{spawn}"#);
    for (number, source, expect) in [
        (1, spawn, ["p", "Ada", "worker"]),
        (2, own.as_str(), ["p", "Eve", "worker"]),
        (3, lacks, ["p", "", ""]),
    ] {
        import(&home, number, "/w", source);
        let thread = &home.json(&["show", &id(number)], 0)["thread"];
        let shown = ["parentThreadId", "agentNickname", "agentRole"];
        let shown = shown.map(|key| thread[key].as_str().unwrap_or(""));
        assert_eq!(shown, expect, "{number}");
    }
}

/// Files from before the field name their parent in the source alone.
#[test]
fn parents_and_kinds_are_those_of_the_source() {
    let home = Home::new();
    let parent = id(1);
    let spawn = |of: &str| {
        format!(
            r#","source":{{"subagent":{{"thread_spawn":{{"parent_thread_id":"{of}","depth":1}}}}}}"#
        )
    };
    let sources = [
        (1, r#","source":"cli""#.to_owned()),
        (2, spawn(&parent)),
        (3, spawn(&id(2))),
        (4, r#","source":"exec""#.to_owned()),
        (5, r#","source":{"custom":"atlas"}"#.to_owned()),
        (
            6,
            format!(
                r#","parent_thread_id":"{parent}","source":{{"subagent":{{"other":"guardian"}}}}"#
            ),
        ),
        (7, r#","source":{"subagent":"review"}"#.to_owned()),
        (8, r#","source":"mcp""#.to_owned()),
        (9, String::new()),
    ];
    for (number, source) in &sources {
        import(&home, *number, "/w", source);
    }
    for (args, expect) in [
        (vec!["--parent", parent.as_str()], vec![2, 6]),
        (vec!["--ancestor", parent.as_str()], vec![2, 3, 6]),
        (vec!["--source", "cli"], vec![1]),
        (vec!["--source", "exec,custom"], vec![4, 5]),
        (vec!["--source", "subAgent"], vec![2, 3, 6, 7]),
        (vec!["--source", "subAgentThreadSpawn"], vec![2, 3]),
        (
            vec!["--source", "subAgentOther", "--source", "subAgentReview"],
            vec![6, 7],
        ),
        (vec!["--source", "appServer"], vec![8]),
        (vec!["--source", "vscode"], vec![9]),
        (vec!["--no-subagents"], vec![1, 4, 5, 8, 9]),
    ] {
        assert_eq!(listed(&home, &args), expect, "{args:?}");
    }
    let shown = home.json(&["show", &id(2)], 0);
    assert_eq!(shown["thread"]["parentThreadId"], parent);
    let wrong = home.json(&["threads", "--source", "subgent"], 2);
    let said = wrong["error"]["message"].as_str().unwrap();
    assert!(said.contains("subAgentReview"), "{said}");
}

#[test]
fn a_directory_is_found_by_any_of_its_names() {
    let home = Home::new();
    let real = home.path("").canonicalize().unwrap().join("real");
    fs::create_dir_all(real.join("sub")).unwrap();
    let link = home.path("link");
    std::os::unix::fs::symlink("real", &link).unwrap();
    let real = real.to_str().unwrap().to_owned();
    for (number, cwd) in [
        (1, real.clone()),
        (2, link.to_str().unwrap().to_owned()),
        (3, format!("{real}/")),
        (4, format!("{real}/sub")),
        (5, r"C:\Users\ada".to_owned()),
        (6, r"c:\Users\ada\".to_owned()),
        (7, r"\\?\C:\Users\ada".to_owned()),
    ] {
        import(&home, number, &cwd, "");
    }
    let of = |cwd: &str| {
        let args = ["threads", "--order", "asc", "--json", "--cwd", cwd];
        let mut command = home.command(&args);
        let out = command.current_dir(&real).output().unwrap();
        let said: Value = serde_json::from_slice(&out.stdout).unwrap();
        said["threads"].as_array().unwrap().len()
    };
    for cwd in [
        &real,
        &format!("{real}/"),
        ".",
        "../link",
        "../real//",
        link.to_str().unwrap(),
    ] {
        assert_eq!(of(cwd), 3, "{cwd}");
    }
    for cwd in [
        r"C:\Users\ada",
        r"c:\Users\ada",
        r"\\?\c:\Users\ada\",
        "C:/Users/ada",
    ] {
        assert_eq!(of(cwd), 3, "{cwd}");
    }
    for (cwd, count) in [("sub", 1), ("./sub/..", 3), ("/nowhere", 0), ("..", 0)] {
        assert_eq!(of(cwd), count, "{cwd}");
    }
}

/// A cursor goes on where its list was: with another filter or in another order it is none.
#[test]
fn a_cursor_is_of_its_list() {
    let home = Home::new();
    for number in 1..=4 {
        import(&home, number, "/w", r#","source":"cli""#);
    }
    let first = home.json(&["threads", "--limit", "2"], 0);
    let next = first["nextCursor"].as_str().unwrap();
    let back = first["backwardsCursor"].as_str().unwrap();
    let rest = home.json(&["threads", "--limit", "1", "--cursor", next], 0);
    assert_eq!(rest["threads"].as_array().unwrap().len(), 1);
    let again = home.json(&["threads", "--order", "asc", "--cursor", back], 0);
    assert_eq!(again["threads"][0]["id"], first["threads"][0]["id"]);
    for other in [
        vec!["--order", "asc"],
        vec!["--sort", "created"],
        vec!["--archived"],
        vec!["--cwd", "/w"],
        vec!["--source", "cli"],
        vec!["--no-subagents"],
        vec!["--parent", THREAD],
        vec!["--search", "hi"],
    ] {
        let args = [&["threads", "--cursor", next][..], &other].concat();
        assert_eq!(home.json(&args, 2)["error"]["code"], "invalid", "{other:?}");
    }
}

/// Times are those of whoever looks, and say so; what is piped is not cut.
#[test]
fn times_say_their_zone_and_what_is_piped_is_whole() {
    let home = Home::new();
    let long = "word ".repeat(40);
    let bytes = format!("{}\n{}\n", head(THREAD, "legacy"), message(long.trim()));
    home.import(&home.write("a.jsonl", bytes.as_bytes()), 0);
    let said = |args: &[&str], zone: &str| {
        let out = home.command(args).env("TZ", zone).output().unwrap();
        assert!(out.status.success());
        String::from_utf8(out.stdout).unwrap()
    };
    for (zone, time) in [
        ("JST-9", "2026-01-01 09:00 +09:00"),
        ("EST5", "2025-12-31 19:00 -05:00"),
        ("UTC0", "2026-01-01 00:00 UTC"),
    ] {
        for args in [&["threads"][..], &["show", THREAD], &["items", THREAD]] {
            let table = said(args, zone);
            assert!(table.contains(time), "{args:?} in {zone}: {table}");
        }
    }
    for args in [&["threads", "--utc"][..], &["show", THREAD, "--utc"]] {
        assert!(said(args, "JST-9").contains("2026-01-01 00:00 UTC"));
    }
    for args in [
        &["threads"][..],
        &["turns", THREAD],
        &["items", THREAD],
        &["show", THREAD],
    ] {
        assert!(said(args, "UTC0").contains(long.trim()), "{args:?}");
    }
}

#[test]
fn a_thread_is_found_by_a_beginning_of_its_id() {
    let home = Home::new();
    import(&home, 0xb1, "/w", "");
    import(&home, 0xb2, "/w", "");
    let short = "other-thread";
    home.import(&home.write("o.jsonl", rollout(short).as_bytes()), 0);
    let several = home.json(&["turns", "019c"], 2);
    let said = several["error"]["message"].as_str().unwrap();
    assert!(
        said.contains(&id(0xb1)) && said.contains(&id(0xb2)),
        "{said}"
    );
    home.json(&["archive", "019c"], 2);
    // Ids that somebody chose have no short form: one may be the beginning of another.
    home.json(&["show", "other"], 3);
    home.import(
        &home.write("p.jsonl", rollout("other-thread-2").as_bytes()),
        0,
    );
    home.json(&["delete", short], 0);
    home.json(&["delete", short], 3);
    home.json(&["show", "other-thread-2"], 0);

    let alone = id(0xc1).replace("019c", "029c");
    home.import(&home.write("q.jsonl", rollout(&alone).as_bytes()), 0);
    assert_eq!(
        home.json(&["show", "029"], 0)["thread"]["id"],
        alone.as_str()
    );
    assert_eq!(home.run(&["export", "0"]).status.code(), Some(2));
    assert_eq!(
        home.run(&["export", "02"]).stdout,
        rollout(&alone).as_bytes()
    );
    home.json(&["name", "029c", "Tea"], 0);
    assert_eq!(home.json(&["show", &alone], 0)["thread"]["name"], "Tea");
    // A deletion is for good.
    let refused = home.json(&["delete", "029c"], 2);
    assert!(
        refused["error"]["message"]
            .as_str()
            .unwrap()
            .contains(&alone)
    );
    home.json(&["delete", &alone], 0);
    home.json(&["show", "nobody"], 3);
    home.json(&["show", ""], 2);
}

/// What is alike in many threads is told once.
#[test]
fn a_diagnosis_of_many_threads_is_short() {
    let home = Home::new();
    let dir = home.path("dir");
    fs::create_dir(&dir).unwrap();
    for number in 0..30 {
        let bytes = format!("{}{{torn\n", rollout(&id(number)));
        fs::write(dir.join(format!("{number}.jsonl")), bytes).unwrap();
    }
    home.import(&dir, 0);
    for number in 0..30 {
        fs::write(home.path(&format!("store/journal/stranger-{number}")), "x").unwrap();
    }
    let said = String::from_utf8(home.run(&["doctor"]).stdout).unwrap();
    let many = format!(
        "30 threads: rejected: not JSON (30 times, as at record 3 of thread {}",
        id(0)
    );
    assert!(said.contains(&many), "{said}");
    assert!(said.contains("and 10 more of these"), "{said}");
    assert!(said.lines().count() < 30, "{said}");
    let all = home.json(&["doctor"], 0);
    let count = |key: &str| all[key].as_array().unwrap().len();
    assert_eq!((count("threads"), count("foreign")), (30, 30));
}

/// An id is found in either case, and deleted by it.
#[test]
fn an_id_in_capitals_is_found() {
    let home = Home::new();
    import(&home, 0xbb, "/w", "");
    let given = id(0xbb).to_ascii_uppercase();
    for args in [
        &["show", given.as_str()][..],
        &["turns", &given[..20]],
        &["archive", &given],
    ] {
        home.json(args, 0);
    }
    assert_eq!(home.json(&["show", &given], 0)["thread"]["id"], id(0xbb));
    home.json(&["delete", &given], 0);
    home.json(&["show", &given], 3);
}

/// Records of unknown kinds are called the same wherever people are told of them.
#[test]
fn unknown_kinds_have_one_name() {
    let home = Home::new();
    let new = message("one").replace("event_msg", "of_tomorrow");
    let text = format!("{}{new}\nnonsense\n", rollout(THREAD));
    let path = home.write("a.jsonl", text.as_bytes());
    let name = "unknown kind";
    for args in [
        &["import", path.to_str().unwrap()][..],
        &["show", THREAD],
        &["doctor", THREAD],
        &["doctor"],
    ] {
        let said = String::from_utf8(home.run(args).stdout).unwrap();
        assert!(said.contains(name), "{args:?}: {said}");
    }
}

/// Who hears of unknown kinds hears which, how often and, of one thread, where.
#[test]
fn unknown_kinds_are_named_and_counted() {
    let home = Home::new();
    let event = |payload: &str| {
        format!(r#"{{"timestamp":"2026-01-01T00:00:00Z","type":"event_msg","payload":{payload}}}"#)
    };
    let item = |item: &str| {
        event(&format!(
            r#"{{"type":"item_completed","thread_id":"{THREAD}","turn_id":"t","item":{item}}}"#
        ))
    };
    let nap = item(r#"{"type":"Nap","id":"s"}"#);
    let lines = [
        nap.clone(),
        nap,
        item(r#"{"type":"Extension","kind":"far\u001bout","id":"e"}"#),
        event(r#"{"type":"of_tomorrow"}"#),
        message("one").replace("event_msg", "later"),
        r#"{"no":"envelope"}"#.to_owned(),
    ];
    let text = format!("{}{}\n", rollout(THREAD), lines.join("\n"));
    home.import(&home.write("a.jsonl", text.as_bytes()), 0);
    let said = |args: &[&str]| String::from_utf8(home.run(args).stdout).unwrap();
    let kinds = "6 records are of an unknown kind or form (kept): 2 item Nap, 1 event of_tomorrow, \
                 1 item Extension far\\u{1b}out, 1 type later\n";
    let all = said(&["doctor"]);
    assert!(all.contains(kinds), "{all}");
    let one = said(&["doctor", THREAD]);
    assert!(
        one.contains("record 3: rejected: unknown item (item Nap): "),
        "{one}"
    );
    let told = home.json(&["doctor"], 0)["threads"][0]["unknownKinds"].clone();
    assert_eq!(
        told[0],
        serde_json::json!({ "kind": "item Nap", "count": 2 })
    );
    assert_eq!(told.as_array().unwrap().len(), 4);
    let each = home.json(&["doctor", THREAD], 0)["anomalies"].clone();
    assert_eq!(
        (&each[3]["kind"], &each[5]["kind"]),
        (&"event of_tomorrow".into(), &Value::Null)
    );
    home.json(&["rebuild-index"], 0);
    assert!(
        said(&["doctor"]).contains(kinds),
        "by the index that was built again"
    );
}
