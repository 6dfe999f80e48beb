//! The Gateway API project's conformance tests for meshes: every object loads and gets its status, and real Envoys
//! behave as the Go tests expect, whose cases are read from their source.

mod suite;

use std::{collections::HashMap, fs, net::SocketAddr, path::Path, process::Command};

use anyhow::{Context, Result, bail, ensure};
use byrnie_tests::{
    app::{App, Asked, reply_with_trailers, with_header},
    http::{self, Answer},
    mesh::Mesh,
    objects::Pod,
    process::byrnie,
    sidecar::Sidecar,
    tools,
    wait::until,
};
use bytes::Bytes;
use hyper::Method;
use serde_json::Value;

use crate::suite::{Case, GoTest};

const MESH: &str = "gateway-conformance-mesh";
const CONSUMER: &str = "gateway-conformance-mesh-consumer";

/// Objects that refer to what is not there, and the reason that the specification gives for `ResolvedRefs`: a third
/// backend of weight 0.
const UNRESOLVED: [(&str, &str); 1] =
    [("GRPCRoute/gateway-conformance-mesh/mesh-grpc-weighted-backends", "BackendNotFound")];

fn run(arguments: &[&str]) -> Result<(Option<i32>, Value)> {
    let output = Command::new(byrnie()?).args(arguments).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let told = serde_json::from_str(&text);
    Ok((output.status.code(), told.with_context(|| format!("{text}{}", String::from_utf8_lossy(&output.stderr)))?))
}

/// The routes of a manifest as `KIND/NAMESPACE/NAME`.
fn routes(manifest: &str) -> Vec<String> {
    let field = |document: &str, name: &str| {
        let line = document.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_default().trim().to_owned()
    };
    let named = |document: &str| {
        let kind = field(document, "kind:");
        format!("{kind}/{}/{}", field(document, "  namespace:"), field(document, "  name:"))
    };
    manifest.split("\n---").map(named).filter(|object| object.contains("Route/")).collect()
}

#[test]
fn every_object_of_the_suite_loads_and_gets_the_status_that_the_specification_gives() -> Result<()> {
    let module = tools::gateway_api()?;
    let mut objects = 0;
    for entry in fs::read_dir(module.join("tests/mesh"))? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let folder = tempfile::tempdir()?;
        let directory = folder.path().display().to_string();
        fs::copy(module.join("mesh/manifests.yaml"), folder.path().join("mesh.yaml"))?;
        fs::copy(&path, folder.path().join("test.yaml"))?;
        let (_, findings) = run(&["validate", &directory, "-o", "json"])?;
        let errors: Vec<_> =
            findings.as_array().context("a list")?.iter().filter(|one| one["severity"] == "error").collect();
        assert!(errors.is_empty(), "{}: {errors:#?}", path.display());
        for object in routes(&fs::read_to_string(&path)?) {
            let (code, described) = run(&["describe", &object, "--config", &directory, "-o", "json"])?;
            assert_eq!(code, Some(0), "{object}");
            let unresolved = UNRESOLVED.iter().find(|(known, _)| *known == object).map(|(_, reason)| *reason);
            assert_status(&object, &described, unresolved);
            objects += 1;
        }
    }
    assert!(objects >= 21, "only {objects} routes were found");
    Ok(())
}

fn assert_status(object: &str, described: &Value, unresolved: Option<&str>) {
    let parents = described["parents"].as_array().map_or(&[][..], Vec::as_slice);
    assert!(!parents.is_empty(), "{object}: {described:#}");
    for parent in parents {
        let condition = |kind: &str| {
            let conditions = parent["conditions"].as_array()?;
            let found = conditions.iter().find(|condition| condition["type"] == kind)?;
            Some((found["status"].as_bool()?, found["reason"].as_str()?))
        };
        assert_eq!(condition("Accepted"), Some((true, "Accepted")), "{object}: {described:#}");
        let resolved = unresolved.map_or((true, "ResolvedRefs"), |reason| (false, reason));
        assert_eq!(condition("ResolvedRefs"), Some(resolved), "{object}: {described:#}");
        assert_eq!(condition("PartiallyInvalid"), None, "{object}: {described:#}");
    }
}

/// The Pods of the suite's manifests as real processes: `echo-v1` and `echo-v2` in the mesh, and the consumer.
struct Echo {
    mesh: Mesh,
    clients: HashMap<&'static str, Pod>,
    /// Applications of HTTP by the names of their Pods.
    apps: HashMap<&'static str, App>,
    second: SocketAddr,
    _rest: (Vec<App>, Vec<Sidecar>),
}

impl Echo {
    async fn start(module: &Path) -> Result<Self> {
        let mut files = vec![("manifests.yaml".to_owned(), fs::read_to_string(module.join("mesh/manifests.yaml"))?)];
        let (mut apps, mut rest, mut pods) = (HashMap::new(), Vec::new(), HashMap::new());
        for (namespace, name, version) in
            [(MESH, "echo-v1", "v1"), (MESH, "echo-v2", "v2"), (CONSUMER, "echo-v1", "v1")]
        {
            let app = App::named(name).await?;
            let grpc = App::http2(move |_| {
                with_header(reply_with_trailers(name, &[("grpc-status", "0")]), "content-type", "application/grpc")
            })
            .await?;
            let mut pod = Pod::new(namespace, &format!("{name}-1"), "echo");
            pod = pod.serving(8080, app.address()).serving(7070, grpc.address());
            for service in ["echo", "echo-v1", "echo-v2"] {
                for port in [80, 8080, 7070] {
                    pod = pod.calling(&format!("{service}.{MESH}:{port}"));
                }
            }
            let labels = format!("labels: {{app: echo, version: {version}}}");
            files.push((pod.file(), pod.yaml().replace("labels: {app: echo}", &labels)));
            rest.push(grpc);
            match namespace {
                MESH => drop(apps.insert(name, app)),
                _ => rest.push(app),
            }
            pods.insert((namespace, name), pod);
        }
        let files: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.clone())).collect();
        let mesh = Mesh::start(&files).await?;
        let mut sidecars = Vec::new();
        for pod in pods.values() {
            sidecars.push(Sidecar::start(&mesh, &pod.workload()).await?);
        }
        let second = SocketAddr::new(pods[&(MESH, "echo-v2")].ip(), 8080);
        let clients = [MESH, CONSUMER].map(|namespace| (namespace, pods[&(namespace, "echo-v1")].clone()));
        Ok(Self { mesh, clients: HashMap::from(clients), apps, second, _rest: (rest, sidecars) })
    }

    /// The address at which the case's client calls, and the Host that it sends.
    fn target(&self, case: &Case) -> Result<(SocketAddr, String)> {
        let host = match &case.request.host {
            Value::Null => "echo",
            Value::String(host) => host,
            // The one expression there is: the address of the Pod of `echo-v2`, called without a route.
            _ => return Ok((self.second, self.second.to_string())),
        };
        let (name, port) = host.split_once(':').unwrap_or((host, "80"));
        let service = name.split('.').next().unwrap_or(name);
        let client = &self.clients[if case.of_consumer { CONSUMER } else { MESH }];
        let header = case.request.headers.get("Host").map_or(host, String::as_str);
        Ok((client.upstream(&format!("{service}.{MESH}:{port}")), header.to_owned()))
    }

    async fn ask(&self, case: &Case) -> Result<Answer> {
        let (at, host) = self.target(case)?;
        let headers: Vec<_> = case.request.headers.iter().filter(|(name, _)| *name != "Host").collect();
        let mut headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        if case.request.protocol == "grpc" {
            headers.extend([("content-type", "application/grpc"), ("te", "trailers")]);
            return http::send_http2(at, Method::POST, &host, "/proto.EchoTestService/Echo", &headers, Bytes::new())
                .await;
        }
        let method = case.request.method.parse().unwrap_or(Method::GET);
        let path = if case.request.path.is_empty() { "/" } else { &case.request.path };
        http::send(at, method, &host, path, &headers, Bytes::new()).await
    }

    /// As the suite: three times in a row, within a bound.
    async fn assert(&self, case: &Case) -> Result<()> {
        let mut row = 0;
        until("three answers in a row are as expected", async || {
            for app in self.apps.values() {
                app.take_asked();
            }
            let answer = self.ask(case).await?;
            let asked: Vec<_> = self.apps.values().flat_map(App::take_asked).collect();
            match compare(case, &answer, asked.first()).with_context(|| format!("{answer:?} {asked:?}")) {
                Ok(()) => row += 1,
                Err(error) => {
                    row = 0;
                    return Err(error);
                }
            }
            Ok(row == 3)
        })
        .await
        .with_context(|| format!("{case:#?}"))
    }

    async fn assert_weights(&self, test: &GoTest) -> Result<()> {
        let total = 1000;
        let mut answered = HashMap::<String, f64>::new();
        for _ in 0..total {
            *answered.entry(self.ask(&test.cases[0]).await?.body).or_default() += 1.0;
        }
        for (backend, share) in &test.weights {
            let (due, found) = (share * f64::from(total), answered.get(backend).copied().unwrap_or_default());
            // Five standard deviations of a binomial distribution.
            let bound = 5.0 * (due * (1.0 - share)).sqrt();
            ensure!((found - due).abs() < bound, "{backend}: {due} +- {bound} of {total} are due: {answered:?}");
        }
        Ok(())
    }
}

fn compare(case: &Case, answer: &Answer, asked: Option<&Asked>) -> Result<()> {
    let status = if case.response.status_code == 0 { 200 } else { case.response.status_code };
    ensure!(answer.status == status, "status {} instead of {status}", answer.status);
    for (name, value) in &case.response.headers {
        let found = answer.header(&name.to_ascii_lowercase());
        ensure!(found == Some(value), "{name} is {found:?} instead of {value}");
    }
    for name in &case.response.absent_headers {
        ensure!(answer.header(&name.to_ascii_lowercase()).is_none(), "{name} is there");
    }
    if !case.backend.is_empty() {
        ensure!(answer.body == case.backend, "{} answered instead of {}", answer.body, case.backend);
    }
    if let Some(expected) = &case.redirect_request {
        compare_redirect(expected, answer.header("location").unwrap_or_default())?;
    }
    let Some(expected) = &case.expected_request else { return Ok(()) };
    let asked = asked.context("no application was asked")?;
    // The suite compares paths for gateways only, and expects a wrong one of its named rules.
    let path = &expected.request.path;
    ensure!(!case.of_rewrite || asked.uri == *path, "path {} instead of {path}", asked.uri);
    for (name, value) in &expected.request.headers {
        let name = name.to_ascii_lowercase();
        let values: Vec<_> =
            asked.headers.iter().filter(|(known, _)| *known == name).map(|(_, value)| &**value).collect();
        ensure!(values.join(",") == *value, "{name} is {values:?} instead of {value}");
    }
    for name in &expected.absent_headers {
        ensure!(asked.header(&name.to_ascii_lowercase()).is_none(), "{name} reached the application");
    }
    Ok(())
}

fn compare_redirect(expected: &suite::Redirect, location: &str) -> Result<()> {
    let uri: hyper::Uri = location.parse().with_context(|| format!("location {location:?}"))?;
    let port = uri.port_u16().map(|port| port.to_string());
    let parts = [
        (&expected.scheme, uri.scheme_str().unwrap_or_default()),
        (&expected.host, uri.host().unwrap_or_default()),
        (&expected.path, uri.path()),
        (&expected.port, port.as_deref().unwrap_or_default()),
    ];
    for (expected, found) in parts.into_iter().filter(|(expected, _)| !expected.is_empty()) {
        ensure!(expected == found, "{location} does not lead to {expected}");
    }
    // A port that nobody asked for may only be the scheme's own.
    match (uri.scheme_str(), port.as_deref()) {
        (_, Some(_)) if !expected.port.is_empty() => Ok(()),
        (_, None) | (Some("http"), Some("80")) | (Some("https"), Some("443")) => Ok(()),
        _ => bail!("{location} has a port that is not its scheme's"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn envoys_do_what_every_test_of_the_suite_for_meshes_expects() -> Result<()> {
    let module = tools::gateway_api()?;
    let echo = Echo::start(&module).await?;
    let tests = suite::read(&module)?;
    let (mut cases, mut failures) = (0, Vec::new());
    for test in &tests {
        for manifest in &test.manifests {
            match manifest.as_str() {
                "" => {}
                manifest => echo.mesh.write("test.yaml", &fs::read_to_string(module.join(manifest))?)?,
            }
            for case in &test.cases {
                cases += 1;
                if let Err(error) = echo.assert(case).await {
                    failures.push(format!("{}: {manifest}: {error:#}", test.name));
                }
            }
            if !test.weights.is_empty()
                && let Err(error) = echo.assert_weights(test).await
            {
                failures.push(format!("{}: {error:#}", test.name));
            }
            if !manifest.is_empty() {
                echo.mesh.remove("test.yaml")?;
            }
        }
    }
    assert!(failures.is_empty(), "{} of {cases} cases failed:\n{}", failures.len(), failures.join("\n\n"));
    assert!(tests.len() >= 21 && cases >= 80, "only {} tests with {cases} cases were read", tests.len());
    Ok(())
}
