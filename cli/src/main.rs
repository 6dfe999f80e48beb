//! `byrnie`: the operator's command, and the whole control plane in one process.

mod bootstrap;
mod check;
mod crds;
mod demo;
mod describe;
mod inject;
mod install;
mod output;
mod proxies;
mod remote;
mod run;
mod stat;
mod state;
mod token;
mod validate;
mod wait;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Byrnie, a sidecar service mesh.
#[derive(Debug, Parser)]
#[command(name = "byrnie", version, propagate_version = true, arg_required_else_help = true)]
#[command(after_help = "Try `byrnie demo` for a mesh of real processes on this machine.")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run the control plane from a directory of Kubernetes YAML or an API server.
    Run(run::Args),
    /// Check a directory: exit code 0 good, 1 findings, 2 could not run.
    Validate(validate::Args),
    /// Print what a proxy is started with.
    Bootstrap(bootstrap::Args),
    /// Print the definitions of the mesh's own kinds, for `kubectl apply --server-side -f -`.
    Crds,
    /// Print the objects of the control plane for a cluster, for `kubectl apply --server-side -f -`.
    Install(install::Args),
    /// Print objects with the sidecars that their Pods would get; to be read, for they do not start yet.
    Inject(inject::Args),
    /// Print a join token for a workload.
    Token(token::Args),
    /// Run a demo mesh of real processes, with a live view.
    Demo(demo::Args),
    /// Show the connected proxies and what each has accepted.
    #[command(visible_alias = "ps")]
    ProxyStatus(proxies::StatusArgs),
    /// Show what a proxy was sent.
    #[command(visible_alias = "pc")]
    ProxyConfig(proxies::ConfigArgs),
    /// Show who calls what, how often, and how it goes.
    Stat(stat::Args),
    /// Show what an object does in the mesh.
    Describe(describe::Args),
    /// Wait until all proxies that need an object have it: exit code 0 so it is, 1 it will not be, 2 could not ask.
    Wait(wait::Args),
    /// Check a cluster and the installation in it: exit code 0 good, 1 faults, 2 could not ask.
    Check(check::Args),
    /// A process of the demo.
    #[command(hide = true)]
    DemoApp(demo::AppArgs),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let could_not_run = match arguments.verb {
        Verb::Validate(_) | Verb::Wait(_) | Verb::Check(_) => 2,
        _ => 1,
    };
    match start(arguments.verb) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("byrnie: {}", told(&error));
            ExitCode::from(could_not_run)
        }
    }
}

/// An error with its causes, each said once.
fn told(error: &anyhow::Error) -> String {
    byrnie_runtime::told::told(error.as_ref())
}

fn start(verb: Verb) -> anyhow::Result<ExitCode> {
    let done = |()| ExitCode::SUCCESS;
    match verb {
        Verb::Run(args) => block_on(run::run(args)).map(done),
        Verb::Validate(args) => validate::run(&args),
        Verb::Bootstrap(args) => bootstrap::run(&args).map(done),
        Verb::Crds => crds::run().map(done),
        Verb::Install(args) => install::run(&args).map(done),
        Verb::Inject(args) => block_on(inject::run(&args)),
        Verb::Token(args) => token::run(&args).map(done),
        Verb::Demo(args) => block_on(demo::run(args)),
        Verb::ProxyStatus(args) => block_on(proxies::status(&args)).map(done),
        Verb::ProxyConfig(args) => block_on(proxies::config(&args)).map(done),
        Verb::Stat(args) => block_on(stat::run(&args)).map(done),
        Verb::Describe(args) => block_on(describe::run(&args)).map(done),
        Verb::Wait(args) => block_on(wait::run(&args)),
        Verb::Check(args) => block_on(check::run(&args)),
        // Each of these has the runtime that it needs.
        Verb::DemoApp(args) => demo::app(args).map(done),
    }
}

fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Runtime::new()?.block_on(future)
}
