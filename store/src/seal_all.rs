//! Owns the sealing that a caller asks for: of everything, or turn by turn.

use turnleaf_engine::format::ThreadNumber;
use turnleaf_engine::{Log, SealGoal, Unsealable};

use crate::error::{Error, Part};
use crate::open::Store;
use crate::sealer::{FREE_FILES, SealerState, Step, Woken, run_plan, turn};

/// What a sealing of everything came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SealReport {
    /// Segments that were written.
    pub segments: u64,
    /// Threads of which the journal keeps records that cannot be sealed for now, with the reason.
    pub left: Vec<(String, Unsealable)>,
}

impl Store {
    /// Seals everything that the journal holds and gives its space back: worth it after an import
    /// of many small files. A seal that is under way is waited for. What is appended meanwhile may
    /// stay in the journal. A thread that cannot be sealed keeps none of the others from it, and is
    /// reported. Nothing is more durable for it: what is in the journal is durable already.
    ///
    /// Cost: reads what only the journal holds and, of each thread that got a record, at most one
    /// stretch (64 MiB) that packs hold, and writes both compressed. Appends go on meanwhile.
    ///
    /// ```no_run
    /// # fn example(store: &turnleaf::Store) -> Result<(), turnleaf::Error> {
    /// let report = store.seal_all()?;
    /// for (thread, why) in &report.left {
    ///     eprintln!("{thread} stays in the journal: {why:?}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`crate::ErrorKind::Unsupported`] for a store open for reading;
    /// [`crate::ErrorKind::Stopped`] after a panic of the sealer or of a commit; I/O, where a
    /// segment could not be written or published: what was sealed before stays sealed.
    pub fn seal_all(&self) -> Result<SealReport, Error> {
        let committer = self.source.owner()?;
        let mut segments = 0;
        let records = committer.lock().journal_end();
        let mut facts = records;
        loop {
            let idle = |log: &Log| (!log.is_sealing_now()).then_some(());
            let (mut log, ()) = committer.wait_for(committer.lock(), idle);
            if log.is_stopped() {
                return Err(Error::Stopped(Part::Commit));
            }
            if log.has_no_sealer() {
                return Err(Error::Stopped(Part::Sealer));
            }
            let Some(plan) = log.plan_seal(SealGoal::Before { records, facts }) else {
                let left = log.unsealable();
                log.clean_up(FREE_FILES)?;
                log.shrink_journal()?;
                drop(log);
                return Ok(SealReport {
                    segments,
                    left: self.ids_of(&left),
                });
            };
            drop(log);
            let is_published = !plan.is_of_catalogue();
            match run_plan(committer, plan)? {
                Step::Sealed => {
                    segments += 1;
                    if is_published {
                        // The publication is to be sealed, too.
                        facts = committer.lock().journal_end();
                    }
                }
                Step::Nothing => {}
                Step::LeftOut(thread, error) => {
                    tracing::warn!(thread = thread.0, %error, "a thread is not sealed for now");
                }
            }
        }
    }

    /// Ids for numbers; the catalogue is called by its name.
    fn ids_of(&self, left: &[(ThreadNumber, Unsealable)]) -> Vec<(String, Unsealable)> {
        let name = |thread: ThreadNumber| {
            self.source.with(|state| {
                let id = state.id_of(thread);
                id.map_or_else(|| "the catalogue".to_owned(), ToString::to_string)
            })
        };
        left.iter().map(|(at, why)| (name(*at), *why)).collect()
    }

    /// Lets the caller do what the thread that seals does, turn by turn, in a store that was opened
    /// without one: tests drive it at every point with it.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Unsupported`] for a store open for reading.
    #[doc(hidden)]
    pub fn seal_by_turns(&self) -> Result<SealerState, Error> {
        self.source.owner()?.lock().set_sealing(true);
        Ok(SealerState::Ready)
    }

    /// One turn of the sealer on the caller's thread, after [`Store::seal_by_turns`].
    ///
    /// # Errors
    /// [`crate::ErrorKind::Unsupported`] for a store open for reading.
    #[doc(hidden)]
    pub fn sealer_turn(&self, state: SealerState, woken: Woken) -> Result<SealerState, Error> {
        Ok(turn(self.source.owner()?, state, woken).0)
    }
}
