//! Owns the question what an import of a source would come to. It writes nothing.

use std::collections::HashMap;
use std::fmt;

use turnleaf_engine::State;
use turnleaf_engine::format::{ThreadId, ThreadNumber};

use super::compare::{Compared, Known};
use super::identify::{Head, identify};
use super::lines::Lines;
use super::{ImportProgress, ImportSource, Imported, Skip, broken, current, hash, places};
use crate::error::Error;
use crate::open::Store;

/// What an import would come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// The thread.
    pub thread: String,
    /// The store has no such thread.
    pub is_new: bool,
    /// Records that the thread would have.
    pub records: u64,
    /// Records that would be added.
    pub added_records: u64,
}

/// Says of sources what an import of them would come to, each by itself.
pub struct Previewer<'s> {
    /// `None` where there is no store yet.
    store: Option<&'s Store>,
    known: HashMap<u64, ThreadNumber>,
}

impl fmt::Debug for Previewer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Previewer").finish_non_exhaustive()
    }
}

impl<'s> Previewer<'s> {
    /// Looks into a store, however it is open; `None` stands for an empty one.
    #[must_use]
    pub fn new(store: Option<&'s Store>) -> Previewer<'s> {
        let known = store.map(|store| store.source.with(places));
        let known = known.unwrap_or_default();
        Previewer { store, known }
    }

    /// What would become of a source.
    ///
    /// # Errors
    /// As [`Store::import`], but nothing is written.
    pub fn preview(
        &self,
        source: ImportSource<'_>,
        progress: ImportProgress<'_>,
    ) -> Result<Result<Preview, Skip>, Error> {
        if let Some(current) = self.current(&source) {
            return Ok(Ok(current));
        }
        let mut lines = Lines::new(source.plain);
        let id = match identify(&mut lines, source.thread_hint) {
            Ok(Head::Thread(id, _)) => id,
            Ok(Head::Skip(skip)) => return Ok(Err(skip)),
            Err(error) => return Ok(Err(broken(&lines, error.to_string()))),
        };
        let (known, is_new) = match self.known(&id, &mut lines, progress)? {
            Ok(known) => known,
            Err(skip) => return Ok(Err(skip)),
        };
        let mut added_records = 0;
        loop {
            match lines.next_line() {
                Ok(None) => break,
                Ok(Some(piece)) => {
                    // A line may come in pieces.
                    added_records += u64::from(!piece.more);
                    lines.give_back(piece);
                }
                Err(error) => return Ok(Err(broken(&lines, error.to_string()))),
            }
        }
        let (thread, records) = (id.to_string(), known.records + added_records);
        if !known.lost.is_empty() {
            let imported = Imported {
                thread: thread.clone(),
                records,
                bytes: lines.at(),
                added_records,
                ..Imported::default()
            };
            return Ok(Err(Skip::HasLost {
                thread,
                ordinals: known.lost,
                imported,
            }));
        }
        Ok(Ok(Preview {
            thread,
            is_new,
            records,
            added_records,
        }))
    }

    /// What the store holds of a source that was imported as it stands.
    fn current(&self, source: &ImportSource<'_>) -> Option<Preview> {
        let number = *self.known.get(&hash(source.path))?;
        let (bytes, modified_ns) = (source.file_bytes, source.modified_ns);
        let look = |state: &State| current(state, number, source.path, bytes, modified_ns);
        let current = self.store?.source.with(look)?;
        Some(Preview {
            thread: current.thread,
            is_new: false,
            records: current.records,
            added_records: 0,
        })
    }

    /// What the store holds of the source of a thread, and whether that is new.
    fn known(
        &self,
        id: &ThreadId,
        lines: &mut Lines<'_>,
        progress: ImportProgress<'_>,
    ) -> Result<Result<(Known, bool), Skip>, Error> {
        let Some(store) = self.store else {
            return Ok(Ok((Known::default(), true)));
        };
        let is_deleted = |state: &State| state.deleted().any(|(_, fact)| fact.id == *id);
        match store.source.find_any(id.as_str()) {
            Ok((number, _)) => Ok(match store.compare(number, id, lines, progress)? {
                Compared::Prefix(known) => Ok((known, false)),
                Compared::Skip(skip) => Err(skip),
            }),
            Err(Error::NoThread(_)) if store.source.with(is_deleted) => {
                Ok(Err(Skip::Deleted(id.to_string())))
            }
            Err(Error::NoThread(_)) => Ok(Ok((Known::default(), true))),
            Err(error) => Err(error),
        }
    }
}
