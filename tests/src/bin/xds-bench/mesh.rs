//! The objects under test, in a directory or at a real API server.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result};
use byrnie_model::{ObjectKind, ObjectRef};
use byrnie_source::{Access, Calls, Cluster, ObjectPath};
use byrnie_tests::kubernetes::ApiServer;
use serde_json::{Value, json};
use tokio::{sync::Semaphore, task::JoinSet};

/// Requests at once while the objects are made.
const MAKING: usize = 16;

/// The objects under test.
#[derive(Debug)]
pub struct Mesh {
    place: Place,
    services: usize,
    meshed: bool,
}

/// Where they are.
#[derive(Debug)]
enum Place {
    /// One a file.
    Directory(PathBuf),
    Server(Box<ApiServer>, Calls),
}

impl Mesh {
    /// Writes `services` Services with an EndpointSlice each and `clients` Pods that the clients speak for.
    pub fn write(path: PathBuf, services: usize, clients: usize, meshed: bool) -> Result<Self> {
        fs::create_dir_all(&path)?;
        for object in objects(services, clients, meshed) {
            fs::write(file(&path, &object), object.to_string())?;
        }
        Ok(Self { place: Place::Directory(path), services, meshed })
    }

    /// Starts an API server and makes the same objects there.
    pub async fn serve(services: usize, clients: usize, meshed: bool) -> Result<Self> {
        let server = ApiServer::start().await?;
        server.kubectl(&["create", "namespace", "bench"]).await?;
        let access = Access { kubeconfig: Some(server.kubeconfig()), context: None };
        let calls = Cluster::connect(&access).await?.calls();
        let (places, mut made) = (Arc::new(Semaphore::new(MAKING)), JoinSet::new());
        for object in objects(services, clients, meshed) {
            let place = Arc::clone(&places).acquire_owned().await?;
            let calls = calls.clone();
            made.spawn(async move {
                let done = make(&calls, object).await;
                drop(place);
                done
            });
        }
        while let Some(done) = made.join_next().await {
            done??;
        }
        Ok(Self { place: Place::Server(Box::new(server), calls), services, meshed })
    }

    /// Where they are, as arguments of `byrnie run`.
    pub fn arguments(&self) -> [PathBuf; 2] {
        match &self.place {
            Place::Directory(path) => ["--config".into(), path.clone()],
            Place::Server(server, _) => ["--kubeconfig".into(), server.kubeconfig()],
        }
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

    /// Moves the first endpoint of service `n` to another address, by rename or by a patch. Returns the cluster's name.
    pub async fn move_endpoint(&self, n: usize, change: usize) -> Result<String> {
        let object = slice(n, 2 + change % 200, self.meshed);
        match &self.place {
            Place::Directory(path) => {
                let temporary = path.join(".next");
                fs::write(&temporary, object.to_string())?;
                fs::rename(&temporary, file(path, &object))?;
            }
            Place::Server(_, calls) => drop(calls.apply(&path_of(&object)?, "bench", &object).await?),
        }
        Ok(cluster(n))
    }
}

/// All of them.
fn objects(services: usize, clients: usize, meshed: bool) -> impl Iterator<Item = Value> {
    let of_service = move |n: usize| {
        let pods = (0..5).filter(move |_| meshed).map(move |e| pod(&format!("s{n}-{e}"), &address(n, e, 1)));
        [service(n), slice(n, 1, meshed)].into_iter().chain(pods)
    };
    let of_clients = (0..clients).map(|n| pod(&client(n), &format!("100.64.{}.{}", n / 250, n % 250 + 1)));
    (0..services).flat_map(of_service).chain(of_clients)
}

fn text(object: &Value, field: &str) -> String {
    object.pointer(field).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn file(folder: &Path, object: &Value) -> PathBuf {
    folder.join(format!("{}-{}.yaml", text(object, "/kind"), text(object, "/metadata/name")))
}

fn path_of(object: &Value) -> Result<ObjectPath> {
    let kinds = [ObjectKind::Service, ObjectKind::EndpointSlice, ObjectKind::Pod];
    let kind = kinds.into_iter().find(|kind| kind.as_str() == text(object, "/kind")).context("a kind under test")?;
    let name = text(object, "/metadata/name").into();
    Ok(ObjectPath::of(&ObjectRef { kind, namespace: "bench".into(), name }))
}

/// The status of a Pod is written by itself, as a kubelet does.
async fn make(calls: &Calls, object: Value) -> Result<()> {
    let path = path_of(&object)?;
    let made = calls.create(&path, &object).await?;
    if object["kind"] == "Pod" {
        let mut status = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {}, "status": object["status"]});
        status["metadata"]["name"] = made["metadata"]["name"].clone();
        calls.apply_status(&path, "bench", &status).await?;
    }
    Ok(())
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
    // The first address is the API server's own.
    format!("10.96.{}.{}", n / 250, n % 250 + 2)
}

/// The service that client `client` has as its subscription number `k` of `names`.
pub fn subscribed(client: usize, k: usize, names: usize, services: usize) -> usize {
    (client * names + k) % services
}

fn address(n: usize, endpoint: usize, generation: usize) -> String {
    let last = if endpoint == 0 { generation } else { 210 + endpoint };
    format!("10.{}.{}.{last}", 128 + n / 250, n % 250)
}

fn service(n: usize) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": format!("s{n}"), "namespace": "bench"},
        "spec": {
            "clusterIP": virtual_address(n),
            "ports": [{"name": "http", "port": 80, "targetPort": 8080}],
        },
    })
}

fn slice(n: usize, generation: usize, meshed: bool) -> Value {
    let endpoint = |e: usize| {
        let mut endpoint = json!({"addresses": [address(n, e, generation)], "conditions": {"ready": true}});
        if meshed {
            endpoint["targetRef"] = json!({"kind": "Pod", "namespace": "bench", "name": format!("s{n}-{e}")});
        }
        endpoint
    };
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": format!("s{n}-1"),
            "namespace": "bench",
            "labels": {"kubernetes.io/service-name": format!("s{n}")},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": (0..5).map(endpoint).collect::<Vec<_>>(),
    })
}

fn pod(name: &str, ip: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "bench", "annotations": {"byrnie.io/status": "injected"}},
        "spec": {
            "serviceAccountName": name,
            "initContainers": [{"name": "byrnie-proxy", "image": "none", "restartPolicy": "Always"}],
            "containers": [{"name": "app", "image": "none"}],
        },
        "status": {
            "phase": "Running",
            "podIP": ip,
            "podIPs": [{"ip": ip}],
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    })
}
