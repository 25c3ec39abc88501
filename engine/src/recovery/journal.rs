//! Owns the reading of the journal files that count: their frames in order, where they end, what is
//! damaged in them.

use std::sync::Arc;

use turnleaf_format::frame::{FrameHeader, Position};
use turnleaf_format::journal::{Begun, FRAMES_OFFSET};
use turnleaf_format::{Format, Generation, JournalChain, Ordinal, ThreadNumber};

use super::findings::{Findings, Severity};
use super::set::{End, FileSet, Linked, Refusal};
use super::survey::FileEvidence;
use super::verdict::ends::{Ended, StatedEnd, TailVerdict, gap_damage, judge_end, judge_tail};
use crate::catalogue::LossRecord;
use crate::error::{Cause, Damage, DiskFailure, Unreadable};
use crate::journal::{Gap, NoFrame, Scan, ScannedFrame, scan_file};
use crate::view::JournalFile;

/// A damaged frame whose header still says what it held.
#[derive(Debug)]
pub(crate) struct LostFrame {
    pub(crate) generation: Generation,
    pub(crate) header: FrameHeader,
    pub(crate) damage: Damage,
}

impl LostFrame {
    /// Where it stands.
    pub(crate) fn place(&self) -> LossRecord {
        let offset = self.header.place.offset;
        LossRecord::Journal {
            generation: self.generation,
            offset,
            end: offset + self.header.stride(),
        }
    }

    /// The ordinals that it may have held: at most one record for each entry.
    pub(crate) fn ordinals(&self) -> (Ordinal, Ordinal) {
        let first = self.header.first_ordinal;
        (first, first.plus(u64::from(self.header.entry_count)))
    }
}

/// What the journal holds.
#[derive(Debug)]
pub(crate) struct JournalRead {
    /// Files that count, oldest first.
    pub(crate) files: Vec<Arc<JournalFile>>,
    /// Their frames with records, in order of position.
    pub(crate) frames: Vec<(Arc<JournalFile>, ScannedFrame)>,
    /// Where the newest file ends, and the chain there.
    pub(crate) end: Position,
    pub(crate) chain: JournalChain,
    pub(crate) tail: TailVerdict,
    /// Up to here the frames of the newest file say themselves that they were durable.
    pub(crate) proven: u64,
    /// A marker ends the newest file, nothing stands behind it, and no file was begun behind that
    /// one: the next owner goes on there. [R:tail-7]
    pub(crate) goes_on: bool,
    /// Files of generations before are free.
    pub(crate) stated_oldest: Generation,
    /// A newest file that was begun and never used, by index into the evidence.
    pub(crate) void: Option<usize>,
    /// Where a torn group begins in the newest file.
    pub(crate) cut: Option<u64>,
    /// Damaged frames whose header still says whose they are.
    pub(crate) lost: Vec<LostFrame>,
    pub(crate) findings: Findings,
    /// The highest epoch of a frame.
    pub(crate) epoch: u64,
}

/// Reads the files of the set.
pub(crate) fn read_journal(
    evidence: &[FileEvidence],
    set: &FileSet,
) -> Result<JournalRead, super::ReplayError> {
    let mut read = JournalRead {
        files: Vec::new(),
        frames: Vec::new(),
        end: Position::default(),
        chain: JournalChain(0),
        tail: TailVerdict::Clean,
        proven: 0,
        goes_on: false,
        stated_oldest: set.oldest_live,
        void: None,
        cut: None,
        lost: Vec::new(),
        findings: Findings::default(),
        epoch: 0,
    };
    for linked in &set.chain {
        let found = &evidence[linked.index];
        let capacity = linked
            .header
            .map_or(found.frames_end, |header| header.capacity);
        let readable_by = linked
            .header
            .map_or(Format::FIRST, |header| header.version.readable_by);
        let file = Arc::new(JournalFile {
            readable_by,
            path: found.path.clone(),
            slot: found.slot,
            generation: linked.generation,
            capacity: capacity.min(found.len),
            file: Arc::clone(&found.file),
        });
        let scan = scan_of(found, set, linked, file.capacity)?;
        if scan.newer {
            // [R:frame-5]
            let file = found.path.clone();
            return Err(Refusal::Newer { file }.into());
        }
        read.take(&file, linked, scan);
        read.files.push(file);
    }
    read.skip_unused_newest(set);
    Ok(read)
}

fn scan_of(
    found: &FileEvidence,
    set: &FileSet,
    linked: &Linked,
    capacity: u64,
) -> Result<Scan, DiskFailure> {
    let limit = match linked.end {
        End::At(offset, _) => Some(offset),
        End::Newest | End::Unknown => None,
    };
    let (file, path) = (&*found.file, &found.path);
    scan_file(file, path, set.store, linked.generation, capacity, limit)
}

impl JournalRead {
    fn take(&mut self, file: &Arc<JournalFile>, linked: &Linked, scan: Scan) {
        let ended = match linked.end {
            End::At(offset, stated) => {
                let (ended, reached) = judge_end(&scan, stated);
                if reached == StatedEnd::Contradicted {
                    self.wrong_end(file, offset);
                }
                ended
            }
            End::Newest | End::Unknown => judge_tail(&scan),
        };
        self.take_unreadable(file, &scan, &ended);
        for gap in &ended.damaged {
            self.take_gap(file, gap);
        }
        if linked.end == End::Newest {
            self.end_in(file, &ended);
            let stated = scan.frames.iter().map(|frame| frame.header.durable_upto);
            let own = stated.filter(|upto| upto.generation == file.generation);
            self.proven = own.map(|upto| upto.offset).max().unwrap_or(FRAMES_OFFSET);
            let whole = linked
                .header
                .is_some_and(|header| header.capacity == file.capacity);
            self.goes_on = whole && ended.is_clean() && ends_with_a_marker(&scan, ended.end);
        }
        for (offset, end) in &scan.padding {
            // [R:frame-15]
            let damage = Damage {
                length: end - offset,
                ..damage_at(file, *offset, Cause::NonzeroPadding)
            };
            let place = part_of(file, *offset, *end);
            self.findings
                .report(Severity::CostsNothing, damage, Some(place));
        }
        for frame in scan.frames {
            // A torn tail is void although whole frames may stand in it. [R:tail-3]
            let counts = frame.header.place.offset < ended.end;
            if counts {
                self.check_epoch(file, &frame);
                if !frame.header.is_marker() {
                    self.frames.push((Arc::clone(file), frame));
                }
            }
        }
    }

    /// The file does not end as the next one says. [R:sealed-end-5]
    fn wrong_end(&mut self, file: &JournalFile, offset: u64) {
        let place = part_of(file, offset, offset);
        let damage = damage_at(file, offset, Cause::Chain);
        self.findings
            .report(Severity::ClosesStore, damage, Some(place));
    }

    /// What the device did not read and no damaged place tells. [R:set-20]
    fn take_unreadable(&mut self, file: &JournalFile, scan: &Scan, ended: &Ended) {
        let Some((offset, why)) = scan.unreadable else {
            return;
        };
        let is_told = ended.damaged.iter().any(|gap| {
            matches!(gap.why, NoFrame::Unreadable(_)) && (gap.offset..gap.end).contains(&offset)
        });
        if !is_told {
            let unreadable = Unreadable::at(&file.path, offset, why);
            self.findings.unreadable(&unreadable);
        }
    }

    /// A damaged place: it concerns one thread where a header says which.
    fn take_gap(&mut self, file: &JournalFile, gap: &Gap) {
        let damage = gap_damage(&file.path, gap);
        match gap.header {
            Some(header) if header.thread != ThreadNumber::CATALOGUE => {
                self.lost.push(LostFrame {
                    generation: file.generation,
                    header,
                    damage,
                });
            }
            _ => {
                let place = part_of(file, gap.offset, gap.end);
                self.findings
                    .report(Severity::ClosesStore, damage, Some(place));
            }
        }
    }

    /// An empty newest file may not be durable, header or name: it is ignored, and the next file
    /// links to its predecessor. [R:set-19]
    fn skip_unused_newest(&mut self, set: &FileSet) {
        let is_unused = self.end.offset == FRAMES_OFFSET && self.tail == TailVerdict::Clean;
        let Some((newest, header)) = set
            .chain
            .last()
            .filter(|_| is_unused)
            .and_then(|linked| Some((linked, linked.header?)))
        else {
            return;
        };
        let linked = header.previous_end.generation;
        let before = set.chain.iter().rev().nth(1);
        self.stated_oldest = match before.filter(|before| before.generation == linked) {
            // What the unused header calls free is not free before a durable one does.
            Some(before) => match before.header {
                Some(before) => before.oldest_live,
                None => return,
            },
            None if header.begun == Begun::First => header.oldest_live,
            None => return,
        };
        self.files.pop();
        self.void = Some(newest.index);
        self.end = header.previous_end;
        self.chain = header.previous_chain;
        self.proven = header.previous_end.offset;
        // The file before was left for this one. [S:journal-9]
        self.goes_on = false;
    }

    fn end_in(&mut self, file: &JournalFile, ended: &Ended) {
        self.tail = ended.verdict.clone();
        self.cut = ended.torn.then_some(ended.end);
        self.end = Position {
            generation: file.generation,
            offset: ended.end.max(FRAMES_OFFSET),
        };
        // Unknown only behind damage that closes the store: then nothing is written.
        self.chain = ended.chain.unwrap_or(JournalChain(0));
    }

    /// Epochs do not descend. [R:frame-11]
    fn check_epoch(&mut self, file: &JournalFile, frame: &ScannedFrame) {
        let header = &frame.header;
        // Nobody can follow the last number that there is.
        let last = header.epoch == u64::MAX;
        if header.epoch < self.epoch || last {
            let (offset, length) = (header.place.offset, header.stride());
            let damage = Damage {
                file: file.path.clone(),
                offset,
                length,
                thread: Some(header.thread),
                ordinals: None,
                cause: Cause::Epoch,
            };
            // The frame is whole and is read: only what it says of its owner is passed over.
            let place = part_of(file, offset, offset);
            self.findings
                .report(Severity::ClosesStore, damage, Some(place));
        }
        if !last {
            self.epoch = self.epoch.max(header.epoch);
        }
    }
}

/// Whether the last frame before the end says that all before it was durable.
fn ends_with_a_marker(scan: &Scan, end: u64) -> bool {
    let last = scan.frames.last().map(|frame| &frame.header);
    last.is_some_and(|last| last.is_marker() && last.place.offset + last.stride() == end)
}

/// Damage of a place that has no length yet.
fn damage_at(file: &JournalFile, offset: u64, cause: Cause) -> Damage {
    Damage {
        file: file.path.clone(),
        offset,
        length: 0,
        thread: None,
        ordinals: None,
        cause,
    }
}

/// What a repair states about a part of the file.
pub(super) fn part_of(file: &JournalFile, offset: u64, end: u64) -> LossRecord {
    LossRecord::Journal {
        generation: file.generation,
        offset,
        end,
    }
}
