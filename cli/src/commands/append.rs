//! Owns `append`: lines from standard input, an acknowledgement per durable batch.

use std::io::{BufRead, Write};

use serde_json::Value;
use turnleaf::Store;

use crate::args::Global;
use crate::commands::open;
use crate::exit::{Failure, Outcome};

pub(crate) fn run(
    global: &Global,
    thread: &str,
    batch: u32,
    create: bool,
) -> Result<Outcome, Failure> {
    let store = open(global)?;
    let mut input = std::io::stdin().lock();
    let mut lines: Vec<Vec<u8>> = Vec::new();
    let mut first = create && !store.log_threads().iter().any(|known| known.id == thread);
    loop {
        let mut line = Vec::new();
        let read = input.read_until(b'\n', &mut line);
        let ended = read.map_err(Failure::io("read standard input"))? == 0;
        if !ended {
            if line.last() == Some(&b'\n') {
                line.pop();
            }
            if std::mem::take(&mut first) {
                check_head(thread, &line)?;
                store.create_thread(thread)?;
            }
            lines.push(line);
        }
        if !lines.is_empty() && (ended || lines.len() >= batch as usize) {
            acknowledge(&store, thread, &lines)?;
            lines.clear();
        }
        if ended {
            break;
        }
    }
    store.close()?;
    Ok(Outcome::Done)
}

fn acknowledge(store: &Store, thread: &str, lines: &[Vec<u8>]) -> Result<(), Failure> {
    let batch: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
    #[cfg(turnleaf_bugs)]
    if crate::bugs::AckTooEarly.planted() {
        return acknowledge_early(store, thread, &batch);
    }
    let appended = store.append(thread, None, &batch)?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "ACK {thread} {}", appended.end)
        .and_then(|()| out.flush())
        .map_err(Failure::io("write to standard output"))
}

#[cfg(turnleaf_bugs)]
fn acknowledge_early(store: &Store, thread: &str, batch: &[&[u8]]) -> Result<(), Failure> {
    let known = store
        .log_threads()
        .into_iter()
        .find(|known| known.id == thread);
    let end = known.map_or(0, |known| known.records) + batch.len() as u64;
    println!("ACK {thread} {end}");
    store.append(thread, None, batch)?;
    Ok(())
}

/// A thread is created from its own head only.
fn check_head(thread: &str, line: &[u8]) -> Result<(), Failure> {
    let head: Option<Value> = serde_json::from_slice(line).ok();
    let is_meta = head
        .as_ref()
        .is_some_and(|head| head["type"] == "session_meta");
    if !is_meta {
        let message = "--create needs a session_meta as the first line; nothing was created";
        return Err(Failure::usage(message));
    }
    let id = head
        .as_ref()
        .and_then(|head| head["payload"]["id"].as_str())
        .unwrap_or_default();
    if id == thread {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "the session_meta is of thread {id:?}, not {thread:?}; nothing was created"
    )))
}
