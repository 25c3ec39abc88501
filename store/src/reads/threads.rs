//! Owns the list of threads: filters, order, pages.

use std::collections::{BTreeSet, HashSet};

use serde_json::Value;
use turnleaf_engine::format::{StoreId, ThreadNumber};
use turnleaf_projector::fold::ThreadState;
use turnleaf_projector::index::{Order, PageToken, Spot};
use turnleaf_projector::payload::{short_id, short_text};

use super::filter::{SourceKind, same_directory};
use super::pages::page_limit;
use super::show::created_ms;
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

struct Listed {
    id: String,
    number: ThreadNumber,
    key: i64,
    state: ThreadState,
}

impl Store {
    /// A page of the threads of the store, by the time that `sort` names; threads of the same time
    /// come in the order of their numbers.
    ///
    /// Cost: grows with the number of threads in the store (one small row each), not with their
    /// history; those that got records since the last read are caught up first.
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
        let mut listed = self.listed(request)?;
        listed.sort_by_key(|thread| (thread.key, thread.number));
        if request.order == Order::Descending {
            listed.reverse();
        }
        let list = match request.sort {
            SortKey::Created => 0,
            SortKey::Updated => 1,
            SortKey::Recency => 2,
        };
        let onwards = bound_to(self.source.store(), request, request.order);
        let back = bound_to(self.source.store(), request, other(request.order));
        if let Some(text) = &request.cursor {
            let token = PageToken::parse(text, onwards).map_err(Error::of_cursor(text))?;
            let (key, number, include) = token.in_threads(list).map_err(Error::of_cursor(text))?;
            let at = (key, number);
            listed.retain(|thread| {
                let here = (thread.key, thread.number);
                (include && here == at)
                    || match request.order {
                        Order::Ascending => here > at,
                        Order::Descending => here < at,
                    }
            });
        }
        let more = listed.len() > limit;
        listed.truncate(limit);
        let token = |thread: &Listed, include, store| {
            let spot = Spot::Threads {
                list,
                key: thread.key,
                thread: thread.number,
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
    /// their bytes. Costs as [`Store::threads`].
    ///
    /// # Errors
    /// Failures of the system.
    pub fn working_directories(&self) -> Result<Vec<String>, Error> {
        let all = self.all_states()?.into_iter();
        let cwds: BTreeSet<String> = all.filter_map(|(_, _, state)| state.meta.cwd).collect();
        Ok(cwds.into_iter().collect())
    }

    /// The threads that a thread spawned, directly or not, the nearest first. Costs as
    /// [`Store::threads`].
    pub(crate) fn spawned_by(&self, id: &str) -> Result<Vec<String>, Error> {
        Ok(descendants(id, &self.all_states()?))
    }

    /// All threads with their states, caught up with the log.
    fn all_states(&self) -> Result<Vec<(crate::ThreadSummary, ThreadNumber, ThreadState)>, Error> {
        let mut all = Vec::new();
        self.drop_rows_of_deleted()?;
        for summary in self.log_threads() {
            let found = self.index.with(|index| {
                let now = self.catch_up(index, &summary.id)?;
                Ok((now.number, thread_state(&now.rows, now.number)?))
            });
            match found {
                // It was deleted since.
                Err(Error::NoThread(_)) => {}
                found => {
                    let (number, state) = found?;
                    all.push((summary, number, state));
                }
            }
        }
        Ok(all)
    }

    /// All threads that pass the filters, in no order.
    fn listed(&self, request: &ThreadsRequest) -> Result<Vec<Listed>, Error> {
        let all = self.all_states()?;
        let family = request
            .ancestor
            .as_ref()
            .map(|root| descendants(root, &all));
        let cwds = request.cwds.iter();
        let cwds: HashSet<String> = cwds.map(|cwd| same_directory(short_text(cwd))).collect();
        let is_fork = |id: &str, state: &ThreadState, of: &String| {
            self.forked_from(id, &state.meta).as_deref() == Some(&*short_id(of))
        };
        let passes = |id: &str, archived: bool, state: &ThreadState| {
            let meta = &state.meta;
            let text = |needle: &String| {
                let needle = needle.to_lowercase();
                let texts = [&meta.name, &meta.title, &meta.preview];
                texts
                    .into_iter()
                    .flatten()
                    .any(|text| text.to_lowercase().contains(&needle))
            };
            archived == request.archived
                && (cwds.is_empty()
                    || meta
                        .cwd
                        .as_deref()
                        .is_some_and(|cwd| cwds.contains(&same_directory(cwd))))
                && (request.sources.is_empty()
                    || request
                        .sources
                        .iter()
                        .any(|kind| kind.covers(meta.source.as_deref())))
                && !(request.no_subagents
                    && SourceKind::of(meta.source.as_deref()).is_of_subagent())
                && request
                    .parent
                    .as_ref()
                    .is_none_or(|want| meta.parent.as_deref() == Some(&*short_id(want)))
                && family
                    .as_ref()
                    .is_none_or(|family| family.iter().any(|member| member == id))
                && request
                    .forks_of
                    .as_ref()
                    .is_none_or(|of| is_fork(id, state, of))
                && request.search.as_ref().is_none_or(text)
        };
        let kept = all
            .into_iter()
            .filter(|(summary, _, state)| passes(&summary.id, summary.archived, state));
        Ok(kept
            .map(|(summary, number, state)| {
                let from = summary.imported_from.as_deref();
                let created = created_ms(&state.meta, &summary.id, from, summary.created_ms);
                let updated = state.meta.updated_at_ms.unwrap_or(created);
                let key = match request.sort {
                    SortKey::Created => created,
                    SortKey::Updated => updated,
                    SortKey::Recency => state.meta.recency_at_ms.unwrap_or(updated),
                };
                Listed {
                    id: summary.id,
                    number,
                    key,
                    state,
                }
            })
            .collect())
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

/// Ids of all threads below `root`; a loop of parents ends where it closes.
fn descendants(
    root: &str,
    all: &[(crate::ThreadSummary, ThreadNumber, ThreadState)],
) -> Vec<String> {
    let mut family = vec![root.to_owned()];
    let mut at = 0;
    while at < family.len() {
        let parent = family[at].clone();
        let children = all
            .iter()
            .filter(|(_, _, state)| state.meta.parent.as_ref() == Some(&parent));
        for (summary, _, _) in children {
            if !family.contains(&summary.id) {
                family.push(summary.id.clone());
            }
        }
        at += 1;
    }
    family.remove(0);
    family
}
