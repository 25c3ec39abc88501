//! Owns `append`: lines from standard input, an acknowledgement per durable batch.

use std::io::Write;

use turnleaf::{AppendStream, Appended, StreamError};

use crate::args::Global;
use crate::commands::{closing, open, open_existing, thread_id};
use crate::exit::Outcome;
use crate::failure::Failure;

pub(crate) fn run(
    global: &Global,
    thread: &str,
    batch: u32,
    create: bool,
) -> Result<Outcome, Failure> {
    let store = if create {
        open(global)?
    } else {
        open_existing(global)?
    };
    let given = thread;
    let thread = if create {
        given.to_owned()
    } else {
        thread_id(&store, given)?
    };
    let thread = thread.as_str();
    let stream = AppendStream {
        thread,
        input: &mut std::io::stdin().lock(),
        batch_lines: batch as usize,
        create,
    };
    let mut tell = |appended: &Appended| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "ACK {thread} {}", appended.end).and_then(|()| out.flush())
    };
    closing(store, |store| {
        let appended = store.append_stream(stream, &mut tell);
        appended.map_err(|error| failure(thread, error))
    })?;
    Ok(Outcome::Done)
}

fn failure(thread: &str, error: StreamError) -> Failure {
    match error {
        StreamError::NoHead => {
            let message = "--create needs a session_meta as the first line; nothing was created";
            Failure::usage(message)
        }
        StreamError::OtherHead(id) => Failure::Usage(format!(
            "the session_meta is of thread {id:?}, not {thread:?}; nothing was created"
        )),
        StreamError::LineTooLong { line } => Failure::Usage(format!(
            "line {line} is longer than 16 MiB, which is all that an append takes: import it from \
             a file; nothing behind the newest ACK was appended"
        )),
        StreamError::Read(error) => Failure::io("read standard input")(error),
        // Also where its reader is gone: what follows is not appended.
        StreamError::Tell(source) => Failure::Io {
            what: "write to standard output".to_owned(),
            source,
        },
        StreamError::Store(error) => error.into(),
    }
}
