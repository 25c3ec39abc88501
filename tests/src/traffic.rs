//! Owns traffic of many slow threads through a log whose journal is at its budget, and what it
//! leaves: how many runs and packs there are, and how much was written for each byte.

use std::fmt;
use std::sync::Arc;

use turnleaf_engine::disk::Disk;
use turnleaf_engine::{Log, NewRecord, Options, Outcome, SealGoal};
use turnleaf_format::record::{Flags, Kind};
use turnleaf_format::{ThreadId, ThreadNumber};

use crate::rng::Rng;
use crate::stores::{STORE, owner};

/// What comes in.
#[derive(Debug, Clone, Copy)]
pub struct Traffic {
    /// Threads.
    pub threads: u64,
    /// Payload bytes of all together.
    pub bytes: u64,
    /// Largest record, bytes; half of that is usual.
    pub record_bytes_max: u64,
    /// Of so many records of a thread one is a boundary; 0 for none.
    pub boundary_every: u64,
    /// Whether some threads get far more than others: the n-th a share of 1/n.
    pub skewed: bool,
}

/// What it left.
#[derive(Debug, Clone, Copy, Default)]
pub struct Left {
    /// Payload bytes appended.
    pub payload_bytes: u64,
    /// Bytes of segments written.
    pub segment_bytes: u64,
    /// Seals.
    pub seals: u64,
    /// Most runs that one thread had at any time beside its closed stretches.
    pub runs_max: usize,
    /// Most packs at any time.
    pub packs_max: usize,
    /// Packs at the end.
    pub packs: usize,
    /// Payload bytes in packs at the end.
    pub pack_payload_bytes: u64,
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = self.segment_bytes as f64 / self.payload_bytes as f64;
        write!(
            f,
            "{} MiB appended in {} seals; segment bytes written per payload byte {share:.2}; at most \
             {} provisional runs of a thread and {} packs; at the end {} packs with {} MiB",
            self.payload_bytes >> 20,
            self.seals,
            self.runs_max,
            self.packs_max,
            self.packs,
            self.pack_payload_bytes >> 20,
        )
    }
}

/// Sends it through a new log.
///
/// # Panics
/// When the disk fails.
pub fn run(disk: &Arc<dyn Disk>, options: &Options, traffic: Traffic) -> Left {
    let opened = Log::open(Arc::clone(disk), options.clone(), &owner(), STORE);
    let (mut log, _) = opened.expect("a new store");
    let mut left = Left::default();
    let mut rng = Rng::new(traffic.threads);
    let threads: Vec<ThreadNumber> = (0..traffic.threads)
        .map(|number| {
            let id = ThreadId::parse(&format!("t{number}")).expect("an id");
            let (thread, _) = log.stage_thread(&id).expect("a new thread");
            thread
        })
        .collect();
    log.commit_all();
    let mut sent = 0;
    while left.payload_bytes < traffic.bytes {
        let most = if traffic.skewed {
            1 + rng.below(traffic.threads)
        } else {
            traffic.threads
        };
        let thread = threads[usize::try_from(rng.below(most)).unwrap_or(0)];
        let bytes = text(&mut rng, traffic.record_bytes_max);
        sent += 1;
        let boundary = traffic.boundary_every > 0 && rng.below(traffic.boundary_every) == 0;
        let record = NewRecord {
            kind: Kind::LINE,
            flags: if boundary {
                Flags::BOUNDARY
            } else {
                Flags::NONE
            },
            timestamp_ms: sent,
            bytes: &bytes,
        };
        left.payload_bytes += bytes.len() as u64;
        let staged = log.stage(thread, None, &[record]).expect("taken");
        log.commit_all();
        let pending = |log: &Log| matches!(log.outcome(staged.ticket), Outcome::Pending);
        while pending(&log) || log.seal_is_due() {
            seal(&mut log, &mut left);
            log.commit_all();
        }
    }
    let segments = log.state().segments();
    let packs = segments.iter().filter(|info| info.pack);
    left.pack_payload_bytes = packs.clone().map(|info| info.payload_bytes).sum();
    left.packs = packs.count();
    left
}

fn seal(log: &mut Log, left: &mut Left) {
    let Some(plan) = log.plan_seal(SealGoal::Due) else {
        return;
    };
    let done = plan.run(&|_, _, _| Vec::new()).expect("written");
    drop(plan);
    left.seals += 1;
    left.segment_bytes += done.file_bytes();
    log.finish_seal(Ok(done)).expect("staged");
    log.commit_all();
    log.clean_up(2).expect("removed");
    let segments = log.state().segments();
    let mut runs = std::collections::HashMap::<ThreadNumber, usize>::new();
    let packs = segments.iter().filter(|info| info.pack);
    left.packs_max = left.packs_max.max(packs.clone().count());
    for (thread, _, _) in packs.flat_map(|info| &info.runs) {
        *runs.entry(*thread).or_default() += 1;
    }
    left.runs_max = left.runs_max.max(runs.into_values().max().unwrap_or(0));
}

/// Text that shrinks about as much as real records do.
fn text(rng: &mut Rng, most: u64) -> Vec<u8> {
    const WORDS: [&str; 8] = [
        "\"type\":\"response_item\",",
        "\"payload\":{",
        "\"role\":\"assistant\",",
        "\"text\":\"",
        "the store keeps ",
        "fn main() {\\n",
        "error: expected ",
        "/usr/lib/",
    ];
    let size = usize::try_from(rng.below(most)).unwrap_or(0);
    let mut bytes = Vec::with_capacity(size + 40);
    while bytes.len() < size {
        let number = rng.number();
        bytes.extend_from_slice(WORDS[(number % 8) as usize].as_bytes());
        bytes.extend_from_slice(format!("{:x}", number >> 40).as_bytes());
    }
    bytes
}
