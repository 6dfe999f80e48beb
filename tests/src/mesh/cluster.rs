//! An API server in place of a directory: what a file would say is applied to it, and deleted when the file is.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    panic::resume_unwind,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard},
    thread,
};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tokio::runtime::Builder;

use crate::{
    kubernetes::{ApiServer, ObjectPath},
    tools, yaml,
};

/// Those of tests that have ended. A server takes longer to start than most tests take, so the next test has it; whoever
/// takes one empties it first. No static is ever dropped, but what watches over the processes ends them.
static IDLE: Mutex<Vec<Store>> = Mutex::new(Vec::new());

/// The namespace of the control plane's ServiceAccount.
const OWN: &str = "byrnie-system";

/// A server of one mesh alone, with the definitions of our kinds and of Gateway API's, and without controllers.
#[derive(Debug)]
pub struct Cluster {
    store: Option<Store>,
}

#[derive(Debug)]
struct Store {
    server: ApiServer,
    kubeconfig: PathBuf,
    written: Mutex<Written>,
}

/// What stands there.
#[derive(Debug, Default)]
struct Written {
    namespaces: BTreeSet<String>,
    files: BTreeMap<String, BTreeSet<ObjectPath>>,
}

impl Cluster {
    /// One without objects.
    pub async fn take() -> Result<Self> {
        let idle = IDLE.lock().expect("nobody panics with it").pop();
        let store = match idle {
            Some(store) => {
                store.empty().await?;
                store
            }
            None => Store::start().await?,
        };
        Ok(Self { store: Some(store) })
    }

    /// The user who the control plane is.
    pub fn kubeconfig(&self) -> &Path {
        &self.store().kubeconfig
    }

    /// Applies the objects of a file, and deletes those that it had and has no more.
    pub fn write(&self, file: &str, text: &str) -> Result<()> {
        finish(self.store().write(file, text)).with_context(|| format!("{file} at the API server"))
    }

    /// Deletes the objects of a file.
    pub fn remove(&self, file: &str) -> Result<()> {
        let store = self.store();
        let objects = store.written().files.remove(file).with_context(|| format!("there is no {file}"))?;
        finish(store.delete(&objects)).with_context(|| format!("{file} at the API server"))
    }

    fn store(&self) -> &Store {
        self.store.as_ref().expect("it is given back with this alone")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        IDLE.lock().expect("nobody panics with it").extend(self.store.take());
    }
}

impl Store {
    async fn start() -> Result<Self> {
        let server = ApiServer::start().await?;
        server.apply(&format!("{}\n---\n{}", namespace(OWN), definitions()?.join("---\n"))).await?;
        server.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"]).await?;
        let kubeconfig = server.reader(OWN).await?;
        Ok(Self { server, kubeconfig, written: Mutex::default() })
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().expect("nobody panics with it")
    }

    async fn write(&self, file: &str, text: &str) -> Result<()> {
        let mut objects = BTreeSet::new();
        for object in yaml::documents(text)? {
            if let Some(namespace) = object["metadata"]["namespace"].as_str() {
                self.make_namespace(namespace).await?;
            }
            objects.insert(self.server.apply_object(&object).await?);
        }
        let before = self.written().files.insert(file.to_owned(), objects.clone()).unwrap_or_default();
        self.delete(before.difference(&objects)).await
    }

    /// Without controllers a namespace does not end, so each is made once and stays.
    async fn make_namespace(&self, name: &str) -> Result<()> {
        if self.written().namespaces.contains(name) {
            return Ok(());
        }
        self.server.apply_object(&namespace(name)).await?;
        self.written().namespaces.insert(name.to_owned());
        Ok(())
    }

    async fn delete(&self, objects: impl IntoIterator<Item = &ObjectPath>) -> Result<()> {
        for object in objects {
            self.server.delete_object(object).await?;
        }
        Ok(())
    }

    async fn empty(&self) -> Result<()> {
        let files = std::mem::take(&mut self.written().files);
        self.delete(files.values().flatten()).await
    }
}

fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
}

/// Our kinds, and the routes of Gateway API's experimental channel, without which an HTTPRoute has no retries.
fn definitions() -> Result<Vec<String>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/byrnie-crds/templates");
    let own = ["meshconfig", "peerpolicy", "trafficpolicy"].map(|kind| folder.join(format!("{kind}.yaml")));
    let folder = tools::gateway_crds()?.join("config/crd/experimental");
    let routes = ["httproutes", "grpcroutes"];
    let routes = routes.map(|kind| folder.join(format!("gateway.networking.k8s.io_{kind}.yaml")));
    let files = own.iter().chain(&routes);
    files.map(|file| fs::read_to_string(file).with_context(|| file.display().to_string())).collect()
}

/// Whoever writes goes on when it is written, as with a file. On a thread of its own: what the test runs on may not block
/// on more than a file.
fn finish(work: impl Future<Output = Result<()>> + Send) -> Result<()> {
    thread::scope(|scope| {
        let working = scope.spawn(|| Builder::new_current_thread().enable_all().build()?.block_on(work));
        working.join().unwrap_or_else(|panicked| resume_unwind(panicked))
    })
}
