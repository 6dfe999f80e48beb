//! Real programs that the tests run against, from the machine or the project's own cache (`scripts/tools`).

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

/// The path of a tool, fetched first where it is missing: `envoy`, or `grpc` for a Python that has gRPC.
pub fn path(tool: &str) -> Result<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/tools");
    let run = |verb: &str| -> Result<String> {
        let mut command = Command::new("python3");
        command.arg(&script).args([verb, tool]).stderr(std::process::Stdio::inherit());
        let output = command.output().context("python3 is needed to fetch the programs of the tests: install it")?;
        ensure!(output.status.success(), "scripts/tools {verb} {tool} failed: its message stands above");
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    };
    run("ensure")?;
    Ok(run("path")?.into())
}
