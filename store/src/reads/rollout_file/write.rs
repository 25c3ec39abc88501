//! Owns how the lines of such a file are written: in order, in pieces, with what changes in them.

use std::io::Write;
use std::ops::{ControlFlow, Range};

use turnleaf_engine::format::Ordinal;
use turnleaf_engine::format::record::{Entry, Flags, Kind};
use turnleaf_engine::{Damage, ReadError};
use turnleaf_projector::payload::places;

use super::RolloutFile;
use crate::error::Error;
use crate::reads::show::ranges;

/// So much of a line is held to find what changes in it.
const HELD_BYTES: usize = 1 << 20;

/// A file that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolloutWritten {
    /// Its lines, the head counted.
    pub lines: u64,
    /// Its bytes.
    pub bytes: u64,
    /// What is damaged of the history, and so is not in it.
    pub damage: Vec<Damage>,
    /// Ordinals of it that a repair gave up.
    pub given_up: Vec<Range<Ordinal>>,
}

impl RolloutFile<'_> {
    /// Writes it. What cannot be read is left out and said: all of a line of which a part is lost.
    ///
    /// Cost: reads the records in order, those of a line over a mebibyte twice; of a line at most a
    /// mebibyte and a chunk is held.
    ///
    /// # Errors
    /// Failures of the system, of `out` too; [`crate::ErrorKind::Damaged`] where records cannot be
    /// read that could a moment before. What was written then ends within a line.
    pub fn write(&self, out: &mut dyn Write) -> Result<RolloutWritten, Error> {
        let mut damage = self.met.clone();
        let mut lines = Lines {
            file: self,
            out,
            count: 0,
            number: 0,
            next: self.from,
            bytes: 0,
            held: self.head.clone(),
            is_open: true,
            is_written: false,
        };
        // The head has its number already.
        lines.begin(false)?;
        lines.number = 1;
        lines.end()?;
        let (reader, mut at) = (&self.reader, self.from);
        while at < reader.end() {
            let mut failed = None;
            let read = reader.entries(at, reader.end(), &mut |ordinal, entry| {
                at = at.max(ordinal);
                if let Err(error) = lines.take(ordinal, entry) {
                    failed = Some(error);
                    return ControlFlow::Break(());
                }
                if entry.completes() {
                    at = ordinal.plus(1);
                }
                ControlFlow::Continue(())
            });
            match (read, failed) {
                (_, Some(error)) => return Err(error),
                (Ok(()), None) => break,
                (Err(error), None) => {
                    let met = self.meet((at, reader.end()), error, &mut damage)?;
                    if lines.is_written {
                        let (thread, damage) = (self.id.clone(), Box::new(met));
                        return Err(Error::Damaged { thread, damage });
                    }
                    lines.leave_out();
                    at = reader.behind(&met).max(at.plus(1));
                }
            }
        }
        if lines.next < reader.end() {
            lines.leave_out();
        }
        lines.end()?;
        let (count, bytes) = (lines.count, lines.bytes);
        let mut given_up = ranges(reader.given_up());
        given_up.retain(|lost| lost.end > self.from);
        Ok(RolloutWritten {
            lines: count,
            bytes,
            damage,
            given_up,
        })
    }

    /// Takes note of what ended a read of `from..end`, and says what it costs.
    fn meet(
        &self,
        range: (Ordinal, Ordinal),
        error: ReadError,
        damage: &mut Vec<Damage>,
    ) -> Result<Damage, Error> {
        match error {
            ReadError::Damaged(met) => {
                self.store.meet_damage(&met, damage);
                Ok(*met)
            }
            ReadError::Disk(failure) => {
                let met = self.store.go_around(&self.reader, range, failure)?;
                if !damage.contains(&met) {
                    damage.push(met.clone());
                }
                Ok(met)
            }
        }
    }

    /// Whether a line can be read as far as it goes, from one of its records on.
    fn reads_line_from(&self, at: Ordinal) -> Result<bool, Error> {
        let (mut next, mut is_cut, mut is_done) = (at, false, false);
        let read = self
            .reader
            .entries(at, self.reader.end(), &mut |ordinal, entry| {
                is_cut = ordinal > next;
                next = ordinal.plus(u64::from(entry.completes()));
                let is_behind = ordinal > at && begins_line(entry);
                is_done = entry.kind == Kind::LINE && (is_behind || ends_line(entry));
                if is_cut || is_done {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            });
        match read {
            Ok(()) => Ok(!is_cut && (is_done || next >= self.reader.end())),
            Err(ReadError::Damaged(_)) => Ok(false),
            // Who goes on to read it meets this, too.
            Err(ReadError::Disk(failure)) if failure.is_refusal() => Ok(false),
            Err(ReadError::Disk(failure)) => Err(Error::Disk(failure)),
        }
    }
}

fn begins_line(entry: &Entry<'_>) -> bool {
    entry.begins() && !entry.flags.has(Flags::CONTINUES)
}

fn ends_line(entry: &Entry<'_>) -> bool {
    entry.completes() && !entry.flags.has(Flags::NO_LINE_FEED)
}

/// The lines of a file while they are written.
struct Lines<'a> {
    file: &'a RolloutFile<'a>,
    out: &'a mut dyn Write,
    count: u64,
    /// The ordinal of the next line that has one.
    number: u64,
    /// The record that is next, when none between is lost.
    next: Ordinal,
    bytes: u64,
    /// The beginning of the line that it stands in.
    held: Vec<u8>,
    /// It stands in a line.
    is_open: bool,
    /// The beginning of that line is written.
    is_written: bool,
}

impl Lines<'_> {
    fn take(&mut self, ordinal: Ordinal, entry: &Entry<'_>) -> Result<(), Error> {
        if ordinal > self.next {
            // Given up between: nobody knows what of the line stood there.
            self.leave_out();
        }
        self.next = ordinal.plus(u64::from(entry.completes()));
        if entry.kind != Kind::LINE {
            return Ok(());
        }
        let is_head = self.file.heads.binary_search(&ordinal).is_ok();
        if begins_line(entry) {
            self.end()?;
            self.is_open = !is_head;
        }
        // What goes on with a line that was left out is no line.
        if is_head || !self.is_open {
            return Ok(());
        }
        if self.is_written {
            self.put(entry.bytes)?;
        } else {
            self.held.extend_from_slice(entry.bytes);
            if self.held.len() > HELD_BYTES && !ends_line(entry) {
                if self.file.reads_line_from(ordinal)? {
                    self.begin(true)?;
                } else {
                    self.leave_out();
                }
            }
        }
        if ends_line(entry) {
            self.end()?;
        }
        Ok(())
    }

    /// Writes what is held of a line, with its new ordinal and thread.
    fn begin(&mut self, renews: bool) -> Result<(), Error> {
        let held = std::mem::take(&mut self.held);
        let places = places(&held);
        let mut edits: Vec<(Range<usize>, String)> = Vec::new();
        if renews && self.file.is_paginated && places.kind.is_some() {
            let number = self.number.to_string();
            self.number += 1;
            match (places.ordinal, places.open) {
                (Some(place), _) => edits.push((place, number)),
                (None, Some(open)) => edits.push((open..open, format!("\"ordinal\":{number},"))),
                (None, None) => {}
            }
        }
        let others = &self.file.others;
        let is_other = |place: &Range<usize>| {
            let text = &held[place.clone()];
            others.iter().any(|other| other.as_bytes() == text)
        };
        if let Some(place) = places.thread.filter(|place| renews && is_other(place)) {
            edits.push((place, self.file.id.clone()));
        }
        edits.sort_by_key(|(place, _)| place.start);
        let mut from = 0;
        for (place, text) in edits {
            self.put(&held[from..place.start])?;
            self.put(text.as_bytes())?;
            from = place.end;
        }
        self.put(&held[from..])?;
        self.is_written = true;
        Ok(())
    }

    /// Ends the line that it stands in, if it does.
    fn end(&mut self) -> Result<(), Error> {
        if !std::mem::take(&mut self.is_open) {
            return Ok(());
        }
        if !self.is_written {
            self.begin(true)?;
        }
        self.is_written = false;
        self.count += 1;
        self.put(b"\n")
    }

    /// Leaves out the line that it stands in.
    ///
    /// INVARIANT: nothing is written of it. Before the beginning of a line is written that is not
    /// held as a whole, the rest of it is read.
    fn leave_out(&mut self) {
        assert!(!self.is_written, "a line that is written is not left out");
        self.held.clear();
        self.is_open = false;
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.bytes += bytes.len() as u64;
        self.out.write_all(bytes).map_err(Error::of_output)
    }
}
