use std::io::Write;

use anyhow::Result;
use byrnie_source::crds;

/// Prints the definitions of the mesh's own kinds, for `kubectl apply -f -`.
pub fn run() -> Result<()> {
    let text: Vec<_> = crds::definitions().iter().map(crds::yaml).collect();
    Ok(std::io::stdout().write_all(text.join("---\n").as_bytes())?)
}
