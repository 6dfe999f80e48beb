//! `byrnie wait`: until the proxies that need an object have it, as its status says.

mod named;
mod standing;

use std::{process::ExitCode, time::Duration};

use anyhow::{Context, Result, bail};
use byrnie_source::{CallError, ObjectPath};
use tokio::time::{Instant, sleep_until, timeout_at};

use self::{named::Named, standing::Standing};
use crate::remote::Kubeconfig;

/// How often the object is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// `byrnie wait`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The object: KIND/NAME, KIND as kubectl takes it, such as httproute/cart or tp/cart
    #[arg(value_name = "KIND/NAME", value_parser = named::object)]
    object: Named,
    /// Its namespace [default: that of the kubeconfig's context]
    #[arg(short, long, value_name = "NAMESPACE", value_parser = named::name)]
    namespace: Option<String>,
    /// How long to wait, such as 60s or 5m
    #[arg(long, value_name = "TIME", value_parser = byrnie_control_plane::lifetime, default_value = "60s")]
    timeout: Duration,
    #[command(flatten)]
    kubeconfig: Kubeconfig,
}

/// Returns when all is there (exit code 0), nothing will come of it, or the time is up (1). An error is that the API
/// server could not be asked.
pub async fn run(args: &Args) -> Result<ExitCode> {
    let cluster = args.kubeconfig.cluster().await?;
    let object = args.object.within(args.namespace.as_deref().unwrap_or(cluster.default_namespace()));
    let (calls, path) = (cluster.calls(), ObjectPath::of(&object));
    let until = Instant::now() + args.timeout;
    let mut told = String::new();
    loop {
        let read = match timeout_at(until + LOOK, calls.read(&path)).await {
            Ok(read) => read,
            Err(_) if told.is_empty() => bail!("{} did not answer within {:?}", args.kubeconfig, args.timeout),
            Err(_) => break,
        };
        let now = match read {
            Ok(Some(found)) => match standing::of(&found) {
                Standing::Programmed(text) => {
                    println!("{object} is live: {text}");
                    return Ok(ExitCode::SUCCESS);
                }
                Standing::Failed(text) => {
                    eprintln!("byrnie: {object} will not be live: {text}");
                    return Ok(ExitCode::FAILURE);
                }
                Standing::Pending(text) => text,
            },
            Ok(None) => bail!("{object} is not there, or its kind is not: `byrnie check` tells which are installed"),
            // What was answered once is asked again.
            Err(CallError::Unavailable(text)) if !told.is_empty() => format!("the API server does not answer: {text}"),
            Err(error) => return Err(error).with_context(|| format!("cannot read {object} of {}", args.kubeconfig)),
        };
        if now != told {
            println!("{object}: {now}");
            told = now;
        }
        if Instant::now() >= until {
            break;
        }
        sleep_until(until.min(Instant::now() + LOOK)).await;
    }
    eprintln!("byrnie: {object} is not live within {:?}: {told}", args.timeout);
    Ok(ExitCode::FAILURE)
}
