//! Owns what is known of a store at one moment: catalogue, thread views, segments, for the owner
//! and for readers alike.

use std::collections::HashMap;
use std::sync::Arc;

use turnleaf_format::catalogue::{Awaited, Base};
use turnleaf_format::segment::Class;
use turnleaf_format::{Ordinal, SegmentId, StoreId, ThreadId, ThreadNumber};

use crate::catalogue::{Catalogue, ImportFact, Origin, ThreadFact};
use crate::error::{Cause, Damage, ReadError};
use crate::layout::CHECKPOINT;
use crate::read::{Reader, RolloutReader, Totals};
use crate::recovery::sum_of_records;
use crate::segment::{OpenSegment, Segments};
use crate::view::ThreadView;

/// What is known of a store at one moment. A clone stays as it is and pins what it refers to.
#[derive(Debug, Clone)]
pub struct State {
    pub(crate) store: StoreId,
    pub(crate) catalogue: Catalogue,
    pub(crate) threads: HashMap<ThreadNumber, Arc<ThreadView>>,
    pub(crate) segments: Arc<Segments>,
}

/// One segment, for reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentInfo {
    /// The segment.
    pub segment: SegmentId,
    /// Path below the store's directory.
    pub path: String,
    /// Whether it holds runs of several threads.
    pub pack: bool,
    /// Length of the file in bytes.
    pub file_bytes: u64,
    /// Payload bytes of the runs that are in use.
    pub payload_bytes: u64,
    /// Runs in use: thread, first ordinal, one past the last.
    pub runs: Vec<(ThreadNumber, Ordinal, Ordinal)>,
}

impl State {
    /// The store.
    #[must_use]
    pub fn store(&self) -> StoreId {
        self.store
    }

    /// The number of a thread that is not deleted.
    #[must_use]
    pub fn thread_number(&self, id: &ThreadId) -> Option<ThreadNumber> {
        let number = self.catalogue.numbers.get(id).copied();
        number.filter(|number| self.thread(*number).is_some())
    }

    /// Whether the id is that of a thread that is deleted, and of none that is there.
    #[must_use]
    pub fn was_deleted(&self, id: &ThreadId) -> bool {
        let number = self.catalogue.numbers.get(id);
        number.is_some_and(|number| self.catalogue.is_deleted(*number))
    }

    /// The ids of which that holds, in the order in which their threads were created.
    pub fn deleted_ids(&self) -> impl Iterator<Item = &ThreadId> {
        let numbers = &self.catalogue.numbers;
        let is_newest = |number, id| numbers.get(id) == Some(&number);
        let deleted = self.deleted();
        let deleted = deleted.filter(move |(number, fact)| is_newest(*number, &fact.id));
        deleted.map(|(_, fact)| &fact.id)
    }

    /// All threads that are not deleted, by number.
    pub fn threads(&self) -> impl Iterator<Item = (ThreadNumber, &ThreadFact)> {
        let all = self.catalogue.threads.iter();
        all.filter(|(_, fact)| !fact.deleted)
            .map(|(number, fact)| (*number, fact))
    }

    /// All threads that are deleted, by number.
    pub fn deleted(&self) -> impl Iterator<Item = (ThreadNumber, &ThreadFact)> {
        let all = self.catalogue.threads.iter();
        all.filter(|(_, fact)| fact.deleted)
            .map(|(number, fact)| (*number, fact))
    }

    /// One thread that is not deleted.
    #[must_use]
    pub fn thread(&self, thread: ThreadNumber) -> Option<&ThreadFact> {
        self.catalogue
            .threads
            .get(&thread)
            .filter(|fact| !fact.deleted)
    }

    /// Whether only a name of the thread was imported: it is kept for the thread, which is shown to
    /// nobody before it is created or its records come. [S:catalogue-14]
    #[must_use]
    pub fn is_announced(&self, thread: ThreadNumber) -> bool {
        if self.rollouts_of(thread).nth(1).is_some() {
            return false;
        }
        let import = self.thread(thread).and_then(|fact| fact.import.as_ref());
        let end = self
            .threads
            .get(&thread)
            .map_or(Ordinal(0), |view| view.end);
        import.is_some_and(|import| {
            import.source_bytes == 0 && import.file_bytes > 0 && end <= import.ordinal_end
        })
    }

    /// What the rollout shows now, with all that it goes on from. Rollout 0 is the catalogue.
    #[must_use]
    pub fn reader(&self, rollout: ThreadNumber) -> Option<Reader> {
        let own = self.rollout_reader(rollout)?;
        let mut inherited = Vec::new();
        let mut at = rollout;
        while let Some(base) = self.catalogue.base(at) {
            let reader = self.inherited_reader(base.rollout);
            inherited.push((self.thread_or_own(base.rollout), reader, *base));
            at = base.rollout;
        }
        inherited.reverse();
        Some(Reader::of(inherited, (self.thread_or_own(rollout), own)))
    }

    /// What a base holds; nothing where its thread is deleted, which no writer does. [R:lineage-3]
    fn inherited_reader(&self, rollout: ThreadNumber) -> RolloutReader {
        self.rollout_reader(rollout)
            .unwrap_or_else(|| RolloutReader {
                view: Arc::new(ThreadView::new(rollout)),
                segments: Arc::clone(&self.segments),
                store: self.store,
            })
    }

    /// What the rollout holds itself, counted as it counts.
    #[must_use]
    pub fn own_records(&self, rollout: ThreadNumber) -> Option<Reader> {
        let own = self.rollout_reader(rollout)?;
        Some(Reader::of([], (self.thread_or_own(rollout), own)))
    }

    fn thread_or_own(&self, rollout: ThreadNumber) -> ThreadNumber {
        self.catalogue.thread_of(rollout).unwrap_or(rollout)
    }

    /// All rollouts of threads that are not deleted, with their ids, in no order.
    pub fn rollout_ids(&self) -> impl Iterator<Item = (ThreadNumber, &ThreadId)> {
        let all = self.catalogue.all_rollouts();
        let all = all.filter(|rollout| self.thread_of(*rollout).is_some());
        all.filter_map(|rollout| Some((rollout, self.rollout_id(rollout)?)))
    }

    /// What the rollout holds itself.
    pub(crate) fn rollout_reader(&self, rollout: ThreadNumber) -> Option<RolloutReader> {
        let view = Arc::clone(self.threads.get(&rollout)?);
        Some(RolloutReader {
            view,
            segments: Arc::clone(&self.segments),
            store: self.store,
        })
    }

    /// The thread of a rollout, unless it is deleted.
    #[must_use]
    pub fn thread_of(&self, rollout: ThreadNumber) -> Option<ThreadNumber> {
        let thread = self.catalogue.thread_of(rollout);
        thread.filter(|thread| self.thread(*thread).is_some())
    }

    /// The id of a rollout's thread, unless that is deleted.
    #[must_use]
    pub fn id_of(&self, rollout: ThreadNumber) -> Option<&ThreadId> {
        let thread = self.thread_of(rollout)?;
        self.thread(thread).map(|fact| &fact.id)
    }

    /// The rollout that a thread shows: where it goes on.
    #[must_use]
    pub fn current(&self, thread: ThreadNumber) -> ThreadNumber {
        self.catalogue.current(thread)
    }

    /// The rollouts of a thread: the first one first, then by number.
    pub fn rollouts_of(&self, thread: ThreadNumber) -> impl Iterator<Item = ThreadNumber> {
        self.catalogue.rollouts_of(thread)
    }

    /// How many records a rollout inherits: its own ones come behind them.
    #[must_use]
    pub fn inherited_end(&self, rollout: ThreadNumber) -> Ordinal {
        self.bases(rollout)
            .fold(Ordinal(0), |sum, base| sum.plus(base.end.0))
    }

    /// The bases of a rollout: its own, that one's, and so on.
    pub fn bases(&self, rollout: ThreadNumber) -> impl Iterator<Item = &Base> {
        std::iter::successors(self.catalogue.base(rollout), |base| {
            self.catalogue.base(base.rollout)
        })
    }

    /// What a rollout goes on from; `None` for nothing.
    #[must_use]
    pub fn origin(&self, rollout: ThreadNumber) -> Option<&Origin> {
        self.catalogue.origin(rollout)
    }

    /// Rollouts of other threads that go on from a prefix of one of this thread's; one that goes on
    /// from two of them comes twice.
    pub fn referrers_of(&self, thread: ThreadNumber) -> impl Iterator<Item = ThreadNumber> {
        let rollouts = self.catalogue.rollouts_of(thread);
        let referrers = rollouts.flat_map(|of| self.catalogue.referrers(of));
        referrers.filter(move |of| self.catalogue.thread_of(*of) != Some(thread))
    }

    /// A rollout and all that go on from it, however far; of any thread that is not deleted.
    #[must_use]
    pub fn with_heirs(&self, rollout: ThreadNumber) -> Vec<ThreadNumber> {
        self.catalogue.with_heirs(rollout)
    }

    /// The name of a rollout outside: that of its thread for the first one.
    #[must_use]
    pub fn rollout_id(&self, rollout: ThreadNumber) -> Option<&ThreadId> {
        self.catalogue.rollout_id(rollout)
    }

    /// The newest import into a rollout.
    #[must_use]
    pub fn import_of(&self, rollout: ThreadNumber) -> Option<&ImportFact> {
        self.catalogue.import_of(rollout)
    }

    /// Rollouts that wait for their base, with what is known of it.
    pub fn awaiting(&self) -> impl Iterator<Item = (ThreadNumber, &Awaited)> {
        self.catalogue.awaiting()
    }

    /// The state as far as one thread goes: it pins what this thread refers to, and nothing else.
    #[must_use]
    pub fn of_thread(&self, thread: ThreadNumber) -> State {
        let view = self.threads.get(&thread);
        State {
            store: self.store,
            catalogue: Catalogue::default(),
            threads: view
                .map(|view| (thread, Arc::clone(view)))
                .into_iter()
                .collect(),
            segments: Arc::clone(&self.segments),
        }
    }

    /// The state as far as one segment goes: it keeps its file from being removed, and pins nothing
    /// else.
    #[must_use]
    pub fn of_segment(&self, segment: SegmentId) -> State {
        let fact = self.catalogue.segments.get(segment);
        let threads = fact.into_iter().flat_map(|fact| fact.live.threads());
        let mut runs = threads.filter_map(|thread| {
            let mut runs = self.threads.get(&thread)?.runs.iter();
            let run = runs.find(|run| run.file.segment == segment)?;
            let mut alone = ThreadView::new(thread);
            alone.add_run(run.clone());
            Some((thread, Arc::new(alone)))
        });
        State {
            store: self.store,
            catalogue: self.catalogue.of_segment(segment),
            threads: runs.next().into_iter().collect(),
            segments: Arc::clone(&self.segments),
        }
    }

    /// The state as far as the catalogue goes: it pins no thread but that one.
    #[must_use]
    pub fn of_catalogue(&self) -> State {
        State {
            catalogue: self.catalogue.clone(),
            ..self.of_thread(ThreadNumber::CATALOGUE)
        }
    }

    /// Segments in use, by number.
    #[must_use]
    pub fn segments(&self) -> Vec<SegmentInfo> {
        let facts = self.catalogue.segments.iter();
        let info = facts.map(|(segment, fact)| SegmentInfo {
            segment,
            path: crate::layout::segment_path(fact.class, segment),
            pack: fact.class == Class::Pack,
            file_bytes: fact.file_bytes,
            payload_bytes: fact.live.iter().map(|run| run.payload_bytes).sum(),
            runs: fact
                .live
                .iter()
                .map(|run| (run.thread, run.first_ordinal, run.ordinal_end))
                .collect(),
        });
        info.collect()
    }

    /// Payload bytes of the thread that only the journal holds.
    #[must_use]
    pub fn journal_bytes(&self, thread: ThreadNumber) -> u64 {
        self.threads
            .get(&thread)
            .map_or(0, |view| view.journal_bytes())
    }

    /// Reads every byte of a segment and compares it with what was published; hands every damage
    /// to `report`.
    ///
    /// # Errors
    /// Only for failures of the system that are not about the bytes.
    pub fn verify_segment(
        &self,
        segment: SegmentId,
        report: &mut dyn FnMut(&Damage),
    ) -> Result<Totals, ReadError> {
        let Some(fact) = self.catalogue.segments.get(segment) else {
            return Ok(Totals::default());
        };
        let file = fact.file(segment);
        let whole = |cause, ordinals| Damage {
            file: crate::layout::segment_path(fact.class, segment),
            offset: 0,
            length: fact.file_bytes,
            thread: fact.live.threads().next(),
            ordinals,
            cause,
        };
        let opened: Arc<OpenSegment> = match self.segments.get(&file) {
            Ok(opened) => opened,
            Err(ReadError::Damaged(damage)) => {
                let lost = fact.live.iter().next();
                let lost = lost.map(|run| (run.first_ordinal, run.ordinal_end));
                report(&whole(damage.cause, lost));
                return Ok(Totals::default());
            }
            Err(error) => return Err(error),
        };
        // [R:seg-8]
        if opened.digest().is_some_and(|digest| digest != fact.digest) {
            report(&whole(Cause::Tables, None));
        }
        match opened.verify(report) {
            Ok(verified) => Ok(Totals {
                records: verified.records,
                bytes: verified.bytes,
            }),
            Err(ReadError::Damaged(_)) => Ok(Totals::default()),
            Err(error) => Err(error),
        }
    }

    /// Reads every byte of the segments that hold the catalogue, and adds up all its records again;
    /// hands every damage to `report`.
    ///
    /// # Errors
    /// Only for failures of the system that are not about the bytes.
    pub fn verify_catalogue(&self, report: &mut dyn FnMut(&Damage)) -> Result<(), ReadError> {
        let Some(view) = self.threads.get(&ThreadNumber::CATALOGUE) else {
            return Ok(());
        };
        for run in &view.runs {
            // A segment of which something was given up stays as it is, known not to be whole.
            let known = |damage: &Damage| {
                let given_up = |(first, end)| view.is_given_up(first, end);
                view.has_gap(run) && damage.ordinals.is_none_or(given_up)
            };
            let mut tell = |damage: &Damage| {
                if !known(damage) {
                    report(damage);
                }
            };
            let read = self.segments.get(&run.file);
            match read.and_then(|segment| segment.verify(&mut tell)) {
                Ok(_) => {}
                Err(ReadError::Damaged(damage)) => tell(&damage),
                Err(error) => return Err(error),
            }
        }
        // What was given up had all records read when the store was opened.
        if view.given_up.is_empty()
            && let Some(reader) = self.rollout_reader(ThreadNumber::CATALOGUE)
        {
            let (sum, findings) = sum_of_records(&reader);
            findings.damage.iter().for_each(&mut *report);
            if findings.is_sound() && !sum.says_the_same(&self.catalogue) {
                report(&Damage {
                    file: CHECKPOINT.to_owned(),
                    offset: 0,
                    length: 0,
                    thread: None,
                    ordinals: None,
                    cause: Cause::Contradiction,
                });
            }
        }
        Ok(())
    }

    /// Reads every record of a thread, checks its chain from the first to the last and hands every
    /// damage to `report`.
    ///
    /// # Errors
    /// Only for failures of the system that are not about the bytes.
    pub fn verify_thread(
        &self,
        thread: ThreadNumber,
        report: &mut dyn FnMut(&Damage),
    ) -> Result<Totals, ReadError> {
        let Some(reader) = self.rollout_reader(thread) else {
            return Ok(Totals::default());
        };
        crate::read::verify(&reader, report)
    }
}
