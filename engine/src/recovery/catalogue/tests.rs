use std::sync::Arc;

use turnleaf_format::segment::Class;
use turnleaf_format::{Ordinal, SegmentId, ThreadChain};

use super::unproven_names;
use crate::view::{RunRef, SegmentFile};

/// Segments that hold these ordinals, of which some are in use: whose names are to be written once
/// more, where the newest header counts on the records before `stated`.
fn check(held: &[(u64, u64)], in_use: &[usize], stated: u64, unproven: &[usize]) {
    let spans: Vec<_> = held
        .iter()
        .map(|(first, end)| (Ordinal(*first), Ordinal(*end)))
        .collect();
    let run = |at: &usize| RunRef {
        file: Arc::new(SegmentFile {
            segment: SegmentId(*at as u64),
            class: Class::Catalogue,
            published: None,
        }),
        first: spans[*at].0,
        from: spans[*at].0,
        end: spans[*at].1,
        chain_before: ThreadChain::START,
        chain_after: ThreadChain::START,
        payload_bytes: 1,
    };
    let cover: Vec<RunRef> = in_use.iter().map(run).collect();
    let found = unproven_names(&spans, &cover, Ordinal(stated));
    let expect: Vec<_> = unproven.iter().map(|at| SegmentId(*at as u64)).collect();
    assert_eq!(
        found, expect,
        "{held:?}, {in_use:?} in use, {stated} stated"
    );
}

/// [R:confirm-1]
#[test]
fn a_name_is_unproven_while_the_store_could_do_without_it() {
    // No header counts on any.
    check(&[(0, 8)], &[0], 0, &[0]);
    // A header counts on the first: the second is new.
    check(&[(0, 8)], &[0], 8, &[]);
    check(&[(0, 8), (8, 12)], &[0, 1], 8, &[1]);
    // The new one takes the first over, which is still there: a crash may leave either.
    check(&[(0, 8), (0, 12)], &[1], 8, &[1]);
    check(&[(0, 5), (5, 8), (5, 12)], &[0, 2], 8, &[2]);
    // It is not there any more: it was removed behind a durable name.
    check(&[(0, 12)], &[0], 8, &[]);
    check(&[(0, 5), (5, 12)], &[0, 1], 8, &[]);
    // What was given up between them proves nothing about the new one.
    check(&[(0, 5), (8, 12)], &[0, 1], 8, &[1]);
}
