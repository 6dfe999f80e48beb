//! What MeshConfig says of injection, over what the injector was started with.

use std::{collections::BTreeMap, time::Duration};

use byrnie_model::Injection;
use byrnie_source::{Cluster, Few, Scope, objects::mesh_config};
use serde_json::Value;
use tokio::{sync::watch, time::timeout};
use tracing::{info, warn};

use crate::{
    annotation::{Annotation, PREFIX},
    settings::{ProxyKind, Resources, Settings},
};

/// For the first word of the API server. A cluster without the definition of MeshConfig never says one.
const FIRST_LIMIT: Duration = Duration::from_secs(5);

/// The one MeshConfig that counts.
const NAME: &str = "default";

/// Follows the MeshConfig.
#[derive(Debug)]
pub struct Mesh {
    base: Settings,
    followed: Few,
    settings: watch::Sender<Settings>,
}

impl Mesh {
    /// Starts to follow; `base` is what holds where MeshConfig says nothing.
    pub fn follow(cluster: &Cluster, base: Settings) -> Self {
        let settings = watch::Sender::new(base.clone());
        Self { base, followed: cluster.follow(Scope::mesh_config(NAME)), settings }
    }

    /// What holds, and will.
    pub fn settings(&self) -> watch::Receiver<Settings> {
        self.settings.subscribe()
    }

    /// Waits until it is known whether there is a MeshConfig, or for long enough.
    pub async fn known(&mut self) {
        match timeout(FIRST_LIMIT, self.followed.changed()).await {
            Ok(_) => self.take(),
            Err(_) => warn!(limit = ?FIRST_LIMIT, "no word of a MeshConfig; goes on without"),
        }
    }

    /// Takes up each change for as long as it runs. The owner drops it.
    pub async fn keep(mut self) {
        loop {
            self.followed.changed().await;
            self.take();
        }
    }

    fn take(&self) {
        let held = self.followed.now().unwrap_or_default();
        match settings(&self.base, held.get(&("".into(), NAME.into())).map(|object| &**object)) {
            Ok(now) => {
                let is_news = self.settings.send_if_modified(|held| {
                    let is_news = *held != now;
                    *held = now;
                    is_news
                });
                if is_news {
                    info!("MeshConfig changed what is injected");
                }
            }
            Err(error) => warn!(%error, "the MeshConfig cannot be read; what it said last stands"),
        }
    }
}

/// What holds with this MeshConfig, or without one.
fn settings(base: &Settings, object: Option<&Value>) -> Result<Settings, String> {
    match object {
        None => Ok(base.clone()),
        Some(object) => Ok(base.with(&mesh_config(object)?.injection)),
    }
}

impl Settings {
    /// With what MeshConfig says over it.
    #[must_use]
    pub fn with(&self, injection: &Injection) -> Self {
        let mut settings = self.clone();
        if let Some(allowed) = &injection.allowed_annotations {
            settings.allowed = allowed.iter().filter_map(|name| Annotation::of(&format!("{PREFIX}{name}"))).collect();
        }
        if let Some(proxy) = injection.proxy {
            settings.proxy = match proxy {
                byrnie_model::ProxyKind::Micro => ProxyKind::Micro,
                byrnie_model::ProxyKind::Envoy => ProxyKind::Envoy,
            };
        }
        if let Some(resources) = &injection.resources {
            settings.resources = Resources { requests: copied(&resources.requests), limits: copied(&resources.limits) };
        }
        if let Some(level) = &injection.log_level {
            settings.log_level = level.to_string();
        }
        if let Some(delay) = injection.pre_stop_delay {
            settings.pre_stop_delay = u16::try_from(delay.as_secs()).unwrap_or(u16::MAX);
        }
        if let Some(rewrite) = injection.rewrite_probes {
            settings.rewrite_probes = rewrite;
        }
        settings
    }
}

fn copied(quantities: &BTreeMap<Box<str>, Box<str>>) -> BTreeMap<String, String> {
    quantities.iter().map(|(name, quantity)| (name.to_string(), quantity.to_string())).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    fn with(injection: Value) -> Result<Settings, String> {
        let object = json!({
            "apiVersion": "mesh.byrnie.io/v1alpha1",
            "kind": "MeshConfig",
            "metadata": {"name": "default"},
            "spec": {"injection": injection},
        });
        settings(&Settings::default(), Some(&object))
    }

    #[test]
    fn what_mesh_config_says_holds_and_what_it_leaves_out_stays() {
        assert_eq!(settings(&Settings::default(), None), Ok(Settings::default()));
        assert_eq!(with(json!({})), Ok(Settings::default()));
        let found = with(json!({
            "allowedAnnotations": ["log-level", "proxy-cpu"],
            "proxyResources": {"limits": {"memory": "64Mi"}},
            "logLevel": "warn",
            "proxy": "envoy",
            "preStopDelay": "20s",
            "rewriteProbes": true,
        }));
        let limits = [("memory".to_owned(), "64Mi".to_owned())].into();
        let wanted = Settings {
            allowed: [Annotation::LogLevel, Annotation::ProxyCpu].into(),
            resources: Resources { requests: [].into(), limits },
            log_level: "warn".to_owned(),
            proxy: ProxyKind::Envoy,
            pre_stop_delay: 20,
            rewrite_probes: true,
            ..Settings::default()
        };
        assert_eq!(found, Ok(wanted));
    }

    #[test]
    fn each_annotation_can_be_allowed_by_its_name() {
        let names: Vec<_> = Annotation::ALL.iter().map(|one| one.name().trim_start_matches(PREFIX)).collect();
        let allowed = with(json!({"allowedAnnotations": names})).unwrap().allowed;
        assert_eq!(allowed, BTreeSet::from(Annotation::ALL));
        assert_eq!(with(json!({"allowedAnnotations": []})).unwrap().allowed, [].into());
    }

    #[test]
    fn one_that_cannot_be_read_is_told_with_its_field() {
        let error = with(json!({"preStopDelay": "2h"})).unwrap_err();
        assert!(error.contains("spec.injection.preStopDelay"), "{error}");
    }
}
