//! Tests of the value codec.

use proptest::prelude::*;
use turnleaf_format::Ordinal;

use super::{Id, Malformed, SMALL_BYTES_MAX, TooLarge, VALUE_BYTES_MAX, VERSION, decode, encode};
use crate::index::test_rows::{item_rows, turn_rows};
use crate::rows::{ItemKind, ItemRow, ItemTimes, Phase, TurnName, TurnNo, TurnRow, TurnStatus};

fn turn() -> TurnRow {
    TurnRow {
        turn: TurnNo(7),
        id: "t7".into(),
        root: Some("r".into()),
        status: TurnStatus::Failed,
        error_at: Some(Ordinal(300)),
        began_at_ms: Some(-998),
        started_at: Some(-1),
        completed_at: Some(1_783_591_204),
        duration_ms: None,
        first_user_item: Some(Ordinal(1)),
        final_agent_item: None,
    }
}

fn item() -> ItemRow {
    ItemRow {
        turn: TurnNo(70_000),
        id: "msg_1".into(),
        kind: ItemKind::ContextCompaction,
        phase: Some(Phase::FinalAnswer),
        created_at_ms: Some(1_783_591_204_000),
        times: ItemTimes {
            started_at_ms: Some(1_783_591_203_997),
            completed_at_ms: None,
        },
        sources: vec![Ordinal(0), Ordinal(251), Ordinal(u64::MAX)],
    }
}

#[test]
fn the_bytes_are_fixed() {
    let golden: &[u8] = &[
        1, 7, 0, 2, b't', b'7', 2, 0, 1, b'r', 3, 1, 251, 44, 1, 1, 1, 1, 252, 72, 226, 158, 212,
        0, 1, 4, 1, 1, 0,
    ];
    assert_eq!(encode(&turn()), Ok(golden.to_vec()));
    assert_eq!(decode(golden), Ok(turn()));
    let golden: &[u8] = &[
        1, 252, 112, 17, 1, 0, 0, 5, b'm', b's', b'g', b'_', b'1', 17, 1, 2, 1, 253, 64, 233, 163,
        140, 62, 3, 0, 0, 1, 5, 0, 3, 0, 251, 251, 0, 253, 255, 255, 255, 255, 255, 255, 255, 255,
    ];
    assert_eq!(encode(&item()), Ok(golden.to_vec()));
    assert_eq!(decode(golden), Ok(item()));
    let name = TurnName {
        turn: TurnNo(3),
        row: Some(Ordinal(9)),
    };
    assert_eq!(encode(&name), Ok(vec![1, 3, 1, 9]));
    assert_eq!(decode(&[1, 3, 1, 9]), Ok(name));
}

#[test]
fn ids_have_a_short_form() {
    let check = |id: &str, bytes: &[u8]| {
        let encoded = encode(&Id(id.to_owned())).expect("an id is small");
        assert_eq!(encoded[1..], *bytes, "{id}");
        assert_eq!(decode(&encoded), Ok(Id(id.to_owned())));
    };
    check("", &[0, 0]);
    check("item-1", &[0, 6, b'i', b't', b'e', b'm', b'-', b'1']);
    check(
        "msg_0123456789",
        &[2, 4, b'm', b's', b'g', b'_', 5, 1, 0x23, 0x45, 0x67, 0x89],
    );
    // An odd digit stays in the prefix; upper case is text.
    check(
        "rs_c01234567",
        &[2, 4, b'r', b's', b'_', b'c', 4, 1, 0x23, 0x45, 0x67],
    );
    check(
        "0123456A",
        &[0, 8, b'0', b'1', b'2', b'3', b'4', b'5', b'6', b'A'],
    );
    let uuid = [
        0x01, 0x98, 0, 1, 2, 3, 0x70, 4, 0x80, 5, 6, 7, 8, 9, 10, 0xff,
    ];
    check(
        "01980001-0203-7004-8005-060708090aff",
        &[&[1], &uuid[..]].concat(),
    );
    assert_eq!(decode::<Id>(&[VERSION, 3, 0]), Err(Malformed::Body));
}

#[test]
fn other_bytes_are_refused() {
    let bytes = encode(&item()).expect("the item is small");
    let check = |bytes: &[u8], expect| assert_eq!(decode::<ItemRow>(bytes), Err(expect));
    check(&[], Malformed::Version);
    check(&[VERSION + 1, 0], Malformed::Version);
    check(&[&bytes[..], &[0]].concat(), Malformed::Trailing);
    for end in 1..bytes.len() {
        check(&bytes[..end], Malformed::Body);
    }
    // A length of 2^40 is refused before memory is asked for.
    let huge = [&[VERSION, 0, 0, 253][..], &(1_u64 << 40).to_le_bytes()].concat();
    check(&huge, Malformed::Body);
}

#[test]
fn large_values_have_a_limit() {
    let sized = |bytes: usize| ItemRow {
        id: "x".repeat(bytes),
        ..item()
    };
    for bytes in [SMALL_BYTES_MAX, 70_000, VALUE_BYTES_MAX - 100] {
        let encoded = encode(&sized(bytes)).expect("the row is within the limit");
        assert_eq!(decode(&encoded), Ok(sized(bytes)));
    }
    let parts = ItemRow {
        sources: (0..100_000).map(Ordinal).collect(),
        ..item()
    };
    assert_eq!(
        decode(&encode(&parts).expect("the row is within the limit")),
        Ok(parts)
    );
    assert!(matches!(
        encode(&sized(VALUE_BYTES_MAX)),
        Err(TooLarge { .. })
    ));
    let over = vec![VERSION; VALUE_BYTES_MAX + 1];
    assert_eq!(decode::<ItemRow>(&over), Err(Malformed::Body));
}

proptest! {
    #[test]
    fn rows_come_back(turn in turn_rows(), item in item_rows()) {
        prop_assert_eq!(decode(&encode(&turn).expect("small")), Ok(turn));
        prop_assert_eq!(decode(&encode(&item).expect("small")), Ok(item));
    }

    #[test]
    fn ids_come_back(
        id in r"[0-9a-f-]{36}|[a-z_]{0,5}[0-9a-f]{0,40}|.*|[0-9a-f]{8}(-[0-9a-f]{4}){4}[0-9a-f]{8}",
    ) {
        let id = Id(id);
        prop_assert_eq!(decode(&encode(&id).expect("small")), Ok(id));
    }

    #[test]
    fn any_bytes_give_an_answer(mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Some(first) = bytes.first_mut() {
            *first = VERSION;
        }
        let _ = decode::<TurnRow>(&bytes);
        let _ = decode::<ItemRow>(&bytes);
        let _ = decode::<TurnName>(&bytes);
        let _ = decode::<Vec<String>>(&bytes);
    }

    #[test]
    fn a_value_has_one_encoding(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let bytes = [&[VERSION], &bytes[..]].concat();
        if let Ok(row) = decode::<ItemRow>(&bytes) {
            prop_assert_eq!(decode(&encode(&row).expect("small")), Ok(row));
        }
    }
}
