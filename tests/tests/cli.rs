//! Mistakes as a user meets them: what the command says, and its exit code.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Command, Output, Stdio},
};

use anyhow::{Context, Result};
use byrnie_proto::envoy::envoy::{
    config::core::v3::Node,
    service::discovery::v3::{
        DeltaDiscoveryRequest, DiscoveryRequest,
        aggregated_discovery_service_client::AggregatedDiscoveryServiceClient as Discovery,
    },
};
use byrnie_tests::{
    http,
    mesh::Mesh,
    objects::{Pod, free_address, http_route, service, traffic_policy},
    process::{Process, byrnie},
    wait::until,
};
use tonic::{
    Code, Request, Status,
    transport::{Certificate, Channel, ClientTlsConfig},
};

/// `byrnie ARGUMENTS` to its end.
fn run(arguments: &[&str]) -> Result<Output> {
    Ok(Command::new(byrnie()?).args(arguments).stdin(Stdio::null()).output()?)
}

/// The exit code, and all that was printed.
fn told(output: &Output) -> (Option<i32>, String) {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

/// `byrnie run` over `config` that must end by itself: its exit code, and the line that says why.
fn refused_start(config: &Path, state: &Path, more: &[&str]) -> Result<(Option<i32>, String)> {
    let (xds, admin) = (free_address(15010).to_string(), free_address(15014).to_string());
    let (config, state) = (config.display().to_string(), state.display().to_string());
    let mut arguments = vec!["run", "--config", &config, "--state", &state];
    for (flag, value) in [("--xds-address", &xds), ("--admin-address", &admin)] {
        if !more.contains(&flag) {
            arguments.extend([flag, value]);
        }
    }
    arguments.extend(more);
    let output = run(&arguments)?;
    let last = String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or_default().to_owned();
    Ok((output.status.code(), last))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_cannot_serve_says_why_and_what_to_do() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (config, state) = (folder.path().join("config"), folder.path().join("state"));
    fs::create_dir(&config)?;
    let held = std::net::TcpListener::bind("127.0.0.1:0")?;
    let busy = held.local_addr()?.to_string();
    for flag in ["--xds-address", "--admin-address"] {
        let (code, why) = refused_start(&config, &state, &[flag, &busy])?;
        assert_eq!(code, Some(1), "{why}");
        for part in [&*busy, "in use", flag] {
            assert!(why.contains(part), "{part:?} is missing: {why}");
        }
    }
    let (code, why) = refused_start(&folder.path().join("nowhere"), &state, &[])?;
    assert_eq!(code, Some(1), "{why}");
    assert!(why.contains("--config") && why.contains("nowhere"), "{why}");
    let file = folder.path().join("file.yaml");
    fs::write(&file, "")?;
    let (code, why) = refused_start(&file, &state, &[])?;
    assert_eq!(code, Some(1), "{why}");
    assert!(why.contains("file.yaml") && why.contains("directory"), "{why}");
    Ok(())
}

#[test]
fn keys_are_not_kept_among_the_objects_and_a_cause_is_told_once() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for state in [folder.path().to_owned(), folder.path().join("deep/state")] {
        let (code, last) = refused_start(folder.path(), &state, &[])?;
        assert_eq!(code, Some(1), "{last}");
        assert!(last.contains("must not be within --config"), "{last}");
    }
    assert_eq!(fs::read_dir(folder.path())?.count(), 0, "nothing was written");
    let (_, last) = refused_start(&folder.path().join("nope"), &folder.path().join("state"), &[])?;
    assert_eq!(last.matches("No such file or directory").count(), 1, "{last}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_directory_of_another_trust_domain_is_refused_and_left_as_it_is() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("config");
    fs::create_dir(&config)?;
    let mesh = Mesh::start(&[]).await?;
    let object = "apiVersion: mesh.byrnie.io/v1alpha1\nkind: MeshConfig\nmetadata: {name: default}\n";
    fs::write(config.join("mesh.yaml"), format!("{object}spec: {{trustDomain: prod.example}}\n"))?;
    let root = fs::read(mesh.state().join("ca/root.crt"))?;
    let state = mesh.state();
    let (code, why) = {
        // A copy: the state of a control plane that runs is locked.
        let copy = folder.path().join("state");
        let copied = Command::new("cp").arg("-a").arg(&state).arg(&copy).status()?;
        assert!(copied.success());
        let refused = refused_start(&config, &copy, &[])?;
        assert_eq!(fs::read(copy.join("ca/root.crt"))?, root);
        refused
    };
    assert_eq!(code, Some(1), "{why}");
    for part in ["--state", "cluster.local", "prod.example"] {
        assert!(why.contains(part), "{part:?} is missing: {why}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn validate_says_file_line_field_and_what_is_accepted_by_exit_code_0_1_2() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().display().to_string();
    let file = folder.path().join("a.yaml");
    let validate = |text: &str| -> Result<(Option<i32>, String)> {
        fs::write(&file, text)?;
        Ok(told(&run(&["validate", &path])?))
    };
    let good = service("shop", "cart", "http", 80, 8080);
    assert_eq!(validate(&good)?.0, Some(0));
    let unknown_kind = "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\n";
    let (code, text) = validate(&format!("{good}{unknown_kind}{unknown_kind}"))?;
    assert_eq!((code, text.matches("Deployment").count()), (Some(0), 1), "listed once and skipped: {text}");

    let with_policy = |spec: &str| format!("{good}---\n{}", traffic_policy("shop", "cart", spec));
    let route = |name: &str| format!("{good}---\n{}", http_route("shop", "r", "{kind: Service, name: cart}", name));
    let cases: [(String, &[&str]); 7] = [
        (format!("{good}---\nkind: Service\n\tname: x\n"), &["a.yaml:10", "tab"]),
        (with_policy("retries: {attempts: 2}"), &["TrafficPolicy/shop/cart", "retries", "retry"]),
        (with_policy("connectTimeout: 5"), &["spec.connectTimeout", "250ms"]),
        (with_policy("balancer: {type: RingHash}"), &["spec.balancer.hashKey", "header, cookie or source"]),
        (route("- backendRefs: [{name: not-there, port: 80}]"), &["not-there", "spec.rules[0].backendRefs[0]"]),
        (route("- matches: [{path: {type: Prefix, value: /}}]"), &["type", "Prefix", "PathPrefix"]),
        (
            format!("{good}---\n{}", good.replace("port: 80,", "port: 81,")),
            &["a.yaml:1", "a.yaml:9", "Service/shop/cart"],
        ),
    ];
    for (text, parts) in cases {
        let (code, told) = validate(&text)?;
        assert_eq!(code, Some(1), "{told}\n{text}");
        assert!(told.contains("a.yaml:"), "{told}");
        for part in parts {
            assert!(told.contains(part), "{part:?} is missing: {told}\n{text}");
        }
    }
    fs::remove_file(&file)?;
    let (code, text) = told(&run(&["validate", &format!("{path}/nowhere")])?);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("nowhere"), "{text}");
    assert_eq!(told(&run(&["validate"])?).0, Some(2), "no directory");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_to_a_service_that_is_not_there_is_described_with_the_specs_reason() -> Result<()> {
    let rules = "- backendRefs: [{name: not-there, port: 80}]";
    let mesh = Mesh::start(&[
        ("cart.yaml", service("shop", "cart", "http", 80, 8080)),
        ("route.yaml", http_route("shop", "r", "{kind: Service, name: cart}", rules)),
        ("lost.yaml", http_route("shop", "lost", "{kind: Service, name: nobody}", rules)),
    ])
    .await?;
    let described: serde_json::Value =
        serde_json::from_str(&mesh.cli(&["describe", "HTTPRoute/shop/r", "-o", "json"])?)?;
    let condition = |described: &serde_json::Value, kind: &str| -> Option<(bool, String)> {
        let conditions = described["parents"][0]["conditions"].as_array()?;
        let found = conditions.iter().find(|condition| condition["type"] == kind)?;
        Some((found["status"].as_bool()?, found["reason"].as_str()?.to_owned()))
    };
    assert_eq!(condition(&described, "Accepted"), Some((true, "Accepted".to_owned())), "{described:#}");
    assert_eq!(condition(&described, "ResolvedRefs"), Some((false, "BackendNotFound".to_owned())), "{described:#}");
    let lost: serde_json::Value =
        serde_json::from_str(&mesh.cli(&["describe", "HTTPRoute/shop/lost", "-o", "json"])?)?;
    assert_eq!(condition(&lost, "Accepted").map(|(holds, _)| holds), Some(false), "{lost:#}");
    let missing = mesh.cli(&["describe", "HTTPRoute/shop/none"]).unwrap_err().to_string();
    assert!(missing.contains("HTTPRoute/shop/none"), "{missing}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_arguments_and_an_absent_control_plane_are_told() -> Result<()> {
    let nobody = free_address(15014).to_string();
    let (code, text) = told(&run(&["proxy-status", "--admin-address", &nobody])?);
    assert_eq!(code, Some(1), "{text}");
    for part in [&*nobody, "byrnie run", "--admin-address"] {
        assert!(text.contains(part), "{part:?} is missing: {text}");
    }
    let folder = tempfile::tempdir()?;
    let state = folder.path().display().to_string();
    for workload in ["web", "shop/", "/web", "shop/web/1", "Shop/web"] {
        let (code, text) = told(&run(&["bootstrap", "envoy", "--workload", workload, "--state", &state])?);
        assert_eq!(code, Some(2), "{workload}: {text}");
        assert!(text.contains("--workload") && text.contains("NAMESPACE/POD"), "{workload}: {text}");
    }
    for wrong in ["12", "0h", "h", "1d"] {
        let (code, text) = told(&run(&["token", "--workload", "shop/web-1", "--ttl", wrong, "--state", &state])?);
        assert_eq!(code, Some(2), "{wrong}: {text}");
        assert!(text.contains("--ttl") && text.contains("24h"), "{wrong}: {text}");
    }
    let (code, text) = told(&run(&["token", "--workload", "shop/web-1", "--state", &state])?);
    assert_eq!(code, Some(1), "a state directory that no control plane has made: {text}");
    assert!(text.contains(&state) && text.contains("byrnie run"), "{text}");
    Ok(())
}

fn of_node(id: &str, type_url: &str) -> DiscoveryRequest {
    let node = Node { id: id.to_owned(), user_agent_name: "envoy".to_owned(), ..Default::default() };
    let type_url = format!("type.googleapis.com/{type_url}");
    DiscoveryRequest { node: Some(node), type_url, ..Default::default() }
}

const CLUSTERS: &str = "envoy.config.cluster.v3.Cluster";

/// The status of a stream whose first message is `first`; an error where it is answered instead.
async fn refusal(discovery: &mut Discovery<Channel>, first: DiscoveryRequest) -> Result<Status> {
    let stream = tokio_stream::iter([first]);
    let status = match discovery.stream_aggregated_resources(stream).await {
        Err(status) => status,
        Ok(answers) => match answers.into_inner().message().await {
            Err(status) => status,
            Ok(message) => anyhow::bail!("answered: {message:?}"),
        },
    };
    Ok(status)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_nobody_knows_is_told_so_by_a_grpc_status() -> Result<()> {
    let web = Pod::new("shop", "web-1", "web");
    let mesh = Mesh::start(&[(&web.file(), web.yaml())]).await?;
    let mut discovery = Discovery::connect(format!("http://{}", mesh.xds())).await?;
    let status = refusal(&mut discovery, of_node("shop/nobody", CLUSTERS)).await?;
    assert!(matches!(status.code(), Code::NotFound | Code::PermissionDenied | Code::Unauthenticated), "{status:?}");
    assert!(status.message().contains("shop/nobody"), "{status:?}");
    let status = refusal(&mut discovery, of_node("", CLUSTERS)).await?;
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    assert!(status.message().contains("node.id"), "{status:?}");
    let status = refusal(&mut discovery, of_node("no-slash", CLUSTERS)).await?;
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    assert!(status.message().contains("NAMESPACE/POD"), "{status:?}");

    let first = DeltaDiscoveryRequest {
        node: of_node("shop/nobody", CLUSTERS).node,
        type_url: of_node("", CLUSTERS).type_url,
        ..Default::default()
    };
    let answers = discovery.delta_aggregated_resources(tokio_stream::iter([first])).await;
    let status = match answers {
        Err(status) => status,
        Ok(answers) => answers.into_inner().message().await.expect_err("refused"),
    };
    assert!(status.message().contains("shop/nobody"), "{status:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn discovery_beyond_loopback_takes_tls_and_a_token_of_the_same_workload() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (config, state) = (folder.path().join("config"), folder.path().join("state"));
    fs::create_dir(&config)?;
    for name in ["web-1", "cart-1"] {
        let pod = Pod::new("shop", name, name.trim_end_matches("-1"));
        fs::write(config.join(pod.file()), pod.yaml())?;
    }
    let admin = free_address(15014);
    let mut command = Command::new(byrnie()?);
    command.args(["run", "--xds-address", "0.0.0.0:0", "--admin-address", &admin.to_string()]);
    command.arg("--config").arg(&config).arg("--state").arg(&state);
    command.args(["--log-format", "json"]).stdin(Stdio::null()).stderr(fs::File::create(folder.path().join("log"))?);
    let _control_plane = Process::start("byrnie run", &mut command)?;
    until("ready", async || Ok(http::get(admin, "localhost", "/healthz/ready").await?.status == 200)).await?;
    let log = BufReader::new(fs::File::open(folder.path().join("log"))?);
    let port = log.lines().map_while(Result::ok).find_map(|line| {
        let (_, rest) = line.split_once("0.0.0.0:")?;
        rest.split(|c: char| !c.is_ascii_digit()).next()?.parse::<u16>().ok().filter(|port| *port != 0)
    });
    let xds = SocketAddr::from(([127, 0, 0, 1], port.context("the log says where xDS is served")?));

    let plain = Discovery::connect(format!("http://{xds}")).await;
    let answered = match plain {
        Err(_) => false,
        Ok(mut discovery) => refusal(&mut discovery, of_node("shop/web-1", CLUSTERS)).await.is_err(),
    };
    assert!(!answered, "plain text is refused");

    let root = Certificate::from_pem(fs::read(state.join("ca/root.crt"))?);
    let tls = ClientTlsConfig::new().ca_certificate(root).domain_name("localhost");
    let channel = Channel::from_shared(format!("https://{xds}"))?.tls_config(tls)?.connect().await?;
    let status = refusal(&mut Discovery::new(channel.clone()), of_node("shop/web-1", CLUSTERS)).await?;
    assert_eq!(status.code(), Code::Unauthenticated, "{status:?}");
    let token = run(&["token", "--workload", "shop/web-1", "--state", &state.display().to_string()])?;
    let bearer = format!("Bearer {}", String::from_utf8(token.stdout)?.trim());
    let mut authorized = Discovery::with_interceptor(channel, move |mut request: Request<()>| {
        request.metadata_mut().insert("authorization", bearer.parse().expect("a token is ASCII"));
        Ok(request)
    });
    let stream = tokio_stream::iter([of_node("shop/cart-1", CLUSTERS)]);
    let other = match authorized.stream_aggregated_resources(stream).await {
        Err(status) => status,
        Ok(answers) => answers.into_inner().message().await.expect_err("another workload's token"),
    };
    assert_eq!(other.code(), Code::PermissionDenied, "{other:?}");
    let (requests, receiver) = tokio::sync::mpsc::channel(1);
    requests.send(of_node("shop/web-1", CLUSTERS)).await?;
    let stream = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let answer = authorized.stream_aggregated_resources(stream).await?.into_inner().message().await?;
    assert!(answer.is_some(), "the workload's own token is taken");
    Ok(())
}
