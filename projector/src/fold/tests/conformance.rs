//! The shared cases, compared as their README says.

use serde_json::{Map, Value};

use super::cases::{Case, cases};
use crate::fold::{Mode, ThreadState};

/// Cases that do not pass, as (case, view, reason); one that passes must leave the list.
const EXCEPTIONS: &[(&str, &str, &str)] = &[];

const POINTERS: [&str; 2] = ["first_user_item_id", "final_agent_item_id"];

/// Where `ours` differs from `expected`, if it does.
fn difference(at: &str, expected: &Value, ours: &Value, rules: Rules) -> Option<String> {
    let differs = || Some(format!("{at}: expected {expected}, ours {ours}"));
    match (expected, ours) {
        (Value::Object(expected), Value::Object(ours)) => objects(at, expected, ours, rules),
        (Value::Array(expected), Value::Array(ours)) if expected.len() == ours.len() => {
            let pairs = expected.iter().zip(ours).enumerate();
            pairs
                .into_iter()
                .find_map(|(n, (a, b))| difference(&format!("{at}[{n}]"), a, b, rules))
        }
        (Value::Number(a), Value::Number(b)) => {
            let same = match (a.as_i128(), b.as_i128()) {
                (Some(a), Some(b)) => a == b,
                _ => a.as_f64() == b.as_f64(),
            };
            if same { None } else { differs() }
        }
        (Value::String(a), Value::String(b))
            if rules.any_implicit_number && is_implicit(a) && is_implicit(b) =>
        {
            None
        }
        _ if expected == ours => None,
        _ => differs(),
    }
}

#[derive(Clone, Copy)]
struct Rules {
    /// Implicit turn ids may carry any number (allowed difference 6).
    any_implicit_number: bool,
}

fn is_implicit(id: &str) -> bool {
    id.strip_prefix("rollout-")
        .is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()))
}

fn objects(
    at: &str,
    expected: &Map<String, Value>,
    ours: &Map<String, Value>,
    rules: Rules,
) -> Option<String> {
    let keys = |map: &Map<String, Value>| map.keys().cloned().collect::<Vec<_>>();
    let (mut a, mut b) = (keys(expected), keys(ours));
    a.sort();
    b.sort();
    if a != b {
        return Some(format!("{at}: expected keys {a:?}, ours {b:?}"));
    }
    expected.iter().find_map(|(key, value)| {
        // Allowed differences 1 and 7: a start that is kept, and what null leaves open.
        let is_free = matches!(key.as_str(), "started_at" | "created_at_ms" | "id");
        if value.is_null() && is_free {
            return None;
        }
        difference(&format!("{at}.{key}"), value, &ours[key], rules)
    })
}

fn check(case: &Case, view: &str, expected: &Value, ours: &Value) -> Option<String> {
    let rules = Rules {
        any_implicit_number: case.name.contains("foreign-cwd"),
    };
    difference(view, expected, ours, rules)
}

/// Compares one view of every case for which `views` gives an expectation and our answer.
fn run(view: &str, views: impl Fn(&Case) -> Option<(Value, Value)>) {
    let Some(cases) = cases() else { return };
    let (mut passed, mut failures) = (0, Vec::new());
    for case in &cases {
        let Some((expected, ours)) = views(case) else {
            continue;
        };
        let listed = EXCEPTIONS
            .iter()
            .any(|(name, of, _)| *name == case.name && *of == view);
        match (check(case, view, &expected, &ours), listed) {
            (None, false) => passed += 1,
            (Some(_), true) => {}
            (None, true) => failures.push(format!("{}: passes, but is listed", case.name)),
            (Some(difference), false) => failures.push(format!("{}: {difference}", case.name)),
        }
    }
    eprintln!("{view}: {passed} cases pass");
    assert!(passed > 0, "no case has the view {view}");
    assert!(
        failures.is_empty(),
        "{} of {view} fail:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

#[test]
fn legacy_replay_of_every_case() {
    run("turns", |case| {
        let expected = case.expected("turns")?;
        let (mut rows, _) = case.fold(ThreadState::forced(Mode::Legacy), |_| true);
        Some((expected, case.turns(&mut rows)))
    });
}

#[test]
fn legacy_threads_in_their_own_mode() {
    run("turns", |case| {
        let (mut rows, state) = case.fold(ThreadState::default(), |_| true);
        let expected = case
            .expected("turns")
            .filter(|_| state.mode() == Mode::Legacy)?;
        Some((expected, case.turns(&mut rows)))
    });
}

#[test]
fn legacy_replay_of_what_the_policy_keeps() {
    run("turns.filtered", |case| {
        let (_, state) = case.fold(ThreadState::default(), |_| true);
        if state.mode() != Mode::Legacy {
            return None;
        }
        // The file is there only where it differs from the whole replay.
        let expected = case
            .expected("turns.filtered")
            .or_else(|| case.expected("turns"))?;
        let (mut rows, _) = case.fold(ThreadState::default(), |decoded| decoded.kept);
        Some((expected, case.turns(&mut rows)))
    });
}

#[test]
fn paginated_rows() {
    run("paginated", |case| {
        let mut expected = case.expected("paginated")?;
        let (mut rows, state) = case.fold(ThreadState::default(), |_| true);
        assert_eq!(state.mode(), Mode::Paginated, "{}", case.name);
        let mut ours = case.paginated(&mut rows);
        free_changed_pointers(&mut expected, &mut ours);
        Some((expected, ours))
    });
}

/// A pointer to an item that is no message any more says nothing; its summary does.
fn free_changed_pointers(expected: &mut Value, ours: &mut Value) {
    let items = expected["items"].clone();
    let kind_of = |turn: &Value, id: &Value| {
        let items = items.as_array()?;
        let item = items
            .iter()
            .find(|i| &i["turn_id"] == turn && &i["item_id"] == id)?;
        item["item"]["type"].as_str()
    };
    let turns = expected["turns"].as_array_mut().expect("turns");
    for (turn, our) in turns
        .iter_mut()
        .zip(ours["turns"].as_array_mut().expect("turns"))
    {
        let kinds = POINTERS.map(|pointer| kind_of(&turn["turn_id"], &turn[pointer]));
        for ((pointer, kind), of) in POINTERS
            .iter()
            .zip(kinds)
            .zip(["userMessage", "agentMessage"])
        {
            if kind.is_some_and(|kind| kind != of) {
                turn[*pointer] = Value::Null;
                our[*pointer] = Value::Null;
            }
        }
    }
}

#[test]
fn model_context() {
    run("context", |case| {
        let expected = case.expected("context")?;
        let (_, state) = case.fold(ThreadState::default(), |_| true);
        Some((expected, case.context(&state)))
    });
}

#[test]
fn refused_files_fold_without_a_word() {
    let Some(cases) = cases() else { return };
    for case in &cases {
        let (mut rows, state) = case.fold(ThreadState::default(), |_| true);
        let _ = (
            case.turns(&mut rows),
            case.paginated(&mut rows),
            case.context(&state),
        );
    }
}
