//! The `turnleaf` command: import, leaf through, resume, verify and export agent threads.

mod args;
mod commands;
mod damage;
mod destination;
mod exit;
mod failure;
mod output;

use clap::Parser;

use args::Cli;
use exit::Outcome;
use failure::Failure;

fn main() -> std::process::ExitCode {
    let wants_json = std::env::args_os().any(|arg| arg == "--json");
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // Help and version are answers, not errors.
        Err(error) if !error.use_stderr() => {
            let printed = error
                .print()
                .map_err(Failure::io("write to standard output"));
            return match printed {
                Ok(()) | Err(Failure::BrokenPipe) => std::process::ExitCode::SUCCESS,
                Err(failure) => failure.report(false),
            };
        }
        Err(error) if wants_json => {
            let message = error.to_string();
            let message = message.strip_prefix("error: ").unwrap_or(&message);
            return Failure::usage(message.trim_end()).report(true);
        }
        Err(error) => {
            let _ = error.print();
            return std::process::ExitCode::from(2);
        }
    };
    let json = cli.global.json;
    if cli.global.verbose > 0 {
        let level = match cli.global.verbose {
            1 => "info",
            2 => "debug",
            _ => "trace",
        };
        let level = level
            .parse()
            .unwrap_or(tracing_subscriber::filter::LevelFilter::INFO);
        tracing_subscriber::fmt()
            .with_max_level(level)
            .with_writer(std::io::stderr)
            .with_ansi(false)
            .log_internal_errors(false)
            .init();
    }
    match commands::run(cli) {
        Ok(Outcome::Done) => std::process::ExitCode::SUCCESS,
        Ok(Outcome::Partial) => std::process::ExitCode::from(6),
        Ok(Outcome::Damaged) => std::process::ExitCode::from(4),
        // Whoever read our output has seen enough.
        Err(Failure::BrokenPipe) => std::process::ExitCode::SUCCESS,
        Err(failure) => failure.report(json),
    }
}
