//! `byrnie-proxy`: settings, build, run, exit code.

use std::process::ExitCode;

use byrnie_proxy::{run::run, settings::Arguments};
use clap::Parser;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) if !error.use_stderr() => {
            // `--help` and `--version`; a closed pipe is no reason to fail.
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
        Err(error) => return failed(&one_line(&error.to_string())),
    };
    let settings = match arguments.check() {
        Ok(settings) => settings,
        Err(error) => return failed(&error),
    };
    match run(settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn failed(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("byrnie-proxy: {error}");
    ExitCode::FAILURE
}

/// The problem alone, without the usage that follows it.
fn one_line(error: &str) -> String {
    let problem = error.lines().take_while(|line| !line.is_empty()).map(str::trim).collect::<Vec<_>>().join(" ");
    problem.strip_prefix("error: ").unwrap_or(&problem).to_owned()
}
