//! A stand-alone Envoy in a cluster: its bootstrap holds no secret, its token is a file that the kubelet renews.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use byrnie_tests::{
    app::App,
    http,
    kubernetes::ApiServer,
    objects::{Pod, service},
    replica::Replica,
    sidecar::Sidecar,
    wait::until,
};
use tempfile::TempDir;

use super::source::run;

const SYSTEM: &str = "byrnie-system";
/// What workloads' tokens are for.
const AUDIENCE: &str = "byrnie.io/ca";

/// The files of a Pod, mounted as a kubelet does: a link leads to the folder of the day, and is replaced whole.
struct Mounted {
    folder: PathBuf,
    day: u32,
}

impl Mounted {
    fn new(folder: &Path, files: &[(&str, &str)]) -> Result<Self> {
        let mut mounted = Self { folder: folder.join("mounted"), day: 0 };
        fs::create_dir(&mounted.folder)?;
        mounted.replace(files)?;
        for (name, _) in files {
            std::os::unix::fs::symlink(Path::new("..data").join(name), mounted.path(name))?;
        }
        Ok(mounted)
    }

    fn replace(&mut self, files: &[(&str, &str)]) -> Result<()> {
        self.day += 1;
        let today = format!("..{}", self.day);
        fs::create_dir(self.path(&today))?;
        for (name, text) in files {
            fs::write(self.path(&today).join(name), text)?;
        }
        std::os::unix::fs::symlink(&today, self.path("..data_tmp"))?;
        fs::rename(self.path("..data_tmp"), self.path("..data"))?;
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// A Pod with an Envoy beside it, and a Pod with a micro-proxy: each serves, and calls the other.
struct Pair {
    server: ApiServer,
    replica: Replica,
    namespace: String,
    roots: String,
    mounted: Mounted,
    pods: [Pod; 2],
    apps: [App; 2],
    _sidecars: [Sidecar; 2],
    _folder: TempDir,
}

impl Pair {
    async fn start() -> Result<Self> {
        let server = ApiServer::start().await?;
        let replica = Replica::start(server.install(SYSTEM).await?, SYSTEM, "replica-1", &[])?;
        let namespace = server.namespace("shop").await?;
        let apps = [App::named("one").await?, App::named("two").await?];
        let one = Pod::new(&namespace, "one-1", "one").serving(8080, apps[0].address());
        let two = Pod::new(&namespace, "two-1", "two").serving(8080, apps[1].address());
        let pods = [one.calling(&port(&namespace, "two")), two.calling(&port(&namespace, "one"))];
        for (name, pod) in ["one", "two"].into_iter().zip(&pods) {
            server.apply(&service(&namespace, name, "http", 80, 8080)).await?;
            server.kubectl(&["create", "serviceaccount", name, "--namespace", &namespace]).await?;
            run(&server, &namespace, pod).await?;
        }
        replica.ready().await?;
        let roots = roots(&server, &namespace).await?;
        let [of_envoy, of_micro] = [token(&server, &namespace, "one").await?, token(&server, &namespace, "two").await?];
        let folder = tempfile::tempdir()?;
        let mounted = Mounted::new(folder.path(), &[("token", &of_envoy), ("root.crt", &roots)])?;
        let files = [&*mounted.path("token"), &*mounted.path("root.crt")];
        let (xds, path) = (replica.xds(), folder.path());
        let mut sidecars = [
            Sidecar::launch_envoy_at(xds, files, path, &pods[0].workload())?,
            Sidecar::launch_micro_at(xds, Some(&roots), path, &pods[1].workload(), &of_micro)?,
        ];
        for sidecar in &mut sidecars {
            sidecar.until_ready().await?;
        }
        Ok(Self { server, replica, namespace, roots, mounted, pods, apps, _sidecars: sidecars, _folder: folder })
    }

    /// Calls the other from a Pod, and says who called.
    async fn call(&self, from: usize) -> Result<String> {
        let (name, namespace) = (["two", "one"][from], &self.namespace);
        let host = format!("{name}.{namespace}");
        until("the call is answered", async || {
            let answer = http::get(self.pods[from].upstream(&port(namespace, name)), &host, "/").await?;
            Ok((answer.status, &*answer.body) == (200, name))
        })
        .await?;
        let asked = self.apps[1 - from].asked();
        let caller = asked.last().and_then(|asked| asked.header("x-forwarded-client-cert"));
        Ok(caller.context("the caller has an identity")?.to_owned())
    }

    /// Ends the control plane and starts it again, with another token in the file meanwhile.
    async fn restart_with(&mut self, token: &str) -> Result<()> {
        self.replica.kill();
        self.show(token)?;
        self.replica.restart()?;
        self.replica.ready().await
    }

    fn show(&mut self, token: &str) -> Result<()> {
        self.mounted.replace(&[("token", token), ("root.crt", &self.roots)])
    }

    /// Whether the control plane serves the Envoy.
    async fn is_served(&self) -> Result<bool> {
        let clients = self.replica.debug("/debug/clients").await?;
        let node = self.pods[0].workload();
        Ok(clients.as_array().into_iter().flatten().any(|client| client["node"] == node))
    }
}

fn port(namespace: &str, service: &str) -> String {
    format!("{service}.{namespace}:80")
}

/// A token that is bound to the Pod of an app.
async fn token(server: &ApiServer, namespace: &str, app: &str) -> Result<String> {
    server.token(namespace, app, AUDIENCE, Some(["Pod", &format!("{app}-1")])).await
}

/// The trust bundle of a namespace, as soon as it is there.
async fn roots(server: &ApiServer, namespace: &str) -> Result<String> {
    let asked =
        ["get", "configmap", "byrnie-trust", "--namespace", namespace, "--output", "jsonpath={.data.root\\.crt}"];
    until("the roots are there", async || Ok(server.kubectl(&asked).await?.contains("BEGIN CERTIFICATE"))).await?;
    server.kubectl(&asked).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_envoy_proves_itself_by_the_token_that_its_file_holds_when_it_connects() -> Result<()> {
    let mut pair = Pair::start().await?;
    assert!(pair.is_served().await?);
    for (from, name) in ["one", "two"].into_iter().enumerate() {
        let caller = pair.call(from).await?;
        let wanted = format!("spiffe://cluster.local/ns/{}/sa/{name}", pair.namespace);
        assert!(caller.contains(&wanted), "{caller}");
    }

    pair.restart_with("stale").await?;
    let node = format!("\"{}\"", pair.pods[0].workload());
    let tells = |log: &str| log.lines().any(|line| line.contains("refused") && line.contains(&node));
    pair.replica.until("what the file holds is refused", async |replica| Ok(tells(&replica.log()))).await?;
    assert!(!pair.is_served().await?);
    let next = token(&pair.server, &pair.namespace, "one").await?;
    pair.show(&next)?;
    pair.replica.until("the Envoy is served again", async |_| pair.is_served().await).await?;
    for from in [0, 1] {
        pair.call(from).await?;
    }
    Ok(())
}
