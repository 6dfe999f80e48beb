//! gRPC's interop cases through a pair of sidecars, client and server on either side of mTLS: Go's programs, and C-core's
//! library by `proxy_grpc/interop.py`. All cases that need no credentials.

use std::{
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use byrnie_tests::{
    pair::Pair,
    process::Process,
    sidecar::Proxy::{self, Envoy, Micro},
    tools,
    wait::until,
};
use tokio::{net::TcpStream, time::timeout};

/// grpc/doc/interop-test-descriptions.md
const CASES: [&str; 14] = [
    "empty_unary",
    "large_unary",
    "client_streaming",
    "server_streaming",
    "ping_pong",
    "empty_stream",
    "custom_metadata",
    "status_code_and_message",
    "special_status_message",
    "unimplemented_method",
    "unimplemented_service",
    "cancel_after_begin",
    "cancel_after_first_response",
    "timeout_on_sleeping_server",
];

/// One case takes far less than a second; C-core's client runs all in one process.
const LIMIT: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Library {
    Go,
    Core,
}

use Library::{Core, Go};

/// A server, the sidecars before it, and how to call it.
struct Stage {
    pair: Pair,
    _server: Process,
}

impl Stage {
    async fn set(sidecars: [Proxy; 2], server: Library) -> Result<Self> {
        // It is free a moment later too: the system hands out others before it comes to this one again.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = match server {
            Go => {
                let mut command = Command::new(tools::path("grpc-go")?.with_file_name("server"));
                command.args(["--port", &address.port().to_string()]);
                command
            }
            Core => {
                let mut command = core()?;
                command.args(["server", &address.to_string()]);
                command
            }
        };
        command.stdin(Stdio::null()).stderr(Stdio::null());
        let process = Process::start("the server", &mut command)?;
        until("the server listens", async || Ok(TcpStream::connect(address).await.is_ok())).await?;
        Ok(Self { pair: Pair::of(sidecars, "grpc", address).await?, _server: process })
    }

    async fn pass(&mut self, client: Library, cases: &[&str]) -> Result<()> {
        let SocketAddr::V4(at) = self.pair.upstream() else { unreachable!("the tests live in 127.0.0.0/8") };
        match client {
            Go => {
                let program = tools::path("grpc-go")?;
                for case in cases {
                    let mut command = Command::new(&program);
                    command.args(["--server_host", &at.ip().to_string(), "--server_port", &at.port().to_string()]);
                    command.arg("--test_case").arg(case);
                    succeed(command).await.with_context(|| format!("Go's client, {case}"))?;
                }
            }
            Core => {
                let mut command = core()?;
                command.args(["client", &at.to_string()]).args(cases);
                succeed(command).await.context("the client of C-core")?;
            }
        }
        self.pair.client.check()?;
        self.pair.server.check()
    }
}

async fn succeed(mut command: Command) -> Result<()> {
    command.stdin(Stdio::null());
    let mut command = tokio::process::Command::from(command);
    let ended = timeout(LIMIT, command.kill_on_drop(true).output()).await;
    let output = ended.with_context(|| format!("no end within {LIMIT:?}"))??;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn core() -> Result<Command> {
    let script: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/proxy_grpc/interop.py");
    let mut command = Command::new(tools::path("grpc")?);
    command.arg(script);
    Ok(command)
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_go_and_core_pass_with_a_server_of_go() -> Result<()> {
    let mut stage = Stage::set([Micro, Micro], Go).await?;
    stage.pass(Go, &CASES).await?;
    stage.pass(Core, &CASES).await
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_go_and_core_pass_with_a_server_of_core() -> Result<()> {
    let mut stage = Stage::set([Micro, Micro], Core).await?;
    stage.pass(Core, &CASES).await?;
    stage.pass(Go, &CASES).await
}

#[tokio::test(flavor = "multi_thread")]
async fn cases_pass_where_one_sidecar_is_an_envoy() -> Result<()> {
    let cases = [
        "large_unary",
        "ping_pong",
        "custom_metadata",
        "special_status_message",
        "cancel_after_first_response",
        "timeout_on_sleeping_server",
    ];
    for sidecars in [[Micro, Envoy], [Envoy, Micro]] {
        let mut stage = Stage::set(sidecars, Go).await?;
        stage.pass(Go, &cases).await.with_context(|| format!("{sidecars:?}"))?;
        stage.pass(Core, &cases).await.with_context(|| format!("{sidecars:?}"))?;
    }
    Ok(())
}
