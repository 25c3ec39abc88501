//! Tests of page tokens.

use proptest::prelude::*;
use turnleaf_format::{Ordinal, StoreId, ThreadNumber};

use super::{STORE, T1, T2};
use crate::index::{Anchor, InvalidToken, PageToken, Spot};

const ANCHOR: Anchor = Anchor {
    at: Ordinal(12),
    include: true,
};

#[test]
fn a_token_is_bound_to_its_list() {
    let turns = PageToken::turns(T1, ANCHOR);
    assert_eq!(turns.in_turns(T1), Ok(ANCHOR));
    assert_eq!(turns.in_turns(T2), Err(InvalidToken));
    assert_eq!(turns.in_items(T1), Err(InvalidToken));
    assert_eq!(turns.in_threads(0), Err(InvalidToken));
    let items = PageToken::items(T1, ANCHOR);
    assert_eq!(items.in_items(T1), Ok(ANCHOR));
    assert_eq!(items.in_items(T2), Err(InvalidToken));
    assert_eq!(items.in_turns(T1), Err(InvalidToken));
    let spot = Spot::Threads {
        list: 2,
        key: -5,
        thread: T2,
    };
    let threads = PageToken {
        spot,
        include: false,
    };
    assert_eq!(threads.in_threads(2), Ok((-5, T2, false)));
    assert_eq!(threads.in_threads(1), Err(InvalidToken));
    assert_eq!(threads.in_turns(T2), Err(InvalidToken));
}

#[test]
fn the_text_is_fixed() {
    let text = PageToken::items(T1, ANCHOR).to_text(STORE);
    assert_eq!(text, "010200010000000000000001000000000000000c9e131a7d");
    assert_eq!(
        PageToken::parse(&text, STORE),
        Ok(PageToken::items(T1, ANCHOR))
    );
}

#[test]
fn a_changed_text_is_refused() {
    let text = PageToken::turns(T1, ANCHOR).to_text(STORE);
    let check = |text: &str, store| assert_eq!(PageToken::parse(text, store), Err(InvalidToken));
    check(&text, StoreId([8; 16]));
    check(&text.to_uppercase(), STORE);
    check(&text[..46], STORE);
    check(&text[..47], STORE);
    check(&format!("{text}00"), STORE);
    check(r#"{"threadId":"t","scope":{"kind":"turns"}}"#, STORE);
    for place in 0..text.len() {
        let mut changed = text.clone().into_bytes();
        changed[place] = if changed[place] == b'0' { b'1' } else { b'0' };
        check(
            &String::from_utf8(changed).expect("hexadecimal is text"),
            STORE,
        );
    }
}

proptest! {
    #[test]
    fn tokens_come_back(thread: u64, at: u64, key: i64, list: u8, include: bool, scope in 0..3) {
        let (thread, at) = (ThreadNumber(thread), Ordinal(at));
        let spot = match scope {
            0 => Spot::Turns(thread, at),
            1 => Spot::Items(thread, at),
            _ => Spot::Threads { list, key, thread },
        };
        let token = PageToken { spot, include };
        prop_assert_eq!(PageToken::parse(&token.to_text(STORE), STORE), Ok(token));
    }

    #[test]
    fn any_text_gives_an_answer(text in "\\PC{0,60}", digits in "[0-9a-f]{48}") {
        prop_assert_eq!(PageToken::parse(&text, STORE), Err(InvalidToken));
        let _ = PageToken::parse(&digits, STORE);
    }
}
