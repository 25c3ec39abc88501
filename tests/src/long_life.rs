//! Owns the life of a process that is never opened anew: many writers, threads of every pace,
//! readers that come and go, one reader that stays, threads that are deleted; and what the store
//! holds meanwhile, which must not grow with what was appended.

use std::io;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use turnleaf::{Footprint, ItemsRequest, Options, Order, Store};

use crate::rng::Rng;

/// How a store is used.
#[derive(Debug, Clone, Copy)]
pub struct Life {
    /// Appends in all.
    pub appends: u64,
    /// OS threads that append.
    pub writers: u64,
    /// Threads that most of the appends go to.
    pub threads: u64,
    /// Appends between two looks at what is held.
    pub step: u64,
    /// Where the random choices come from.
    pub seed: u64,
}

/// Sizes that make everything turn over soon.
#[must_use]
pub fn options() -> Options {
    Options {
        journal_first_bytes: 64 << 10,
        journal_spare_bytes: 1 << 20,
        journal_file_bytes: 256 << 10,
        journal_files_max: 4,
        journal_frames_max: 1024,
        seal_bytes_min: 64 << 10,
        segment_boundary_bytes: 64 << 10,
        segment_bytes_max: 512 << 10,
        reserve_bytes: 64 << 10,
        checkpoint_records_min: 64,
        descriptors_max: 8,
        block_cache_bytes: 1 << 20,
        tail_cache_bytes: 256 << 10,
    }
}

/// What a store held after so many appends.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Appends before it.
    pub appends: u64,
    /// What was held.
    pub held: Footprint,
}

/// A line of a rollout with a text of so many bytes.
fn line(number: u64, bytes: u64) -> Vec<u8> {
    let text: String = (0..bytes.div_ceil(8))
        .map(|part| format!("{:08x}", (number ^ part).wrapping_mul(0x9e37_79b9)))
        .collect();
    format!(
        "{{\"timestamp\":\"2026-01-01T00:00:00Z\",\"type\":\"event_msg\",\"payload\":\
         {{\"type\":\"user_message\",\"message\":\"{text}\",\"images\":[]}}}}"
    )
    .into_bytes()
}

fn page(store: &Store, thread: &str) {
    let request = ItemsRequest {
        thread: thread.to_owned(),
        turn: None,
        all: false,
        cursor: None,
        limit: 5,
        order: Order::Descending,
    };
    let page = store.items(&request);
    assert!(page.is_ok(), "{:?}", page.err());
}

/// Takes what is exported as slowly as the store lives: it waits for the end of the writers.
struct Slow<'l> {
    ended: &'l AtomicBool,
}

impl io::Write for Slow<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        while !self.ended.load(Ordering::Relaxed) {
            thread::park_timeout(std::time::Duration::from_millis(5));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Life {
    /// Lives; `look` is told of each moment. The store seals by itself.
    ///
    /// # Panics
    /// When the store refuses anything.
    pub fn live(&self, store: &Store, look: &(dyn Fn(&Moment) + Sync)) {
        for number in 0..self.threads {
            store.create_thread(&name(number)).expect("created");
            let first = line(number, 2000);
            store
                .append(&name(number), None, &[&first])
                .expect("appended");
        }
        let (next, looked) = (AtomicU64::new(0), Mutex::new(0));
        let ended = AtomicBool::new(false);
        thread::scope(|scope| {
            // Longer than what a pipe takes, so that it is not at its end at once.
            scope.spawn(|| {
                let mut slow = Slow { ended: &ended };
                store.export(&name(0), .., &mut slow).expect("exported");
            });
            let writers: Vec<_> = (0..self.writers)
                .map(|writer| {
                    let (next, looked) = (&next, &looked);
                    scope.spawn(move || self.write(store, writer, next, looked, look))
                })
                .collect();
            let all = writers.into_iter().map(thread::ScopedJoinHandle::join);
            let all: Vec<_> = all.collect();
            ended.store(true, Ordering::Relaxed);
            for writer in all {
                writer.expect("a writer");
            }
        });
    }

    fn write(
        &self,
        store: &Store,
        writer: u64,
        next: &AtomicU64,
        looked: &Mutex<u64>,
        look: &(dyn Fn(&Moment) + Sync),
    ) {
        let mut rng = Rng::new(self.seed ^ (writer << 32));
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= self.appends {
                return;
            }
            // A few threads are fast and the others slow.
            let range: Range<u64> = if rng.below(10) < 8 {
                0..4
            } else {
                4..self.threads
            };
            let thread = name(range.start + rng.below(range.end - range.start));
            let bytes = [40, 100, 300, 3000][usize::try_from(rng.below(4)).unwrap_or(0)];
            let text = line(number, bytes);
            store.append(&thread, None, &[&text]).expect("appended");
            if rng.below(64) == 0 {
                page(store, &thread);
            }
            if rng.below(512) == 0 {
                let short = format!("short-{writer}-{number}");
                store.create_thread(&short).expect("created");
                store.append(&short, None, &[&text]).expect("appended");
                store.delete(&short).expect("deleted");
            }
            let mut looked = looked.lock().expect("no writer failed");
            if number >= *looked + self.step {
                *looked = number;
                look(&Moment {
                    appends: number,
                    held: store.footprint().expect("the store is owned"),
                });
            }
        }
    }
}

fn name(number: u64) -> String {
    format!("thread-{number}")
}
