//! Owns appends from a stream of bytes: the cutting into lines and batches. It must not know where
//! the bytes come from, nor how an acknowledgement is told.

use std::io::{self, BufRead, Read};

use serde_json::Value;

use turnleaf_engine::BATCH_BYTES_MAX;

use super::Appended;
use crate::error::Error;
use crate::lines::LINE_BYTES_MAX;
use crate::open::Store;
use crate::source::thread_id;

/// What to append, and where.
pub struct AppendStream<'a> {
    /// The thread.
    pub thread: &'a str,
    /// Lines; the last one may lack its line feed.
    pub input: &'a mut dyn BufRead,
    /// Lines that are acknowledged together, from 1; fewer where they are more than 16 MiB.
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
    /// A line is longer than 16 MiB. Nothing of its batch was appended.
    #[error("line {line} is longer than 16 MiB")]
    LineTooLong {
        /// Which one, from 1.
        line: u64,
    },
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
    /// batch that was not filled when reading failed are not appended. What was told stays,
    /// whatever happens later.
    ///
    /// Cost: that of [`Store::append`] for each batch; memory for one batch.
    ///
    /// ```no_run
    /// # fn example(store: &turnleaf::Store) -> Result<(), turnleaf::StreamError> {
    /// let mut input = std::io::stdin().lock();
    /// let stream = turnleaf::AppendStream {
    ///     thread: "my-thread",
    ///     input: &mut input,
    ///     batch_lines: 100,
    ///     create: false,
    /// };
    /// store.append_stream(stream, &mut |batch| {
    ///     println!("durable up to {}", batch.end);
    ///     Ok(())
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
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
        let mut batch = Batch::default();
        let mut number = 0;
        loop {
            number += 1;
            let line = next_line(stream.input, number)?;
            let Some(line) = line else {
                if creates && number == 1 {
                    return Err(StreamError::NoHead);
                }
                return self.send(thread, &mut creates, &mut batch, tell);
            };
            if creates && number == 1 {
                check_head(thread, &line)?;
            }
            if batch.bytes + line.len() > BATCH_BYTES_MAX {
                self.send(thread, &mut creates, &mut batch, tell)?;
            }
            batch.bytes += line.len();
            batch.lines.push(line);
            if batch.lines.len() >= stream.batch_lines {
                self.send(thread, &mut creates, &mut batch, tell)?;
            }
        }
    }

    /// Appends a batch and tells that it is durable. The thread is created for its first batch: a
    /// stream that breaks off before leaves none.
    fn send(
        &self,
        thread: &str,
        creates: &mut bool,
        batch: &mut Batch,
        tell: &mut dyn FnMut(&Appended) -> io::Result<()>,
    ) -> Result<(), StreamError> {
        if batch.lines.is_empty() {
            return Ok(());
        }
        if std::mem::take(creates) {
            let id = thread_id(thread)?;
            // Another caller may have created it meanwhile.
            self.source.owner()?.find_or_create(&id)?;
        }
        let lines: Vec<&[u8]> = batch.lines.iter().map(Vec::as_slice).collect();
        let appended = self.append(thread, None, &lines)?;
        *batch = Batch::default();
        tell(&appended).map_err(StreamError::Tell)
    }
}

/// Lines that are not appended yet.
#[derive(Default)]
struct Batch {
    lines: Vec<Vec<u8>>,
    bytes: usize,
}

/// The next line without its line feed; `None` at the end. Of one that is too long no more is read
/// than what says so: it may never end.
fn next_line(input: &mut dyn BufRead, number: u64) -> Result<Option<Vec<u8>>, StreamError> {
    let mut line = Vec::new();
    let most = LINE_BYTES_MAX as u64 + 1;
    let read = input.take(most).read_until(b'\n', &mut line);
    if read.map_err(StreamError::Read)? == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    if line.len() > LINE_BYTES_MAX {
        return Err(StreamError::LineTooLong { line: number });
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

#[cfg(test)]
mod tests;
