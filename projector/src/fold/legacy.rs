//! Owns the interpretation of legacy threads (rules 11): a replay that opens, fills and closes
//! turns.

use turnleaf_format::Ordinal;

use crate::fold::state::{AnomalyKind, At, OpenTurn, PendingCall, ThreadState};
use crate::payload::{CallHead, Decoded, Effect, TurnTimes};
use crate::payload::{InTurn, LegacyHead, LegacyUse};
use crate::rows::{
    ItemKind, ItemRow, ItemTimes, Phase, Rows, TurnName, TurnNo, TurnRow, TurnStatus,
};

/// Most records that one reasoning item joins; what follows begins another one, so that a row has
/// a bound and nothing is left out.
const SOURCES_MAX: usize = 4096;

/// Most calls that wait for their output; an older one stays without.
const CALLS_MAX: usize = 64;

pub(super) fn apply<R: Rows>(
    rows: &mut R,
    state: &mut ThreadState,
    ordinal: Ordinal,
    decoded: &Decoded<'_>,
) -> Result<(), R::Error> {
    let mut replay = Replay {
        rows,
        state,
        ordinal,
        created_at_ms: decoded.timestamp_ms,
        times: ItemTimes::default(),
    };
    match &decoded.effect {
        Effect::TurnStarted {
            id,
            root,
            started_at,
        } => {
            replay.finish()?;
            replay.open(id, true, *started_at)?;
            replay.change_open(|row| row.root = root.as_deref().map(str::to_owned))
        }
        Effect::TurnCompleted {
            id,
            has_error,
            times,
            ..
        } => replay.complete(id, *has_error, *times),
        Effect::TurnAborted { id, times, .. } => replay.abort(id.as_deref(), *times),
        Effect::RolledBack(turns) => replay.roll_back(*turns),
        Effect::Compacted(_) => {
            replay.ensure_open()?;
            if let Some(open) = &mut replay.state.open {
                open.saw_compaction = true;
            }
            Ok(())
        }
        Effect::Response(head) => match (&head.hook, &head.call) {
            (Some(hook), _) => {
                let id = match &hook.id {
                    Some(id) => id.to_string(),
                    None => format!(
                        "rollout-{}-hook",
                        ordinal.0.saturating_sub(replay.state.uncounted)
                    ),
                };
                replay.push(id, ItemKind::HookPrompt, None)
            }
            (None, Some(CallHead::Command(id))) => replay.begin_call(id),
            (None, Some(CallHead::Output(id))) => replay.end_call(id),
            (None, None) => Ok(()),
        },
        Effect::Item(head) => replay.item_event(head),
        _ => Ok(()),
    }
}

/// One step of the replay.
struct Replay<'a, R> {
    rows: &'a mut R,
    state: &'a mut ThreadState,
    ordinal: Ordinal,
    created_at_ms: Option<i64>,
    /// When the item of the record began and ended.
    times: ItemTimes,
}

impl<R: Rows> Replay<'_, R> {
    fn item_event(&mut self, head: &LegacyHead<'_>) -> Result<(), R::Error> {
        match head {
            LegacyHead::UserMessage { .. } => self.user_message(),
            LegacyHead::AgentMessage { is_empty: true, .. }
            | LegacyHead::Reasoning { is_empty: true } => Ok(()),
            LegacyHead::AgentMessage { phase, .. } => {
                self.push_numbered(ItemKind::AgentMessage, *phase)
            }
            LegacyHead::Reasoning { .. } => self.reason(),
            LegacyHead::ContextCompacted => self.push_numbered(ItemKind::ContextCompaction, None),
            LegacyHead::Upsert { id, kind, turn, .. } => match turn {
                InTurn::Current => {
                    let turn = self.ensure_open()?;
                    self.upsert(turn, id, *kind, None)
                }
                InTurn::ById(turn_id) => self.upsert_by_id(turn_id, id, *kind, None),
            },
            LegacyHead::Review {
                kind,
                turn_id,
                item_id,
            } => {
                let id = match item_id {
                    Some(id) => id.to_string(),
                    None => self.next_number(),
                };
                self.review(turn_id.as_deref(), &id, *kind)
            }
            LegacyHead::Item {
                turn_id,
                item,
                times,
                ..
            } => {
                self.times = *times;
                match item.legacy {
                    LegacyUse::Ignored => Ok(()),
                    LegacyUse::Upsert => {
                        self.upsert_by_id(turn_id, &item.id, item.kind, item.phase)
                    }
                    LegacyUse::Review => self.review(Some(turn_id), &item.id, item.kind),
                }
            }
            LegacyHead::Error { affects_turn: true } => self.fail_open(),
            LegacyHead::Error {
                affects_turn: false,
            }
            | LegacyHead::NoItem => Ok(()),
        }
    }

    /// What a user writes begins a turn, unless a record began the current one, or nothing but a
    /// compaction stands in it.
    fn user_message(&mut self) -> Result<(), R::Error> {
        let splits = self
            .state
            .open
            .as_ref()
            .is_some_and(|open| !open.explicit && (open.has_items || !open.saw_compaction));
        if splits {
            self.finish()?;
        }
        self.push_numbered(ItemKind::UserMessage, None)
    }

    fn fail_open(&mut self) -> Result<(), R::Error> {
        let ordinal = self.ordinal;
        self.change_open(|row| {
            row.status = TurnStatus::Failed;
            row.error_at = Some(ordinal);
        })
    }

    /// Opens a turn with this record as its first.
    fn open(&mut self, id: &str, explicit: bool, started_at: Option<i64>) -> Result<(), R::Error> {
        let turn = self.state.take_turn_no();
        if self.rows.turn_name(id)?.is_none() {
            self.rows.put_turn_name(
                id,
                TurnName {
                    turn,
                    row: Some(self.ordinal),
                },
            )?;
        }
        let row = TurnRow {
            turn,
            id: id.to_owned(),
            root: None,
            status: if explicit {
                TurnStatus::InProgress
            } else {
                TurnStatus::Completed
            },
            error_at: None,
            began_at_ms: self.created_at_ms,
            started_at,
            completed_at: None,
            duration_ms: None,
            first_user_item: None,
            final_agent_item: None,
        };
        self.rows.put_turn(self.ordinal, &row)?;
        self.state.open = Some(OpenTurn {
            first: At(self.ordinal),
            turn,
            id: id.to_owned(),
            explicit,
            saw_compaction: false,
            has_items: false,
            last_reasoning: None,
        });
        Ok(())
    }

    /// The current turn, opened with an implicit id when there is none.
    fn ensure_open(&mut self) -> Result<TurnNo, R::Error> {
        if self.state.open.is_none() {
            let id = format!("rollout-{}", self.state.records);
            self.open(&id, false, None)?;
        }
        Ok(self
            .state
            .open
            .as_ref()
            .expect("a turn was opened above")
            .turn)
    }

    /// Closes the current turn; one that holds nothing and that no record began vanishes.
    fn finish(&mut self) -> Result<(), R::Error> {
        match self.state.open.take() {
            Some(open) if !open.has_items && !open.explicit && !open.saw_compaction => {
                self.rows.remove_calls(open.first.0)?;
                self.rows.remove_turn(open.first.0)
            }
            _ => Ok(()),
        }
    }

    /// Ends a turn. Newer runtimes say here what it failed of, older ones in a record of its own
    /// before, which is kept.
    fn complete(&mut self, id: &str, failed: bool, times: TurnTimes) -> Result<(), R::Error> {
        let ordinal = self.ordinal;
        let change = |row: &mut TurnRow| {
            row.completed_at = times.completed_at;
            row.duration_ms = times.duration_ms;
            if row.error_at.is_none() && failed {
                row.status = TurnStatus::Failed;
                row.error_at = Some(ordinal);
            } else if row.status == TurnStatus::InProgress {
                row.status = TurnStatus::Completed;
            }
        };
        match self.finished(Some(id))? {
            Some(key) => self.change(key, change),
            None => {
                self.change_open(change)?;
                self.finish()
            }
        }
    }

    fn abort(&mut self, id: Option<&str>, times: TurnTimes) -> Result<(), R::Error> {
        let change = |row: &mut TurnRow| {
            row.status = TurnStatus::Interrupted;
            row.completed_at = times.completed_at;
            row.duration_ms = times.duration_ms;
        };
        match self.finished(id)? {
            Some(key) => self.change(key, change),
            None => self.change_open(change),
        }
    }

    /// Key of the finished turn that an event names; `None` when it is about the current turn.
    fn finished(&mut self, id: Option<&str>) -> Result<Option<Ordinal>, R::Error> {
        match id {
            Some(id) if !self.is_open(id) => Ok(self.rows.turn_name(id)?.and_then(|name| name.row)),
            _ => Ok(None),
        }
    }

    fn is_open(&self, id: &str) -> bool {
        self.state.open.as_ref().is_some_and(|open| open.id == id)
    }

    fn change_open(&mut self, change: impl FnOnce(&mut TurnRow)) -> Result<(), R::Error> {
        match self.state.open.as_ref().map(|open| open.first.0) {
            Some(key) => self.change(key, change),
            None => Ok(()),
        }
    }

    fn change(&mut self, key: Ordinal, change: impl FnOnce(&mut TurnRow)) -> Result<(), R::Error> {
        match self.rows.turn(key)? {
            Some(mut row) => {
                change(&mut row);
                self.rows.put_turn(key, &row)
            }
            None => Ok(()),
        }
    }

    /// Removes the newest turns, and counts the items that are left: numbers are given again.
    fn roll_back(&mut self, turns: u32) -> Result<(), R::Error> {
        const AT_ONCE: usize = 256;
        self.finish()?;
        let mut left = usize::try_from(turns).unwrap_or(usize::MAX);
        while left > 0 {
            let newest = self.rows.newest_turns(left.min(AT_ONCE))?;
            if newest.is_empty() {
                break;
            }
            left -= newest.len();
            if let Some(oldest) = newest.last() {
                self.rows.remove_calls(*oldest)?;
            }
            for key in newest {
                self.rows.remove_turn(key)?;
            }
        }
        self.state.numbered_items = self.rows.item_count()?;
        Ok(())
    }

    /// A command that runs in the current turn, or in the newest one. It is no item: those of a
    /// legacy thread come from events.
    fn begin_call(&mut self, id: &str) -> Result<(), R::Error> {
        let turn = match &self.state.open {
            Some(open) => Some(open.turn),
            None => match self.rows.newest_turns(1)?.first() {
                Some(newest) => self.rows.turn(*newest)?.map(|row| row.turn),
                None => None,
            },
        };
        let Some(turn) = turn else {
            return Ok(());
        };
        let row = ItemRow {
            turn,
            id: id.to_owned(),
            kind: ItemKind::CommandExecution,
            phase: None,
            created_at_ms: self.created_at_ms,
            times: ItemTimes {
                started_at_ms: self.created_at_ms,
                completed_at_ms: None,
            },
            sources: vec![self.ordinal],
        };
        self.rows.put_call(self.ordinal, &row)?;
        let calls = &mut self.state.calls;
        if calls.len() >= CALLS_MAX {
            calls.remove(0);
        }
        calls.push(PendingCall {
            id: id.to_owned(),
            at: At(self.ordinal),
        });
        Ok(())
    }

    fn end_call(&mut self, id: &str) -> Result<(), R::Error> {
        let place = self.state.calls.iter().position(|call| call.id == id);
        let Some(place) = place else {
            return Ok(());
        };
        let key = self.state.calls.remove(place).at.0;
        match self.rows.call(key)? {
            Some(mut row) => {
                row.times.completed_at_ms = self.created_at_ms;
                row.sources.push(self.ordinal);
                self.rows.put_call(key, &row)
            }
            // Its turn was rolled back.
            None => Ok(()),
        }
    }

    fn next_number(&mut self) -> String {
        self.state.numbered_items += 1;
        format!("item-{}", self.state.numbered_items)
    }

    fn push_numbered(&mut self, kind: ItemKind, phase: Option<Phase>) -> Result<(), R::Error> {
        let id = self.next_number();
        self.push(id, kind, phase)
    }

    /// Appends an item to the current turn.
    fn push(&mut self, id: String, kind: ItemKind, phase: Option<Phase>) -> Result<(), R::Error> {
        let turn = self.ensure_open()?;
        let key = self.ordinal;
        self.insert(turn, id, kind, phase)?;
        match kind {
            ItemKind::UserMessage => self.change_open(|row| {
                row.first_user_item = row.first_user_item.or(Some(key));
            }),
            ItemKind::AgentMessage => self.change_open(|row| row.final_agent_item = Some(key)),
            _ => Ok(()),
        }
    }

    /// Writes a new item, last in its turn.
    fn insert(
        &mut self,
        turn: TurnNo,
        id: String,
        kind: ItemKind,
        phase: Option<Phase>,
    ) -> Result<(), R::Error> {
        let sources = vec![self.ordinal];
        let row = ItemRow {
            turn,
            id,
            kind,
            phase,
            created_at_ms: self.created_at_ms,
            times: self.times,
            sources,
        };
        self.rows.put_item(self.ordinal, &row)?;
        if let Some(open) = self.state.open.as_mut().filter(|open| open.turn == turn) {
            open.has_items = true;
            let is_reasoning = kind == ItemKind::Reasoning;
            open.last_reasoning = is_reasoning.then_some(At(self.ordinal));
        }
        Ok(())
    }

    /// Adds to the reasoning item that is last in the current turn, or begins one.
    fn reason(&mut self) -> Result<(), R::Error> {
        let last = self
            .state
            .open
            .as_ref()
            .and_then(|open| open.last_reasoning);
        let Some(key) = last.map(|at| at.0) else {
            return self.push_numbered(ItemKind::Reasoning, None);
        };
        match self.rows.item(key)? {
            Some(row) if row.sources.len() >= SOURCES_MAX => {
                self.push_numbered(ItemKind::Reasoning, None)
            }
            Some(mut row) => {
                row.sources.push(self.ordinal);
                self.rows.put_item(key, &row)
            }
            None => Ok(()),
        }
    }

    /// Replaces the item of that id in place, or appends it to the turn.
    fn upsert(
        &mut self,
        turn: TurnNo,
        id: &str,
        kind: ItemKind,
        phase: Option<Phase>,
    ) -> Result<(), R::Error> {
        let Some(key) = self.rows.item_key(turn, id)? else {
            return self.insert(turn, id.to_owned(), kind, phase);
        };
        let Some(old) = self.rows.item(key)? else {
            return Ok(());
        };
        let row = ItemRow {
            kind,
            phase,
            times: old.times.or(self.times),
            sources: vec![self.ordinal],
            ..old
        };
        if let Some(open) = &mut self.state.open
            && open.last_reasoning == Some(At(key))
        {
            open.last_reasoning = None;
        }
        self.rows.put_item(key, &row)
    }

    /// Upserts into the current turn if it has the id, else the first turn that has it.
    fn upsert_by_id(
        &mut self,
        turn_id: &str,
        id: &str,
        kind: ItemKind,
        phase: Option<Phase>,
    ) -> Result<(), R::Error> {
        let open = self.state.open.as_ref().filter(|open| open.id == turn_id);
        let turn = match open {
            Some(open) => Some(open.turn),
            None => self.rows.turn_name(turn_id)?.map(|name| name.turn),
        };
        match turn {
            Some(turn) => self.upsert(turn, id, kind, phase),
            None => {
                self.state.note(AnomalyKind::UnknownTurn, self.ordinal);
                Ok(())
            }
        }
    }

    /// A review may begin a turn that no record announced.
    fn review(&mut self, turn_id: Option<&str>, id: &str, kind: ItemKind) -> Result<(), R::Error> {
        let Some(turn_id) = turn_id else {
            let turn = self.ensure_open()?;
            return self.upsert(turn, id, kind, None);
        };
        if !self.is_open(turn_id) && self.rows.turn_name(turn_id)?.is_none() {
            self.finish()?;
            self.open(turn_id, false, None)?;
        }
        self.upsert_by_id(turn_id, id, kind, None)
    }
}
