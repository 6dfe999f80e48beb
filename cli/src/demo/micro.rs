//! The micro-proxy, within this program: the library of `byrnie-proxy`, run as its `main` does. So the demo is one
//! program, and its sidecars are of the same build as everything else.

use byrnie_proxy::settings::Arguments;

/// Serves until a signal comes.
pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    byrnie_proxy::run::run(arguments.check()?)
}
