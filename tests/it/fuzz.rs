//! The fuzz targets over their seeds and over what broke a law once, without a fuzzer.

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

use turnleaf_tests::fuzz::{TARGETS, Target, seeds};

fn target(name: &str) -> Target {
    let found = TARGETS.into_iter().find(|(known, _)| *known == name);
    found.expect("a target of that name")
}

/// Runs inputs and names the first one that breaks a law.
fn run((name, body): Target, inputs: &[(String, Vec<u8>)]) {
    for (input, bytes) in inputs {
        let done = catch_unwind(|| body(bytes));
        assert!(done.is_ok(), "{name}: {input} breaks a law");
    }
    println!("{name}: {} inputs", inputs.len());
}

fn run_seeds(name: &str) {
    let inputs = seeds::of(name);
    // What any clone has; the shared rollouts come on top.
    assert!(inputs.len() > 20, "{name} has {} seeds", inputs.len());
    run(target(name), &inputs);
}

#[test]
fn seeds_of_decode_break_no_law() {
    run_seeds("decode");
}

#[test]
fn seeds_of_files_break_no_law() {
    run_seeds("files");
}

#[test]
fn seeds_of_rows_break_no_law() {
    run_seeds("rows");
}

#[test]
fn seeds_of_token_break_no_law() {
    run_seeds("token");
}

#[test]
fn seeds_of_projection_break_no_law() {
    run_seeds("projection");
}

#[test]
fn seeds_of_import_break_no_law() {
    run_seeds("import");
}

#[test]
fn seeds_of_ops_break_no_law() {
    run_seeds("ops");
}

#[test]
fn seeds_of_append_stream_break_no_law() {
    run_seeds("append_stream");
}

#[test]
fn regressions_break_no_law() {
    for known in TARGETS {
        let folder = seeds::regressions(known.0);
        let entries = folder.read_dir().into_iter().flatten();
        let mut inputs: Vec<(String, Vec<u8>)> = entries
            .map(|entry| {
                let path = entry.expect("a folder is read").path();
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                (name.into_owned(), fs::read(&path).expect("a file is read"))
            })
            .collect();
        inputs.sort();
        run(known, &inputs);
    }
}

/// A target that the fuzzer does not know, or a folder of regressions that nobody runs, tests
/// nothing.
#[test]
fn the_fuzzer_knows_every_target() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("fuzz");
    let manifest = fs::read_to_string(fuzz.join("Cargo.toml")).expect("a manifest");
    let bins = manifest.matches("[[bin]]").count();
    assert_eq!(bins, TARGETS.len());
    for (name, _) in TARGETS {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
        let source = fs::read_to_string(fuzz.join(format!("fuzz_targets/{name}.rs")));
        let call = format!("turnleaf_tests::fuzz::{name}::run(input)");
        assert!(source.is_ok_and(|source| source.contains(&call)), "{name}");
    }
    for entry in fuzz.join("regressions").read_dir().into_iter().flatten() {
        let name = entry.expect("a folder is read").file_name();
        let known = TARGETS.iter().any(|(known, _)| name == **known);
        assert!(known, "regressions of {} are not run", name.display());
    }
}
