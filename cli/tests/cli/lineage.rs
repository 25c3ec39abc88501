//! `fork`, `revert`, `rollback`, `show` and `export --rollout` as scripts use them.

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
