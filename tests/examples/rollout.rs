//! Writes a made-up rollout of any size: `--mode paginated --bytes 300M --seed 7 --out FILE`.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::process::ExitCode;

use turnleaf_tests::rollouts::{Rollout, RolloutMode};

const USAGE: &str = "usage: rollout [--mode legacy|paginated] [--bytes N[K|M|G]] [--seed N] \
                     [--window N[K|M|G]] --out FILE ('-' for standard output)";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("rollout: {message}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<(), String> {
    let mut rollout = Rollout::new(RolloutMode::Paginated, 1, 1 << 20);
    let mut out = None;
    let mut args = std::env::args().skip(1);
    while let Some(flag) = args.next() {
        let value = args.next().ok_or_else(|| format!("{flag} needs a value"))?;
        match flag.as_str() {
            "--mode" if value == "legacy" => rollout.mode = RolloutMode::Legacy,
            "--mode" if value == "paginated" => rollout.mode = RolloutMode::Paginated,
            "--bytes" => rollout.bytes_target = size(&value)?,
            "--window" => rollout.window_bytes = size(&value)?,
            "--seed" => rollout.seed = value.parse().map_err(|_| format!("{value}: no number"))?,
            "--out" => out = Some(value),
            _ => return Err(format!("{flag} {value} is not understood")),
        }
    }
    let path = out.ok_or("--out is missing")?;
    let sink: Box<dyn Write> = if path == "-" {
        Box::new(std::io::stdout().lock())
    } else {
        Box::new(File::create(&path).map_err(|error| format!("{path}: {error}"))?)
    };
    let mut sink = BufWriter::with_capacity(1 << 20, sink);
    let written = rollout
        .write(&mut sink)
        .and_then(|summary| sink.flush().map(|()| summary));
    let summary = written.map_err(|error| format!("{path}: {error}"))?;
    eprintln!(
        "{}: {} bytes, {} lines, {} turns, {} compactions",
        rollout.thread_id(),
        summary.bytes,
        summary.lines,
        summary.turns,
        summary.compactions
    );
    Ok(())
}

fn size(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.strip_suffix(['K', 'M', 'G']) {
        Some(digits) => (digits, text.chars().last()),
        None => (text, None),
    };
    let number: u64 = digits.parse().map_err(|_| format!("{text}: not a size"))?;
    let factor = match unit {
        Some('K') => 1 << 10,
        Some('M') => 1 << 20,
        Some('G') => 1 << 30,
        _ => 1,
    };
    number
        .checked_mul(factor)
        .ok_or_else(|| format!("{text}: too large"))
}
