//! Owns reading along a lineage: the inherited prefixes of the rollouts that one goes on from, then
//! its own records, as one sequence of ordinals. It must not know how a rollout is stored.
//!
//! What a reader counts are *visible* ordinals: dense from 0 over the whole lineage. Damage names
//! the rollout that holds it, and ordinals as they are counted there; [`Reader::visible`] says
//! where that is in the lineage.

use std::ops::ControlFlow;

use turnleaf_format::catalogue::{Base, Lost};
use turnleaf_format::record::Entry;
use turnleaf_format::{Ordinal, ThreadChain, ThreadNumber};

use super::{Record, RolloutReader, RunNotes};
use crate::error::{Cause, Damage, DiskFailure, ReadError};
use crate::layout::segment_path;

/// Whose records a rollout goes on from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GoesOn {
    /// Those of the same thread, which was reverted.
    SameThread,
    /// Those of another thread: it is a fork.
    OtherThread,
}

/// Records of one rollout in a lineage.
#[derive(Debug, Clone)]
struct Part {
    thread: ThreadNumber,
    reader: RolloutReader,
    /// Visible ordinal of its record 0.
    first: Ordinal,
    /// One past its last visible record, as a visible ordinal.
    end: Ordinal,
    /// The chain of the rollout there.
    chain: ThreadChain,
}

impl Part {
    /// A visible ordinal as the rollout counts, within the part.
    fn own(&self, visible: Ordinal) -> Ordinal {
        Ordinal(visible.max(self.first).min(self.end).0 - self.first.0)
    }

    /// An ordinal of the rollout, as the lineage counts; `None` behind what is inherited.
    fn visible(&self, own: Ordinal) -> Option<Ordinal> {
        let visible = Ordinal(own.0.checked_add(self.first.0)?);
        (visible <= self.end).then_some(visible)
    }

    /// What nothing holds of the ordinals before `end`, as the rollout counts: an opening closes a
    /// rollout that ends before a cut, but one of a deleted thread is not looked for.
    /// [R:lineage-3]
    fn reaches(&self, end: Ordinal) -> Result<(), ReadError> {
        let reached = self.reader.end();
        if end <= reached {
            return Ok(());
        }
        let missing = self.reader.absent(reached);
        let ordinals = Some((reached, Ordinal(self.end.0 - self.first.0)));
        Err(Damage {
            ordinals,
            ..missing
        }
        .into())
    }

    fn clip(&self, (first, end): (Ordinal, Ordinal)) -> Option<(Ordinal, Ordinal)> {
        let first = self.visible(first)?;
        let end = self.visible(end).unwrap_or(self.end);
        (first < end).then_some((first, end))
    }
}

/// What a rollout shows at one moment, with all that it goes on from; cheap to clone, unaffected by
/// later appends and seals.
#[derive(Debug, Clone)]
pub struct Reader {
    /// The base of the base first, the rollout itself last; never empty.
    parts: Vec<Part>,
}

impl Reader {
    /// Reads rollouts one behind the other, each with its thread: all of them but the last up to a
    /// cut.
    pub(crate) fn of(
        inherited: impl IntoIterator<Item = (ThreadNumber, RolloutReader, Base)>,
        (thread, last): (ThreadNumber, RolloutReader),
    ) -> Reader {
        let mut parts: Vec<Part> = Vec::new();
        let mut first = Ordinal(0);
        for (of, reader, base) in inherited {
            let (end, chain) = (first.plus(base.end.0), base.chain);
            parts.push(Part {
                thread: of,
                reader,
                first,
                end,
                chain,
            });
            first = end;
        }
        let (end, chain) = (first.plus(last.end().0), last.chain());
        parts.push(Part {
            thread,
            reader: last,
            first,
            end,
            chain,
        });
        Reader { parts }
    }

    fn own_part(&self) -> &Part {
        self.parts.last().expect("a lineage has its own rollout")
    }

    /// The rollout whose lineage it is.
    #[must_use]
    pub fn rollout(&self) -> ThreadNumber {
        self.own_part().reader.view.thread
    }

    /// Where the rollout's own records begin: as many are inherited.
    #[must_use]
    pub fn inherited_end(&self) -> Ordinal {
        self.own_part().first
    }

    /// Whether a rollout of the lineage begins at an ordinal behind another one, and from what it
    /// goes on. Where several do, because those between have no records, it is a fork if one is.
    #[must_use]
    pub fn goes_on_at(&self, ordinal: Ordinal) -> Option<GoesOn> {
        let borders = self.parts.windows(2).filter_map(|pair| match pair {
            [before, part] if part.first == ordinal => Some(before.thread == part.thread),
            _ => None,
        });
        let is_same = borders.reduce(|all, same| all && same)?;
        Some(if is_same {
            GoesOn::SameThread
        } else {
            GoesOn::OtherThread
        })
    }

    /// Where the records of the thread itself begin: before that stand those of threads that it was
    /// forked from.
    #[must_use]
    pub fn own_thread_from(&self) -> Ordinal {
        let thread = self.own_part().thread;
        let own = self.parts.iter().rev();
        let own = own.take_while(|part| part.thread == thread);
        own.last().map_or(Ordinal(0), |part| part.first)
    }

    /// The rollouts with the visible ordinals that are read from each, in order: number, first, one
    /// past the last.
    pub fn rollouts(&self) -> impl Iterator<Item = (ThreadNumber, Ordinal, Ordinal)> {
        let parts = self.parts.iter();
        parts.map(|part| (part.reader.view.thread, part.first, part.end))
    }

    /// One past the newest record.
    #[must_use]
    pub fn end(&self) -> Ordinal {
        self.own_part().end
    }

    /// The payload bytes of the rollout's own records, or some more: what of a run is not read from
    /// it is counted, too. Reads nothing.
    #[must_use]
    pub fn own_bytes_at_most(&self) -> u64 {
        let view = &self.own_part().reader.view;
        let runs: u64 = view.runs.iter().map(|run| run.payload_bytes).sum();
        let frames = view.frames.iter().flat_map(|frame| frame.lengths.iter());
        runs + frames.map(|length| length.payload_bytes).sum::<u64>()
    }

    /// The chain at [`Reader::end`]: that of the rollout, or where it has no records yet, of its
    /// base.
    #[must_use]
    pub fn chain(&self) -> ThreadChain {
        let mut parts = self.parts.iter().rev();
        let holds = parts.find(|part| part.first < part.end);
        holds.map_or(self.own_part().chain, |part| part.chain)
    }

    /// The thread chain before `ordinal`, where it can be told without reading: at the borders of
    /// what is stored. At the beginning of a rollout it is that of its base.
    #[must_use]
    pub fn chain_at(&self, ordinal: Ordinal) -> Option<ThreadChain> {
        if ordinal == Ordinal(0) {
            return Some(ThreadChain::START);
        }
        let part = self.parts.iter().find(|part| ordinal <= part.end)?;
        if ordinal == part.end {
            return Some(part.chain);
        }
        part.reader.chain_at(part.own(ordinal))
    }

    /// Ordinals that a repair gave up: first and one past the last, ascending. Reading passes them
    /// by in silence.
    #[must_use]
    pub fn given_up(&self) -> Vec<(Ordinal, Ordinal)> {
        self.ranges(RolloutReader::given_up)
    }

    /// Ordinals that are known to be lost, ascending.
    #[must_use]
    pub fn holes(&self) -> Vec<(Ordinal, Ordinal)> {
        self.ranges(|reader| {
            let holes = reader.holes().into_iter();
            holes.filter_map(|hole| hole.ordinals).collect()
        })
    }

    fn ranges(
        &self,
        of: impl Fn(&RolloutReader) -> Vec<(Ordinal, Ordinal)>,
    ) -> Vec<(Ordinal, Ordinal)> {
        let parts = self.parts.iter();
        let ranges = parts.flat_map(|part| {
            let own = of(&part.reader).into_iter();
            own.filter_map(|range| part.clip(range)).collect::<Vec<_>>()
        });
        ranges.collect()
    }

    /// What was given up of the rollout itself, as the catalogue states it, in its own ordinals,
    /// ascending; also breaks of the chain, which have no ordinals.
    #[must_use]
    pub fn losses(&self) -> &[Lost] {
        self.own_part().reader.losses()
    }

    /// What damage costs, as visible ordinals; `None` where it costs nothing of this lineage.
    #[must_use]
    pub fn visible(&self, damage: &Damage) -> Option<(Ordinal, Ordinal)> {
        self.part_of(damage)?.clip(damage.ordinals?)
    }

    fn part_of(&self, damage: &Damage) -> Option<&Part> {
        let of = damage.thread.unwrap_or(self.rollout());
        let mut parts = self.parts.iter();
        parts.find(|part| part.reader.view.thread == of)
    }

    /// Where reading goes on that met damage: behind what it costs, or nowhere.
    #[must_use]
    pub fn behind(&self, damage: &Damage) -> Ordinal {
        match (damage.ordinals, self.part_of(damage)) {
            (Some((_, end)), Some(part)) => part.visible(end).unwrap_or(part.end),
            _ => self.end(),
        }
    }

    /// The records that cannot be read because a segment was not opened, as damage that costs them:
    /// those of `from..end` that the lineage reads from the file that `failure` is about, run by
    /// run in their order. A file may hold several runs of a lineage: a read that went on to `end`
    /// failed at the first of them, one that went back to `from` at the last. None where the
    /// failure is about another file: then nobody knows where reading could go on.
    pub fn kept_by<'a>(
        &'a self,
        failure: &'a DiskFailure,
        from: Ordinal,
        end: Ordinal,
    ) -> impl DoubleEndedIterator<Item = Damage> + 'a {
        let file = &failure.path;
        let of_part = move |part: &'a Part| {
            let (from, end) = (part.own(from), part.own(end));
            let runs = part.reader.view.runs.iter().filter(move |run| {
                let path = segment_path(run.file.class, run.file.segment);
                run.from < end && from < run.end && path == *file
            });
            runs.map(move |run| Damage {
                file: file.clone(),
                offset: 0,
                length: 0,
                thread: Some(part.reader.view.thread),
                ordinals: Some((run.from, run.end)),
                cause: Cause::Unreadable((&failure.source).into()),
            })
        };
        self.within(from, end).flat_map(of_part)
    }

    /// Visits the entries of the records `from..end` in order: an inline record is one entry, a
    /// large one several chunks. Nothing larger than a chunk is ever in memory.
    ///
    /// # Errors
    /// [`ReadError::Damaged`] at the first damage; everything before it has been visited, and
    /// reading can go on at [`Reader::behind`].
    pub fn entries(
        &self,
        from: Ordinal,
        end: Ordinal,
        visit: &mut dyn FnMut(Ordinal, &Entry<'_>) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        let mut flow = ControlFlow::Continue(());
        for part in self.within(from, end) {
            let first = part.first;
            let (from, end) = (part.own(from), part.own(end));
            part.reader.entries(from, end, &mut |own, entry| {
                flow = visit(own.plus(first.0), entry);
                flow
            })?;
            if flow.is_break() {
                break;
            }
            part.reaches(end)?;
        }
        Ok(())
    }

    /// Visits the records `from..end` in order, each whole; one over [`super::PARSED_BYTES_MAX`]
    /// comes as [`super::Payload::Opaque`].
    ///
    /// # Errors
    /// As [`Reader::entries`].
    pub fn records(
        &self,
        from: Ordinal,
        end: Ordinal,
        visit: &mut dyn FnMut(&Record<'_>) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        let mut flow = ControlFlow::Continue(());
        for part in self.within(from, end) {
            let (from, end) = (part.own(from), part.own(end));
            let mut shifted = Shifted::new(part.first, &mut flow, visit);
            part.reader
                .records(from, end, &mut |record| shifted.visit(record))?;
            if flow.is_break() {
                break;
            }
            part.reaches(end)?;
        }
        Ok(())
    }

    /// Visits the records before `end`, newest first, each whole.
    ///
    /// # Errors
    /// As [`Reader::entries`], in the other direction.
    pub fn records_back(
        &self,
        end: Ordinal,
        visit: &mut dyn FnMut(&Record<'_>) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        let mut flow = ControlFlow::Continue(());
        for part in self.parts.iter().rev().filter(|part| part.first < end) {
            let end = part.own(end);
            part.reaches(end)?;
            let mut shifted = Shifted::new(part.first, &mut flow, visit);
            part.reader
                .records_back(end, &mut |record| shifted.visit(record))?;
            if flow.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// The records with these ordinals, in the order given; neighbouring ones share their reads.
    ///
    /// # Errors
    /// As [`Reader::entries`]; also when an ordinal is not in the lineage.
    pub fn get(&self, ordinals: &[Ordinal]) -> Result<Vec<Record<'static>>, ReadError> {
        if let [only] = self.parts.as_slice() {
            return only.reader.get(ordinals);
        }
        let mut found: Vec<Option<Record<'static>>> = vec![None; ordinals.len()];
        for part in &self.parts {
            let of_part = |ordinal: &Ordinal| (part.first..part.end).contains(ordinal);
            let places = ordinals.iter().enumerate();
            let places: Vec<usize> = places
                .filter(|(_, ordinal)| of_part(ordinal))
                .map(|(place, _)| place)
                .collect();
            let own: Vec<Ordinal> = places.iter().map(|at| part.own(ordinals[*at])).collect();
            for (place, mut record) in places.into_iter().zip(part.reader.get(&own)?) {
                record.ordinal = record.ordinal.plus(part.first.0);
                found[place] = Some(record);
            }
        }
        let records = found.into_iter().zip(ordinals);
        records
            .map(|(record, ordinal)| record.ok_or_else(|| self.absent(*ordinal).into()))
            .collect()
    }

    /// Notes of the run that begins at `first`; `None` when no run of a segment begins there, it
    /// has none, or not all of it is in the lineage.
    ///
    /// # Errors
    /// As [`Reader::entries`].
    pub fn notes_at(&self, first: Ordinal) -> Result<Option<RunNotes>, ReadError> {
        let mut parts = self.parts.iter();
        let Some(part) = parts.find(|part| (part.first..part.end).contains(&first)) else {
            return Ok(None);
        };
        let notes = part.reader.notes_at(part.own(first))?;
        Ok(notes.and_then(|notes| {
            let end = part.visible(notes.end)?;
            Some(RunNotes { end, ..notes })
        }))
    }

    /// First ordinal after `ordinal` at which a run of a segment begins, or a rollout of the
    /// lineage.
    #[must_use]
    pub fn next_run(&self, ordinal: Ordinal) -> Option<Ordinal> {
        let part = self.parts.iter().find(|part| ordinal < part.end)?;
        let next = part.reader.next_run(part.own(ordinal));
        let next = next.and_then(|own| part.visible(own));
        let next = next.filter(|next| *next < part.end);
        next.or_else(|| (part.end < self.end()).then_some(part.end))
    }

    /// The prefix that another rollout goes on from so that it shows the records before `end`;
    /// `None` for no record at all. It is of the rollout that holds the last of them.
    ///
    /// # Errors
    /// As [`Reader::entries`]; also when the lineage ends before that.
    pub fn base_at(&self, end: Ordinal) -> Result<Option<Base>, ReadError> {
        if end == Ordinal(0) {
            return Ok(None);
        }
        let mut parts = self.parts.iter();
        let Some(part) = parts.find(|part| end <= part.end) else {
            return Err(self.absent(end).into());
        };
        let own = part.own(end);
        Ok(Some(Base {
            rollout: part.reader.view.thread,
            end: own,
            chain: part.reader.chain_before(own)?,
        }))
    }

    /// Checks the chain of the base at the cut, which the rollout states: reads what holds the
    /// record before it. What cannot be read there is damage of the base. [R:lineage-2]
    ///
    /// # Errors
    /// Only for failures of the system that are not about the bytes.
    pub fn verify_base(&self, report: &mut dyn FnMut(&Damage)) -> Result<(), ReadError> {
        let Some(part) = self.parts.iter().rev().nth(1) else {
            return Ok(());
        };
        let end = Ordinal(part.end.0 - part.first.0);
        let read = part
            .reaches(end)
            .and_then(|()| part.reader.chain_before(end));
        match read {
            Ok(chain) if chain == part.chain => {}
            Ok(_) => report(&Damage {
                ordinals: None,
                cause: Cause::Chain,
                ..self.absent(part.end)
            }),
            // Of what is there it is told when that is read itself.
            Err(ReadError::Damaged(damage)) if part.reader.end() < end => report(&damage),
            Err(ReadError::Damaged(_)) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn absent(&self, ordinal: Ordinal) -> Damage {
        Damage {
            file: String::new(),
            offset: 0,
            length: 0,
            thread: Some(self.rollout()),
            ordinals: Some((ordinal, ordinal.plus(1))),
            cause: Cause::Missing,
        }
    }

    fn within(&self, from: Ordinal, end: Ordinal) -> impl DoubleEndedIterator<Item = &Part> {
        let parts = self.parts.iter();
        parts.filter(move |part| part.first < end && from < part.end)
    }
}

/// Hands on records of a part with their visible ordinals.
struct Shifted<'a> {
    first: Ordinal,
    flow: &'a mut ControlFlow<()>,
    visit: &'a mut dyn FnMut(&Record<'_>) -> ControlFlow<()>,
}

impl<'a> Shifted<'a> {
    fn new(
        first: Ordinal,
        flow: &'a mut ControlFlow<()>,
        visit: &'a mut dyn FnMut(&Record<'_>) -> ControlFlow<()>,
    ) -> Shifted<'a> {
        Shifted { first, flow, visit }
    }

    fn visit(&mut self, record: &Record<'_>) -> ControlFlow<()> {
        let ordinal = record.ordinal.plus(self.first.0);
        *self.flow = (self.visit)(&record.at(ordinal));
        *self.flow
    }
}
