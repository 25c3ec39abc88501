//! Owns what a store should hold: threads with their rollouts, each with its own records and
//! perhaps a prefix of another one before them. Copies nothing: what a lineage shows is put
//! together anew each time.

use std::collections::BTreeMap;

/// A line, or `None` for a name.
pub(super) type Record = Option<Vec<u8>>;

/// A thread, and the place of the rollout among its rollouts.
pub(super) type Of = (u8, usize);

/// What a rollout goes on from: so many of the own records of another one.
pub(super) type Base = (Of, usize);

/// One rollout of a thread.
#[derive(Debug, Clone, Default)]
pub(super) struct Rollout {
    pub(super) base: Option<Base>,
    /// The thread whose file's first line it goes on from, once that is imported.
    pub(super) awaits: Option<u8>,
    pub(super) own: Vec<Record>,
}

/// A thread; it shows the newest of its rollouts.
pub(super) type Rollouts = Vec<Rollout>;

/// All threads that are there.
#[derive(Debug, Clone, Default)]
pub(super) struct Threads(pub(super) BTreeMap<u8, Rollouts>);

impl Threads {
    pub(super) fn has(&self, thread: u8) -> bool {
        self.0.contains_key(&thread)
    }

    /// The rollout that a thread shows.
    pub(super) fn current(&self, thread: u8) -> Option<Of> {
        let rollouts = self.0.get(&thread)?;
        Some((thread, rollouts.len().checked_sub(1)?))
    }

    pub(super) fn rollout(&self, (thread, place): Of) -> &Rollout {
        &self.0[&thread][place]
    }

    /// Where appends go.
    pub(super) fn end_of(&mut self, thread: u8) -> Option<&mut Vec<Record>> {
        let rollout = self.0.get_mut(&thread)?.last_mut()?;
        Some(&mut rollout.own)
    }

    /// The rollouts of a lineage with how many of their own records it shows, the oldest first.
    pub(super) fn parts(&self, of: Of) -> Vec<Base> {
        let mut parts = vec![(of, self.rollout(of).own.len())];
        let mut at = of;
        while let Some(base) = self.rollout(at).base {
            parts.push(base);
            at = base.0;
        }
        parts.reverse();
        parts
    }

    fn shown_of(&self, parts: &[Base]) -> Vec<Record> {
        let parts = parts.iter();
        let own = parts.flat_map(|(of, end)| &self.rollout(*of).own[..*end]);
        own.cloned().collect()
    }

    /// What a thread shows.
    pub(super) fn shown(&self, thread: u8) -> Option<Vec<Record>> {
        Some(self.shown_of(&self.parts(self.current(thread)?)))
    }

    /// How much of what a thread shows is inherited.
    pub(super) fn inherited(&self, thread: u8) -> usize {
        let parts = self.current(thread).map(|of| self.parts(of));
        let parts = parts.unwrap_or_default();
        let before = parts.len().saturating_sub(1);
        parts[..before].iter().map(|(_, end)| end).sum()
    }

    /// Whether a thread was given a name: those of threads that it was forked from are not its own.
    pub(super) fn is_named(&self, thread: u8) -> bool {
        let parts = self.current(thread).map(|of| self.parts(of));
        let parts = parts.unwrap_or_default();
        let own = parts.iter().rev();
        let own: Vec<Base> = own
            .take_while(|((of, _), _)| *of == thread)
            .copied()
            .collect();
        self.shown_of(&own).iter().any(Option::is_none)
    }

    /// The prefix that another rollout goes on from to show `cut` records of a thread.
    pub(super) fn base_at(&self, thread: u8, cut: usize) -> Option<Base> {
        let mut left = cut;
        for (of, end) in self.parts(self.current(thread)?) {
            if left > 0 && left <= end {
                return Some((of, left));
            }
            left = left.checked_sub(end)?;
        }
        None
    }

    /// Threads with a rollout that goes on from one of this thread's.
    pub(super) fn forks_of(&self, thread: u8) -> Vec<u8> {
        let goes_on = |rollout: &Rollout| rollout.base.is_some_and(|((of, _), _)| of == thread);
        let others = self.0.iter().filter(|(other, _)| **other != thread);
        let forks = others.filter(|(_, rollouts)| rollouts.iter().any(goes_on));
        forks.map(|(fork, _)| *fork).collect()
    }

    /// Gives rollouts what they wait for: the first line of a file, if `is_cut` says of the lines
    /// of its thread that the cut is there.
    pub(super) fn bind(&mut self, is_cut: &dyn Fn(u8, &[&[u8]]) -> bool) {
        let all: Vec<Of> = self
            .0
            .iter()
            .flat_map(|(thread, rollouts)| (0..rollouts.len()).map(|place| (*thread, place)))
            .collect();
        for of in all {
            let Some(base) = self.rollout(of).awaits.filter(|base| self.has(*base)) else {
                continue;
            };
            let is_circle = self.parts((base, 0)).iter().any(|(part, _)| *part == of);
            let own = &self.rollout((base, 0)).own;
            let lines: Vec<&[u8]> = own.iter().flatten().map(Vec::as_slice).collect();
            if is_circle || !is_cut(base, &lines) {
                continue;
            }
            let first = own.iter().position(Option::is_some).unwrap_or(0);
            let rollouts = self.0.get_mut(&of.0);
            let rollout = rollouts.and_then(|rollouts| rollouts.get_mut(of.1));
            let rollout = rollout.expect("it is there");
            (rollout.awaits, rollout.base) = (None, Some(((base, 0), first + 1)));
        }
    }
}
