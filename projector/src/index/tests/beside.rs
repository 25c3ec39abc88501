//! Batches that are under way beside each other.

use turnleaf_format::{Ordinal, ThreadChain, ThreadNumber};

use super::{T1, filled, put, reader};
use crate::index::{Batch, Index, IndexError};

const T2: ThreadNumber = ThreadNumber(2);

/// A batch that adds a turn to a thread and moves its watermark.
fn grown(index: &Index, thread: ThreadNumber, first: u64) -> Batch<'_> {
    let mut batch = index.writer().unwrap();
    let mut rows = batch.thread(thread).unwrap();
    let turn = u32::try_from(first / 10).unwrap();
    put(&mut rows, turn, first, &[("a", first + 1)]);
    let end = Ordinal(first + 2);
    rows.put_watermark(end, ThreadChain(first), &"state".to_owned())
        .unwrap();
    batch
}

fn ends(index: &Index) -> [Option<u64>; 2] {
    let reader = reader(index);
    [T1, T2].map(|thread| Some(reader.thread(thread).unwrap()?.applied_end.0))
}

#[test]
fn batches_of_different_threads_are_all_visible() {
    let index = filled(T1);
    let (first, second) = (grown(&index, T1, 30), grown(&index, T2, 30));
    second.commit(false).unwrap();
    first.commit(false).unwrap();
    assert_eq!(ends(&index), [Some(32), Some(32)]);
    for thread in [T1, T2] {
        assert!(reader(&index).verify_thread(thread).unwrap());
    }
}

#[test]
fn of_two_batches_of_one_thread_the_later_is_refused_whole() {
    let index = filled(T1);
    let early = grown(&index, T1, 30);
    let mut late = grown(&index, T1, 40);
    put(&mut late.thread(T2).unwrap(), 1, 10, &[]);
    early.commit(false).unwrap();
    let refused = late.commit(false).unwrap_err();
    assert!(matches!(refused, IndexError::Overtaken(T1)), "{refused}");
    assert_eq!(ends(&index), [Some(32), None]);
    assert_eq!(reader(&index).turn(T1, Ordinal(40)).unwrap(), None);
    grown(&index, T1, 40).commit(false).unwrap();
    assert_eq!(ends(&index), [Some(42), None]);
    assert!(reader(&index).verify_thread(T1).unwrap());
}

/// Also when the thread was not there, and when it was removed.
#[test]
fn a_batch_is_refused_when_its_thread_came_or_went() {
    let index = filled(T1);
    let late = grown(&index, T2, 30);
    grown(&index, T2, 10).commit(false).unwrap();
    assert!(matches!(late.commit(false), Err(IndexError::Overtaken(T2))));
    let late = grown(&index, T1, 30);
    let mut removal = index.writer().unwrap();
    removal.remove_thread(T1);
    removal.commit(false).unwrap();
    assert!(matches!(late.commit(false), Err(IndexError::Overtaken(T1))));
    assert_eq!(ends(&index), [None, Some(12)]);
}
