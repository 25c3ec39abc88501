//! Owns what is known of the names that a list of names would give, by the log alone: whoever looks
//! ahead writes nothing, and may not have the index.

use turnleaf_engine::AppendError;
use turnleaf_engine::format::ThreadId;
use turnleaf_projector::fold::{MemRows, ThreadState, apply};

use super::preview::{Previewer, each_own};
use crate::error::Error;
use crate::open::Store;
use crate::source::thread_id;

/// What a store knows of a thread that is named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownName {
    /// Its name, if it has one.
    pub name: Option<String>,
    /// When it was named, or its name taken away, Unix milliseconds; `None` when it never was.
    pub named_at_ms: Option<i64>,
    /// The latest time that any name of it states, Unix milliseconds.
    pub name_stated_at_ms: Option<i64>,
    /// It is there: it has more than a name.
    pub has_records: bool,
}

impl Store {
    /// The id under which the store has, or would have, a thread: UUIDs are in lower case but for
    /// those that it has as they stand.
    ///
    /// ```no_run
    /// # fn example(store: &turnleaf::Store) {
    /// let id = "019C0000-0000-7000-8000-000000000001";
    /// assert_eq!(store.known_id(id), id.to_lowercase());
    /// # }
    /// ```
    #[must_use]
    pub fn known_id(&self, id: &str) -> String {
        let known = ThreadId::parse(id).map(|id| self.as_known(id).to_string());
        known.unwrap_or_else(|_| id.to_owned())
    }
}

impl Previewer<'_> {
    /// What the store knows of the name of a thread; `None` where it has neither the thread nor a
    /// name for it.
    ///
    /// Cost: reads the notes of the thread, and the records that have none.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Invalid`] for an id that is none or was that of a thread that is
    /// deleted: an import takes no name of it.
    pub fn name(&self, id: &str) -> Result<Option<KnownName>, Error> {
        let parsed = thread_id(id)?;
        let Some(store) = self.store else {
            return Ok(None);
        };
        let reader = match store.source.find_any(&store.known_id(id)) {
            Ok((_, reader)) => reader,
            Err(Error::NoThread(thread)) if self.is_deleted(&parsed) => {
                return Err(Error::Append {
                    thread,
                    reason: AppendError::Deleted,
                });
            }
            Err(Error::NoThread(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let (mut rows, mut state) = (MemRows::default(), ThreadState::default());
        let uncounted = each_own(&reader, &mut |ordinal, decoded| {
            let Ok(()) = apply(&mut rows, &mut state, ordinal, decoded);
        });
        Ok(Some(KnownName {
            name: state.meta.name,
            named_at_ms: state.meta.named_at_ms,
            name_stated_at_ms: state.meta.name_stated_at_ms,
            has_records: reader.end().0 > uncounted,
        }))
    }
}
