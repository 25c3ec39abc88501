//! Owns the choice of the runs that cover a thread: from the lowest ordinal on, always the run that
//! begins at or below the place reached and ends farthest. [S:segment-7] [R:seg-14]

use turnleaf_format::{Ordinal, ThreadChain, ThreadNumber};

use crate::error::{Cause, Damage};
use crate::view::{Hole, RunRef};

/// A run that the thread should have.
#[derive(Debug, Clone)]
pub(crate) struct PublishedRun {
    pub(crate) run: RunRef,
    /// Why its file cannot be read at all, if so. [R:seg-1]
    pub(crate) gone: Option<Damage>,
}

/// A sweep over runs in ascending order: each is looked at once.
pub(super) struct Sweep<'r> {
    /// Runs that can be read and begin behind the place reached.
    usable: &'r [PublishedRun],
    /// Runs that cannot be read and end behind it.
    lost: &'r [PublishedRun],
    /// Of the usable runs before, the one that ends farthest: only that can be the next.
    best: Option<&'r PublishedRun>,
    /// Where the last run ends.
    pub(super) end: Ordinal,
}

/// Ordinals of the cover that nothing readable holds.
pub(super) struct Unread {
    pub(super) hole: Hole,
    /// Whether a run that cannot be read holds them; else none was published.
    pub(super) of_a_run: bool,
}

impl<'r> Sweep<'r> {
    pub(super) fn new(usable: &'r [PublishedRun], lost: &'r [PublishedRun]) -> Sweep<'r> {
        let end = lost.iter().chain(usable).map(|run| run.run.end).max();
        Sweep {
            usable,
            lost,
            best: None,
            end: end.unwrap_or_default(),
        }
    }

    /// Of the runs that begin at or below a place, the one that ends farthest behind it; of equals
    /// the newest, which was written because the name of the one before may be lost.
    pub(super) fn farthest_at(&mut self, place: Ordinal) -> Option<&'r RunRef> {
        while let [run, rest @ ..] = self.usable
            && run.run.first <= place
        {
            let reach = |run: &PublishedRun| (run.run.end, run.run.file.segment);
            let best = self.best.filter(|best| reach(best) > reach(run));
            self.best = best.or(Some(run));
            self.usable = rest;
        }
        let best = self.best.filter(|best| best.run.end > place);
        best.map(|best| &best.run)
    }

    /// The ordinals from a place on that nothing readable holds: up to the next usable run, or to
    /// where another run that cannot be read begins or ends.
    pub(super) fn unread_at(
        &mut self,
        (place, chain): (Ordinal, ThreadChain),
        thread: ThreadNumber,
    ) -> Option<Unread> {
        while let [run, rest @ ..] = self.lost
            && run.run.end <= place
        {
            self.lost = rest;
        }
        let begun = self.lost.partition_point(|run| run.run.first <= place);
        let (begun, later) = self.lost.split_at(begun);
        let over = begun.iter().find(|run| place < run.run.end);
        let next = self.usable.first().into_iter().chain(later.first());
        let next = next.min_by_key(|run| run.run.first);
        let next_at = next.map_or(self.end, |run| run.run.first);
        let end = over.map_or(next_at, |run| run.run.end.min(next_at));
        let damage = match (over.and_then(|run| run.gone.clone()), next) {
            (Some(damage), _) => damage,
            (None, Some(run)) => broken_run(&run.run, (place, end)),
            (None, None) => return None,
        };
        let whole = over.filter(|run| run.run.end == end);
        let hole = Hole {
            first: place,
            end,
            chain_after: match (whole, next) {
                (Some(run), _) => run.run.chain_after,
                (None, Some(run)) => run.run.chain_before,
                (None, None) => chain,
            },
            damage: Damage {
                thread: Some(thread),
                ordinals: Some((place, end)),
                ..damage
            },
        };
        Some(Unread {
            hole,
            of_a_run: over.is_some(),
        })
    }
}

/// A run does not continue what is before it.
pub(super) fn broken_run(run: &RunRef, ordinals: (Ordinal, Ordinal)) -> Damage {
    Damage {
        file: crate::layout::segment_path(run.file.class, run.file.segment),
        offset: 0,
        length: 0,
        thread: None,
        ordinals: Some(ordinals),
        cause: Cause::Chain,
    }
}
