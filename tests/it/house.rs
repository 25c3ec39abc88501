//! The house keeps its shape: arrows between crates, one file that knows the file system, sizes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod circles;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    // Not by "..": the name of this crate's folder would make every file look like a test.
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap().to_owned()
}

fn sources(dir: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![root().join(dir)];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                found.push(path);
            }
        }
    }
    found
}

fn is_test(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "tests")
        || path
            .file_stem()
            .is_some_and(|stem| stem == "tests" || stem == "test_rows")
}

/// Names of the dependencies that the product has, those of tests left out.
fn dependencies(crate_dir: &str) -> Vec<String> {
    let manifest = fs::read_to_string(root().join(crate_dir).join("Cargo.toml")).unwrap();
    let section = manifest
        .split("\n[")
        .find(|section| section.starts_with("dependencies]"));
    let lines = section.unwrap_or_default().lines().skip(1);
    let name = |line: &str| {
        line.split(['.', ' ', '='])
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    lines.map(name).filter(|name| !name.is_empty()).collect()
}

/// Folders of all crates but that of the fuzz targets.
const CRATES: [&str; 7] = [
    "format-spec",
    "engine",
    "projector",
    "store",
    "cli",
    "tests",
    "benches",
];

#[test]
fn arrows_point_one_way() {
    let ours = [
        "turnleaf-format",
        "turnleaf-engine",
        "turnleaf-projector",
        "turnleaf",
    ];
    let allowed: [(&str, &[&str]); 5] = [
        ("format-spec", &[]),
        ("engine", &["turnleaf-format"]),
        ("projector", &["turnleaf-format"]),
        (
            "store",
            &["turnleaf-format", "turnleaf-engine", "turnleaf-projector"],
        ),
        ("cli", &["turnleaf"]),
    ];
    let store = dependencies("store");
    for part in ["turnleaf-engine", "turnleaf-projector"] {
        assert!(store.contains(&part.to_owned()), "the store wires {part}");
    }
    assert!(dependencies("cli").contains(&"turnleaf".to_owned()));
    for (dir, allowed) in allowed {
        let found = dependencies(dir);
        let wrong = found.iter().filter(|name| ours.contains(&name.as_str()));
        let wrong: Vec<_> = wrong
            .filter(|name| !allowed.contains(&name.as_str()))
            .collect();
        assert!(wrong.is_empty(), "{dir} must not know {wrong:?}");
    }
    let engine = dependencies("engine");
    for stranger in ["redb", "serde_json", "serde", "bincode", "tokio"] {
        assert!(
            !engine.contains(&stranger.to_owned()),
            "the engine must not know {stranger}"
        );
    }
}

#[test]
fn only_one_file_of_the_libraries_knows_the_file_system() {
    for dir in [
        "format-spec/src",
        "engine/src",
        "projector/src",
        "store/src",
    ] {
        for path in sources(dir).into_iter().filter(|path| !is_test(path)) {
            let text = fs::read_to_string(&path).unwrap();
            let seam = path.ends_with("engine/src/disk/os.rs");
            assert!(
                seam || !text.contains("std::fs"),
                "{} names std::fs",
                path.display()
            );
        }
    }
}

/// Whoever changes a line that a mistake is planted at learns it here, not in the slow rig.
#[test]
fn planted_mistakes_fit_the_tree() {
    let script = root().join("tests/planted/planted.py");
    match Command::new("python3").arg(script).arg("--check").output() {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "{said}");
        }
        Err(error) => println!("skipped, python3 does not start: {error}"),
    }
}

#[test]
fn files_are_small_ascii_and_narrow() {
    for dir in CRATES {
        for path in sources(dir) {
            let text = fs::read_to_string(&path).unwrap();
            let shown = path.display();
            let lines = text.lines().count();
            assert!(lines <= 600 || is_test(&path), "{shown} has {lines} lines");
            for (number, line) in text.lines().enumerate() {
                let width = line.chars().count();
                // A test may quote a line of a rollout as it stands.
                let quotes = line.trim_start().starts_with("br#\"");
                assert!(
                    width <= 100 || quotes || is_test(&path),
                    "{shown}:{} is {width} wide",
                    number + 1
                );
                assert!(
                    line.is_ascii() || is_test(&path),
                    "{shown}:{} is not ASCII",
                    number + 1
                );
            }
        }
    }
}

/// The documents that lead through the code name files and folders that are there.
#[test]
fn the_maps_name_what_exists() {
    let crates = [
        "format-spec/",
        "engine/",
        "projector/",
        "store/",
        "cli/",
        "tests/",
        "fuzz/",
        "benches/",
    ];
    let mut named = 0;
    for document in [
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "README.md",
        "tests/mutants/README.md",
    ] {
        let text = fs::read_to_string(root().join(document)).unwrap();
        let is_of_path = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
        let words = text.split(|c| !is_of_path(c));
        let words = words.map(|word| word.trim_end_matches('.'));
        for path in words.filter(|word| crates.iter().any(|dir| word.starts_with(dir))) {
            named += 1;
            assert!(root().join(path).exists(), "{document} names {path}");
        }
    }
    assert!(named > 80, "only {named} paths were found");
}

#[test]
fn links_between_documents_lead_somewhere() {
    let documents = [
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "README.md",
        "SECURITY.md",
        "benches/README.md",
        "docs/USING.md",
        "samples/README.md",
        "tests/README.md",
        "tests/mutants/README.md",
        "tests/runtime/README.md",
    ];
    let mut followed = 0;
    for document in documents {
        let path = root().join(document);
        let text = fs::read_to_string(&path).unwrap();
        let links = text.split("](").skip(1);
        let targets = links.filter_map(|rest| rest.split([')', '#']).next());
        for target in targets.filter(|target| !target.contains("://") && !target.is_empty()) {
            followed += 1;
            let found = path.parent().unwrap().join(target);
            assert!(found.exists(), "{document} links to {target}");
        }
    }
    assert!(followed > 10, "only {followed} links were found");
}

/// Where each function of a file begins, and how many lines it has, by the indentation of its
/// braces: rustfmt has seen the code.
fn functions(text: &str) -> Vec<(usize, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let is_fn = |line: &str| {
        let line = line.trim_start();
        let begins = line.starts_with("fn ") || line.starts_with("const fn ");
        begins || (line.starts_with("pub") && line.contains(" fn "))
    };
    let mut found = Vec::new();
    for (begin, line) in lines.iter().enumerate().filter(|(_, line)| is_fn(line)) {
        let indent = line.len() - line.trim_start().len();
        let end = format!("{}}}", " ".repeat(indent));
        let rest = lines[begin..].iter();
        let head = rest
            .clone()
            .position(|line| line.ends_with(['{', ';', '}']));
        // A function without a body, or with one on its first line, is short.
        if head.is_some_and(|head| lines[begin + head].ends_with('{')) {
            let len = rest.clone().position(|line| *line == end);
            found.extend(len.map(|len| (begin, len + 1)));
        }
    }
    found
}

/// A function fits a screen.
#[test]
fn functions_are_short() {
    let mut seen = 0;
    let mut long = 0;
    for dir in ["format-spec", "engine", "projector", "store", "cli"] {
        for path in sources(dir).iter().filter(|path| !is_test(path)) {
            let text = fs::read_to_string(path).unwrap();
            let found = functions(&text);
            seen += found.len();
            for (begin, lines) in found.into_iter().filter(|(_, lines)| *lines > 70) {
                let shown = path.strip_prefix(root()).unwrap().display();
                println!("{shown}:{}: a function of {lines} lines", begin + 1);
                long += 1;
            }
        }
    }
    assert_eq!(long, 0, "functions of more than 70 lines");
    assert!(seen > 2000, "only {seen} functions were found");
}

/// Ids in square brackets behind `mark`: normative sentences, or citations of them.
fn ids(text: &str, mark: &str) -> Vec<String> {
    let after = text.split(mark).skip(1);
    let id = |rest: &str| rest.split(']').next().map(str::to_owned);
    let plain = |id: &String| {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !id.is_empty() && id.len() < 40 && id.bytes().all(plain)
    };
    after.filter_map(id).filter(plain).collect()
}

#[test]
fn every_cited_sentence_exists() {
    let mut cited = 0;
    for (letter, document) in [("S", "SPEC.md"), ("R", "RECOVERY.md")] {
        let text = fs::read_to_string(root().join("format-spec").join(document)).unwrap();
        let stated = ids(&text, &format!("**[{letter}:"));
        assert!(!stated.is_empty(), "{document} states nothing");
        for dir in ["format-spec", "engine", "projector", "store", "cli"] {
            for path in sources(dir) {
                let code = fs::read_to_string(&path).unwrap();
                for id in ids(&code, &format!("[{letter}:")) {
                    let shown = path.display();
                    assert!(
                        stated.contains(&id),
                        "{shown} cites [{letter}:{id}], which {document} does not have"
                    );
                    cited += 1;
                }
            }
        }
    }
    assert!(cited > 50, "only {cited} citations were found");
}

/// Every sentence of RECOVERY.md with an id is cited by a test; every id that is cited exists.
#[test]
fn every_row_of_recovery_has_a_test() {
    let page = fs::read_to_string(root().join("format-spec/RECOVERY.md")).unwrap();
    let ids = |text: &str| -> Vec<String> {
        let found = text.split("[R:").skip(1);
        let ids = found.filter_map(|rest| rest.split_once(']'));
        ids.map(|(id, _)| id.to_owned()).collect()
    };
    let stated: Vec<String> = page
        .lines()
        .filter(|line| line.starts_with("- **[R:"))
        .flat_map(ids)
        .collect();
    assert!(stated.len() > 60, "the page was found");
    let mut cited = Vec::new();
    for dir in [
        "format-spec",
        "engine",
        "projector",
        "store",
        "cli",
        "tests/it",
    ] {
        for path in sources(dir) {
            let text = fs::read_to_string(&path).unwrap();
            let of_house = path.ends_with("house.rs");
            for id in ids(&text).into_iter().filter(|_| !of_house) {
                assert!(stated.contains(&id), "{}: [R:{id}]", path.display());
                if is_test(&path) {
                    cited.push(id);
                }
            }
        }
    }
    let untested: Vec<_> = stated.iter().filter(|id| !cited.contains(id)).collect();
    assert!(untested.is_empty(), "rows without a test: {untested:?}");
}
