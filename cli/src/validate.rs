use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use byrnie_control_plane::findings;
use byrnie_model::World;
use byrnie_source::Severity;

use crate::output::{self, Format};

/// `byrnie validate`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The directory to check
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// Prints every finding. Notes alone are good.
pub fn run(args: &Args) -> Result<ExitCode> {
    let batch = byrnie_source::read_once(&args.directory)?;
    let (world, _) = World::default().apply(batch.updates);
    let findings = findings::all(&world, &batch.findings);
    output::print(args.output, &findings::to_json(&findings), |_| {
        let lines = findings.iter().map(|finding| format!("{}: {finding}\n", finding.severity));
        let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
        let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
        let objects = world.services().count() + world.routes().count() + world.workloads().count();
        let summary =
            format!("{errors} errors, {warnings} warnings; {objects} services, routes and workloads are good\n");
        lines.chain([summary]).collect()
    });
    let bad = findings.iter().any(|finding| finding.severity != Severity::Note);
    Ok(if bad { ExitCode::from(1) } else { ExitCode::SUCCESS })
}
