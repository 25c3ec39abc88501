//! Owns what is read from a store: pages of turns and items, lists of threads, one thread in
//! detail, what the model needs, exports. Each looks rows up in the index and reads the log.

mod bodies;
mod context;
mod counts;
mod export;
mod filter;
pub(crate) mod kept;
mod lists;
mod pages;
mod rollout_file;
mod served;
mod show;
mod threads;
mod world_state;

pub use context::ContextReport;
pub use counts::{Counts, ThreadCounts};
pub use filter::{SourceKind, same_directory};
pub use pages::{ItemsPage, ItemsRequest, TurnsPage, TurnsRequest};
pub use rollout_file::{RolloutFile, RolloutWritten};
pub use served::{Body, ItemsView, ServedItem, ServedTurn};
pub use show::{ShowThread, ThreadSegment};
pub use threads::{SortKey, ThreadsPage, ThreadsRequest, bound_to};
