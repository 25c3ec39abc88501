//! Owns the verdict tables of RECOVERY.md as pure functions; it must not read or write anything.

use std::collections::BTreeMap;

use turnleaf_format::journal::JournalHeader;
use turnleaf_format::{Generation, Problem, StoreId};

use super::survey::FileEvidence;
use crate::error::{Cause, Damage};
use crate::journal::{Ending, Header, Scan};

/// Why a directory is not opened at all. Nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No store is there.
    #[error("there is no store here")]
    NoStore,
    /// A newer build wrote it.
    #[error("{file} was written by a newer version of turnleaf; use that version")]
    Newer {
        /// The file that says so.
        file: String,
    },
    /// Journal files of two stores lie in one directory.
    #[error("{file} belongs to another store; move it away")]
    Mixed {
        /// The file that does not belong.
        file: String,
    },
}

/// Which journal files count. [R:set-1]
#[derive(Debug)]
pub(crate) struct FileSet {
    pub(crate) store: StoreId,
    /// Oldest needed file first, newest last, by index into the evidence.
    pub(crate) chain: Vec<(usize, JournalHeader)>,
    /// Files that hold nothing that is needed.
    pub(crate) free: Vec<usize>,
    pub(crate) damage: Vec<Damage>,
    /// The newest header needs files from this generation on.
    pub(crate) oldest_live: Generation,
    /// Highest generation that any header names.
    pub(crate) highest: Generation,
}

/// Chooses the files that count: the newest header, and back from it as far as it says.
pub(crate) fn choose_files(files: &[FileEvidence]) -> Result<FileSet, Refusal> {
    let mut by_generation: BTreeMap<Generation, (usize, JournalHeader)> = BTreeMap::new();
    let mut store = None;
    let mut free = Vec::new();
    let mut damage = Vec::new();
    let mut bad = Vec::new();
    for (index, file) in files.iter().enumerate() {
        match &file.header {
            Header::Valid(header) => {
                if *store.get_or_insert(header.store) != header.store {
                    return Err(Refusal::Mixed {
                        file: file.path.clone(),
                    });
                }
                let held = by_generation.insert(header.generation, (index, *header));
                if let Some((other, _)) = held {
                    damage.push(whole_file(&files[other], Cause::Doubled));
                }
            }
            Header::Blank => free.push(index),
            Header::Bad(error) if error.problem == Problem::Version => {
                return Err(Refusal::Newer {
                    file: file.path.clone(),
                });
            }
            Header::Bad(error) => bad.push((index, *error)),
        }
    }
    let (Some(store), Some((highest, (_, newest)))) = (store, by_generation.last_key_value())
    else {
        return Err(Refusal::NoStore);
    };
    let (highest, oldest_live) = (*highest, newest.oldest_live);
    let mut chain = Vec::new();
    let mut wanted = highest;
    while wanted >= oldest_live && wanted.0 > 0 {
        let Some((index, header)) = by_generation.remove(&wanted) else {
            damage.push(missing_generation(wanted));
            break;
        };
        chain.push((index, header));
        wanted = header.previous_end.generation;
    }
    chain.reverse();
    // A bad header is damage when a link leads nowhere, or over frames that are needed. [R:set-7]
    // [R:set-8] Else it is a beginning that was interrupted. [R:set-9]
    let link_broken = damage.iter().any(|found| found.cause == Cause::Missing);
    for (index, error) in bad {
        let needed = files[index]
            .highest_frame
            .is_some_and(|frame| frame >= oldest_live);
        if link_broken || needed {
            damage.push(whole_file(&files[index], Cause::Decode(error)));
        } else {
            free.push(index);
        }
    }
    // Older generations, and beginnings that never came into use.
    free.extend(by_generation.into_values().map(|(index, _)| index));
    Ok(FileSet {
        store,
        chain,
        free,
        damage,
        oldest_live,
        highest,
    })
}

/// How the newest journal file ends. [R:tail-1]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TailVerdict {
    /// Nothing stands behind the last frame.
    Clean,
    /// An unacknowledged write that did not finish: void, from this offset on.
    Torn {
        /// Bytes from the start of the file.
        offset: u64,
    },
    /// A frame behind the invalid place proves that what stood there was durable.
    Damaged {
        /// Where the invalid bytes begin.
        offset: u64,
        /// Everything up to here was durable.
        durable_end: u64,
    },
}

/// Judges the end of the newest file.
pub(crate) fn judge_tail(scan: &Scan) -> TailVerdict {
    let proven = scan.proven_durable;
    match &scan.ending {
        _ if proven > scan.end => TailVerdict::Damaged {
            offset: scan.end,
            durable_end: proven,
        },
        Ending::Clean => TailVerdict::Clean,
        Ending::Invalid(_) => TailVerdict::Torn { offset: scan.end },
    }
}

/// Judges the end of an older file, which its successor's header names: frames that are missing
/// below it are damage. [R:sealed-end-3]
pub(crate) fn judge_end(scan: &Scan, path: &str, stated_end: u64) -> Option<Damage> {
    (scan.end < stated_end).then(|| Damage {
        file: path.to_owned(),
        offset: scan.end,
        length: stated_end - scan.end,
        thread: None,
        ordinals: None,
        cause: match &scan.ending {
            Ending::Invalid(error) => Cause::Decode(*error),
            Ending::Clean => Cause::Missing,
        },
    })
}

fn whole_file(file: &FileEvidence, cause: Cause) -> Damage {
    Damage {
        file: file.path.clone(),
        offset: 0,
        length: file.len,
        thread: None,
        ordinals: None,
        cause,
    }
}

fn missing_generation(generation: Generation) -> Damage {
    Damage {
        file: format!("{} (generation {generation})", crate::layout::JOURNAL),
        offset: 0,
        length: 0,
        thread: None,
        ordinals: None,
        cause: Cause::Missing,
    }
}
