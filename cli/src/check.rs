//! `byrnie check`: what is wrong with a cluster and with the installation in it. Each check is a pure judgement of what
//! the API server, or the control plane, answered.

mod before;
mod certificates;
mod deployment;
mod injector;
mod installed;
mod keys;
mod mesh;
mod missed;
mod report;

use std::process::ExitCode;

use anyhow::Result;
use byrnie_source::{Calls, Cluster};

use self::report::{Outcome, Report};
use crate::{
    output::{self, Format},
    remote::Installation,
};

/// `byrnie check`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only what must hold before the installation
    #[arg(long)]
    pre: bool,
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    installation: Installation,
}

/// Whom the checks ask, and about what.
struct Asked<'a> {
    cluster: Cluster,
    calls: Calls,
    installation: &'a Installation,
}

/// Prints every check. Warnings alone are good; an error is that there is no API server to ask.
pub async fn run(args: &Args) -> Result<ExitCode> {
    let cluster = args.installation.kubeconfig().cluster().await?;
    let asked = Asked { calls: cluster.calls(), cluster, installation: &args.installation };
    let mut report = Report::default();
    let answers = before::run(&asked, args.pre, &mut report).await;
    if answers && !args.pre {
        installed::run(&asked, &mut report).await;
    }
    output::print(args.output, &report.document(), |_| report.text());
    Ok(match report.worst() {
        _ if !answers => ExitCode::from(2),
        Outcome::Fault => ExitCode::FAILURE,
        Outcome::Ok | Outcome::Warning => ExitCode::SUCCESS,
    })
}
