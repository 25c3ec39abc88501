//! Owns the pieces of work that both sides do in a process of their own, so that neither inherits
//! the heap of the other and a cold open is one.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use turnleaf::{ForkPoint, ImportSource, ItemsRequest, Order, Store};
use turnleaf_projector::fold::{self, MemRows, ThreadState};
use turnleaf_projector::format::Ordinal;
use turnleaf_projector::payload;

use crate::measure::{Cost, measure, peak_kib};
use crate::replay::{Replay, each_line, one_pass};
#[cfg(feature = "sqlite")]
use crate::sqlite::{Setup, Sqlite};

/// The flag before a piece of work on the command line.
const FLAG: &str = "--work";
/// Items of a page.
pub const PAGE: usize = 50;

/// What is done, from opening to the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// turnleaf: import the file into a new store.
    Import,
    /// turnleaf: fold every line of the file into rows in memory, without notes and index.
    Fold,
    /// turnleaf: open, and what the model needs to go on.
    Resume,
    /// turnleaf: open, and the newest page with bodies.
    NewestPage,
    /// turnleaf: open, and build the index from nothing.
    Rebuild,
    /// JSONL: replay the file and give the newest page.
    Replay,
    /// JSONL: parse every line once, and nothing else.
    OnePass,
    /// SQLite: open, and the newest page with bodies.
    #[cfg(feature = "sqlite")]
    SqlitePage,
    /// The same with more memory.
    #[cfg(feature = "sqlite")]
    TunedSqlitePage,
}

const NAMES: &[(Work, &str)] = &[
    (Work::Import, "import"),
    (Work::Fold, "fold"),
    (Work::Resume, "resume"),
    (Work::NewestPage, "newest-page"),
    (Work::Rebuild, "rebuild"),
    (Work::Replay, "replay"),
    (Work::OnePass, "one-pass"),
    #[cfg(feature = "sqlite")]
    (Work::SqlitePage, "sqlite-page"),
    #[cfg(feature = "sqlite")]
    (Work::TunedSqlitePage, "tuned-sqlite-page"),
];

impl Work {
    fn name(self) -> &'static str {
        let found = NAMES.iter().find(|(work, _)| *work == self);
        found.map_or("", |(_, name)| name)
    }

    /// Does it in a new process and gives what it cost there; loading the program does not count.
    /// `other` is the thread, or for an import the directory of the new store.
    ///
    /// # Panics
    /// If the process cannot be started or fails.
    #[must_use]
    pub fn apart(self, path: &Path, other: &str) -> Cost {
        let program = std::env::current_exe().expect("this program has a path");
        let output = Command::new(program)
            .args([FLAG, self.name()])
            .arg(path)
            .arg(other)
            .output()
            .expect("this program starts again");
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).expect("numbers");
        let mut numbers = text.split_whitespace().map(|word| word.parse::<u64>());
        let mut next = || numbers.next().and_then(Result::ok).expect("three numbers");
        Cost {
            cpu: Duration::from_nanos(next()),
            wall: Duration::from_nanos(next()),
            peak_kib: next(),
        }
    }

    fn here(self, path: &Path, other: &str) {
        let open = || Store::open_to_read(path).expect("the store");
        match self {
            Work::Import => import(path, Path::new(other)),
            Work::Fold => fold_file(path).expect("a fold"),
            Work::Resume => {
                let mut out = Vec::new();
                open()
                    .context(other, &ForkPoint::Latest, &mut out)
                    .expect("the context");
                assert!(!out.is_empty(), "there is a context");
            }
            Work::NewestPage => drop(items(&open(), other, None, PAGE)),
            Work::Rebuild => _ = open().rebuild_index(&mut |_| {}).expect("a rebuild"),
            Work::Replay => drop(Replay::of_file(path).expect("a replay").newest(PAGE)),
            Work::OnePass => _ = one_pass(path).expect("a pass"),
            #[cfg(feature = "sqlite")]
            Work::SqlitePage => sqlite_page(path, Setup::Plain),
            #[cfg(feature = "sqlite")]
            Work::TunedSqlitePage => sqlite_page(path, Setup::Tuned),
        }
    }
}

/// Does the piece of work that the command line asks for, if it asks for one, and prints its cost.
///
/// # Panics
/// If the command line is not one of [`Work::apart`], or the work fails.
#[must_use]
pub fn did_as_asked() -> bool {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [flag, name, path, other] = args.as_slice() else {
        return false;
    };
    if flag != FLAG {
        return false;
    }
    let found = NAMES.iter().find(|(_, known)| known == name);
    let (work, _) = found.expect("a known piece of work");
    let ((), cost) = measure(|| work.here(Path::new(path), other));
    println!(
        "{} {} {}",
        cost.cpu.as_nanos(),
        cost.wall.as_nanos(),
        peak_kib()
    );
    true
}

#[cfg(feature = "sqlite")]
fn sqlite_page(path: &Path, setup: Setup) {
    let database = Sqlite::open(path, setup).expect("the database");
    let page = database.items(1, PAGE).expect("a page");
    assert_eq!(page.len(), PAGE);
}

fn import(jsonl: &Path, dir: &Path) {
    let store = Store::open(dir).expect("a store");
    let mut plain = File::open(jsonl).expect("the rollout");
    let file_bytes = plain.metadata().expect("a length").len();
    let source = ImportSource {
        path: "bench",
        thread_hint: None,
        plain: &mut plain,
        file_bytes,
        modified_ns: 1,
        archived: false,
    };
    let imported = store.import(source, &mut |_| {});
    imported.expect("an import").done().expect("a rollout");
    store.seal_all().expect("sealed");
    store.close().expect("closed");
}

fn fold_file(jsonl: &Path) -> io::Result<()> {
    let (mut rows, mut state) = (MemRows::default(), ThreadState::default());
    let mut ordinal = Ordinal(0);
    each_line(jsonl, |line| {
        let Ok(()) = fold::apply(&mut rows, &mut state, ordinal, &payload::decode(line));
        ordinal = ordinal.plus(1);
    })?;
    assert!(rows.items().count() > 0, "the rollout has items");
    Ok(())
}

/// A page of items, newest first, and the token of the next one.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn items(
    store: &Store,
    thread: &str,
    cursor: Option<String>,
    limit: usize,
) -> (usize, Option<String>) {
    let request = ItemsRequest {
        thread: thread.to_owned(),
        turn: None,
        all: false,
        cursor,
        limit,
        order: Order::Descending,
    };
    let page = store.items(&request).expect("a page");
    (page.items.len(), page.next_cursor)
}
