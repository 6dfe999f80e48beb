//! `byrnie-proxy`: settings, build, run, exit code.

use std::process::ExitCode;

use byrnie_proxy::{
    control::Proxy,
    settings::{Arguments, Settings},
};
use byrnie_runtime::logs;
use clap::Parser;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

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

fn run(settings: Settings) -> anyhow::Result<()> {
    let levels = logs::init(settings.log_format, settings.log.as_deref())?;
    end_on_panic();
    raise_descriptors();
    // Traffic is the workers'; what happens here is little, and one thread is all that it costs.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { Ok(Proxy::build(settings, levels).await?.serve().await?) })
}

/// Each request takes up to two, and the soft limit that shells and systemd give is 1024.
fn raise_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        warn!(%error, soft = limit.current, "the limit of open files stays as it is");
    }
}

/// A proxy that lost one of its threads or tasks is worse than none: whoever keeps it running starts it anew.
fn end_on_panic() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        tell(panic);
        std::process::abort();
    }));
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
