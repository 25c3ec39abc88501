//! Owns the file `damage`: places within segments that were damaged when somebody read them.
//! It must not know what damage is.
//!
//! The list is a hint and never evidence: an opening reads the places again and believes what it
//! reads. So it may be written by anybody, lost, cut, too old or wrong without harm, and whoever
//! may not write it goes on without. [R:seg-16]

use std::collections::{BTreeSet, HashMap};
use std::io::ErrorKind;

use turnleaf_format::segment::section_crc;
use turnleaf_format::{SegmentId, StoreId, ThreadNumber};

use crate::disk::{Access, Disk, read_exact_at};
use crate::error::{Cause, Damage, DiskFailure, failed};
use crate::layout::{CATALOGUE, DAMAGE, SEGMENTS, TEMPORARY, segment_name, segment_of};
use crate::state::State;

/// Places that are listed at most: a store with more is no worse known, and reading them again is
/// bounded.
const PLACES_MAX: usize = 256;
/// Places of one thread in one segment that are listed at most: one of them closes the thread.
const PLACES_OF_ONE: usize = 4;
/// Most bytes of a list: longer ones are none.
const LIST_BYTES_MAX: usize = 16 << 10;
/// What a list begins with, before the store and the checksum of the lines.
const TITLE: &str = "turnleaf-damage-1";

/// Where something within a segment began that was damaged, also in one of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) segment: SegmentId,
    /// 0 is the header, or what the tables say of the file as a whole.
    pub(crate) offset: u64,
    /// Whose records it cost when it was read; `None`: nobody's.
    pub(crate) thread: Option<ThreadNumber>,
}

impl Place {
    /// `None` also for what only a reading of the whole file shows: it costs no record, and no
    /// opening reads that much to find it again.
    fn of(damage: &Damage) -> Option<Place> {
        if matches!(damage.cause, Cause::Digest | Cause::RunBytes) {
            return None;
        }
        let (dir, name) = damage.file.split_once('/')?;
        if dir != SEGMENTS && dir != CATALOGUE {
            return None;
        }
        let costs = damage.ordinals.is_some_and(|(first, end)| first < end);
        Some(Place {
            segment: segment_of(name)?,
            offset: damage.offset,
            thread: damage.thread.filter(|_| costs),
        })
    }

    fn parse(line: &str) -> Option<Place> {
        let mut words = line.split(' ');
        let segment = segment_of(words.next()?)?;
        let offset = words.next()?.parse().ok()?;
        let thread = words.next().map(str::parse).transpose().ok()?;
        let thread = thread.map(ThreadNumber);
        words.next().is_none().then_some(Place {
            segment,
            offset,
            thread,
        })
    }

    fn line(&self) -> String {
        let (name, offset) = (segment_name(self.segment), self.offset);
        match self.thread {
            Some(thread) => format!("{name} {offset} {}\n", thread.0),
            None => format!("{name} {offset}\n"),
        }
    }
}

/// Adds places of segments to the list of the store on the disk. Of more than there is room for,
/// those stay that cost records, of as many threads as possible. Damage of the journal is passed
/// by: an opening meets it without a hint. Nothing is written where the list is another store's, or
/// where it cannot be read: it may hold more.
///
/// Atomic: after a crash the list is the old or the new one, or none. Of two processes that write
/// at once one may win.
///
/// # Errors
/// When the disk refuses; nothing but the hint is lost.
pub fn remember(disk: &dyn Disk, store: StoreId, found: &[Damage]) -> Result<(), DiskFailure> {
    let mut found = found.iter().filter_map(Place::of).peekable();
    if found.peek().is_none() {
        return Ok(());
    }
    let known = match read(disk)? {
        Some((of, _)) if of != store => return Ok(()),
        known => known.map_or_else(Vec::new, |(_, places)| places),
    };
    let places = fitting(known.iter().copied().chain(found));
    if places == known {
        return Ok(());
    }
    keep(disk, store, &places)
}

/// The places that are listed, ascending: each once, a few of each thread in each segment. Where
/// there are too many, the second of a thread goes before the first of another, and what cost no
/// record goes first.
fn fitting(places: impl Iterator<Item = Place>) -> Vec<Place> {
    let mut seen = BTreeSet::new();
    let mut of_one: HashMap<_, usize> = HashMap::new();
    let mut of_thread: HashMap<_, usize> = HashMap::new();
    let mut ranked = Vec::new();
    for place in places.filter(|place| seen.insert(*place)) {
        let here = of_one.entry((place.segment, place.thread)).or_default();
        if *here < PLACES_OF_ONE {
            *here += 1;
            let rank = of_thread.entry(place.thread).or_default();
            ranked.push((place.thread.is_none(), *rank, place));
            *rank += 1;
        }
    }
    ranked.sort_by_key(|(costs_nothing, rank, _)| (*costs_nothing, *rank));
    ranked.truncate(PLACES_MAX);
    let mut places: Vec<Place> = ranked.into_iter().map(|(.., place)| place).collect();
    places.sort_unstable();
    places
}

/// The places on the list, ascending; none where there is no list, or none that can be used.
///
/// # Errors
/// When there may be one: it is not read.
pub(crate) fn listed(disk: &dyn Disk, store: StoreId) -> Result<Vec<Place>, DiskFailure> {
    let known = read(disk)?.filter(|(of, _)| *of == store);
    Ok(known.map_or_else(Vec::new, |(_, places)| places))
}

/// Takes places off the list at which nothing is wrong; what was added meanwhile stays.
pub(crate) fn strike_off(disk: &dyn Disk, store: StoreId, good: &[Place]) {
    leave(disk, store, |place| !good.contains(place));
}

/// Leaves on the list only places of segments that are in use: a repair has done its work.
pub(crate) fn strike_off_unused(disk: &dyn Disk, state: &State) {
    let facts = &state.catalogue.segments;
    let catalogue = state.threads.get(&ThreadNumber::CATALOGUE);
    let runs = catalogue.map_or(&[][..], |view| &view.runs);
    let of_catalogue = |segment| runs.iter().any(|run| run.file.segment == segment);
    leave(disk, state.store, |place| {
        facts.get(place.segment).is_some() || of_catalogue(place.segment)
    });
}

fn leave(disk: &dyn Disk, store: StoreId, stays: impl Fn(&Place) -> bool) {
    let Ok(listed) = listed(disk, store) else {
        return;
    };
    let left: Vec<Place> = listed
        .iter()
        .filter(|place| stays(place))
        .copied()
        .collect();
    if left.len() < listed.len()
        && let Err(failure) = keep(disk, store, &left)
    {
        tracing::warn!(%failure, "the list of damage stays as it is");
    }
}

/// Removes what a process left that ended while it wrote a list. [S:names-4]
pub(crate) fn tidy(disk: &dyn Disk) {
    if let Err(failure) = remove(disk, &temporary()) {
        tracing::warn!(%failure, "an unfinished file stays");
    }
}

fn temporary() -> String {
    format!("{DAMAGE}{TEMPORARY}")
}

/// Writes a list of these places, or removes it where there are none.
fn keep(disk: &dyn Disk, store: StoreId, places: &[Place]) -> Result<(), DiskFailure> {
    let temporary = temporary();
    remove(disk, &temporary)?;
    if places.is_empty() {
        return remove(disk, DAMAGE);
    }
    let file = disk
        .create(&temporary)
        .map_err(failed("create", &temporary))?;
    let text = text_of(store, places);
    let written = file.write_at(0, text.as_bytes()).and_then(|()| file.sync());
    let written = written.map_err(failed("write", &temporary));
    let renamed = written.and_then(|()| {
        let renamed = disk.rename(&temporary, DAMAGE);
        renamed.map_err(failed("rename", &temporary))
    });
    if renamed.is_err() {
        // What is left of it is in nobody's way: the next one removes it.
        let _ = disk.remove(&temporary);
    }
    renamed
}

fn remove(disk: &dyn Disk, path: &str) -> Result<(), DiskFailure> {
    match disk.remove(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

/// The list, and of which store it is; `None` where there is none, or none that is whole.
///
/// # Errors
/// When there is one that the system does not open, or the device does not read.
fn read(disk: &dyn Disk) -> Result<Option<(StoreId, Vec<Place>)>, DiskFailure> {
    let file = match disk.open(DAMAGE, Access::Read) {
        // There is none, or something that is no file.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidInput) => {
            return Ok(None);
        }
        file => file.map_err(failed("open", DAMAGE))?,
    };
    let len = file.len().map_err(failed("measure", DAMAGE))?;
    let Some(len) = usize::try_from(len)
        .ok()
        .filter(|len| *len <= LIST_BYTES_MAX)
    else {
        return Ok(None);
    };
    match read_exact_at(&*file, 0, len) {
        // It was cut meanwhile.
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
        bytes => Ok(parse(&bytes.map_err(failed("read", DAMAGE))?)),
    }
}

/// `turnleaf-damage-1 <store> <checksum of the rest>`, then a line for each place: segment, offset,
/// and the number of the thread whose records it cost.
fn text_of(store: StoreId, places: &[Place]) -> String {
    let lines: String = places.iter().map(Place::line).collect();
    format!("{}{lines}", head_of(store, &lines))
}

fn head_of(store: StoreId, lines: &str) -> String {
    format!("{TITLE} {store} {:08x}\n", section_crc(lines.as_bytes()))
}

fn parse(bytes: &[u8]) -> Option<(StoreId, Vec<Place>)> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (head, lines) = text.split_once('\n')?;
    let id = u128::from_str_radix(head.split(' ').nth(1)?, 16).ok()?;
    let store = StoreId(id.to_be_bytes());
    if text != format!("{}{lines}", head_of(store, lines)) {
        return None;
    }
    let places: Vec<Place> = lines.lines().map(Place::parse).collect::<Option<_>>()?;
    Some((store, fitting(places.into_iter())))
}

#[cfg(test)]
mod tests;
