use super::{uuid, uuid_text};

#[test]
fn the_usual_form_in_either_case_is_read() {
    let text = "019c0000-0A1b-7cde-8000-0000000000bb";
    let bytes = uuid(text).unwrap();
    assert_eq!((bytes[4], bytes[15]), (0x0a, 0xbb));
    assert_eq!(uuid_text(bytes), text.to_ascii_lowercase());
    for other in [
        "",
        "019c00000A1b7cde80000000000000bb",
        "019c0000-0A1b-7cde-8000-0000000000b",
        "019c0000-0A1b-7cde-8000-0000000000bbb",
        "019c0000-0A1b-7cde-8000_0000000000bb",
        "019c0000-0A1b-7cde-8000-0000000000bg",
        "019c0000-0A1b-7cde-80000-000000000bb",
    ] {
        assert_eq!(uuid(other), None, "{other}");
    }
}
