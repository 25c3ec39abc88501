//! The second reader agrees: Python, written from SPEC.md alone.

use std::path::Path;
use std::process::Command;

fn python(arguments: &[&str]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new("python3")
        .arg("-B")
        .args(arguments)
        .current_dir(root)
        .output();
    match output {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stdout).into_owned()
                + &String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{arguments:?}: {said}");
        }
        Err(error) => {
            assert_ne!(
                std::env::var("CI").as_deref(),
                Ok("true"),
                "python3: {error}"
            );
            println!("skipped, python3 does not start: {error}");
        }
    }
}

#[test]
fn the_second_reader_agrees_on_the_vectors() {
    for set in ["vectors/v1", "vectors/v2"] {
        python(&["reader/turnleaf_reader.py", "vectors", set]);
    }
}

#[test]
fn the_second_reader_passes_its_own_tests() {
    python(&["reader/test_reader.py"]);
}
