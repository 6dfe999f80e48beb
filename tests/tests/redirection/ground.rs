//! The node: a bridge between Pods, and the control plane that they reach by it.

use std::{fs, net::SocketAddr, path::Path};

use anyhow::{Context, Result};
use byrnie_tests::{mesh::Mesh, netns::run, process::program, sidecar::Proxy, tools};

use crate::{
    names::{APART, OPEN, PROGRAMS},
    pod::Pod,
};

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
}

/// Everything.
pub struct Ground {
    pub mesh: Mesh,
    pub pods: Vec<Pod>,
}

impl Ground {
    /// With these Pods, running. `init` is what `byrnie-init` is given beyond what is injected.
    pub async fn build(pods: &[(&'static str, Option<Proxy>)], init: &str) -> Result<Self> {
        let mut ground = Self::prepare(pods).await?;
        let xds = ground.mesh.xds();
        for pod in ground.pods.iter_mut().filter(|pod| pod.proxy().is_some()) {
            let init = pod.start(xds, init)?;
            pod.started(init).await?;
        }
        Ok(ground)
    }

    /// With these Pods, of which nothing is started yet but the applications. All ports of those in the mesh are for callers
    /// with a certificate alone, but for `OPEN` and `APART`.
    pub async fn prepare(pods: &[(&'static str, Option<Proxy>)]) -> Result<Self> {
        run("ip", "link add bridge type bridge")?;
        run("ip", "addr add 10.77.0.1/24 dev bridge")?;
        run("ip", "addr add fd77::1/64 dev bridge nodad")?;
        run("ip", "link set bridge up")?;
        // What comes here with the address of a Service was led by no sidecar: it is told at once that nobody listens.
        run("ip", "route add local 10.96.0.0/16 dev lo")?;
        run("ip", "route add local fd96::/64 dev lo")?;
        fs::create_dir_all(PROGRAMS)?;
        for (name, file) in [("byrnie-proxy", program("byrnie-proxy")?), ("envoy", tools::path("envoy")?)] {
            let place = Path::new(PROGRAMS).join(name);
            fs::File::create(&place)?;
            run("mount", &format!("--bind {} {}", file.display(), place.display()))?;
        }
        let made = pods.iter().zip(10..).map(|((name, proxy), number)| Pod::make(name, number, *proxy));
        let pods = made.collect::<Result<Vec<_>>>()?;
        let strict = format!(
            "apiVersion: mesh.byrnie.io/v1alpha1
kind: PeerPolicy
metadata: {{name: default, namespace: shop}}
spec: {{mode: Strict, ports: [{{port: {OPEN}, mode: Permissive}}, {{port: {APART}, mode: Permissive}}]}}
"
        );
        let files: Vec<_> = pods.iter().map(|pod| (format!("{}.yaml", pod.name()), pod.objects(""))).collect();
        let mut files: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.clone())).collect();
        files.push(("strict.yaml", strict));
        let xds = SocketAddr::from(([10, 77, 0, 1], 15012));
        let mesh = Mesh::reached_at(xds, &files).await?;
        pods.iter().filter(|pod| pod.proxy().is_some()).try_for_each(|pod| pod.enrol(&mesh))?;
        Ok(Self { mesh, pods })
    }

    pub fn pod(&self, name: &str) -> Result<&Pod> {
        self.pods.iter().find(|pod| pod.name() == name).with_context(|| format!("no Pod {name}"))
    }

    pub fn pod_mut(&mut self, name: &str) -> Result<&mut Pod> {
        self.pods.iter_mut().find(|pod| pod.name() == name).with_context(|| format!("no Pod {name}"))
    }
}
