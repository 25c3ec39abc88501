//! Every id that code or documents cite exists, once.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Ids in `text` that stand between `open` and `close`.
fn ids(text: &str, open: &str, close: &str) -> Vec<String> {
    let rest = text.split(open).skip(1);
    let ids = rest.filter_map(|rest| rest.split_once(close).map(|(id, _)| id.to_owned()));
    ids.filter(|id| {
        id.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    })
    .collect()
}

fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path
            .extension()
            .is_some_and(|ending| ending == "rs" || ending == "py")
        {
            found.push(path);
        }
    }
    found
}

fn check(prefix: &str, document: &str) {
    let text = fs::read_to_string(root().join(document)).unwrap();
    let defined = ids(&text, &format!("**[{prefix}:"), "]**");
    let unique: BTreeSet<_> = defined.iter().cloned().collect();
    assert_eq!(
        unique.len(),
        defined.len(),
        "{document} defines an id twice"
    );
    assert!(unique.len() > 20, "{document} defines ids");
    let mut paths = [
        sources(&root().join("src")),
        sources(&root().join("reader")),
    ]
    .concat();
    paths.extend(["SPEC.md", "RECOVERY.md"].map(|name| root().join(name)));
    for path in paths {
        let text = fs::read_to_string(&path).unwrap();
        for id in ids(&text, &format!("[{prefix}:"), "]") {
            assert!(
                unique.contains(&id),
                "{}: [{prefix}:{id}] is not in {document}",
                path.display()
            );
        }
    }
}

#[test]
fn cited_ids_of_the_format_exist() {
    check("S", "SPEC.md");
}

#[test]
fn cited_ids_of_the_verdicts_exist() {
    check("R", "RECOVERY.md");
}

#[test]
fn documents_are_ascii_and_narrow() {
    for name in ["SPEC.md", "RECOVERY.md"] {
        let text = fs::read_to_string(root().join(name)).unwrap();
        for (index, line) in text.lines().enumerate() {
            assert!(line.is_ascii() && line.len() <= 100, "{name}:{}", index + 1);
        }
    }
}
