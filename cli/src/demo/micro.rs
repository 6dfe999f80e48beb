//! The micro-proxy, within this program: the library of `byrnie-proxy`, run as its `main` does. So the demo is one
//! program, and its sidecars are of the same build as everything else.

use byrnie_proxy::{control::Proxy, settings::Arguments};
use byrnie_runtime::logs;

/// Serves until a signal comes.
pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    let settings = arguments.check()?;
    let levels = logs::init(settings.log_format, settings.log.as_deref())?;
    // A proxy that lost one of its threads is to end, so that the demo tells of it.
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        tell(panic);
        std::process::abort();
    }));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { Ok(Proxy::build(settings, levels).await?.serve().await?) })
}
