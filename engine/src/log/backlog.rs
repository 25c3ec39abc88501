//! Owns the account of what the journal holds that no segment does. It must not know when it is
//! sealed.

use std::collections::HashMap;

use turnleaf_format::segment::Class;
use turnleaf_format::{Ordinal, ThreadNumber};

use crate::journal::NewFrame;
use crate::stretch::{Sizes, Stretches};
use crate::view::ThreadView;

/// What waits to be sealed.
///
/// INVARIANT: a thread has stretches exactly while its view has frames; the catalogue has none,
/// because it is sealed as a whole.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    /// Frames of all threads, the catalogue's included; each takes up memory.
    pub(super) frames: usize,
    /// What is to be sealed of each thread.
    pub(super) stretches: HashMap<ThreadNumber, Stretches>,
}

impl Backlog {
    /// That of a store that is opened.
    pub(super) fn of<'v>(views: impl Iterator<Item = &'v ThreadView>, sizes: Sizes) -> Backlog {
        let mut backlog = Backlog::default();
        for view in views {
            backlog.frames += view.frames.len();
            if !view.frames.is_empty() && view.thread != ThreadNumber::CATALOGUE {
                let stretches = Stretches::of(view, sizes);
                backlog.stretches.insert(view.thread, stretches);
            }
        }
        backlog
    }

    /// Adds a frame that became durable; `view` has it already.
    pub(super) fn push(&mut self, frame: &NewFrame, view: &ThreadView, sizes: Sizes) {
        self.frames += 1;
        if frame.thread == ThreadNumber::CATALOGUE {
            return;
        }
        match self.stretches.get_mut(&frame.thread) {
            None => {
                let stretches = Stretches::of(view, sizes);
                self.stretches.insert(frame.thread, stretches);
            }
            Some(stretches) => {
                let mut at = frame.first;
                for record in frame.lengths.iter() {
                    stretches.push(view, at, record, sizes);
                    at = at.plus(1);
                }
            }
        }
    }

    /// A segment has taken over what a thread held up to `end`. A pack closes nothing: what it
    /// holds may have been closed while it was being written.
    pub(super) fn sealed(&mut self, view: &ThreadView, class: Class, end: Ordinal, sizes: Sizes) {
        let thread = view.thread;
        match self.stretches.get_mut(&thread) {
            _ if view.frames.is_empty() || thread == ThreadNumber::CATALOGUE => {
                self.stretches.remove(&thread);
            }
            Some(stretches) if end <= stretches.open.end => {
                if class == Class::Run {
                    stretches.sealed(end);
                }
            }
            _ => {
                let stretches = Stretches::of(view, sizes);
                self.stretches.insert(thread, stretches);
            }
        }
    }

    /// Nothing is left to be sealed of a thread.
    pub(super) fn forget_thread(&mut self, thread: ThreadNumber) {
        self.stretches.remove(&thread);
    }
}
