//! etcd, which keeps the objects of an API server.

use std::{net::SocketAddr, path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use hyper::Method;
use serde_json::{Value, json};

use super::programs;
use crate::http;

/// The program.
pub const NAME: &str = "etcd";

/// One member, which keeps its files in `folder` and does not wait for the disk.
pub fn command(folder: &Path, address: SocketAddr) -> Result<Command> {
    let client = format!("http://{address}");
    let peer = format!("http://{}", SocketAddr::new(address.ip(), 2380));
    let mut command = Command::new(programs::path(NAME)?);
    command.arg("--data-dir").arg(folder.join("etcd")).args(["--unsafe-no-fsync", "--log-level", "warn"]);
    command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
    command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
    command.args(["--initial-cluster", &format!("default={peer}")]);
    // It is alone, so that nothing but this time stands between its start and its leadership.
    command.args(["--heartbeat-interval", "10", "--election-timeout", "50"]);
    Ok(command)
}

/// Forgets the history up to now, and says which revision that is.
pub async fn compact(address: SocketAddr) -> Result<u64> {
    let status = call(address, "/v3/maintenance/status", json!({})).await?;
    let revision = status["header"]["revision"].as_str().context("etcd tells its revision")?;
    call(address, "/v3/kv/compaction", json!({"revision": revision, "physical": true})).await?;
    Ok(revision.parse()?)
}

/// A method of its gRPC services, by its own gateway: JSON over HTTP, with numbers of 64 bits as strings.
async fn call(address: SocketAddr, path: &str, body: Value) -> Result<Value> {
    let headers = [("content-type", "application/json")];
    let answer = http::send(address, Method::POST, "localhost", path, &headers, Bytes::from(body.to_string())).await?;
    ensure!(answer.status == 200, "etcd: {path}: {} {}", answer.status, answer.body);
    Ok(serde_json::from_str(&answer.body)?)
}
