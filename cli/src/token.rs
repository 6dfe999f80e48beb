use std::time::SystemTime;

use anyhow::{Context, Result};
use byrnie_ca::State;
use byrnie_control_plane::lifetime;
use byrnie_model::WorkloadName;

use crate::state::StateDirectory;

/// `byrnie token`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The workload that the token speaks for: NAMESPACE/POD
    #[arg(long, value_name = "NAMESPACE/POD")]
    workload: WorkloadName,
    /// How long it is good for, such as 24h or 90m
    #[arg(long, value_parser = lifetime, default_value = "24h")]
    ttl: std::time::Duration,
    #[command(flatten)]
    state: StateDirectory,
}

/// Prints a join token.
pub fn run(args: &Args) -> Result<()> {
    println!("{}", mint(&args.workload, args.ttl, &args.state)?);
    Ok(())
}

/// A join token for `workload`, signed by the key in the state directory.
pub fn mint(workload: &WorkloadName, ttl: std::time::Duration, state: &StateDirectory) -> Result<String> {
    let key = State::token_key(&state.path()?)?;
    let subject = workload.to_string().parse().context("--workload")?;
    Ok(key.mint(&subject, ttl, SystemTime::now())?.as_str().to_owned())
}
