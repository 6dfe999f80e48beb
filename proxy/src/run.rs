//! The whole process after its settings: what `byrnie-proxy` does, and the demo's micro-proxies with it.

use std::future::Future;

use byrnie_runtime::logs::{self, Levels};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

use crate::{
    agent::{self, Agent},
    control::Proxy,
    settings::{Settings, Sidecar},
};

/// Serves until a signal comes and what runs is finished. To be called once, by a process that does nothing else: logs,
/// the panic hook and the limit of open files are the process's.
///
/// # Errors
/// Where the start cannot work; the text names what to change.
pub fn run(settings: Settings) -> anyhow::Result<()> {
    let sidecar = settings.sidecar.clone();
    process(&sidecar, async |levels| Ok(Proxy::build(settings, levels).await?.serve().await?))
}

/// The same for the agent beside an Envoy.
///
/// # Errors
/// Where the start cannot work; the text names what to change.
pub fn run_agent(settings: agent::Settings) -> anyhow::Result<()> {
    let sidecar = settings.sidecar.clone();
    process(&sidecar, async |_| Ok(Agent::build(settings).await?.serve().await?))
}

fn process<F>(sidecar: &Sidecar, serve: impl FnOnce(Levels) -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>>,
{
    let levels = logs::init(sidecar.log_format, sidecar.log.as_deref())?;
    end_on_panic();
    raise_descriptors();
    // Traffic is the workers', or Envoy's; what happens here is little, and one thread is all that it costs.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let served = runtime.block_on(serve(levels));
    // Workers were given their time: one that hangs does not keep the process.
    runtime.shutdown_background();
    served
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
