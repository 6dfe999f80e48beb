//! How fast the real server process converges a fleet of xDS clients, and what that costs.
//!
//! `cargo run --release -p byrnie-tests --bin xds-bench -- --services 1000 --clients 200`
//!
//! Every client has a connection of its own and speaks delta ADS: as Envoy (wildcard CDS and LDS, then EDS and RDS of
//! what they name) or, with `--names 10`, subscribed to that many names of each kind. Latencies include the clients,
//! which run on the same machine; the server's CPU time is the steadier figure.

mod client;
mod fleet;
mod mesh;
mod report;

use std::{
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use byrnie_tests::process::{Process, byrnie};
use clap::Parser;

use crate::{fleet::Fleet, mesh::Mesh, report::Report};

/// Converges a fleet of simulated xDS clients against a real `byrnie run`.
#[derive(Debug, Parser)]
struct Args {
    /// Services, of one port and five endpoints each.
    #[arg(long, default_value_t = 1000)]
    services: usize,
    /// Clients, each with a connection of its own.
    #[arg(long, default_value_t = 200)]
    clients: usize,
    /// Subscribe to this many names of each kind instead of the wildcard.
    #[arg(long)]
    names: Option<usize>,
    /// How many single-endpoint changes are timed.
    #[arg(long, default_value_t = 20)]
    changes: usize,
    /// The program under test; the one built beside this by default.
    #[arg(long)]
    byrnie: Option<PathBuf>,
    /// Where endpoints are in the mesh (a Pod and an account each) instead of plain addresses.
    #[arg(long)]
    meshed: bool,
    /// Take the objects from a real API server in place of a directory.
    #[arg(long)]
    kubernetes: bool,
    /// One JSON line instead of text.
    #[arg(long)]
    json: bool,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    let args = Args::parse();
    let report = run(&args).await?;
    println!("{}", if args.json { report.json() } else { report.text() });
    Ok(())
}

async fn run(args: &Args) -> Result<Report> {
    let folder = tempfile::tempdir()?;
    let mesh = match args.kubernetes {
        true => Mesh::serve(args.services, args.clients, args.meshed).await?,
        false => Mesh::write(folder.path().join("config"), args.services, args.clients, args.meshed)?,
    };
    let program = args.byrnie.clone().map_or_else(byrnie, Ok)?;
    let [xds, admin] = free_ports()?;
    let mut command = Command::new(program);
    command.arg("run").args(mesh.arguments()).arg("--state").arg(folder.path().join("state"));
    command
        .arg("--xds-address")
        .arg(format!("127.0.0.1:{xds}"))
        .arg("--admin-address")
        .arg(format!("127.0.0.1:{admin}"));
    command.env("BYRNIE_LOG", "warn");
    let start = Instant::now();
    let server = Process::start("byrnie run", &mut command)?;
    wait_until_ready(admin).await?;
    let mut report = Report::new(args.services, args.clients, args.names);
    report.ready = start.elapsed();
    report.idle = Some(server.usage()?);

    let mut fleet = Fleet::new(format!("http://127.0.0.1:{xds}"), &mesh, args.clients, args.names);
    report.converge = fleet.converge(&server).await.context("the fleet did not converge")?;
    for change in 0..args.changes {
        let target = mesh.target(change, args.names);
        report.changes.push(fleet.change(&server, mesh.move_endpoint(target, change), target).await?);
        // The server rests between changes, so that each pays its own price.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    report.reconnect = fleet.reconnect(&server, &mesh).await.context("the fleet did not come back")?;
    report.end = Some(server.usage()?);
    Ok(report)
}

/// Two ports that were free a moment ago; both are held until both are known, so that they differ.
fn free_ports() -> Result<[u16; 2]> {
    let held = [std::net::TcpListener::bind("127.0.0.1:0")?, std::net::TcpListener::bind("127.0.0.1:0")?];
    Ok([held[0].local_addr()?.port(), held[1].local_addr()?.port()])
}

async fn wait_until_ready(admin: u16) -> Result<()> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    for _ in 0..600 {
        if let Ok(mut stream) = tokio::net::TcpStream::connect(("127.0.0.1", admin)).await {
            stream.write_all(b"GET /healthz/ready HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await?;
            let mut reply = String::new();
            stream.read_to_string(&mut reply).await?;
            if reply.starts_with("HTTP/1.1 200") {
                return Ok(());
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    anyhow::bail!("the server was not ready within 60 s")
}
