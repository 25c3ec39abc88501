//! Owns what is known of rollouts that cannot be the base of others which wait for one, so that
//! they are not read again as long as they are as they were. It must not know how that is found.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use turnleaf_engine::format::catalogue::Awaited;
use turnleaf_engine::format::{Ordinal, ThreadChain, ThreadNumber};

use super::cut::Cut;

/// The rollout that waits, and the other one.
type Pair = (ThreadNumber, ThreadNumber);

/// Where the other one ended, and what was looked for in it.
type AsItWas = (Ordinal, ThreadChain, Awaited);

/// Why rollouts are no bases, for as long as the store is open: some 200 bytes for each that was
/// looked at in vain.
#[derive(Debug, Default)]
pub(crate) struct UnfitBases(Mutex<HashMap<Pair, (AsItWas, Cut)>>);

impl UnfitBases {
    /// Why the other one of a pair is no base, where that was found out of it as it is.
    pub(super) fn known(&self, of: Pair, as_it_is: &AsItWas) -> Option<Cut> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.get(&of).filter(|(as_it_was, _)| as_it_was == as_it_is);
        known.map(|(_, cut)| *cut)
    }

    pub(super) fn note(&self, of: Pair, as_it_is: AsItWas, cut: Cut) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(of, (as_it_is, cut));
    }
}
