//! Owns what is read from a store: pages of turns and items, lists of threads, one thread in
//! detail, what the model needs, exports. Each looks rows up in the index and reads the log.

mod context;
mod counts;
mod export;
mod filter;
mod pages;
mod rollout_file;
mod show;
mod threads;
mod world_state;

pub use context::ContextReport;
pub use counts::{Counts, ThreadCounts};
pub use filter::{SourceKind, same_directory};
pub use pages::{ItemsPage, ItemsRequest, ItemsView, TurnHead, TurnsPage, TurnsRequest};
pub use rollout_file::{RolloutFile, RolloutWritten};
pub use show::{ShowThread, ThreadSegment};
pub use threads::{SortKey, ThreadsPage, ThreadsRequest, bound_to};
