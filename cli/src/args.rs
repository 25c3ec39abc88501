//! Owns the command line: what is written there and what it means.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use turnleaf::SourceKind;

/// Stores the history of agent threads: import, leaf through, resume, verify, export.
#[derive(Debug, Parser)]
#[command(name = "turnleaf", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What holds for every command.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// The store's directory; by default turnleaf below the platform's data directory.
    #[arg(long, global = true, env = "TURNLEAF_STORE", value_name = "DIR")]
    pub(crate) store: Option<PathBuf>,
    /// Machine-readable output: one JSON object on standard output.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// No progress, warnings and summaries.
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Show times in UTC, not in the local zone (TZ).
    #[arg(long, global = true)]
    pub(crate) utc: bool,
    /// Say more on standard error; twice for more.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Import rollouts: files or directories; .jsonl, .jsonl.zst, session_index.jsonl.
    ///
    /// Of an agent's home, a directory with `sessions` or `archived_sessions`, those two and
    /// session_index.jsonl are read and nothing else of it.
    Import(ImportArgs),
    /// Append JSONL lines from standard input; prints ACK THREAD END after each durable batch.
    Append {
        /// The thread's id, or a beginning of it that no other thread has.
        thread: String,
        /// Lines per durable batch at most; one also ends at 16 MiB.
        #[arg(long, default_value_t = 1)]
        #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
        batch: u32,
        /// Create the thread from a leading session_meta of the same id.
        #[arg(long)]
        create: bool,
    },
    /// Write the exact bytes that were imported or appended.
    Export(ExportArgs),
    /// Read every byte and check every checksum, chain and digest; changes nothing.
    Verify {
        /// Only this thread: its id, or a beginning of it that no other thread has.
        thread: Option<String>,
    },
    /// Damage, anomalies and lag of the store and its threads: what each means, what can be done.
    Doctor {
        /// Every anomaly of this thread instead: records of unknown kinds, malformed, out of order.
        /// Reads all of its records.
        thread: Option<String>,
    },
    /// Do the repairs that the store, or one thread, calls for; reads every byte to find them.
    ///
    /// What a repair takes away is kept in the store's `quarantine` folder. `accept-loss` states in
    /// the log which records are gone, and the thread takes appends again.
    Repair {
        /// Only this thread: its id, or a beginning of it that no other thread has.
        thread: Option<String>,
        /// Only say what would be done.
        #[arg(long)]
        dry_run: bool,
    },
    /// Sizes: journal, segments, index, compression.
    Stats,
    /// List threads.
    Threads(ThreadsArgs),
    /// List a thread's turns, newest first.
    Turns {
        /// The thread's id, or a beginning of it that no other thread has.
        thread: String,
        #[command(flatten)]
        page: PageArgs,
        /// asc: oldest first; desc: newest first.
        #[arg(long, value_enum, default_value_t = OrderArg::Desc)]
        order: OrderArg,
        /// How much of their items.
        #[arg(long, value_enum, default_value_t = ItemsArg::Summary)]
        items: ItemsArg,
    },
    /// List a thread's items, oldest first.
    Items {
        /// The thread's id, or a beginning of it that no other thread has.
        thread: String,
        /// Only the items of this turn.
        #[arg(long, value_name = "ID")]
        turn: Option<String>,
        /// Also commands that a legacy thread holds only as response items.
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        page: PageArgs,
        /// asc: oldest first; desc: newest first.
        #[arg(long, value_enum, default_value_t = OrderArg::Asc)]
        order: OrderArg,
    },
    /// One thread: facts, counts, segments, resume point, lag, anomalies.
    Show {
        /// The thread's id, or a beginning of it that no other thread has.
        thread: String,
        /// Print the world state that the agent recorded instead.
        #[arg(long)]
        world_state: bool,
        /// The world state after this record, not the newest.
        #[arg(long, value_name = "ORD", requires = "world_state")]
        at: Option<u64>,
    },
    /// What the model needs to resume: exact records, one per line.
    ///
    /// With a point, what a fork of that point would resume with: nothing is made or written. That
    /// is all that a fork which is to leave nothing asks of a store.
    Context {
        /// The thread's id, or a beginning of it that no other thread has.
        thread: String,
        #[command(flatten)]
        point: PointArgs,
        /// Print their ordinals instead.
        #[arg(long)]
        ordinals: bool,
    },
    /// Name a thread; an empty text takes the name away.
    Name {
        /// The thread's id, or a beginning of it that no other thread has.
        thread: String,
        /// The name.
        text: String,
    },
    /// Make a new thread that goes on from a thread, or from a part of it. Copies nothing.
    Fork(ForkArgs),
    /// Take a thread back to where a turn begins. What it showed is kept, as a rollout of it.
    Revert {
        /// The thread's id, or a beginning of it that no other thread has.
        thread: String,
        /// The turn, which is not shown any more.
        #[arg(long, value_name = "TURN")]
        before_turn: String,
    },
    /// Take back the newest turns of a thread. What it showed is kept, as a rollout of it.
    Rollback {
        /// The thread's id, or a beginning of it that no other thread has.
        thread: String,
        /// How many.
        #[arg(long, value_name = "N")]
        turns: usize,
    },
    /// Write a small thread that goes on from the newest compaction of a large or damaged one.
    ///
    /// A new thread, with an id of its own: a head, and the records from the beginning of the turn
    /// that holds the newest usable compaction on; all that can be read where there is none. It is
    /// written for the agent runtime, as by `export --as-rollout`, and is none of the store until
    /// it is imported. The thread itself is not touched. What cannot be read is passed by and told.
    Rescue {
        /// The thread's id, or a beginning of it that no other thread has.
        thread: String,
        /// A home of the runtime.
        #[arg(long, value_name = "DIR")]
        into: PathBuf,
    },
    /// Archive a thread: it is listed with `threads --archived`.
    Archive {
        /// The thread's id, or a beginning of it that no other thread has.
        thread: String,
    },
    /// Take a thread back from the archive.
    Unarchive {
        /// The thread's id, or a beginning of it that no other thread has.
        thread: String,
    },
    /// Delete a thread for good; only `import --again` gives its id to a new thread.
    Delete {
        /// The thread's id, or a beginning of it that no other thread has.
        thread: String,
        /// Also the threads that it spawned, directly or not: all of them, or none.
        #[arg(long)]
        with_children: bool,
        /// Print what would go, and what others go on from it that stay. Changes nothing.
        #[arg(long, requires = "with_children")]
        dry_run: bool,
    },
    /// Delete the index and build it again from the log.
    RebuildIndex,
    /// Show what the store does, on a thread that is made for it.
    ///
    /// Makes a thread, imports it, reads the newest turns, resumes, verifies, exports it and
    /// compares the export with the thread. Each step says how long it took, and how many bytes
    /// the process read and wrote where the system counts them. Works in a directory of its own;
    /// no other store is read or changed, whatever --store says.
    Tour(TourArgs),
    /// Print a completion script.
    Completions {
        /// For which shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page.
    Man,
}

/// What the tour is made with.
#[derive(Debug, Args)]
pub(crate) struct TourArgs {
    /// About how large the thread is: bytes, or a number with KiB, MiB or GiB. The directory needs
    /// twice as much room.
    #[arg(long, default_value = "64MiB", value_parser = bytes)]
    pub(crate) size: u64,
    /// Work in this directory, which must be empty or absent, and keep it.
    #[arg(long, value_name = "DIR")]
    pub(crate) keep: Option<PathBuf>,
}

/// A number of bytes, with or without a unit.
fn bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let shift = match &text[digits.len()..] {
        "" | "B" => 0,
        "K" | "KiB" => 10,
        "M" | "MiB" => 20,
        "G" | "GiB" => 30,
        unit => return Err(format!("no unit {unit:?}: give bytes, KiB, MiB or GiB")),
    };
    let number: u64 = digits.trim_end().parse().map_err(|_| "no number")?;
    number.checked_mul(1 << shift).ok_or("too large".to_owned())
}

/// What to import.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// Files or directories (searched recursively); by default $CODEX_HOME, else ~/.codex.
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Import the whole home that a PATH is or lies in: a path to its sessions brings the archived
    /// ones and the names along.
    #[arg(long, requires = "paths")]
    pub(crate) home: bool,
    /// Where a file was written anew, keep both histories and go on showing the old one.
    #[arg(long)]
    pub(crate) keep_old: bool,
    /// Import files of threads that were deleted from the store, too: as those of new threads.
    #[arg(long)]
    pub(crate) again: bool,
    /// Say what would be imported; write nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// What is written of a thread, and where.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// The thread's id, or a beginning of it that no other thread has.
    pub(crate) thread: String,
    /// Write here instead of to standard output. A file is replaced when all is written, a link
    /// followed, a pipe or device written into; a name within the store is refused.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// One rollout of the thread, by its number or its id as `show` lists them.
    #[arg(long, value_name = "ROLLOUT", conflicts_with_all = ["from", "to"])]
    pub(crate) rollout: Option<String>,
    /// Write what the thread shows, forks and reverts resolved, as one file that the agent
    /// runtime opens: below DIR, a home of it, where the runtime would look. A file that is there
    /// is not replaced. The lines are those of the thread but for this: one head, without a base;
    /// ordinals from 0; of inherited records, whose thread they are.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["from", "to", "rollout", "output"])]
    pub(crate) as_rollout: Option<PathBuf>,
    /// First ordinal; the thread's own first record otherwise.
    #[arg(long, value_name = "ORD")]
    pub(crate) from: Option<u64>,
    /// One past the last ordinal.
    #[arg(long, value_name = "ORD")]
    pub(crate) to: Option<u64>,
}

/// What is forked, and up to where.
#[derive(Debug, Args)]
pub(crate) struct ForkArgs {
    /// The thread's id, or a beginning of it that no other thread has.
    pub(crate) thread: String,
    /// The id of the new thread; a new UUID otherwise.
    #[arg(long, value_name = "ID")]
    pub(crate) id: Option<String>,
    #[command(flatten)]
    pub(crate) point: PointArgs,
}

/// Up to where something is taken of a thread; all of it otherwise.
#[derive(Debug, Args)]
pub(crate) struct PointArgs {
    /// Up to where this turn begins.
    #[arg(long, value_name = "TURN", conflicts_with_all = ["through_turn", "at"])]
    pub(crate) before_turn: Option<String>,
    /// Up to the end of this turn.
    #[arg(long, value_name = "TURN", conflicts_with = "at")]
    pub(crate) through_turn: Option<String>,
    /// So many records.
    #[arg(long, value_name = "ORD")]
    pub(crate) at: Option<u64>,
}

/// Filters and order of a list of threads.
#[derive(Debug, Args)]
pub(crate) struct ThreadsArgs {
    #[command(flatten)]
    pub(crate) page: PageArgs,
    /// asc: oldest first; desc: newest first.
    #[arg(long, value_enum, default_value_t = OrderArg::Desc)]
    pub(crate) order: OrderArg,
    /// What to sort by.
    #[arg(long, value_enum, default_value_t = SortArg::Updated)]
    pub(crate) sort: SortArg,
    /// The archived threads instead of the others.
    #[arg(long)]
    pub(crate) archived: bool,
    /// Only threads of this working directory: a path, absolute or not, by any of its names.
    #[arg(long, value_name = "DIR")]
    pub(crate) cwd: Option<String>,
    /// Only threads of these kinds of sources: cli, vscode, exec, appServer, subAgent (any),
    /// subAgentReview, subAgentCompact, subAgentThreadSpawn, subAgentOther, custom, unknown.
    #[arg(long, value_name = "KIND", value_delimiter = ',', value_parser = source_kind)]
    pub(crate) source: Vec<SourceKind>,
    /// No threads that another one began.
    #[arg(long)]
    pub(crate) no_subagents: bool,
    /// Only threads that this one spawned.
    #[arg(long, value_name = "ID")]
    pub(crate) parent: Option<String>,
    /// Only threads below this one.
    #[arg(long, value_name = "ID", conflicts_with = "parent")]
    pub(crate) ancestor: Option<String>,
    /// Only threads that were forked from this one.
    #[arg(long, value_name = "ID")]
    pub(crate) forks_of: Option<String>,
    /// Only threads whose name, title or preview holds this text.
    #[arg(long, value_name = "TEXT")]
    pub(crate) search: Option<String>,
}

fn source_kind(text: &str) -> Result<SourceKind, String> {
    SourceKind::parse(text).ok_or_else(|| {
        let all = SourceKind::ALL.map(|(name, _)| name);
        format!("the kinds are {}", all.join(", "))
    })
}

/// Which page.
#[derive(Debug, Args)]
pub(crate) struct PageArgs {
    /// Most rows, 1 to 1000; a page also ends at 8 MiB, and its cursor goes on behind it.
    #[arg(long, default_value_t = 25)]
    pub(crate) limit: usize,
    /// A cursor of an earlier page.
    #[arg(long)]
    pub(crate) cursor: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OrderArg {
    Asc,
    Desc,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SortArg {
    Created,
    Updated,
    Recency,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ItemsArg {
    None,
    Summary,
    Full,
}

impl From<OrderArg> for turnleaf::Order {
    fn from(order: OrderArg) -> turnleaf::Order {
        match order {
            OrderArg::Asc => turnleaf::Order::Ascending,
            OrderArg::Desc => turnleaf::Order::Descending,
        }
    }
}
