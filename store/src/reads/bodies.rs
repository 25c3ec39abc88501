//! Owns the bodies of items and errors: the records they are made of are read, and rendered, unless
//! the body is kept from an earlier page.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::{Value, json};
use turnleaf_engine::format::{Ordinal, ThreadNumber};
use turnleaf_engine::{Damage, ReadError, Reader, Record};
use turnleaf_projector::render;
use turnleaf_projector::rows::{ItemRow, ItemTimes, TurnRow};

use super::kept::Key;
use super::served::Body;
use crate::error::Error;
use crate::index::catch_up::CaughtUp;
use crate::lines::whole_line;
use crate::open::Store;

/// A thread's items among whose records they are looked up.
#[derive(Clone, Copy)]
pub(super) struct Of<'r> {
    rollout: ThreadNumber,
    reader: &'r Reader,
}

impl<'r> Of<'r> {
    pub(super) fn thread(now: &'r CaughtUp) -> Of<'r> {
        Of {
            rollout: now.number,
            reader: &now.reader,
        }
    }

    fn key(&self, first: Ordinal, row: &ItemRow) -> Key {
        let mut hasher = DefaultHasher::new();
        let ItemTimes {
            started_at_ms,
            completed_at_ms,
        } = row.times;
        // A base that is found late moves all ordinals.
        let made_of = (self.reader.inherited_end().0, &row.id, row.sources.len());
        (made_of, started_at_ms, completed_at_ms).hash(&mut hasher);
        row.sources.iter().for_each(|at| at.0.hash(&mut hasher));
        (self.rollout, first, hasher.finish())
    }
}

impl Store {
    /// The bodies of items, in their order; `None` for one whose records cannot be read or shown.
    /// Records of those that are not kept are read at once.
    pub(super) fn bodies<'i>(
        &self,
        of: Of<'_>,
        items: impl Iterator<Item = (Ordinal, &'i ItemRow)>,
        met: &mut Vec<Damage>,
    ) -> Result<Vec<Option<Body>>, Error> {
        let (mut bodies, mut missing) = (Vec::new(), Vec::new());
        for (first, row) in items {
            let key = of.key(first, row);
            let kept = self.bodies.get(&key);
            if kept.is_none() {
                missing.push((bodies.len(), key, row));
            }
            bodies.push(kept);
        }
        if missing.is_empty() {
            return Ok(bodies);
        }
        let sources = missing.iter().flat_map(|(.., row)| &row.sources).copied();
        let lines = self.lines(of.reader, &sources.collect::<Vec<_>>(), met)?;
        for (place, key, row) in missing {
            let sources = row.sources.iter();
            let bytes: Option<Vec<&[u8]>> =
                sources.map(|at| lines.get(at).map(Vec::as_slice)).collect();
            if let Some(mut value) = bytes.and_then(|bytes| render::render(&row.id, &bytes)) {
                add_times(&mut value, row.times);
                let body = Body::of(&value);
                self.bodies.keep(key, body.clone());
                bodies[place] = Some(body);
            }
        }
        Ok(bodies)
    }

    /// What turns failed of, by the records that say so.
    pub(super) fn errors(
        &self,
        reader: &Reader,
        turns: &[(Ordinal, TurnRow)],
        met: &mut Vec<Damage>,
    ) -> Result<HashMap<Ordinal, Body>, Error> {
        let failed = turns.iter().filter_map(|(_, turn)| turn.error_at);
        let failed: Vec<Ordinal> = failed.collect();
        if failed.is_empty() {
            return Ok(HashMap::new());
        }
        let lines = self.lines(reader, &failed, met)?;
        let errors = lines.iter().filter_map(|(at, line)| {
            let error = render::turn_error(line)?;
            Some((*at, Body::of(&error)))
        });
        Ok(errors.collect())
    }

    /// The lines at these ordinals; what is damaged is left out and told.
    pub(super) fn lines(
        &self,
        reader: &Reader,
        wanted: &[Ordinal],
        met: &mut Vec<Damage>,
    ) -> Result<HashMap<Ordinal, Vec<u8>>, Error> {
        let mut found = HashMap::with_capacity(wanted.len());
        let mut take = |read: Result<Vec<Record<'static>>, ReadError>| {
            let lines = read?.into_iter().map(|record| {
                let at = record.ordinal;
                Ok((at, whole_line(reader, record)?))
            });
            lines
                .collect::<Result<Vec<_>, ReadError>>()
                .map(|lines| found.extend(lines))
        };
        match take(reader.get(wanted)) {
            Ok(()) => {}
            Err(ReadError::Disk(failure)) => return Err(Error::Disk(failure)),
            // One damaged record must not cost the page: read them one by one.
            Err(ReadError::Damaged(_)) => {
                for at in wanted {
                    match take(reader.get(&[*at])) {
                        Ok(()) => {}
                        Err(ReadError::Damaged(damage)) => self.meet_damage(&damage, met),
                        Err(ReadError::Disk(failure)) => return Err(Error::Disk(failure)),
                    }
                }
            }
        }
        Ok(found)
    }
}

/// Items say when they began and ended since records do; before, the list of items alone says when
/// they ended.
pub(super) fn add_times(item: &mut Value, times: ItemTimes) {
    if times.started_at_ms.is_some() {
        item["startedAtMs"] = json!(times.started_at_ms);
        item["completedAtMs"] = json!(times.completed_at_ms);
    }
}

#[cfg(test)]
mod tests;
