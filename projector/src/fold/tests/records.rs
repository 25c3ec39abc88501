//! The table of record kinds names every kind that the decoder knows, and every test that it cites
//! exists.

use std::fs;
use std::path::Path;

const TABLE: &str = include_str!("../../../RECORDS.md");

/// String literals of match arms in a source file: the tags that it knows.
fn tags(source: &str) -> Vec<String> {
    let arms = source
        .lines()
        .filter(|line| line.trim_start().starts_with(['"', '|']));
    let known = arms.filter(|line| line.contains("=>") || line.trim_start().starts_with('|'));
    let quoted = known.flat_map(|line| line.split('"').skip(1).step_by(2));
    let is_tag =
        |tag: &&str| tag.len() > 3 && tag.bytes().all(|b| b.is_ascii_alphabetic() || b == b'_');
    quoted.filter(is_tag).map(str::to_owned).collect()
}

fn sources(dir: &Path, all: &mut String) {
    for entry in fs::read_dir(dir).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, all);
        } else {
            all.push_str(&fs::read_to_string(path).expect("a source"));
        }
    }
}

#[test]
fn every_known_kind_is_in_the_table() {
    let decode = include_str!("../../payload/decode.rs");
    let event = include_str!("../../payload/event.rs");
    let response = include_str!("../../payload/response.rs");
    let mut known = tags(decode);
    known.extend(tags(event.split("fn is_kept").next().unwrap_or_default()));
    known.extend(tags(
        response.split("fn message").next().unwrap_or_default(),
    ));
    assert!(known.len() > 25, "{known:?}");
    for tag in known {
        assert!(TABLE.contains(&format!("`{tag}`")), "{tag} has no row");
    }
}

#[test]
fn every_test_that_the_table_cites_exists() {
    let mut all = String::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut all);
    let cited = TABLE.split('`').skip(1).step_by(2);
    let tests = cited
        .filter(|name| name.matches('_').count() > 2 && !TABLE.contains(&format!("| `{name}`")));
    let mut count = 0;
    for name in tests.filter(|name| !name.contains("collab") && !name.contains('/')) {
        let is_kind = all.contains(&format!("\"{name}\""));
        assert!(
            is_kind || all.contains(&format!("fn {name}()")),
            "{name} is no test"
        );
        count += usize::from(!is_kind);
    }
    assert!(count > 15, "{count}");
}
