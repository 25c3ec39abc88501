//! Rows that forks and reverted threads share with what they go on from: whatever is appended to
//! whichever of them, and in whatever order they are read, the index is what the log makes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use turnleaf::{ErrorKind, ForkPoint, ItemsView, Order, Ordinal, Store, TurnsRequest};
use turnleaf_engine::disk::Disk;
use turnleaf_tests::answers::{ask, options};
use turnleaf_tests::rng::Rng;
use turnleaf_tests::sim_disk::SimDisk;
use turnleaf_tests::soup;
use turnleaf_tests::stores::open_store;

/// Threads that one run forks at most.
const THREADS_MAX: usize = 7;

/// One run: a store, and the ids of its threads.
struct Run {
    disk: SimDisk,
    store: Option<Store>,
    ids: Vec<String>,
    rng: Rng,
}

impl Run {
    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn some_id(&mut self) -> String {
        let at = self.rng.below(self.ids.len() as u64);
        self.ids[usize::try_from(at).unwrap()].clone()
    }

    fn append(&mut self, id: &str) {
        let count = 1 + self.rng.below(12);
        let lines: Vec<Vec<u8>> = (0..count).map(|_| soup::line(&mut self.rng)).collect();
        let lines: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
        self.store().append(id, None, &lines).unwrap();
    }

    fn step(&mut self) {
        let id = self.some_id();
        match self.rng.below(12) {
            0..=4 => self.append(&id),
            5 | 6 if self.ids.len() < THREADS_MAX => {
                let threads = self.store().log_threads();
                let records = threads.iter().find(|thread| thread.id == id);
                let records = records.unwrap().records;
                // Mostly near the end, as forks are.
                let back = self.rng.below(records + 1).min(self.rng.below(records + 1));
                let point = match self.rng.below(3) {
                    0 => ForkPoint::Latest,
                    _ => ForkPoint::AtOrdinal(Ordinal(records - back)),
                };
                let fork = format!("fork-{}", self.ids.len());
                self.store().fork(&id, &fork, &point).unwrap();
                self.ids.push(fork);
            }
            7 | 8 => {
                let turns = self.store().turns(&TurnsRequest {
                    thread: id.clone(),
                    cursor: None,
                    limit: 6,
                    order: Order::Descending,
                    items: ItemsView::NotLoaded,
                });
                let turns = turns.unwrap().turns;
                if !turns.is_empty() {
                    let at = self.rng.below(turns.len() as u64);
                    let turn = turns[usize::try_from(at).unwrap()].id.clone();
                    // A soup names a turn twice.
                    if let Err(error) = self.store().revert(&id, &turn) {
                        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
                    }
                }
            }
            9 => drop(self.store().seal_all().unwrap()),
            10 => {
                self.store.take().unwrap().close().unwrap();
                if self.rng.below(3) == 0 {
                    // Nothing was asked yet where it is not there.
                    let _ = self.disk.remove("index.redb");
                }
                self.store = Some(open_store(&self.disk, &options()).unwrap());
            }
            _ => drop(ask(self.store(), &[id]).unwrap()),
        }
    }

    /// Every thread is in the index as the log makes it.
    fn check(&self, seed: u64) {
        let is_right = |store: &Store| {
            for id in &self.ids {
                let differs = store.index_difference(id).unwrap();
                assert_eq!(differs, None, "{id} of seed {seed}");
            }
        };
        // A store that was just opened knows that nobody goes on with an open turn.
        let ask = |store: &Store| {
            let shown = ask(store, &self.ids).unwrap();
            shown.replace("\"inProgress\"", "\"interrupted\"")
        };
        let shown = ask(self.store());
        is_right(self.store());
        let disk = self.disk.fork();
        disk.remove("index.redb").unwrap();
        let anew = open_store(&disk, &options()).unwrap();
        let shown_anew = ask(&anew);
        is_right(&anew);
        let lines = shown.lines().zip(shown_anew.lines());
        let differs = lines.into_iter().find(|(before, anew)| before != anew);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!(shown.len(), shown_anew.len());
    }
}

fn run(seed: u64) {
    let disk = SimDisk::new();
    let store = open_store(&disk, &options()).unwrap();
    let mut run = Run {
        disk,
        store: Some(store),
        ids: vec!["first".to_owned()],
        rng: Rng::new(seed),
    };
    run.store().create_thread("first").unwrap();
    for _ in 0..4 {
        for _ in 0..10 {
            run.step();
        }
        run.check(seed);
    }
}

#[test]
fn the_index_of_a_lineage_is_what_the_log_makes() {
    let seeds = std::env::var("TURNLEAF_SHARED_SEEDS").ok();
    let seeds = seeds.and_then(|seeds| seeds.parse().ok()).unwrap_or(40);
    (0..seeds).for_each(run);
}
