//! Owns reading: the answers of one page, from one state of the index.

use std::cell::RefCell;
use std::rc::Rc;

use turnleaf_format::{Ordinal, ThreadNumber};

use super::error::{Damage, Place};
use super::known::{Known, Shared};
use super::lists::{Along, Entry, Listing, Lists};
use super::overlay::Snapshot;
use super::page::{Page, PageRequest};
use super::savepoint::Savepoint;
use super::tally;
use super::view::View;
use super::{IndexError, ThreadRow};
use crate::rows::{ItemRow, TurnName, TurnNo, TurnRow};

/// One state of the index.
///
/// Every method fails on damage, a panic of redb or an I/O error, and never answers with a row that
/// does not match its checksum.
pub struct Reader {
    view: View,
    lists: Lists,
    /// The thread that was asked about last, with where its rows stand.
    known: RefCell<Option<Rc<Known>>>,
}

#[allow(clippy::missing_errors_doc)] // The same for all; the type says it.
impl Reader {
    pub(super) fn new(snapshot: &Snapshot) -> Reader {
        Reader {
            view: View::new(snapshot),
            lists: Lists::new(snapshot),
            known: RefCell::default(),
        }
    }

    fn known(&self, thread: ThreadNumber) -> Result<Rc<Known>, IndexError> {
        let mut last = self.known.borrow_mut();
        if let Some(known) = last.as_ref().filter(|known| known.thread == thread.0) {
            return Ok(Rc::clone(known));
        }
        let known = Rc::new(self.view.known(thread)?);
        *last = Some(Rc::clone(&known));
        Ok(known)
    }

    /// All threads that stand in lists, by number.
    pub fn listings(&self) -> Result<Vec<(ThreadNumber, Listing)>, IndexError> {
        self.lists.listed()
    }

    /// Where a thread stands in lists.
    pub fn listing(&self, thread: ThreadNumber) -> Result<Option<Listing>, IndexError> {
        self.lists.listing(thread.0)
    }

    /// All directories in which threads are counted, in the order of their bytes.
    pub fn directories(&self) -> Result<Vec<String>, IndexError> {
        self.lists.directories()
    }

    /// Visits the rows of lists in one order, until `visit` answers `false`. Costs one range of
    /// the index for each list, as long as what is visited.
    pub fn along(
        &self,
        along: &Along<'_>,
        visit: &mut dyn FnMut(Entry) -> Result<bool, IndexError>,
    ) -> Result<(), IndexError> {
        self.lists.along(along, visit)
    }

    /// Fails with damage when lists and the listings they are made of differ. Reads all of them.
    pub fn check_lists(&self) -> Result<(), IndexError> {
        self.lists.check()
    }

    /// What is known of a thread.
    pub fn thread(&self, thread: ThreadNumber) -> Result<Option<ThreadRow>, IndexError> {
        self.view.thread(thread.0)
    }

    /// Threads after a thread, in the order of their numbers.
    pub fn threads(
        &self,
        after: Option<ThreadNumber>,
        limit: usize,
    ) -> Result<Vec<(ThreadNumber, ThreadRow)>, IndexError> {
        self.view.threads(after, limit)
    }

    /// A page of a thread's turns.
    pub fn turns_page(
        &self,
        thread: ThreadNumber,
        request: &PageRequest,
    ) -> Result<Page<TurnRow>, IndexError> {
        self.view.turns_page(&*self.known(thread)?, request)
    }

    /// A page of a thread's items, or of those of one turn.
    pub fn items_page(
        &self,
        thread: ThreadNumber,
        turn: Option<TurnNo>,
        request: &PageRequest,
    ) -> Result<Page<ItemRow>, IndexError> {
        self.view.items_page(&*self.known(thread)?, turn, request)
    }

    /// A page of the commands of a thread, or of one turn, that only response items hold.
    pub fn calls_page(
        &self,
        thread: ThreadNumber,
        turn: Option<TurnNo>,
        request: &PageRequest,
    ) -> Result<Page<ItemRow>, IndexError> {
        self.view.calls_page(&*self.known(thread)?, turn, request)
    }

    /// All items of a turn, oldest first.
    pub fn items_of(
        &self,
        thread: ThreadNumber,
        turn: TurnNo,
    ) -> Result<Vec<(Ordinal, ItemRow)>, IndexError> {
        self.view.items_of(&*self.known(thread)?, turn)
    }

    /// A turn by its key.
    pub fn turn(
        &self,
        thread: ThreadNumber,
        first: Ordinal,
    ) -> Result<Option<TurnRow>, IndexError> {
        self.view.turn(&*self.known(thread)?, first)
    }

    /// An item by its key.
    pub fn item(
        &self,
        thread: ThreadNumber,
        first: Ordinal,
    ) -> Result<Option<ItemRow>, IndexError> {
        self.view.item(&*self.known(thread)?, first)
    }

    /// What a turn id names; the first turn of the id.
    pub fn turn_name(
        &self,
        thread: ThreadNumber,
        id: &str,
    ) -> Result<Option<TurnName>, IndexError> {
        self.view.turn_name(&*self.known(thread)?, id)
    }

    /// The id of a turn number.
    pub fn turn_id(
        &self,
        thread: ThreadNumber,
        turn: TurnNo,
    ) -> Result<Option<String>, IndexError> {
        let number = self.view.number(&*self.known(thread)?, turn)?;
        Ok(number.map(|number| number.id.0))
    }

    /// The turn that an id names, with its key, if it has a row.
    pub fn turn_by_id(
        &self,
        thread: ThreadNumber,
        id: &str,
    ) -> Result<Option<(Ordinal, TurnRow)>, IndexError> {
        let name = self.turn_name(thread, id)?;
        let Some(first) = name.and_then(|name| name.row) else {
            return Ok(None);
        };
        Ok(self.turn(thread, first)?.map(|row| (first, row)))
    }

    /// The first item of an id in a turn, with its key.
    pub fn item_by_id(
        &self,
        thread: ThreadNumber,
        turn: TurnNo,
        id: &str,
    ) -> Result<Option<(Ordinal, ItemRow)>, IndexError> {
        self.view.item_by_id(&*self.known(thread)?, turn, id)
    }

    /// Fails with [`Damage::Digest`] when [`Reader::verify_thread`] says no.
    pub fn check_thread(&self, thread: ThreadNumber) -> Result<(), IndexError> {
        if self.verify_thread(thread)? {
            return Ok(());
        }
        let place = Place::new("check").thread(thread.0);
        Err(place.damaged(Damage::Digest))
    }

    /// Reads all rows of a thread's own and compares them with its counts and digest; those that
    /// are to be made anew are not read.
    pub fn verify_thread(&self, thread: ThreadNumber) -> Result<bool, IndexError> {
        let row = self.thread(thread)?.unwrap_or_default();
        let (turns, items) = match row.shared {
            Shared::Prefix(prefix) => (prefix.turn_rows, prefix.item_rows),
            Shared::Nothing => (0, 0),
            Shared::Broken => return Ok(true),
        };
        let own = tally::of_own(&self.view, thread)?;
        Ok((own.sum.digest, own.sum.rows) == (row.digest, row.rows)
            && (own.turns, own.items)
                == (
                    row.turn_rows.wrapping_sub(turns),
                    row.item_rows.wrapping_sub(items),
                ))
    }

    /// Whether all rows that a thread shows are there; `false` where there are none, and where they
    /// are to be made anew.
    pub fn is_whole(&self, thread: ThreadNumber) -> Result<bool, IndexError> {
        match self.known(thread) {
            Err(IndexError::Overtaken(_)) => Ok(false),
            known => Ok(known.is_ok() && self.thread(thread)?.is_some()),
        }
    }

    /// The row of a thread as it would be if all rows that it shows were its own. Fails with
    /// [`Damage::Digest`] where they are not as many as the row says.
    pub fn as_its_own(&self, thread: ThreadNumber) -> Result<Option<ThreadRow>, IndexError> {
        let Some(row) = self.thread(thread)? else {
            return Ok(None);
        };
        if row.shared == Shared::Nothing {
            return Ok(Some(row));
        }
        let shown = tally::of_shown(&self.view, &*self.known(thread)?)?;
        if (shown.turns, shown.items) != (row.turn_rows, row.item_rows) {
            return Err(Place::new("check").thread(thread.0).damaged(Damage::Digest));
        }
        Ok(Some(ThreadRow {
            rows: shown.sum.rows,
            digest: shown.sum.digest,
            ..row
        }))
    }

    /// The newest savepoint of a thread that stands at or before an ordinal: where another one can
    /// begin that goes on from there. `None` where there is none.
    pub fn savepoint(
        &self,
        thread: ThreadNumber,
        at_most: Ordinal,
    ) -> Result<Option<Savepoint>, IndexError> {
        let known = self.known(thread)?;
        self.view.savepoint(&known, at_most)
    }
}
