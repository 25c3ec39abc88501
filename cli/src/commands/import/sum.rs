//! Owns what became of all sources of an import, and how that is told.

use std::collections::BTreeSet;

use serde_json::json;
use turnleaf::{Counts, Imported};

use super::NotImported;
use super::find::Candidate;
use crate::args::Global;
use crate::failure::Failure;
use crate::output::{print_json, print_line, size, warn};

/// Threads that are listed by their ids.
const LISTED_MAX: usize = 5;

/// What became of all sources.
#[derive(Debug, Default)]
pub(super) struct Sum {
    pub(super) threads: BTreeSet<String>,
    pub(super) files: u64,
    pub(super) bytes: u64,
    pub(super) added_records: u64,
    pub(super) skipped: Vec<(String, String)>,
    /// What is worth knowing, and left nothing of the user's out.
    pub(super) remarks: Vec<(String, String)>,
    /// Of the threads, each once.
    pub(super) records: u64,
    pub(super) unknown: u64,
    pub(super) malformed: u64,
    pub(super) out_of_order: u64,
    /// None of the threads could be counted: the four numbers above say nothing.
    pub(super) is_uncounted: bool,
}

impl Sum {
    pub(super) fn add(&mut self, candidate: &Candidate, imported: Imported) {
        self.bytes += imported.bytes;
        self.added_records += imported.added_records;
        self.threads.insert(imported.thread);
        if let Some(field) = imported.head_lacks {
            let remark = format!(
                "its session_meta has no {field}: imported all the same, that line counts as \
                 malformed"
            );
            self.remark(candidate, remark);
        }
    }

    fn remark(&mut self, candidate: &Candidate, remark: String) {
        let path = candidate.path.display().to_string();
        self.remarks.push((path, remark));
    }

    pub(super) fn skip(&mut self, candidate: &Candidate, why: NotImported) {
        let reason = match why {
            // A list of something else that lies beside rollouts.
            NotImported::NoRollout(_) | NotImported::Nothing(_) if candidate.guessed => return,
            NotImported::Nothing(remark) => return self.remark(candidate, remark),
            NotImported::NoRollout(reason) | NotImported::Refused(reason) => reason,
            NotImported::InPart(part, reason) => {
                self.add(candidate, part);
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
            return self.tell_json(elapsed_ms);
        }
        for (path, remark) in self.remarks.iter().filter(|_| !global.quiet) {
            warn(format_args!("{path}: {remark}"));
        }
        let told = if dry_run { "would skip" } else { "skipped" };
        for (path, reason) in self.skipped.iter().filter(|_| !global.quiet) {
            warn(format_args!("{told} {path}: {reason}"));
        }
        if dry_run {
            return print_line(&format!(
                "would import {} files, {}",
                self.files,
                size(self.bytes)
            ));
        }
        let records = match self.is_uncounted {
            true => "uncounted records".to_owned(),
            false => format!("{} records", self.records),
        };
        print_line(&format!(
            "imported {} files into {} threads: {} records added, {records} of {} in all, {} ms",
            self.files,
            self.threads.len(),
            self.added_records,
            size(self.bytes),
            elapsed_ms
        ))?;
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
            print_line(&format!(
                "{} records are of kinds or forms that this version does not know (kept)",
                self.unknown
            ))?;
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

    fn tell_json(&self, elapsed_ms: u64) -> Result<(), Failure> {
        let listed = |rows: &[(String, String)]| -> Vec<_> {
            let row = |(path, reason): &(String, String)| json!({ "path": path, "reason": reason });
            rows.iter().map(row).collect()
        };
        let counted = |number: u64| (!self.is_uncounted).then_some(number);
        print_json(&json!({
            "threads": self.threads.len(),
            "files": self.files,
            "records": counted(self.records),
            "bytes": self.bytes,
            "added_records": self.added_records,
            "anomalies": counted(self.unknown + self.malformed + self.out_of_order),
            "unknown": counted(self.unknown),
            "malformed": counted(self.malformed),
            "outOfOrder": counted(self.out_of_order),
            "skipped": listed(&self.skipped),
            "remarks": listed(&self.remarks),
            "elapsed_ms": elapsed_ms,
        }))
    }
}
