//! Real programs and objects that the tests run against, from the machine or the project's own cache (`scripts/`).

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

/// The path of a tool, fetched first where it is missing: `envoy`, or `grpc` for a Python that has gRPC.
pub fn path(tool: &str) -> Result<PathBuf> {
    script("tools", &["ensure", tool])?;
    Ok(script("tools", &["path", tool])?.into())
}

/// The folder of the Gateway API project's conformance tests, fetched first where it is missing.
pub fn gateway_api() -> Result<PathBuf> {
    script("gateway-api", &["ensure"])?;
    Ok(script("gateway-api", &["path"])?.into())
}

/// The folder of the Gateway API project's CRDs (`config/crd/standard`), fetched first where it is missing.
pub fn gateway_crds() -> Result<PathBuf> {
    script("gateway-api", &["ensure"])?;
    Ok(script("gateway-api", &["path", "crds"])?.into())
}

/// The paths of some of `etcd`, `kube-apiserver`, `kube-controller-manager` and `kubectl`, built first where missing.
pub fn kubernetes(programs: &[&str]) -> Result<Vec<PathBuf>> {
    script("kubernetes", &[&["ensure"], programs].concat())?;
    Ok(script("kubernetes", &[&["path"], programs].concat())?.lines().map(PathBuf::from).collect())
}

/// The path of a major release of Helm, built first where it is missing.
pub fn helm(major: u32) -> Result<PathBuf> {
    let name = format!("helm-{major}");
    script("helm", &["ensure", &name])?;
    Ok(script("helm", &["path", &name])?.into())
}

fn script(name: &str, arguments: &[&str]) -> Result<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts").join(name);
    let mut command = Command::new("python3");
    command.arg(&script).args(arguments).stderr(Stdio::inherit());
    let output = command.output().context("python3 is needed to fetch what the tests run against: install it")?;
    ensure!(output.status.success(), "scripts/{name} {} failed: its message stands above", arguments.join(" "));
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
