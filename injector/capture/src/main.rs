//! `byrnie-init`: arguments, then one task, one line of what was done, exit code.

use std::{process::ExitCode, time::Duration};

use byrnie_init::{
    Applied, Arguments, Family, Port, Proof, Rules, Signals, Task, apply, await_ready, check, clean, dry_run, families,
};
use clap::Parser;

/// The rules could not be put in force or taken away.
const FAILED: u8 = 1;
/// Nothing can be begun with the options.
const USAGE: u8 = 2;
/// The rules are in force, but do not do what they should.
const NOT_PROVEN: u8 = 3;
/// So often it is told why the sidecar is waited for.
const EVERY: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) if !error.use_stderr() => {
            // `--help` and `--version`; a closed pipe is no reason to fail.
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
        Err(error) => return failed(USAGE, &one_line(&error.to_string())),
    };
    let task = match arguments.check() {
        Ok(task) => task,
        Err(error) => return failed(USAGE, &error),
    };
    match run(task) {
        Ok(done) => {
            println!("{done}");
            ExitCode::SUCCESS
        }
        Err((code, error)) => failed(code, &error),
    }
}

fn run(task: Task) -> Result<String, (u8, String)> {
    let failed = |error: &dyn std::fmt::Display| (FAILED, error.to_string());
    match task {
        Task::DryRun(settings) => {
            let text = Family::ALL.map(|family| dry_run(&Rules::new(&settings, family))).concat();
            Ok(text.trim_end().to_owned())
        }
        Task::Clean => match clean().map_err(|error| failed(&error))? {
            true => Ok("byrnie-init: the redirection is taken away".to_owned()),
            false => Ok("byrnie-init: there was no redirection to take away".to_owned()),
        },
        Task::Check { settings, ipv6, limit } => {
            let families = families(ipv6);
            let proof = check(&settings, &families, limit).map_err(|error| (NOT_PROVEN, error.to_string()))?;
            Ok(format!("byrnie-init: {}", told(&proof)))
        }
        Task::Apply { settings, backend, ipv6, limit, await_ready } => {
            let signals = await_ready.map(|_| Signals::remember()).transpose().map_err(|error| failed(&error))?;
            let applied = apply(&settings, backend, &families(ipv6), limit).map_err(|error| failed(&error))?;
            let done = proven(applied)?;
            match await_ready.zip(signals) {
                Some((port, signals)) => ready(&done, port, &signals),
                None => Ok(done),
            }
        }
    }
}

/// What is in force, unless it does not do what it should.
fn proven(applied: Applied) -> Result<String, (u8, String)> {
    let names = applied.families.iter().map(Family::to_string).collect::<Vec<_>>().join(" and ");
    let done = format!("byrnie-init: {names} redirected by iptables-{}", applied.backend);
    match applied.proof {
        None => Ok(format!("{done}; not checked")),
        Some(Ok(proof)) => Ok(format!("{done}; {}", told(&proof))),
        Some(Err(error)) => Err((NOT_PROVEN, format!("the rules are in iptables-{}, but {error}", applied.backend))),
    }
}

/// Once the sidecar is.
fn ready(done: &str, port: Port, signals: &Signals) -> Result<String, (u8, String)> {
    if let Some(code) = signals.end_at_once() {
        return Err((code, "asked to end by a signal".to_owned()));
    }
    let waited = await_ready(port, EVERY, |line| eprintln!("byrnie-init: {line}"));
    Ok(format!("{done}; the sidecar is ready after {:.2} s", waited.as_secs_f64()))
}

/// `outbound and inbound proven`, and what could not be.
fn told(proof: &Proof) -> String {
    let mut parts = Vec::new();
    if !proof.proven.is_empty() {
        parts.push(format!("proven: {}", proof.proven.join(", ")));
    }
    parts.extend(proof.not_proven.iter().map(|why| format!("not proven: {why}")));
    parts.join("; ")
}

fn failed(code: u8, error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("byrnie-init: {error}");
    ExitCode::from(code)
}

/// The problem alone, without the usage that follows it.
fn one_line(error: &str) -> String {
    let problem = error.lines().take_while(|line| !line.is_empty()).map(str::trim).collect::<Vec<_>>().join(" ");
    problem.strip_prefix("error: ").unwrap_or(&problem).to_owned()
}
