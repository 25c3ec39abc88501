//! Owns the file `damage`: places within segments that were damaged when somebody read them.
//! It must not know what damage is.
//!
//! The list is a hint and never evidence: an opening reads the places again and believes what it
//! reads. So it may be written by anybody, lost, cut, too old or wrong without harm, and whoever may
//! not write it goes on without. [R:seg-16]

use std::io;

use turnleaf_format::segment::section_crc;
use turnleaf_format::{SegmentId, StoreId};

use crate::disk::{Access, Disk, read_exact_at};
use crate::error::{Damage, DiskFailure, failed};
use crate::layout::{DAMAGE, SEGMENTS, TEMPORARY, segment_name, segment_of};
use crate::state::State;

/// Places that are listed at most: a store with more is no worse known, and reading them again is
/// bounded.
const PLACES_MAX: usize = 256;
/// Most bytes of a list: longer ones are none.
const LIST_BYTES_MAX: u64 = 16 << 10;
/// What a list begins with, before the store and the checksum of the lines.
const TITLE: &str = "turnleaf-damage-1";

/// Where something within a segment began that was damaged; 0 is the file as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) segment: SegmentId,
    pub(crate) offset: u64,
}

impl Place {
    fn of(damage: &Damage) -> Option<Place> {
        let name = damage.file.strip_prefix(SEGMENTS)?.strip_prefix('/')?;
        let (segment, offset) = (segment_of(name)?, damage.offset);
        Some(Place { segment, offset })
    }

    fn parse(line: &str) -> Option<Place> {
        let (name, offset) = line.split_once(' ')?;
        let (segment, offset) = (segment_of(name)?, offset.parse().ok()?);
        Some(Place { segment, offset })
    }
}

/// Adds places of segments to the list of the store on the disk, ascending, as many as there is
/// room for. Damage of other files is passed by: an opening meets it without a hint.
///
/// Atomic: after a crash the list is the old or the new one, or none.
///
/// # Errors
/// When the disk refuses; nothing but the hint is lost.
pub fn remember(disk: &dyn Disk, store: StoreId, found: &[Damage]) -> Result<(), DiskFailure> {
    let mut found = found.iter().filter_map(Place::of).peekable();
    if found.peek().is_none() {
        return Ok(());
    }
    let known = listed(disk, store);
    let mut places = known.clone();
    for place in found {
        if !places.contains(&place) && places.len() < PLACES_MAX {
            places.push(place);
        }
    }
    if places.len() == known.len() {
        return Ok(());
    }
    keep(disk, store, &mut places)
}

/// The places on the list; none where there is no list, or none that can be used.
pub(crate) fn listed(disk: &dyn Disk, store: StoreId) -> Vec<Place> {
    read(disk)
        .and_then(|bytes| parse(&bytes, store))
        .unwrap_or_default()
}

/// Leaves on the list only places of segments that are in use: a repair has done its work.
pub(crate) fn strike_off(disk: &dyn Disk, state: &State) {
    let listed = listed(disk, state.store);
    let facts = &state.catalogue.segments;
    let is_in_use = |place: &&Place| facts.get(place.segment).is_some();
    let mut left: Vec<Place> = listed.iter().filter(is_in_use).copied().collect();
    if left.len() < listed.len()
        && let Err(failure) = keep(disk, state.store, &mut left)
    {
        tracing::warn!(%failure, "the list of damage stays as it is");
    }
}

/// Writes a list of these places, or removes it where there are none.
pub(crate) fn keep(
    disk: &dyn Disk,
    store: StoreId,
    places: &mut [Place],
) -> Result<(), DiskFailure> {
    let temporary = format!("{DAMAGE}{TEMPORARY}");
    remove(disk, &temporary)?;
    if places.is_empty() {
        return remove(disk, DAMAGE);
    }
    places.sort_unstable();
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
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

fn read(disk: &dyn Disk) -> Option<Vec<u8>> {
    let file = disk.open(DAMAGE, Access::Read).ok()?;
    let len = file.len().ok().filter(|len| *len <= LIST_BYTES_MAX)?;
    read_exact_at(&*file, 0, usize::try_from(len).ok()?).ok()
}

/// `turnleaf-damage-1 <store> <checksum of the rest>`, then a line for each place.
fn text_of(store: StoreId, places: &[Place]) -> String {
    let line = |place: &Place| format!("{} {}\n", segment_name(place.segment), place.offset);
    let lines: String = places.iter().map(line).collect();
    format!("{}{lines}", head_of(store, &lines))
}

fn head_of(store: StoreId, lines: &str) -> String {
    format!("{TITLE} {store} {:08x}\n", section_crc(lines.as_bytes()))
}

fn parse(bytes: &[u8], store: StoreId) -> Option<Vec<Place>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (_, lines) = text.split_once('\n')?;
    if text != format!("{}{lines}", head_of(store, lines)) {
        return None;
    }
    let places: Vec<Place> = lines.lines().map(Place::parse).collect::<Option<_>>()?;
    (places.len() <= PLACES_MAX).then_some(places)
}

#[cfg(test)]
mod tests;
