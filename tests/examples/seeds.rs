//! Writes the seeds of every fuzz target, and its regressions, below a folder: `seeds fuzz/corpus`.

use std::fs;
use std::io;
use std::path::PathBuf;

use turnleaf_tests::fuzz::{TARGETS, seeds};

fn main() -> io::Result<()> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from);
    let folder = folder.ok_or_else(|| io::Error::other("usage: seeds FOLDER"))?;
    for (target, _) in TARGETS {
        let corpus = folder.join(target);
        fs::create_dir_all(&corpus)?;
        let seeds = seeds::of(target);
        for (name, bytes) in &seeds {
            fs::write(corpus.join(name), bytes)?;
        }
        let mut kept = 0;
        for entry in seeds::regressions(target).read_dir().into_iter().flatten() {
            let entry = entry?;
            fs::copy(entry.path(), corpus.join(entry.file_name()))?;
            kept += 1;
        }
        println!("{target}: {} seeds, {kept} regressions", seeds.len());
    }
    Ok(())
}
