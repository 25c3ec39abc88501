use super::*;

#[test]
fn places_are_those_of_the_line_itself() {
    let text = r#" {"a":[{"ordinal":1,"x":"}]\""}], "ordinal" : 12 ,"type":"event_msg","payload":{"item":{"thread_id":"no"},"thread_id":"yes"},"b":null}"#;
    let found = places(text.as_bytes());
    let at = |place: Option<std::ops::Range<usize>>| &text[place.unwrap()];
    assert_eq!(at(found.ordinal), "12");
    assert_eq!((at(found.kind), at(found.thread)), ("event_msg", "yes"));
    assert_eq!(found.open, Some(2));
    for cut in 0..text.len() {
        let _ = places(&text.as_bytes()[..cut]);
    }
    let twice = places(br#"{"type":"a","ordinal":1,"type":"b","ordinal":2}"#);
    assert_eq!((twice.kind, twice.ordinal), (Some(32..33), Some(45..46)));
    for no_ordinal in [
        r#"{"ordinal":"1"}"#,
        r#"{"ordinal":-1}"#,
        r#"{"x":{"ordinal":1}}"#,
    ] {
        assert_eq!(places(no_ordinal.as_bytes()).ordinal, None, "{no_ordinal}");
    }
    for none in ["", "[]", "null", "\"ordinal\"", "{", "{]", "{\"\\"] {
        let found = places(none.as_bytes());
        let open = none.starts_with('{').then_some(1);
        assert_eq!(
            found,
            Places {
                open,
                ..Places::default()
            },
            "{none}"
        );
    }
}
