//! Owns appends from a stream of bytes: the cutting into lines and batches. It must not know where
//! the bytes come from, nor how an acknowledgement is told.

use std::io::{self, BufRead};

use serde_json::Value;

use super::Appended;
use crate::error::Error;
use crate::open::Store;

/// What to append, and where.
pub struct AppendStream<'a> {
    /// The thread.
    pub thread: &'a str,
    /// Lines; the last one may lack its line feed.
    pub input: &'a mut dyn BufRead,
    /// Lines that are acknowledged together, from 1.
    pub batch_lines: usize,
    /// Whether a thread that does not exist is created, from its own head only.
    pub create: bool,
}

impl std::fmt::Debug for AppendStream<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AppendStream")
            .field("thread", &self.thread)
            .finish_non_exhaustive()
    }
}

/// Why a stream was not appended to its end. What was acknowledged before stays.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// A thread was to be created, and the first line is no `session_meta`, or there is none.
    /// Nothing was created.
    #[error("the first line is no session_meta")]
    NoHead,
    /// A thread was to be created, and the first line is the head of this other one. Nothing was
    /// created.
    #[error("the session_meta is of thread {0:?}")]
    OtherHead(String),
    /// The stream could not be read.
    #[error("cannot read the lines: {0}")]
    Read(#[source] io::Error),
    /// The acknowledgement of a batch, which is durable, could not be told.
    #[error("cannot tell an acknowledgement: {0}")]
    Tell(#[source] io::Error),
    /// The store refused a batch.
    #[error(transparent)]
    Store(#[from] Error),
}

impl Store {
    /// Appends the lines of a stream in batches and tells each batch when it is durable. Lines of a
    /// batch that was not filled when reading failed are not appended.
    ///
    /// # Errors
    /// [`StreamError`].
    pub fn append_stream(
        &self,
        stream: AppendStream<'_>,
        tell: &mut dyn FnMut(&Appended) -> io::Result<()>,
    ) -> Result<(), StreamError> {
        let thread = stream.thread;
        // Looked for before anything is read: whoever types the lines learns it at once.
        let mut creates = match self.source.find(thread) {
            Err(Error::NoThread(_)) if stream.create => true,
            found => found.map(|_| false)?,
        };
        let mut lines: Vec<Vec<u8>> = Vec::new();
        loop {
            let line = next_line(stream.input).map_err(StreamError::Read)?;
            let ended = line.is_none();
            if ended && creates {
                return Err(StreamError::NoHead);
            }
            if let Some(line) = line {
                if std::mem::take(&mut creates) {
                    check_head(thread, &line)?;
                    self.create_thread(thread)?;
                }
                lines.push(line);
            }
            if !lines.is_empty() && (ended || lines.len() >= stream.batch_lines) {
                let batch: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
                #[cfg(turnleaf_bugs)]
                if crate::bugs::AckTooEarly.planted() {
                    tell(&self.foreseen(thread, &batch)).map_err(StreamError::Tell)?;
                    self.append(thread, None, &batch)?;
                    lines.clear();
                    continue;
                }
                let appended = self.append(thread, None, &batch)?;
                tell(&appended).map_err(StreamError::Tell)?;
                lines.clear();
            }
            if ended {
                return Ok(());
            }
        }
    }
}

#[cfg(turnleaf_bugs)]
impl Store {
    /// What an append will say if it succeeds.
    fn foreseen(&self, thread: &str, batch: &[&[u8]]) -> Appended {
        let known = self
            .log_threads()
            .into_iter()
            .find(|known| known.id == thread);
        let first = known.map_or(0, |known| known.records);
        Appended {
            first,
            end: first + batch.len() as u64,
            duplicate: false,
        }
    }
}

/// The next line without its line feed; `None` at the end.
fn next_line(input: &mut dyn BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    if input.read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    Ok(Some(line))
}

/// A thread is created from its own head only.
fn check_head(thread: &str, line: &[u8]) -> Result<(), StreamError> {
    let head: Option<Value> = serde_json::from_slice(line).ok();
    let head = head.filter(|head| head["type"] == "session_meta");
    let head = head.ok_or(StreamError::NoHead)?;
    let id = head["payload"]["id"].as_str().unwrap_or_default();
    if id == thread {
        return Ok(());
    }
    Err(StreamError::OtherHead(id.to_owned()))
}
