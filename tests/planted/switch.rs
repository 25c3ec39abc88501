//! Owns which mistake is planted in this process. The rig puts this file into every crate of the copy
//! that has a mistake, as `bugs.rs`, and the names of all mistakes behind it.

#![allow(
    dead_code,
    unused_imports,
    reason = "each crate has some of the mistakes"
)]

use std::sync::OnceLock;

pub(crate) use Bug::*;

macro_rules! bugs {
    ($($name:ident,)+) => {
        /// A plausible mistake. The environment variable `TURNLEAF_BUG` names the planted one.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Bug {
            $($name,)+
        }

        impl Bug {
            const ALL: &[Bug] = &[$(Bug::$name,)+];
        }
    };
}

impl Bug {
    /// Whether this is the mistake of this process.
    ///
    /// # Panics
    /// If the variable names no mistake: a run against a misspelt one would prove nothing.
    pub(crate) fn planted(self) -> bool {
        static PLANTED: OnceLock<Option<Bug>> = OnceLock::new();
        let planted = PLANTED.get_or_init(|| {
            let name = std::env::var("TURNLEAF_BUG").ok()?;
            let found = Bug::ALL.iter().find(|bug| format!("{bug:?}") == name);
            Some(*found.unwrap_or_else(|| panic!("TURNLEAF_BUG names no bug: {name}")))
        });
        *planted == Some(self)
    }

    /// What the mistake makes of a value.
    pub(crate) fn turns<T>(self, right: T, wrong: impl FnOnce(T) -> T) -> T {
        if self.planted() { wrong(right) } else { right }
    }

    /// Does the work, unless the mistake is to leave it out.
    pub(crate) fn skips<T: Default, E>(self, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        if self.planted() {
            Ok(T::default())
        } else {
            work()
        }
    }
}
