use super::*;

#[test]
fn ids_keep_the_rule_of_names() {
    for good in [
        "a",
        "0199a2c4-77f1-7d30-9c56-0b6f0a1d2e3f",
        "A_z-9",
        &"x".repeat(128),
    ] {
        assert_eq!(
            ThreadId::parse(good).map(|id| id.to_string()),
            Ok(good.to_owned())
        );
    }
    for bad in [
        "",
        ".",
        "..",
        "a/b",
        "a b",
        "a\0",
        "\u{e9}",
        "a\n",
        &"x".repeat(129),
    ] {
        assert_eq!(ThreadId::parse(bad), Err(InvalidThreadId), "{bad:?}");
    }
}

#[test]
fn a_store_id_is_shown_as_hex() {
    assert_eq!(StoreId([0x0f; 16]).to_string(), "0f".repeat(16));
}

#[test]
fn an_ordinal_that_bytes_state_cannot_pass_the_last_one() {
    assert_eq!(Ordinal(u64::MAX).plus(1), Ordinal(u64::MAX));
    assert_eq!(Ordinal(3).plus(2), Ordinal(5));
}
