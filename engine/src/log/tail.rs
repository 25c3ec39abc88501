//! Owns which frame bodies are kept in memory, so that what was just appended is read without the
//! disk. It must not know what they hold.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use turnleaf_format::{Generation, ThreadNumber};

use crate::view::{FrameRef, ThreadView};

/// What a body in memory takes up beside its bytes.
const ENTRY_BYTES: usize = 96;

/// A frame whose body is in memory.
#[derive(Debug)]
struct Entry {
    thread: ThreadNumber,
    place: (Generation, u64),
    /// What it takes up.
    bytes: usize,
}

/// Frames whose bodies are in memory, oldest first.
///
/// INVARIANT: `bytes` is the sum of the entries. The bodies themselves hang on the frames of the
/// views; an entry may stand for a frame that a segment took over, whose body went with it.
#[derive(Debug, Default)]
pub(super) struct TailCache {
    entries: VecDeque<Entry>,
    bytes: usize,
}

impl TailCache {
    /// Counts a frame that was just appended.
    pub(super) fn push(
        &mut self,
        thread: ThreadNumber,
        place: (Generation, u64),
        body_bytes: usize,
    ) {
        let bytes = body_bytes + ENTRY_BYTES;
        self.bytes += bytes;
        self.entries.push_back(Entry {
            thread,
            place,
            bytes,
        });
    }

    /// What the bodies take up, as it is counted.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Drops the oldest bodies until the rest takes up no more than this.
    pub(super) fn shrink(
        &mut self,
        bytes_max: usize,
        threads: &mut HashMap<ThreadNumber, Arc<ThreadView>>,
    ) {
        while self.bytes > bytes_max {
            let Some(oldest) = self.entries.pop_front() else {
                break;
            };
            self.bytes -= oldest.bytes;
            let Some(view) = threads.get_mut(&oldest.thread) else {
                continue;
            };
            let place = |frame: &FrameRef| (frame.file.generation, frame.offset);
            let frames = &view.frames;
            let at = frames.partition_point(|frame| place(frame) < oldest.place);
            let held = |frame: &FrameRef| place(frame) == oldest.place && frame.body.is_some();
            if frames.get(at).is_some_and(held) {
                Arc::make_mut(view).frames[at].body = None;
            }
        }
    }
}
