//! Owns commands that only response items hold: the call and its output, as legacy threads keep
//! them, on the way to a served commandExecution. It must not know rows or ordinals.
//!
//! What a tool answers is a text, in one of a few forms that say how the command ended. A text of
//! no such form is all output.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::payload::json::paths::below;
use crate::payload::json::wire::split_fields;
use crate::render::commands;
use crate::render::line::envelope;

/// Ends what is told before the output of a command.
const OUTPUT_MARK: &str = "Output:\n";

/// A call that runs a command.
struct Call {
    /// One line, as a shell would take it.
    line: String,
    /// The directory that it asks for.
    directory: Option<String>,
    /// The record itself says that it is completed.
    is_completed: bool,
}

/// How a command ended.
#[derive(Debug, Default, PartialEq)]
struct Ending {
    output: String,
    exit_code: Option<i64>,
    duration_ms: Option<i64>,
    /// Whether it goes on in the background.
    is_running: bool,
}

/// Where a command ran, and whether anybody may still be at work on it.
#[derive(Debug, Clone, Copy)]
pub struct CallPlace<'a> {
    /// Its directory, unless the call asks for another one.
    pub directory: &'a str,
    /// Whether its turn goes on.
    pub is_live: bool,
}

/// The served item from the line of the call and, once it is there, that of its output. A command
/// that nothing says the end of has failed when its turn is over: the form has no other word for
/// it. `None` when the call does not decode.
#[must_use]
pub fn render_call(
    item_id: &str,
    call: &[u8],
    output: Option<&[u8]>,
    place: CallPlace<'_>,
) -> Option<Value> {
    let call = call_of(payload(call)?)?;
    let ending = output.and_then(|line| ending_of(payload(line)?));
    let status = match &ending {
        None if call.is_completed => "completed",
        None if place.is_live => "inProgress",
        None => "failed",
        Some(ending) if ending.is_running && place.is_live => "inProgress",
        Some(ending) if ending.is_running => "failed",
        Some(ending) if ending.exit_code.is_some_and(|code| code != 0) => "failed",
        Some(_) => "completed",
    };
    let ending = ending.unwrap_or_default();
    let output = Some(ending.output).filter(|output| !output.is_empty());
    let cwd = place.directory;
    let cwd = call
        .directory
        .map_or_else(|| cwd.to_owned(), |directory| below(cwd, &directory));
    Some(json!({
        "type": "commandExecution",
        "id": item_id,
        "command": call.line,
        "cwd": cwd,
        "processId": null,
        "source": "agent",
        "status": status,
        "commandActions": commands::unknown_action(&call.line),
        "aggregatedOutput": output,
        "exitCode": ending.exit_code,
        "durationMs": ending.duration_ms,
    }))
}

fn payload(line: &[u8]) -> Option<&RawValue> {
    let (kind, payload) = envelope(line)?;
    (kind == "response_item").then_some(payload)
}

fn value(raw: &RawValue) -> Option<Value> {
    serde_json::from_str(raw.get()).ok()
}

fn call_of(payload: &RawValue) -> Option<Call> {
    let [kind, arguments, action, status] =
        split_fields(payload, ["type", "arguments", "action", "status"])?;
    let is_completed = status
        .and_then(value)
        .is_some_and(|status| status == "completed");
    if value(kind?)? == "local_shell_call" {
        let action = value(action?)?;
        return Some(Call {
            line: line_of(&action["command"])?,
            directory: action["working_directory"].as_str().map(str::to_owned),
            is_completed,
        });
    }
    let arguments = value(arguments?)?;
    let text = arguments.as_str()?;
    let named: Value = serde_json::from_str(text).unwrap_or_default();
    let line = ["command", "cmd"]
        .iter()
        .find_map(|key| line_of(&named[key]));
    Some(Call {
        // What a tool was asked in another form is told as it is.
        line: line.unwrap_or_else(|| text.to_owned()),
        directory: named["workdir"].as_str().map(str::to_owned),
        is_completed,
    })
}

/// A command that is a line, or the words of one.
fn line_of(command: &Value) -> Option<String> {
    match command {
        Value::String(line) => Some(line.clone()),
        Value::Array(words) => {
            let words: Option<Vec<&str>> = words.iter().map(Value::as_str).collect();
            Some(commands::joined(words?))
        }
        _ => None,
    }
}

fn ending_of(payload: &RawValue) -> Option<Ending> {
    let [output] = split_fields(payload, ["output"])?;
    Some(match value(output?)? {
        Value::String(text) => told(&text),
        Value::Array(parts) => {
            let texts = parts.iter().filter_map(|part| part["text"].as_str());
            told(&texts.collect::<String>())
        }
        _ => return None,
    })
}

fn told(text: &str) -> Ending {
    structured(text)
        .or_else(|| headed(text))
        .unwrap_or_else(|| Ending {
            output: text.to_owned(),
            ..Ending::default()
        })
}

/// `{"output":..,"metadata":{"exit_code":..,"duration_seconds":..}}`.
fn structured(text: &str) -> Option<Ending> {
    let told: Value = serde_json::from_str(text).ok()?;
    let metadata = told["metadata"].as_object()?;
    let seconds = metadata.get("duration_seconds").and_then(Value::as_f64);
    Some(Ending {
        output: told["output"].as_str()?.to_owned(),
        exit_code: metadata.get("exit_code").and_then(Value::as_i64),
        duration_ms: seconds.and_then(millis),
        is_running: false,
    })
}

/// Lines that tell of the command, then its output.
fn headed(text: &str) -> Option<Ending> {
    let head_end = if text.starts_with(OUTPUT_MARK) {
        0
    } else {
        text.find(&format!("\n{OUTPUT_MARK}"))? + 1
    };
    let mut ending = Ending {
        output: text[head_end + OUTPUT_MARK.len()..].to_owned(),
        ..Ending::default()
    };
    for line in text[..head_end].lines() {
        let after = |label: &str| line.strip_prefix(label).map(str::trim);
        let code = after("Exit code:").or_else(|| after("Process exited with code"));
        if let Some(code) = code {
            ending.exit_code = Some(code.parse().ok()?);
        } else if let Some(time) = after("Wall time:") {
            let seconds: f64 = time.trim_end_matches("seconds").trim().parse().ok()?;
            ending.duration_ms = millis(seconds);
        } else if line.starts_with("Process running with session ID") {
            ending.is_running = true;
        } else if !["Chunk ID:", "Original token count:", "Total output lines:"]
            .iter()
            .any(|label| line.starts_with(label))
        {
            // Not told by the tool: the command itself wrote such a line.
            return None;
        }
    }
    (head_end > 0).then_some(ending)
}

/// Whole milliseconds of a time that a tool told; `None` when that is none.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
fn millis(seconds: f64) -> Option<i64> {
    let ms = (seconds * 1000.0).round();
    (0.0..9e15).contains(&ms).then_some(ms as i64)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{CallPlace, render_call};

    fn line(payload: Value) -> Vec<u8> {
        let line = json!({
            "timestamp": "2026-07-09T10:00:00Z", "type": "response_item", "payload": payload,
        });
        line.to_string().into_bytes()
    }

    fn call(name: &str, arguments: Value) -> Vec<u8> {
        let arguments = arguments.to_string();
        let mut call = json!({ "type": "function_call", "name": name, "call_id": "c" });
        call["arguments"] = json!(arguments);
        line(call)
    }

    fn output(output: Value) -> Vec<u8> {
        line(json!({ "type": "function_call_output", "call_id": "c", "output": output }))
    }

    fn rendered(call: &[u8], output: Option<&[u8]>) -> Value {
        placed(call, output, true)
    }

    fn placed(call: &[u8], output: Option<&[u8]>, is_live: bool) -> Value {
        let directory = "/home/w";
        let place = CallPlace { directory, is_live };
        render_call("c", call, output, place).expect("a call")
    }

    #[test]
    fn every_form_of_a_call_is_a_command_in_its_directory() {
        let check = |call: &[u8], command: &str, cwd: &str| {
            let item = rendered(call, None);
            assert_eq!(item["command"], command);
            assert_eq!(item["cwd"], cwd);
            assert_eq!(item["commandActions"][0]["command"], command);
            assert_eq!(item["status"], "inProgress");
        };
        let words = json!({ "command": ["bash", "-lc", "ls | wc"], "workdir": "/x" });
        check(&call("shell", words), "bash -lc 'ls | wc'", "/x");
        check(
            &call("exec_command", json!({ "cmd": "ls -a" })),
            "ls -a",
            "/home/w",
        );
        let inner = json!({ "command": "ls", "workdir": "a/../b" });
        check(&call("shell_command", inner), "ls", "/home/w/b");
        let action = json!({ "type": "exec", "command": ["ls"], "working_directory": "/y" });
        let local = json!({ "type": "local_shell_call", "call_id": "c", "action": action });
        check(&line(local), "ls", "/y");
        let mut odd = json!({ "type": "function_call", "name": "shell", "call_id": "c" });
        odd["arguments"] = json!("ls");
        check(&line(odd), "ls", "/home/w");
        let message = line(json!({ "type": "message", "role": "user", "content": [] }));
        let place = CallPlace {
            directory: "/",
            is_live: true,
        };
        assert_eq!(render_call("c", &message, None, place), None);
    }

    /// Of a command without an end its own record may say that it is completed; else it has failed
    /// with its turn.
    #[test]
    fn a_command_without_an_end_ends_with_its_turn() {
        let local = |status: &str| {
            let action = json!({ "type": "exec", "command": ["ls"] });
            line(json!({
                "type": "local_shell_call", "call_id": "c", "action": action, "status": status,
            }))
        };
        let running = output(json!("Process running with session ID 7\nOutput:\nx"));
        let done = output(json!("Exit code: 0\nOutput:\nx"));
        let broken = output(json!("Exit code: 1\nOutput:\nx"));
        for (status, told, live, over) in [
            ("completed", None, "completed", "completed"),
            ("in_progress", None, "inProgress", "failed"),
            ("incomplete", None, "inProgress", "failed"),
            ("in_progress", Some(&running), "inProgress", "failed"),
            ("in_progress", Some(&done), "completed", "completed"),
            ("completed", Some(&broken), "failed", "failed"),
        ] {
            let told = told.map(Vec::as_slice);
            for (is_live, expect) in [(true, live), (false, over)] {
                let item = placed(&local(status), told, is_live);
                assert_eq!(item["status"], expect, "{status}, live: {is_live}");
            }
        }
    }

    #[test]
    fn every_form_of_an_output_says_how_the_command_ended() {
        let ls = call("shell", json!({ "command": ["ls"] }));
        let check = |told: Value, status: &str, text: Value, code: Value, ms: Value| {
            let item = rendered(&ls, Some(&output(told)));
            let found = ["status", "aggregatedOutput", "exitCode", "durationMs"];
            assert_eq!(
                found.map(|key| item[key].clone()),
                [json!(status), text, code, ms]
            );
        };
        let old =
            json!({ "output": "a\n", "metadata": { "exit_code": 2, "duration_seconds": 0.25 } });
        check(
            json!(old.to_string()),
            "failed",
            json!("a\n"),
            json!(2),
            json!(250),
        );
        let headed = "Chunk ID: a5\nWall time: 0.0150 seconds\nProcess exited with code 0\n\
                      Original token count: 4\nOutput:\n1\n2\n";
        check(
            json!(headed),
            "completed",
            json!("1\n2\n"),
            json!(0),
            json!(15),
        );
        let short = "Exit code: 127\nWall time: 1 seconds\nOutput:\n";
        check(json!(short), "failed", Value::Null, json!(127), json!(1000));
        let running = "Wall time: 1.0 seconds\nProcess running with session ID 7\nOutput:\nx";
        check(
            json!(running),
            "inProgress",
            json!("x"),
            Value::Null,
            json!(1000),
        );
        // Another text is output, also one that has such lines.
        for text in [
            "done",
            "my file\nOutput:\nx",
            "Exit code: no\nOutput:\n",
            "{\"output\":\"x\"}",
        ] {
            check(
                json!(text),
                "completed",
                json!(text),
                Value::Null,
                Value::Null,
            );
        }
        let parts = json!([
            { "type": "input_text", "text": "a" },
            { "type": "input_image", "image_url": "u" },
            { "type": "input_text", "text": "b" },
        ]);
        check(parts, "completed", json!("ab"), Value::Null, Value::Null);
    }
}
