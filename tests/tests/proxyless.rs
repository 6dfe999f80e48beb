//! gRPC without a proxy: a real gRPC client whose target is `xds:///`.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use byrnie_tests::{
    app::{App, Asked, Reply, reply_with_trailers, with_header},
    mesh::Mesh,
    objects::{Pod, grpc_route, service},
    process::byrnie,
    tools,
};
use bytes::Bytes;

/// A Python gRPC client; it ends with this.
struct Client {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Client {
    fn start(mesh: &Mesh, workload: &str, target: &str) -> Result<Self> {
        let xds = mesh.xds().to_string();
        let bootstrap = Command::new(byrnie()?)
            .args(["bootstrap", "grpc", "--workload", workload, "--xds-address", &xds])
            .output()?;
        ensure!(bootstrap.status.success(), "{}", String::from_utf8_lossy(&bootstrap.stderr));
        let file = mesh.folder().join(format!("{}.grpc.json", workload.replace('/', "-")));
        fs::write(&file, bootstrap.stdout)?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/proxyless/client.py");
        let mut command = Command::new(tools::path("grpc")?);
        command.arg(script).arg(target).env("GRPC_XDS_BOOTSTRAP", file);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let input = child.stdin.take().context("piped")?;
        let output = BufReader::new(child.stdout.take().context("piped")?);
        Ok(Self { child, input, output })
    }

    /// One call: the answer, or `CODE: DETAILS`.
    fn call(&mut self) -> Result<String> {
        self.input.write_all(b"\n")?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Both fail only where the child has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A Pod outside the mesh with a gRPC server that answers every call with its name.
async fn server(name: &'static str, app: &str) -> Result<(Pod, App)> {
    let pod = Pod::new("shop", name, app);
    let answer = move |_: &Asked| -> Reply {
        let length = u32::try_from(name.len()).expect("a short name").to_be_bytes();
        // An uncompressed message (gRPC over HTTP/2, Length-Prefixed-Message).
        let message: Bytes = [&[0], &length[..], name.as_bytes()].concat().into();
        with_header(reply_with_trailers(message, &[("grpc-status", "0")]), "content-type", "application/grpc")
    };
    let app = App::http2_at(SocketAddr::new(pod.ip(), 8080), answer).await?;
    Ok((pod, app))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grpc_client_follows_endpoints_and_goes_on_without_the_control_plane() -> Result<()> {
    let (one, first) = server("one", "cart").await?;
    let (two, _second) = server("two", "cart").await?;
    let web = Pod::new("shop", "web-1", "web");
    let mut mesh = Mesh::start(&[
        ("cart.yaml", service("shop", "cart", "grpc", 80, 8080)),
        (&web.file(), web.yaml()),
        (&one.file(), one.yaml()),
    ])
    .await?;
    let mut client = Client::start(&mesh, "shop/web-1", "xds:///cart.shop:80")?;
    assert_eq!(client.call()?, "one");
    mesh.write(&two.file(), &two.yaml())?;
    mesh.until("both are called", async |_| Ok(client.call()? == "two" && client.call()? == "one")).await?;
    mesh.remove(&one.file())?;
    mesh.until("only the other is called", async |_| Ok((0..6).all(|_| client.call().is_ok_and(|name| name == "two"))))
        .await?;
    first.take_asked();
    mesh.kill();
    for _ in 0..20 {
        assert_eq!(client.call()?, "two");
    }
    assert!(first.asked().is_empty());
    mesh.restart().await?;
    mesh.write(&one.file(), &one.yaml())?;
    mesh.until("changes are followed again", async |_| Ok(client.call()? == "one")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grpc_client_may_name_a_service_in_the_ways_users_know_and_is_routed() -> Result<()> {
    let (one, _first) = server("one", "cart").await?;
    let (two, _second) = server("two", "other").await?;
    let web = Pod::new("shop", "web-1", "web");
    let mesh = Mesh::start(&[
        ("cart.yaml", service("shop", "cart", "grpc", 80, 8080)),
        ("other.yaml", service("shop", "other", "grpc", 80, 8080)),
        (&web.file(), web.yaml()),
        (&one.file(), one.yaml()),
        (&two.file(), two.yaml()),
    ])
    .await?;
    let names = ["cart:80", "cart.shop:80", "cart.shop.svc:80", "cart.shop.svc.cluster.local:80"];
    let mut clients = Vec::new();
    for name in names {
        let mut client = Client::start(&mesh, "shop/web-1", &format!("xds:///{name}"))?;
        assert_eq!(client.call()?, "one", "{name}");
        clients.push(client);
    }
    let rules = "- matches: [{method: {service: shop.Cart, method: Get}}]\n  backendRefs: [{name: other, port: 80}]";
    mesh.write("route.yaml", &grpc_route("shop", "cart", "{kind: Service, name: cart}", rules))?;
    for (name, client) in names.iter().zip(&mut clients) {
        mesh.until(&format!("{name} follows the route"), async |_| Ok(client.call()? == "two")).await?;
    }
    Ok(())
}
