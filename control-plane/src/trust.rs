//! The roots of the mesh in every namespace that is in it: a ConfigMap that Pods mount, by which proxies prove the
//! control plane before they have a certificate.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use byrnie_identity::TrustBundle;
use byrnie_model::{Capture, World};
use byrnie_source::{Calls, Cluster, Few, Held, ObjectPath, Scope, Turn};
use serde_json::{Value, json};
use tokio::{
    sync::watch,
    time::{sleep, sleep_until},
};
use tracing::{debug, warn};

use crate::{
    cluster_names::{INJECT, TRUST_CONFIG_MAP as CONFIG_MAP, TRUST_KEY as KEY},
    current::Current,
};

/// Changes come in groups, and Pods all the time.
const SETTLE: Duration = Duration::from_millis(500);

/// When a namespace that refused the ConfigMap is tried again: it may be going away.
const RETRY: Duration = Duration::from_secs(30);

const MANAGER: &str = "byrnie-trust";

/// Keeps the ConfigMaps, while this process holds the Lease.
pub struct TrustBundles {
    calls: Calls,
    /// The control plane's own namespace, which always has one.
    namespace: Arc<str>,
    current: Current,
    roots: watch::Receiver<TrustBundle>,
    turn: watch::Receiver<Turn>,
    labelled: Few,
    held: Few,
    /// Namespaces that refused it, and when they are tried again.
    refused: BTreeMap<Arc<str>, Instant>,
}

impl TrustBundles {
    /// Starts to follow the namespaces and what is there.
    pub fn follow(
        cluster: &Cluster,
        namespace: Arc<str>,
        current: Current,
        roots: watch::Receiver<TrustBundle>,
        turn: watch::Receiver<Turn>,
    ) -> Self {
        Self {
            calls: cluster.calls(),
            namespace,
            current,
            roots,
            turn,
            labelled: cluster.follow(Scope::namespaces_with(INJECT.0, INJECT.1)),
            held: cluster.follow(Scope::config_maps_named(CONFIG_MAP)),
            refused: BTreeMap::new(),
        }
    }

    /// Keeps them for as long as it runs. The owner drops it.
    pub async fn keep(mut self) {
        let mut moves = self.current.moves();
        loop {
            let is_mine = self.turn.borrow_and_update().is_mine();
            if is_mine {
                self.write().await;
            } else {
                // Only who writes tries again.
                self.refused.clear();
            }
            let retry = self.refused.values().min().copied();
            tokio::select! {
                _ = self.labelled.changed() => {}
                _ = self.held.changed() => {}
                Ok(()) = self.roots.changed() => {}
                Ok(()) = moves.changed() => {}
                Ok(()) = self.turn.changed() => {}
                () = sleep_until(retry.unwrap_or_else(Instant::now).into()), if retry.is_some() => {}
            }
            sleep(SETTLE).await;
        }
    }

    async fn write(&mut self) {
        let (Some(labelled), Some(held)) = (self.labelled.now(), self.held.now()) else { return };
        let pem = self.roots.borrow().pem();
        let wanted = wanted(&self.namespace, &labelled, &self.current.load().world);
        self.refused.retain(|namespace, _| wanted.contains(namespace));
        let now = Instant::now();
        for namespace in due(&wanted, &held, &pem) {
            if self.refused.get(&namespace).is_some_and(|retry| now < *retry) {
                continue;
            }
            let path = ObjectPath::config_map(&namespace, CONFIG_MAP);
            match self.calls.apply(&path, MANAGER, &document(&namespace, &pem)).await {
                Ok(_) => {
                    debug!(%namespace, "wrote the trust bundle");
                    self.refused.remove(&namespace);
                }
                Err(error) => {
                    if self.refused.insert(namespace.clone(), now + RETRY).is_none() {
                        warn!(%namespace, %error, "the trust bundle was not written; it is tried again");
                    }
                }
            }
        }
    }
}

/// Whether a namespace has a trust bundle. Waits for as long as the API server does not tell.
pub async fn is_told(cluster: &Cluster, namespace: &str) -> bool {
    let held = cluster.follow(Scope::config_maps_named(CONFIG_MAP)).changed().await;
    held.contains_key(&(namespace.into(), CONFIG_MAP.into()))
}

/// The namespaces that are in the mesh: by their label, or by a Pod with a sidecar.
fn wanted(own: &Arc<str>, labelled: &Held, world: &World) -> BTreeSet<Arc<str>> {
    let stays = |namespace: &Value| namespace["metadata"]["deletionTimestamp"].is_null();
    let labelled = labelled.iter().filter(|(_, namespace)| stays(namespace)).map(|((_, name), _)| name.clone());
    let meshed = world.workloads().filter(|workload| workload.capture != Capture::Outside);
    let mut wanted: BTreeSet<Arc<str>> = labelled.collect();
    wanted.insert(own.clone());
    for workload in meshed {
        if !wanted.contains(workload.name.namespace()) {
            wanted.insert(workload.name.namespace().into());
        }
    }
    wanted
}

/// Those of `wanted` whose ConfigMap is not there or holds something else.
fn due(wanted: &BTreeSet<Arc<str>>, held: &Held, pem: &str) -> Vec<Arc<str>> {
    let is_there = |namespace: &Arc<str>| {
        held.get(&(namespace.clone(), CONFIG_MAP.into())).is_some_and(|held| held["data"][KEY] == pem)
    };
    wanted.iter().filter(|namespace| !is_there(namespace)).cloned().collect()
}

fn document(namespace: &str, pem: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "namespace": namespace,
            "name": CONFIG_MAP,
            "labels": {"app.kubernetes.io/part-of": "byrnie", "app.kubernetes.io/managed-by": "byrnie-control-plane"},
        },
        "data": {KEY: pem},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PODS: &str = "
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: by-hand, annotations: {byrnie.io/inbound: '10.0.0.1:80=127.0.0.1:8080'}}
spec: {containers: [{name: a}]}
status: {podIP: 10.0.0.1}
---
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: outside}
spec: {containers: [{name: a}]}
status: {podIP: 10.0.0.2}
";

    fn held(objects: &[(&str, &str, Value)]) -> Held {
        let keyed = objects.iter().map(|(namespace, name, object)| {
            let key = (Arc::from(*namespace), Arc::from(*name));
            (key, Arc::new(object.clone()))
        });
        keyed.collect()
    }

    fn names(namespaces: impl IntoIterator<Item = Arc<str>>) -> Vec<String> {
        namespaces.into_iter().map(|name| name.to_string()).collect()
    }

    #[test]
    fn a_namespace_is_in_the_mesh_by_its_label_or_by_a_pod_with_a_sidecar() {
        let updates = byrnie_source::read_texts("pods.yaml", [PODS.as_bytes()]).remove(0).updates;
        let (world, _) = World::default().apply(updates);
        let labelled = held(&[
            ("", "labelled", json!({"metadata": {"name": "labelled"}})),
            ("", "going", json!({"metadata": {"name": "going", "deletionTimestamp": "2026-11-26T12:00:00Z"}})),
        ]);
        let wanted = wanted(&"byrnie-system".into(), &labelled, &world);
        assert_eq!(names(wanted), ["by-hand", "byrnie-system", "labelled"]);
    }

    #[test]
    fn what_is_missing_or_was_changed_is_written() {
        let there = |pem: &str| json!({"data": {KEY: pem}});
        let held = held(&[
            ("good", CONFIG_MAP, there("PEM")),
            ("old", CONFIG_MAP, there("OLD")),
            ("empty", CONFIG_MAP, json!({})),
            ("elsewhere", CONFIG_MAP, there("OLD")),
        ]);
        let wanted = ["good", "old", "empty", "new"].map(Arc::from).into_iter().collect();
        assert_eq!(names(due(&wanted, &held, "PEM")), ["empty", "new", "old"]);
    }
}
