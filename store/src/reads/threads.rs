//! Owns the list of threads: filters, order, pages.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};

use serde_json::Value;
use turnleaf_engine::format::{StoreId, ThreadNumber};
use turnleaf_projector::fold::ThreadState;
use turnleaf_projector::index::{Along, Entry, Order, PageToken, Reader as Rows, Spot};
use turnleaf_projector::payload::{short_id, short_text};

use super::filter::{SourceKind, same_directory};
use super::lists::{list_of_all, list_of_directory, parent_mark};
use super::pages::page_limit;
use crate::error::Error;
use crate::index::catch_up::thread_state;
use crate::open::Store;

/// What a list of threads is sorted by; threads of equal time come in the order of their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortKey {
    /// When they began.
    Created,
    /// Their latest record.
    Updated,
    /// The start of their latest turn.
    Recency,
}

/// Asks for a page of threads. Empty filters let everything pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadsRequest {
    /// Where to go on: a cursor of an earlier page of the same filters, sort and order, or a
    /// backwards cursor of a page of the other order.
    pub cursor: Option<String>,
    /// Most threads, 1 to 1000.
    pub limit: usize,
    /// Ascending is oldest first.
    pub order: Order,
    /// What to sort by.
    pub sort: SortKey,
    /// The archived threads instead of the others.
    pub archived: bool,
    /// Only threads of a working directory that is one of these, compared as
    /// [`crate::same_directory`] does. The first is the one that is asked for, the others are other
    /// names of it.
    pub cwds: Vec<String>,
    /// Only threads of one of these kinds of sources.
    pub sources: Vec<SourceKind>,
    /// No threads that another one began.
    pub no_subagents: bool,
    /// Only threads that this one spawned.
    pub parent: Option<String>,
    /// Only threads that this one spawned, directly or not.
    pub ancestor: Option<String>,
    /// Only threads that were forked from this one.
    pub forks_of: Option<String>,
    /// Only threads whose name, title or preview holds this text, in any case.
    pub search: Option<String>,
}

/// A page of threads.
#[derive(Debug, Clone, PartialEq)]
pub struct ThreadsPage {
    /// Thread objects of upstream's protocol.
    pub threads: Vec<Value>,
    /// Goes on behind the page; `None` when there is nothing behind it.
    pub next_cursor: Option<String>,
    /// Goes back from the page in the other direction, its first row included.
    pub backwards_cursor: Option<String>,
}

/// A thread of a page.
struct Listed {
    id: String,
    entry: Entry,
    state: ThreadState,
}

impl Store {
    /// A page of the threads of the store, by the time that `sort` names; threads of the same time
    /// come in the order of their numbers.
    ///
    /// Cost: grows with the page and what the filters pass by, not with the number of threads or
    /// their history. Archived or not and directories are found by the index; for the other
    /// filters rows are passed by, a small one each, for a search and for forks also what is known
    /// of the thread, and an ancestor asks for a row of each thread of the store. Threads that
    /// changed since the last list are caught up first; the first list of an open store looks at
    /// each thread.
    ///
    /// ```no_run
    /// # fn example(store: &turnleaf::Store) -> Result<(), turnleaf::Error> {
    /// use turnleaf::{Order, SortKey, ThreadsRequest};
    ///
    /// let page = store.threads(&ThreadsRequest {
    ///     cursor: None,
    ///     limit: 25,
    ///     order: Order::Descending,
    ///     sort: SortKey::Updated,
    ///     archived: false,
    ///     cwds: Vec::new(),
    ///     sources: Vec::new(),
    ///     no_subagents: true,
    ///     parent: None,
    ///     ancestor: None,
    ///     forks_of: None,
    ///     search: None,
    /// })?;
    /// for thread in &page.threads {
    ///     println!("{} {}", thread["id"], thread["preview"]);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`crate::ErrorKind::Invalid`] for a cursor or limit that cannot be; failures of the system.
    pub fn threads(&self, request: &ThreadsRequest) -> Result<ThreadsPage, Error> {
        let limit = page_limit(request.limit)?.get();
        let sort = match request.sort {
            SortKey::Created => 0,
            SortKey::Updated => 1,
            SortKey::Recency => 2,
        };
        let onwards = bound_to(self.source.store(), request, request.order);
        let back = bound_to(self.source.store(), request, other(request.order));
        let from = match &request.cursor {
            None => None,
            Some(text) => {
                let token = PageToken::parse(text, onwards).map_err(Error::of_cursor(text))?;
                Some(token.in_threads(sort).map_err(Error::of_cursor(text))?)
            }
        };
        // One more than are shown says whether there are more.
        let mut listed = self.index.with(|index| {
            self.refresh_lists(index)?;
            self.listed(&index.reader()?, request, (sort, from), limit + 1)
        })?;
        let more = listed.len() > limit;
        listed.truncate(limit);
        let token = |thread: &Listed, include, store| {
            let spot = Spot::Threads {
                list: sort,
                key: thread.entry.key,
                thread: thread.entry.thread,
            };
            PageToken { spot, include }.to_text(store)
        };
        Ok(ThreadsPage {
            next_cursor: listed
                .last()
                .filter(|_| more)
                .map(|last| token(last, false, onwards)),
            backwards_cursor: listed.first().map(|first| token(first, true, back)),
            threads: listed
                .iter()
                .map(|t| self.thread_value(&t.id, &t.state))
                .collect(),
        })
    }

    /// The working directories of all threads, each once, as they were recorded, in the order of
    /// their bytes. Costs a row of the index for each, and what [`Store::threads`] catches up.
    ///
    /// # Errors
    /// Failures of the system.
    pub fn working_directories(&self) -> Result<Vec<String>, Error> {
        self.index.with(|index| {
            self.refresh_lists(index)?;
            Ok(index.reader()?.directories()?)
        })
    }

    /// The threads that a thread spawned, directly or not, the nearest first. Costs as
    /// [`Store::working_directories`], for each thread.
    ///
    /// # Errors
    /// What keeps any thread of the store from being read: it may be one of those.
    pub(crate) fn spawned_by(&self, id: &str) -> Result<Vec<String>, Error> {
        self.index.with(|index| {
            self.refresh_lists(index)?;
            let unlisted = index.unlisted().clone();
            if !unlisted.is_empty() {
                let ids: Vec<String> = self.source.with(|state| {
                    let ids = unlisted.iter().filter_map(|thread| state.id_of(*thread));
                    ids.map(ToString::to_string).collect()
                });
                self.states_of(index, &ids)?;
                self.refresh_lists(index)?;
            }
            let family = self.family(&index.reader()?, id)?.into_iter();
            Ok(family.map(|(_, id)| id).collect())
        })
    }

    /// The first threads that pass the filters, in the order that is asked for, at most `most`.
    fn listed(
        &self,
        rows: &Rows,
        request: &ThreadsRequest,
        (sort, from): (u8, Option<(i64, ThreadNumber, bool)>),
        most: usize,
    ) -> Result<Vec<Listed>, Error> {
        let filter = self.filter(rows, request)?;
        let along = Along {
            lists: &filter.lists,
            sort,
            from,
            order: request.order,
        };
        let mut listed = Vec::new();
        rows.along(&along, &mut |entry| {
            if filter.may_pass(&entry)
                && let Some((id, rollout)) = self.shown_as(entry.thread)
            {
                let state = thread_state(rows, rollout)?;
                if filter.passes(&state, || self.forked_from(&id, &state.meta)) {
                    listed.push(Listed { id, entry, state });
                }
            }
            Ok(listed.len() < most)
        })?;
        Ok(listed)
    }

    /// Id and current rollout of a thread, unless it was deleted since.
    fn shown_as(&self, thread: ThreadNumber) -> Option<(String, ThreadNumber)> {
        self.source.with(|state| {
            let fact = state.thread(thread)?;
            Some((fact.id.to_string(), state.current(thread)))
        })
    }

    fn filter<'r>(&self, rows: &Rows, request: &'r ThreadsRequest) -> Result<Filter<'r>, Error> {
        let cwds = request.cwds.iter();
        let cwds: BTreeSet<String> = cwds.map(|cwd| same_directory(short_text(cwd))).collect();
        let lists: BTreeSet<u64> = if cwds.is_empty() {
            [list_of_all(request.archived)].into()
        } else {
            let lists = cwds.iter();
            lists
                .map(|form| list_of_directory(request.archived, form))
                .collect()
        };
        let family = match &request.ancestor {
            None => None,
            Some(root) => {
                let family = self.family(rows, root)?.into_iter();
                Some(family.map(|(thread, _)| thread).collect())
            }
        };
        Ok(Filter {
            lists: lists.into_iter().collect(),
            cwds,
            sources: &request.sources,
            no_subagents: request.no_subagents,
            parent: request.parent.as_deref().map(short_id),
            forks_of: request.forks_of.as_deref().map(short_id),
            family,
            search: request.search.as_ref().map(|text| text.to_lowercase()),
        })
    }

    /// All threads below `root`, the nearest first, then by number; a loop of parents ends where it
    /// closes.
    fn family(&self, rows: &Rows, root: &str) -> Result<Vec<(ThreadNumber, String)>, Error> {
        let mut children: HashMap<u64, Vec<ThreadNumber>> = HashMap::new();
        for (thread, listing) in rows.listings()? {
            children.entry(listing.parent).or_default().push(thread);
        }
        let mut family: Vec<(ThreadNumber, String)> = Vec::new();
        let (mut parent, mut at) = (root.to_owned(), 0);
        loop {
            let of = short_id(&parent);
            let marked = children.remove(&parent_mark(&of));
            for thread in marked.unwrap_or_default() {
                let shown = self.shown_as(thread).filter(|(id, _)| id != root);
                // A mark is a hash: the thread itself says who its parent is.
                if let Some((id, rollout)) = shown
                    && thread_state(rows, rollout)?.meta.parent.as_deref() == Some(&*of)
                {
                    family.push((thread, id));
                }
            }
            let Some((_, next)) = family.get(at) else {
                return Ok(family);
            };
            (parent, at) = (next.clone(), at + 1);
        }
    }
}

/// What a page is filtered by.
struct Filter<'r> {
    /// The lists in which what passes stands.
    lists: Vec<u64>,
    /// Directories in their one form; none lets all pass.
    cwds: BTreeSet<String>,
    sources: &'r [SourceKind],
    no_subagents: bool,
    parent: Option<Cow<'r, str>>,
    forks_of: Option<Cow<'r, str>>,
    family: Option<HashSet<ThreadNumber>>,
    /// In lower case.
    search: Option<String>,
}

impl Filter<'_> {
    /// Whether a thread may pass, as far as its row in a list says.
    fn may_pass(&self, entry: &Entry) -> bool {
        let kind = SourceKind::numbered(entry.kind);
        let parent = self.parent.as_deref();
        (self.sources.is_empty() || self.sources.iter().any(|wanted| wanted.covers(kind)))
            && !(self.no_subagents && kind.is_of_subagent())
            && parent.is_none_or(|parent| entry.parent == parent_mark(parent))
            && self
                .family
                .as_ref()
                .is_none_or(|family| family.contains(&entry.thread))
    }

    /// Whether a thread that may pass does.
    fn passes(&self, state: &ThreadState, forked_from: impl Fn() -> Option<String>) -> bool {
        let meta = &state.meta;
        let is_of = |cwd: &str| self.cwds.contains(&same_directory(cwd));
        let has = |needle: &String| {
            let texts = [&meta.name, &meta.title, &meta.preview].into_iter();
            let mut texts = texts.flatten();
            texts.any(|text| text.to_lowercase().contains(needle))
        };
        (self.cwds.is_empty() || meta.cwd.as_deref().is_some_and(is_of))
            && (self.parent.is_none() || self.parent.as_deref() == meta.parent.as_deref())
            && (self.forks_of.is_none() || self.forks_of.as_deref() == forked_from().as_deref())
            && self.search.as_ref().is_none_or(has)
    }
}

fn other(order: Order) -> Order {
    match order {
        Order::Ascending => Order::Descending,
        Order::Descending => Order::Ascending,
    }
}

/// What a token of a list is checked against: the store, what the list is filtered by, and the
/// order in which the token goes on. Tests make tokens with it.
#[doc(hidden)]
#[must_use]
pub fn bound_to(store: StoreId, request: &ThreadsRequest, order: Order) -> StoreId {
    let ThreadsRequest {
        cursor: _,
        limit: _,
        order: _,
        sort: _,
        archived,
        cwds,
        sources,
        no_subagents,
        parent,
        ancestor,
        forks_of,
        search,
    } = request;
    let mut filter = serde_json::json!([
        order == Order::Ascending,
        archived,
        cwds.first().map(|cwd| same_directory(cwd)),
        sources.iter().map(ToString::to_string).collect::<Vec<_>>(),
        no_subagents,
        parent,
        ancestor,
        search,
    ]);
    if let (Some(of), Some(filter)) = (forks_of, filter.as_array_mut()) {
        filter.push(serde_json::json!(of));
    }
    let crc = crc32fast::hash(filter.to_string().as_bytes()).to_le_bytes();
    let mut bound = store;
    bound
        .0
        .iter_mut()
        .zip(crc)
        .for_each(|(byte, of_filter)| *byte ^= of_filter);
    bound
}

#[cfg(test)]
mod tests;
