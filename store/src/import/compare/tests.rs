//! What was given up, beside a source.

use turnleaf_engine::format::catalogue::CatalogueRecord;

use super::*;
use crate::{ImportSource, Imported};

fn lost(first: u64, end: u64, chain: u64) -> Lost {
    Lost {
        thread: ThreadNumber(1),
        first_ordinal: Ordinal(first),
        ordinal_end: Ordinal(end),
        chain_after: ThreadChain(chain),
        at_ms: 1,
    }
}

#[test]
fn losses_are_joined_where_they_overlap() {
    /// First ordinal, end, chain behind it.
    type Losses<'a> = &'a [(u64, u64, u64)];
    let check = |losses: Losses<'_>, expect: Losses<'_>| {
        let all = |losses: Losses<'_>| -> Vec<Lost> {
            let losses = losses.iter();
            losses
                .map(|(first, end, chain)| lost(*first, *end, *chain))
                .collect()
        };
        assert_eq!(joined(&all(losses)), all(expect), "{losses:?}");
    };
    check(&[], &[]);
    check(&[(1, 3, 7), (5, 6, 8)], &[(1, 3, 7), (5, 6, 8)]);
    check(&[(1, 3, 7), (3, 6, 8)], &[(1, 3, 7), (3, 6, 8)]);
    check(&[(1, 3, 7), (2, 6, 8)], &[(1, 6, 8)]);
    check(&[(1, 6, 7), (2, 3, 8)], &[(1, 6, 7)]);
    check(&[(1, 6, 7), (2, 6, 8)], &[(1, 6, 7)]);
    check(&[(1, 3, 7), (2, 5, 8), (4, 6, 9)], &[(1, 6, 9)]);
    check(&[(1, 1, 7), (1, 2, 8)], &[(1, 1, 7), (1, 2, 8)]);
}

const LINES: [&[u8]; 2] = [
    br#"{"timestamp":"2026-01-01T00:00:00.000Z","type":"session_meta","payload":{"id":"a","timestamp":"2026-01-01T00:00:00.000Z","cwd":"/w","originator":"t","cli_version":"0","source":"cli","model_provider":null}}"#,
    b"{}",
];

/// Where a chain was broken, but no record is lost, a source lacks nothing.
#[test]
fn a_source_has_no_lost_records_where_only_a_chain_was_broken() {
    for at in [1, 2] {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        store.create_thread("a").unwrap();
        store.append("a", None, &LINES).unwrap();
        let (thread, reader) = store.source.find("a").unwrap();
        let chain = reader.chain_at(Ordinal(at)).unwrap_or(ThreadChain::START);
        let fact = CatalogueRecord::Lost(Lost {
            thread,
            ..lost(at, at, chain.0)
        });
        let committer = store.source.owner().unwrap();
        let mut log = committer.lock();
        let ticket = log.stage_catalogue(&[fact]);
        committer.settle(log, ticket).unwrap();
        store.close().unwrap();
        let store = Store::open(dir.path()).unwrap();
        assert_eq!(store.source.find("a").unwrap().1.losses().len(), 1);
        let plain = LINES.map(|line| [line, b"\n"].concat()).concat();
        let source = ImportSource {
            path: "a.jsonl",
            thread_hint: None,
            plain: &mut plain.as_slice(),
            file_bytes: 10,
            modified_ns: 7,
            archived: false,
        };
        let imported = store.import(source, &mut |_| {}).unwrap().done();
        assert!(
            matches!(
                &imported,
                Ok(Imported {
                    records: 2,
                    added_records: 0,
                    ..
                })
            ),
            "{imported:?}"
        );
    }
}
