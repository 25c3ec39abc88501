//! Any bytes as a rebuildable value (DESIGN D16): an error, or a value that comes back as it is
//! and whose own bytes are no longer than those it was read from.
//!
//! Bytes of the same length may differ: bincode also reads a small number in a long form, and a
//! checksum over the bytes stands outside the codec.
//!
//! Input: which value, then its bytes; of notes, first the number of records.

use turnleaf_projector::codec;
use turnleaf_projector::fold::ThreadState;
use turnleaf_projector::index::PROJECTION_VERSION;
use turnleaf_projector::notes::{Notes, NotesReader};
use turnleaf_projector::rows::{ItemRow, TurnName, TurnRow};

use super::{Bytes, assert_same};

/// A macro and no generic function: the traits behind it are known to the codec alone.
macro_rules! value {
    ($kind:ty, $bytes:expr) => {{
        let bytes: &[u8] = $bytes;
        if let Ok(value) = codec::decode::<$kind>(bytes) {
            let own = codec::encode(&value).expect("no larger than what it was read from");
            assert!(own.len() <= bytes.len(), "a value grew");
            let again: $kind = codec::decode(&own).expect("a value comes back");
            assert!(again == value, "a value comes back as another");
            let same = codec::encode(&again).expect("as before");
            assert_same("the bytes of a value", &same, &own);
            for cut in [own.len() - 1, own.len() / 2] {
                let part = codec::decode::<$kind>(&own[..cut]);
                assert!(part.is_err(), "a part is a value");
            }
            let more = codec::decode::<$kind>(&[&own[..], &[0]].concat());
            assert!(more.is_err(), "more than a value is one");
        }
    }};
}

/// Runs the target.
///
/// # Panics
/// When a law is broken.
pub fn run(input: &[u8]) {
    let mut input = Bytes(input);
    match input.byte() % 5 {
        0 => value!(TurnRow, input.rest()),
        1 => value!(ItemRow, input.rest()),
        2 => value!(TurnName, input.rest()),
        3 => value!(ThreadState, input.rest()),
        _ => {
            let records = u64::from(input.byte());
            notes(input.rest(), records);
        }
    }
}

/// What stands before the records of notes.
fn head(records: u64) -> Vec<u8> {
    [
        &PROJECTION_VERSION.to_le_bytes()[..],
        &records.to_le_bytes(),
    ]
    .concat()
}

fn notes(body: &[u8], records: u64) {
    let _ = NotesReader::open(body, records);
    let bytes = [&head(records)[..], body].concat();
    let mut reader = NotesReader::open(&bytes, records).expect("a right head");
    let mut own = Notes::default();
    let mut read = Vec::new();
    while let Some(decoded) = reader.next_record() {
        own.push(&decoded);
        read.push(decoded);
    }
    assert!(read.len() as u64 <= records, "more records than stated");
    let own = own.finish();
    assert!(own.len() <= bytes.len(), "notes grew");
    let mut again = NotesReader::open(&own, read.len() as u64).expect("notes come back");
    for decoded in &read {
        assert!(
            again.next_record().as_ref() == Some(decoded),
            "another record"
        );
    }
    assert!(again.next_record().is_none());
}
