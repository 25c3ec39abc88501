//! Threads that show rows of each other, against rows in plain maps.

use proptest::prelude::*;
use turnleaf_format::{Ordinal, ThreadChain, ThreadNumber};

use super::model::{Driver, Step, agree, steps};
use super::{T1, T2, index, reader};
use crate::fold::MemRows;
use crate::index::{Index, IndexError, Savepoint, Shared};

const T3: ThreadNumber = ThreadNumber(3);

/// A thread in plain maps, with how it was before each of its steps.
#[derive(Debug, Clone, Default)]
struct Played {
    model: MemRows,
    driver: Driver,
    before: Vec<(MemRows, Driver)>,
    steps: Vec<Step>,
}

impl Played {
    /// Takes steps here and in the index, in batches as they say; `false` once the index refuses
    /// one because it changes what is shared.
    fn play(&mut self, index: &Index, thread: ThreadNumber, steps: &[Step]) -> bool {
        let mut batch = index.writer().unwrap();
        for step in steps {
            let mut rows = match batch.thread(thread) {
                Ok(rows) => rows,
                Err(IndexError::Overtaken(_)) => return false,
                Err(error) => panic!("{error}"),
            };
            let mut driver = self.driver.clone();
            let seen = match driver.step(&mut rows, step) {
                Ok(seen) => seen,
                Err(IndexError::OfBase(of)) => {
                    assert_eq!(of, thread);
                    return false;
                }
                Err(error) => panic!("{error}"),
            };
            let (end, chain) = (Ordinal(driver.ordinal + 1), ThreadChain(driver.ordinal));
            rows.put_watermark(end, chain, &driver.numbers).unwrap();
            self.step(step, &seen);
            if let Step::Commit { durable } = step {
                batch.commit(*durable).unwrap();
                batch = index.writer().unwrap();
            }
        }
        batch.commit(false).unwrap();
        true
    }

    fn step(&mut self, step: &Step, seen: &str) {
        let before = (self.model.clone(), self.driver.clone());
        self.before.push(before);
        self.steps.push(step.clone());
        assert_eq!(self.driver.step(&mut self.model, step).unwrap(), seen);
    }

    /// The thread as it was at a savepoint.
    fn at(&self, savepoint: &Savepoint) -> Played {
        let at = usize::try_from(savepoint.at().0 - 1).unwrap();
        let now = (self.model.clone(), self.driver.clone());
        let (model, driver) = self.before.get(at).cloned().unwrap_or(now);
        assert_eq!(savepoint.fold_state::<u32>().unwrap(), driver.numbers);
        Played {
            model,
            driver,
            before: self.before[..at].to_vec(),
            steps: self.steps[..at].to_vec(),
        }
    }

    /// Lets another thread go on from here, at or before an ordinal.
    fn share(&self, index: &Index, [of, by]: [ThreadNumber; 2], at_most: u64) -> Option<Played> {
        let savepoint = reader(index).savepoint(of, Ordinal(at_most)).unwrap()?;
        assert!(savepoint.at().0 <= at_most);
        let played = self.at(&savepoint);
        let mut batch = index.writer().unwrap();
        let mut rows = batch.share(by, &savepoint).unwrap();
        let chain = ThreadChain(savepoint.at().0);
        rows.put_watermark(savepoint.at(), chain, &played.driver.numbers)
            .unwrap();
        batch.commit(false).unwrap();
        Some(played)
    }

    /// The thread in the index is as it is here; `false` where it is to be made anew.
    fn agrees(&self, index: &Index, thread: ThreadNumber, limit: usize) -> bool {
        let view = reader(index);
        let row = view.thread(thread).unwrap().unwrap_or_default();
        assert!(view.verify_thread(thread).unwrap());
        if row.shared == Shared::Broken {
            view.as_its_own(thread).unwrap_err();
            return false;
        }
        agree(&view, thread, (&self.model, &self.driver), limit);
        let alone = super::index();
        assert!(Played::default().play(&alone, thread, &self.steps));
        let alone = reader(&alone).thread(thread).unwrap().unwrap_or_default();
        let row = view.as_its_own(thread).unwrap().unwrap_or_default();
        assert_eq!(
            (
                row.digest,
                row.rows,
                row.turn_rows,
                row.item_rows,
                row.turn_end
            ),
            (
                alone.digest,
                alone.rows,
                alone.turn_rows,
                alone.item_rows,
                alone.turn_end
            )
        );
        assert!(row.row_end == alone.row_end && row.items_end == alone.items_end);
        true
    }
}

proptest! {
    /// What a thread shares it shows as if it were its own, whatever is written behind it, in
    /// whichever of the threads, until one of them changes it.
    #[test]
    fn shared_rows_are_shown_as_if_they_were_own(
        [before, of_base, own, of_third] in prop::array::uniform4(steps()),
        cuts in prop::array::uniform2(0..250_u64),
        limit in 1..7_usize,
    ) {
        let index = index();
        let mut first = Played::default();
        first.play(&index, T1, &before);
        if let Some(mut second) = first.share(&index, [T1, T2], cuts[0]) {
            prop_assert!(second.agrees(&index, T2, limit));
            let (half, rest) = own.split_at(own.len() / 2);
            prop_assume!(second.play(&index, T2, half));
            first.play(&index, T1, &of_base);
            if second.agrees(&index, T2, limit) && second.play(&index, T2, rest) {
                let third = second.share(&index, [T2, T3], cuts[1]);
                prop_assert!(second.agrees(&index, T2, limit));
                if let Some(mut third) = third
                    && third.play(&index, T3, &of_third)
                {
                    prop_assert!(third.agrees(&index, T3, limit));
                    first.play(&index, T1, &own);
                    third.agrees(&index, T3, limit);
                    second.agrees(&index, T2, limit);
                }
            }
        }
        prop_assert!(first.agrees(&index, T1, limit));
    }
}

/// A thread whose base is removed, or changed before the cut, is to be made anew, and so are those
/// that go on from it; what is behind the cut is nobody's business.
#[test]
fn whoever_shows_rows_that_changed_is_made_anew() {
    let turns = |from: u8| (from..from + 4).map(|id| Step::Begin { id });
    let steps: Vec<Step> = turns(0).collect();
    let made = || {
        let index = index();
        let mut first = Played::default();
        assert!(first.play(&index, T1, &steps));
        let mut second = first.share(&index, [T1, T2], 3).unwrap();
        assert!(second.play(&index, T2, &turns(8).collect::<Vec<_>>()));
        let third = second.share(&index, [T2, T3], 6).unwrap();
        assert_eq!(third.driver.numbers, 5);
        assert!(third.agrees(&index, T3, 3));
        (index, first, [second, third])
    };
    let is_broken = |index: &Index| {
        [T1, T2, T3].map(|thread| {
            let row = reader(index).thread(thread).unwrap().unwrap();
            row.shared == Shared::Broken
        })
    };
    // The newest two turns are removed, and then the third newest, which is shared.
    let (index, mut first, others) = made();
    assert!(first.play(&index, T1, &[Step::Remove { count: 2 }]));
    assert!(others[0].agrees(&index, T2, 3) && others[1].agrees(&index, T3, 3));
    assert!(first.play(&index, T1, &[Step::Remove { count: 1 }]));
    assert_eq!(is_broken(&index), [false, true, true]);
    // Nobody goes on with those.
    assert!(index.writer().unwrap().thread(T2).is_err());
    // A thread that is made anew shares nothing until it is let to.
    let mut batch = index.writer().unwrap();
    batch.remove_thread(T2);
    batch.commit(false).unwrap();
    let mut second = Played::default();
    assert!(second.play(&index, T2, &steps));
    assert!(second.agrees(&index, T2, 3));
    assert_eq!(is_broken(&index), [false, false, true]);

    let (index, ..) = made();
    let mut batch = index.writer().unwrap();
    batch.remove_thread(T1);
    batch.thread(T1).unwrap();
    batch.commit(false).unwrap();
    let row = |thread| reader(&index).thread(thread).unwrap();
    assert_eq!(row(T2).unwrap().shared, Shared::Broken);
    assert_eq!(row(T3).unwrap().shared, Shared::Broken);
}

/// Whose own base changed has nothing to share, whoever looked before.
#[test]
fn a_broken_thread_is_not_shared() {
    let steps: Vec<Step> = (0..4).map(|id| Step::Begin { id }).collect();
    let more: Vec<Step> = (8..12).map(|id| Step::Begin { id }).collect();
    let index = index();
    let mut first = Played::default();
    assert!(first.play(&index, T1, &steps));
    let mut second = first.share(&index, [T1, T2], 4).unwrap();
    assert!(second.play(&index, T2, &more));
    let savepoint = reader(&index).savepoint(T2, Ordinal(6)).unwrap().unwrap();
    let mut late = index.writer().unwrap();
    late.share(T3, &savepoint).unwrap();
    assert!(first.play(&index, T1, &[Step::Remove { count: 2 }]));
    let refused = late.commit(false).unwrap_err();
    assert!(matches!(refused, IndexError::Overtaken(T3)), "{refused}");
    let refused = index.writer().unwrap().share(T3, &savepoint).err();
    assert!(matches!(refused, Some(IndexError::Overtaken(T3))));
    assert!(!reader(&index).is_whole(T2).unwrap());
    assert!(!reader(&index).is_whole(T3).unwrap());
    assert!(reader(&index).is_whole(T1).unwrap());
}

/// A savepoint that is gone by the time a batch is committed is not gone on from, and neither does
/// a batch go on with a thread that was broken meanwhile.
#[test]
fn a_prefix_that_changes_meanwhile_is_not_shared() {
    let steps: Vec<Step> = (0..4).map(|id| Step::Begin { id }).collect();
    let index = index();
    let mut first = Played::default();
    assert!(first.play(&index, T1, &steps));
    first.share(&index, [T1, T2], 4).unwrap();
    let savepoint = reader(&index).savepoint(T1, Ordinal(4)).unwrap().unwrap();
    let mut late = index.writer().unwrap();
    late.share(T3, &savepoint).unwrap();
    let mut beside = index.writer().unwrap();
    let mut rows = beside.thread(T2).unwrap();
    rows.put_watermark(Ordinal(9), ThreadChain(9), &9_u32)
        .unwrap();
    assert!(first.play(&index, T1, &[Step::Remove { count: 2 }]));
    for batch in [late, beside] {
        let refused = batch.commit(false).unwrap_err();
        assert!(matches!(refused, IndexError::Overtaken(_)), "{refused}");
    }
    assert_eq!(reader(&index).thread(T3).unwrap(), None);
}
