//! Owns the search for what the model needs to resume a thread (rules 15); it must not know where
//! lines come from, and keeps none of them.

use std::ops::ControlFlow;

use turnleaf_format::Ordinal;

use crate::fold::{Mode, ThreadState};

use crate::payload::LegacyHead;
use crate::payload::{Decoded, Effect, PathFamily, Rejection};
use crate::rows::ItemKind;

/// Walks a thread from its newest record to its oldest, until it has seen enough.
///
/// The suffix is enough when it holds a usable compaction and one complete user turn with its
/// context. A rollback or an unusable compaction on the way reaches back further than anybody can
/// tell, so the walk goes on to the beginning then.
#[derive(Debug)]
pub struct ContextScan {
    mode: Mode,
    head_at: Option<Ordinal>,
    head_paths: Option<PathFamily>,
    segment: Segment,
    saw_compaction: bool,
    saw_turn: bool,
    to_the_start: bool,
    is_done: bool,
    first: Option<Ordinal>,
    skipped: Vec<Ordinal>,
}

/// The records of the turn that the walk is in.
#[derive(Debug, Default)]
struct Segment {
    turn_id: Option<String>,
    has_user_turn: bool,
    has_context: bool,
}

/// The records that the model needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextRange {
    /// The oldest one; from here on all records belong to it but `skipped`. `None` when the thread
    /// has no record.
    pub start: Option<Ordinal>,
    /// Whether the thread's head `session_meta`, which lies before `start`, is to be put in front.
    pub head_in_front: bool,
    /// Ordinals at or after `start` that are no records for the model, ascending.
    pub skipped: Vec<Ordinal>,
}

impl ContextScan {
    /// A walk over the thread that `state` stands for, about to meet its newest record.
    #[must_use]
    pub fn new(state: &ThreadState) -> ContextScan {
        ContextScan {
            mode: state.mode(),
            head_at: state.head_at.map(|at| at.0),
            head_paths: state.head_paths,
            segment: Segment::default(),
            saw_compaction: false,
            saw_turn: false,
            to_the_start: false,
            is_done: false,
            first: None,
            skipped: Vec::new(),
        }
    }

    /// Takes the next older record; `Break` when older ones are not needed.
    pub fn feed(&mut self, ordinal: Ordinal, decoded: &Decoded<'_>) -> ControlFlow<()> {
        if self.is_done {
            return ControlFlow::Break(());
        }
        if !self.is_for_the_model(ordinal, decoded) {
            self.skipped.push(ordinal);
            return ControlFlow::Continue(());
        }
        self.first = Some(ordinal);
        if self.mode == Mode::Legacy {
            return ControlFlow::Continue(());
        }
        self.look_at(&decoded.effect);
        self.is_done = self.saw_compaction && self.saw_turn && !self.to_the_start;
        if self.is_done {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    /// What the records fed so far amount to.
    #[must_use]
    pub fn finish(mut self) -> ContextRange {
        self.skipped
            .retain(|ordinal| self.first.is_some_and(|first| *ordinal > first));
        self.skipped.reverse();
        ContextRange {
            start: self.first,
            head_in_front: self.is_done,
            skipped: self.skipped,
        }
    }

    /// Leaves out what the runtime does not read: lines that are no records, snapshots that its
    /// legacy loader drops, and paths that it refuses or that name no place on the thread's hosts.
    /// A record that is too large to be parsed here is one that the runtime reads.
    fn is_for_the_model(&self, ordinal: Ordinal, decoded: &Decoded<'_>) -> bool {
        let is_foreign = match (decoded.paths, self.head_paths) {
            (Some(family), Some(home)) => family != home,
            _ => false,
        };
        let is_dropped = self.mode == Mode::Legacy
            && matches!(&decoded.effect, Effect::Response(head) if head.is_ghost);
        let is_unparsed = matches!(decoded.effect, Effect::Rejected(Rejection::TooLarge));
        let is_refused = matches!(
            &decoded.effect,
            Effect::SessionMeta(meta) if !meta.has_thread_ids && self.head_at != Some(ordinal)
        );
        let is_record = decoded.is_accepted() && !is_refused || is_unparsed;
        is_record && !decoded.is_lenient && !is_foreign && !is_dropped
    }

    fn look_at(&mut self, effect: &Effect<'_>) {
        let segment = &mut self.segment;
        match effect {
            Effect::Compacted(compacted) if compacted.is_usable => self.saw_compaction = true,
            Effect::Compacted(_) | Effect::RolledBack(_) => self.to_the_start = true,
            Effect::Item(LegacyHead::Item {
                turn_id,
                item,
                is_begin: false,
                ..
            }) => {
                segment.has_user_turn |=
                    segment.takes(Some(turn_id)) && item.kind == ItemKind::UserMessage;
            }
            Effect::TurnCompleted { id, .. } | Effect::TurnAborted { id: Some(id), .. } => {
                segment.takes(Some(id));
            }
            Effect::TurnContext(context) => {
                segment.has_context |= segment.takes(context.turn_id.as_deref());
            }
            Effect::Response(head) => segment.has_user_turn |= head.proves_user_turn,
            Effect::InterAgent | Effect::Item(LegacyHead::UserMessage { .. }) => {
                segment.has_user_turn = true;
            }
            Effect::TurnStarted { id, .. }
                if segment.turn_id.as_deref().is_none_or(|known| known == id) =>
            {
                self.saw_turn |= segment.has_user_turn && segment.has_context;
                *segment = Segment::default();
            }
            _ => {}
        }
    }
}

impl Segment {
    /// Adopts a turn id when none is known; says whether a record of turn `id` belongs here.
    fn takes(&mut self, id: Option<&str>) -> bool {
        match (&self.turn_id, id) {
            (Some(known), Some(id)) => known == id,
            (None, Some(id)) => {
                self.turn_id = Some(id.to_owned());
                true
            }
            (_, None) => true,
        }
    }
}
