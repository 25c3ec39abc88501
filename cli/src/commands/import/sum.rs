//! Owns the result of an import over all its sources, and the printing of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::json;
use turnleaf::{AwaitedBase, Counts, Imported, Preview};

use super::NotImported;
use super::find::{By, Candidate};
use super::home;
use super::names::Names;
use crate::args::Global;
use crate::failure::Failure;
use crate::output::{UNKNOWN, print_json, print_line, size, warn};

/// Threads that are listed by their ids.
const LISTED_MAX: usize = 5;
/// Files of deleted threads that are named.
const NAMED_MAX: usize = 3;

/// What is said of a file that differs from what the store has of it.
const WRITTEN_ANEW: &str = "it was written anew, or is another file than the one that was \
                            imported: both histories would be kept";

/// The ids of a thread and of one of its rollouts.
type RolloutName = (String, String);

/// What became of all sources.
#[derive(Debug, Default)]
pub(super) struct Sum {
    pub(super) threads: BTreeSet<String>,
    pub(super) files: u64,
    /// Plain bytes of each rollout's records: of files of one rollout, those of the longest.
    pub(super) rollout_bytes: BTreeMap<RolloutName, u64>,
    pub(super) added_records: u64,
    pub(super) names: Names,
    pub(super) skipped: Vec<(String, String)>,
    /// What is worth knowing, and left nothing of the user's out.
    pub(super) remarks: Vec<(String, String)>,
    /// Files below folders whose threads were deleted from the store: whoever did that wants none
    /// of them.
    pub(super) deleted: Vec<(String, String)>,
    /// Of the threads, each once.
    pub(super) records: u64,
    pub(super) unknown: u64,
    pub(super) malformed: u64,
    pub(super) out_of_order: u64,
    /// Of a dry run: files of new threads, those with new records of known ones, the others, and
    /// the records that each thread would have.
    pub(super) new: u64,
    pub(super) grown: u64,
    pub(super) unchanged: u64,
    pub(super) foreseen: BTreeMap<RolloutName, u64>,
    /// None of the threads could be counted: what is said of their records is nothing.
    pub(super) is_uncounted: bool,
}

impl Sum {
    pub(super) fn add(&mut self, candidate: &Candidate, imported: Imported) {
        let bytes = imported.bytes;
        // What a file lost counts, as its records do.
        let of_records = imported.shrank_from.unwrap_or(bytes);
        let rollout = (imported.thread.clone(), imported.rollout);
        self.count_bytes(rollout, of_records);
        self.added_records += imported.added_records;
        self.threads.insert(imported.thread);
        if let Some(lack) = imported.head_lacks {
            let remark = format!(
                "its session_meta has {lack}: imported all the same, that line counts as \
                 malformed"
            );
            self.remark(candidate, remark);
        }
        if let Some(before) = imported.shrank_from {
            let remark = format!(
                "it has become shorter since its last import, {before} bytes of records then and \
                 {bytes} now: what it lost stays in the store"
            );
            self.remark(candidate, remark);
        }
        if let Some(written_anew) = imported.written_anew {
            self.remark(candidate, written_anew.to_string());
        }
    }

    /// Takes what waits for the rollout that it goes on from.
    pub(super) fn awaits(&mut self, awaited: Vec<AwaitedBase>) {
        let remark = |awaited: AwaitedBase| {
            let remark = awaited.to_string();
            let path = awaited.path.unwrap_or(awaited.thread);
            (path, remark)
        };
        self.remarks.extend(awaited.into_iter().map(remark));
    }

    fn count_bytes(&mut self, rollout: RolloutName, bytes: u64) {
        let counted = self.rollout_bytes.entry(rollout).or_default();
        *counted = bytes.max(*counted);
    }

    /// Takes what an import of a source would come to. Behind another source of the same thread it
    /// would add only what it has more than that.
    pub(super) fn foresee(&mut self, candidate: &Candidate, preview: Preview) {
        let rollout = (preview.thread.clone(), preview.rollout);
        self.count_bytes(rollout.clone(), preview.bytes);
        let before = self.foreseen.get(&rollout).copied();
        if preview.is_written_anew {
            self.remark(candidate, WRITTEN_ANEW.to_owned());
        }
        let added_records = match before {
            None => preview.added_records,
            Some(records) => preview.records.saturating_sub(records),
        };
        self.added_records += added_records;
        let is_new = preview.is_new && !self.threads.contains(&preview.thread);
        let grows = added_records > 0 || preview.continues;
        let files = match (is_new, grows) {
            (true, _) => &mut self.new,
            (false, false) => &mut self.unchanged,
            (false, true) => &mut self.grown,
        };
        *files += 1;
        let records = self.foreseen.entry(rollout).or_default();
        *records = preview.records.max(*records);
        self.threads.insert(preview.thread);
    }

    /// Says of homes what is read of them. Where all of it is in the store already this was said
    /// before.
    pub(super) fn remark_homes(&mut self, homes: &[PathBuf]) {
        let is_news = self.added_records > 0 || self.names.added > 0;
        if is_news || self.files == 0 {
            let path = |home: &PathBuf| home.display().to_string();
            let remarks = homes
                .iter()
                .map(|home| (path(home), home::READ_OF_IT.to_owned()));
            self.remarks.extend(remarks);
        }
    }

    fn remark(&mut self, candidate: &Candidate, remark: String) {
        let path = candidate.path.display().to_string();
        self.remarks.push((path, remark));
    }

    pub(super) fn skip(&mut self, candidate: &Candidate, why: NotImported) {
        let reason = match why {
            // A list of something else that lies beside rollouts.
            NotImported::NoRollout(_) | NotImported::Nothing(_) if candidate.by == By::Ending => {
                return;
            }
            NotImported::Deleted(remark) if candidate.by != By::User => {
                let path = candidate.path.display().to_string();
                return self.deleted.push((path, remark));
            }
            NotImported::Nothing(remark) => return self.remark(candidate, remark),
            NotImported::NoRollout(reason)
            | NotImported::Refused(reason)
            | NotImported::Deleted(reason) => reason,
            NotImported::InPart(part, reason) => {
                self.add(candidate, *part);
                reason
            }
        };
        let path = candidate.path.display().to_string();
        self.skipped.push((path, reason));
    }

    /// Adds up the threads that were counted; of the others it says why they were not.
    pub(super) fn count(&mut self, counts: &Counts) {
        let counted = &counts.counted;
        self.records = counted.iter().map(|thread| thread.records).sum();
        self.unknown = counted.iter().map(|thread| thread.unknown).sum();
        self.malformed = counted.iter().map(|thread| thread.malformed).sum();
        self.out_of_order = counted.iter().map(|thread| thread.out_of_order).sum();
        self.is_uncounted = counted.is_empty() && !counts.uncounted.is_empty();
        let why = |(id, error): &(String, turnleaf::Error)| {
            let reason = format!("what was imported is kept, but not counted: {error}");
            (format!("thread {id}"), reason)
        };
        self.skipped.extend(counts.uncounted.iter().map(why));
    }

    pub(super) fn tell(
        &self,
        global: &Global,
        elapsed_ms: u64,
        dry_run: bool,
    ) -> Result<(), Failure> {
        if global.json {
            return self.tell_json(elapsed_ms, dry_run);
        }
        for (path, remark) in self.remarks.iter().filter(|_| !global.quiet) {
            warn(format_args!("{path}: {remark}"));
        }
        if !self.deleted.is_empty() && !global.quiet {
            warn(self.told_of_deleted(global.verbose > 0));
        }
        let told = if dry_run { "would skip" } else { "skipped" };
        for (path, reason) in self.skipped.iter().filter(|_| !global.quiet) {
            warn(format_args!("{told} {path}: {reason}"));
        }
        if global.quiet {
            return Ok(());
        }
        if dry_run {
            return self.tell_foreseen();
        }
        let is_of_names = self.names.kept > 0;
        if !(is_of_names && self.threads.is_empty()) {
            self.tell_records(elapsed_ms)?;
        }
        if is_of_names {
            self.tell_names()?;
        }
        for (count, what) in [
            (self.malformed, "malformed"),
            (self.out_of_order, "out of order"),
        ] {
            if count > 0 {
                print_line(&format!(
                    "{count} records are {what} (kept; `turnleaf doctor THREAD` says why)"
                ))?;
            }
        }
        if self.unknown > 0 {
            print_line(&format!("{} records are {UNKNOWN}", self.unknown))?;
        }
        for id in self.threads.iter().take(LISTED_MAX) {
            print_line(&format!("  {id}"))?;
        }
        match self.threads.len().saturating_sub(LISTED_MAX) {
            0 => Ok(()),
            more => print_line(&format!(
                "  and {more} more threads; `turnleaf threads` lists them"
            )),
        }
    }

    /// Of the files of deleted threads the first ones, or all, and what can be done.
    fn told_of_deleted(&self, is_all: bool) -> String {
        let files = self.deleted.len();
        let named = if is_all { files } else { NAMED_MAX.min(files) };
        let paths = self.deleted.iter().map(|(path, _)| path.as_str());
        let paths = paths.take(named).collect::<Vec<_>>().join(", ");
        let more = match files - named {
            0 => String::new(),
            more => format!(" and {more} more (-v names them)"),
        };
        format!(
            "{files} files belong to threads that were deleted from the store; skipped: \
             {paths}{more}; to have such a thread again, import its file with --again; remove a \
             file to hear of it no more"
        )
    }

    fn tell_foreseen(&self) -> Result<(), Failure> {
        print_line(&format!(
            "would import {} files into {} threads: {} new, {} grown, {} unchanged; {} records \
             would be added, {} records of {} in all",
            self.files,
            self.threads.len(),
            self.new,
            self.grown,
            self.unchanged,
            self.added_records,
            self.foreseen.values().sum::<u64>(),
            size(self.rollout_bytes.values().sum())
        ))?;
        let Names {
            kept,
            added,
            waiting,
        } = self.names;
        match kept {
            0 => Ok(()),
            _ => print_line(&format!(
                "{kept} names of threads would be kept, {added} of them new; {waiting} would wait \
                 for their threads to be imported"
            )),
        }
    }

    fn tell_records(&self, elapsed_ms: u64) -> Result<(), Failure> {
        let records = match self.is_uncounted {
            true => "uncounted records".to_owned(),
            false => format!("{} records", self.records),
        };
        print_line(&format!(
            "imported {} files into {} threads: {} records added, {records} of {} in all, {} ms",
            self.files,
            self.threads.len(),
            self.added_records,
            size(self.rollout_bytes.values().sum()),
            elapsed_ms
        ))
    }

    fn tell_names(&self) -> Result<(), Failure> {
        let Names {
            kept,
            added,
            waiting,
        } = self.names;
        print_line(&format!(
            "{kept} names of threads are kept, {added} of them new; {waiting} wait for their \
             threads to be imported"
        ))
    }

    fn tell_json(&self, elapsed_ms: u64, dry_run: bool) -> Result<(), Failure> {
        let listed = |rows: &[(String, String)]| -> Vec<_> {
            let row = |(path, reason): &(String, String)| json!({ "path": path, "reason": reason });
            rows.iter().map(row).collect()
        };
        // What would be an anomaly is known by an import only.
        let counted = |number: u64| (!self.is_uncounted && !dry_run).then_some(number);
        let records = match dry_run {
            true => self.foreseen.values().sum(),
            false => self.records,
        };
        let bytes: u64 = self.rollout_bytes.values().sum();
        let remarks = [listed(&self.remarks), listed(&self.deleted)].concat();
        let mut told = json!({
            "threads": self.threads.len(),
            "files": self.files,
            "records": (!self.is_uncounted).then_some(records),
            "bytes": bytes,
            "added_records": self.added_records,
            "anomalies": counted(self.unknown + self.malformed + self.out_of_order),
            "unknown": counted(self.unknown),
            "malformed": counted(self.malformed),
            "outOfOrder": counted(self.out_of_order),
            "names": self.names.kept,
            "addedNames": self.names.added,
            "waitingNames": self.names.waiting,
            "skipped": listed(&self.skipped),
            "remarks": remarks,
            "elapsed_ms": elapsed_ms,
        });
        if dry_run {
            told["new"] = json!(self.new);
            told["grown"] = json!(self.grown);
            told["unchanged"] = json!(self.unchanged);
        }
        print_json(&told)
    }
}
