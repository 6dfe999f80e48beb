use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;

/// The objects under test: one a file.
#[derive(Debug)]
pub struct Mesh {
    path: PathBuf,
    services: usize,
    meshed: bool,
}

impl Mesh {
    /// Writes `services` Services with an EndpointSlice each and `clients` Pods that the clients speak for.
    pub fn write(path: PathBuf, services: usize, clients: usize, meshed: bool) -> Result<Self> {
        fs::create_dir_all(&path)?;
        let mesh = Self { path, services, meshed };
        for n in 0..services {
            fs::write(mesh.path.join(format!("service-{n}.yaml")), service(n))?;
            fs::write(mesh.slice_path(n), slice(n, 1, meshed))?;
            for e in (0..5).filter(|_| meshed) {
                fs::write(
                    mesh.path.join(format!("pod-{n}-{e}.yaml")),
                    pod("bench", &format!("s{n}-{e}"), &address(n, e, 1)),
                )?;
            }
        }
        for n in 0..clients {
            let ip = format!("100.64.{}.{}", n / 250, n % 250 + 1);
            fs::write(mesh.path.join(format!("client-{n}.yaml")), pod("bench", &client(n), &ip))?;
        }
        Ok(mesh)
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many Services there are.
    pub fn services(&self) -> usize {
        self.services
    }

    /// The service that change number `change` touches: with `names`, one that some client has subscribed to.
    pub fn target(&self, change: usize, names: Option<usize>) -> usize {
        match names {
            Some(names) => subscribed(change, 0, names, self.services),
            None => change * 37 % self.services,
        }
    }

    /// Moves the first endpoint of service `n` to another address, by rename. Returns the cluster's name.
    pub fn move_endpoint(&self, n: usize, change: usize) -> Result<String> {
        let temporary = self.path.join(".next");
        fs::write(&temporary, slice(n, 2 + change % 200, self.meshed))?;
        fs::rename(&temporary, self.slice_path(n))?;
        Ok(cluster(n))
    }

    fn slice_path(&self, n: usize) -> PathBuf {
        self.path.join(format!("slice-{n}.yaml"))
    }
}

/// The cluster of service `n`.
pub fn cluster(n: usize) -> String {
    format!("bench/s{n}:80")
}

/// The Pod of client `n`.
pub fn client(n: usize) -> String {
    format!("client-{n}")
}

/// The virtual address of service `n`.
pub fn virtual_address(n: usize) -> String {
    format!("10.96.{}.{}", n / 250, n % 250 + 1)
}

/// The service that client `client` has as its subscription number `k` of `names`.
pub fn subscribed(client: usize, k: usize, names: usize, services: usize) -> usize {
    (client * names + k) % services
}

fn address(n: usize, endpoint: usize, generation: usize) -> String {
    let last = if endpoint == 0 { generation } else { 210 + endpoint };
    format!("10.{}.{}.{last}", 128 + n / 250, n % 250)
}

fn service(n: usize) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: s{n}, namespace: bench}}\nspec:\n  clusterIP: {}\n  ports:\n  - {{name: http, port: 80, targetPort: 8080}}\n",
        virtual_address(n)
    )
}

fn slice(n: usize, generation: usize, meshed: bool) -> String {
    let endpoint = |e: usize| {
        let target = if meshed {
            format!(", targetRef: {{kind: Pod, namespace: bench, name: s{n}-{e}}}")
        } else {
            String::new()
        };
        format!("- {{addresses: [{}], conditions: {{ready: true}}{target}}}\n", address(n, e, generation))
    };
    format!(
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: s{n}-1\n  namespace: bench\n  labels: {{kubernetes.io/service-name: s{n}}}\naddressType: IPv4\nports:\n- {{name: http, port: 8080, protocol: TCP}}\nendpoints:\n{}",
        (0..5).map(endpoint).collect::<String>()
    )
}

fn pod(namespace: &str, name: &str, ip: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\n  namespace: {namespace}\n  annotations: {{byrnie.io/status: injected}}\nspec: {{serviceAccountName: {name}}}\nstatus:\n  phase: Running\n  podIP: {ip}\n  podIPs: [{{ip: {ip}}}]\n  conditions: [{{type: Ready, status: \"True\"}}]\n"
    )
}
