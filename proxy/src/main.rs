//! `byrnie-proxy`: settings, build, run, exit code.

use std::{env, error::Error, process::ExitCode};

use byrnie_proxy::{
    agent,
    run::{run, run_agent},
    settings,
};
use clap::Parser;

fn main() -> ExitCode {
    let is_agent = env::args_os().nth(1).is_some_and(|first| first == "agent");
    let ran = match is_agent {
        true => start::<agent::Arguments>(1, |arguments| Ok(run_agent(arguments.check()?)?)),
        false => start::<settings::Arguments>(0, |arguments| Ok(run(arguments.check()?)?)),
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("byrnie-proxy: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Reads the arguments behind the first `left_out`, and runs with them.
fn start<A: Parser>(left_out: usize, run: impl FnOnce(A) -> Result<(), Box<dyn Error>>) -> Result<(), Box<dyn Error>> {
    match A::try_parse_from(env::args_os().skip(left_out)) {
        Ok(arguments) => run(arguments),
        Err(error) if !error.use_stderr() => {
            // `--help` and `--version`; a closed pipe is no reason to fail.
            let _ = error.print();
            Ok(())
        }
        Err(error) => Err(one_line(&error.to_string()).into()),
    }
}

/// The problem alone, without the usage that follows it.
fn one_line(error: &str) -> String {
    let problem = error.lines().take_while(|line| !line.is_empty()).map(str::trim).collect::<Vec<_>>().join(" ");
    problem.strip_prefix("error: ").unwrap_or(&problem).to_owned()
}
