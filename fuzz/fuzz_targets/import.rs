//! Any bytes as a rollout, in two captures: what is imported comes back byte for byte, the second
//! capture adds only what is new, pages answer, and verification finds nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use turnleaf::{ImportSource, Imported, ItemsView, Order, Skip, Store, TurnsRequest};

fn import(store: &Store, bytes: &[u8], modified_ns: i64) -> Result<Imported, Skip> {
    let mut plain = bytes;
    let source = ImportSource {
        path: "fuzz",
        thread_hint: Some("fuzz-thread"),
        plain: &mut plain,
        file_bytes: bytes.len() as u64,
        modified_ns,
    };
    store.import(source, &mut |_| {}).expect("the store takes any bytes")
}

fuzz_target!(|input: &[u8]| {
    let Some((&cut, bytes)) = input.split_first() else { return };
    let dir = tempfile::tempdir().expect("a temporary directory");
    let store = Store::open(dir.path()).expect("a new store");
    let cut = bytes.len() * usize::from(cut) / 255;
    let first = import(&store, &bytes[..cut], 1);
    let Ok(whole) = import(&store, bytes, 2) else { return };
    if let Ok(first) = first {
        if first.thread != whole.thread {
            return;
        }
    }
    let mut out = Vec::new();
    store.export(&whole.thread, None, None, &mut out).expect("an export");
    assert!(out == bytes, "the export differs from the import");
    assert_eq!(import(&store, bytes, 3).map(|again| again.added_records), Ok(0));
    let request = TurnsRequest {
        thread: whole.thread.clone(),
        cursor: None,
        limit: 50,
        order: Order::Descending,
        items: ItemsView::Full,
    };
    store.turns(&request).expect("a page");
    store.context_ordinals(&whole.thread).expect("the context");
    assert!(store.verify(None, &mut |_| {}).expect("a verification").is_ok());
});
