//! Single objects, by requests of the harness itself: a test that changes many does not start kubectl for each.

use anyhow::{Context, Result, ensure};
use hyper::Method;
use serde_json::{Value, json};

use super::ApiServer;

/// Those of no namespace among the kinds that tests write.
const CLUSTER_WIDE: [&str; 3] = ["Namespace", "Node", "MeshConfig"];

/// Where an object stands: `/api/v1/namespaces/shop/pods/web-1`.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct ObjectPath(String);

impl ObjectPath {
    /// The place of an object of any kind whose plural is the usual one of English, as those of our own and of Gateway
    /// API are.
    pub fn of(object: &Value) -> Result<Self> {
        let text = |pointer: &str| {
            let found = object.pointer(pointer).and_then(Value::as_str);
            found.with_context(|| format!("{pointer} is missing: {object}"))
        };
        let (version, kind, name) = (text("/apiVersion")?, text("/kind")?, text("/metadata/name")?);
        let root = if version.contains('/') { "apis" } else { "api" };
        let resource = plural(&kind.to_lowercase());
        Ok(Self(match CLUSTER_WIDE.contains(&kind) {
            true => format!("/{root}/{version}/{resource}/{name}"),
            false => format!("/{root}/{version}/namespaces/{}/{resource}/{name}", text("/metadata/namespace")?),
        }))
    }
}

impl ApiServer {
    /// Applies an object by server-side apply. What it says of a Pod's status is said as by a kubelet, and a Pod without
    /// containers gets one.
    pub async fn apply_object(&self, object: &Value) -> Result<ObjectPath> {
        let path = ObjectPath::of(object)?;
        if object["kind"] != "Pod" {
            self.patch(&path.0, object).await?;
            return Ok(path);
        }
        let mut pod = object.clone();
        let status = pod["status"].take();
        if pod["spec"]["containers"].is_null() {
            pod["spec"]["containers"] = json!([{"name": "app", "image": "none"}]);
        }
        self.patch(&path.0, &pod).await?;
        if !status.is_null() {
            // No label nor annotation: whoever says one holds it, also when the object says it no more.
            let metadata = json!({"name": pod["metadata"]["name"], "namespace": pod["metadata"]["namespace"]});
            let said = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "status": status});
            self.patch(&format!("{}/status", path.0), &said).await?;
        }
        Ok(path)
    }

    /// Deletes an object at once; it may have gone already.
    pub async fn delete_object(&self, path: &ObjectPath) -> Result<()> {
        let path = format!("{}?gracePeriodSeconds=0", path.0);
        let answer = self.client.send(Method::DELETE, &path, "", "").await?;
        ensure!([200, 202, 404].contains(&answer.status), "DELETE {path}: {} {}", answer.status, answer.body);
        Ok(())
    }

    async fn patch(&self, path: &str, object: &Value) -> Result<()> {
        let target = format!("{path}?fieldManager=byrnie-tests&force=true&fieldValidation=Strict");
        let body = object.to_string();
        let answer = self.client.send(Method::PATCH, &target, "application/apply-patch+yaml", body).await?;
        ensure!([200, 201].contains(&answer.status), "PATCH {path}: {} {}", answer.status, answer.body);
        Ok(())
    }
}

fn plural(word: &str) -> String {
    match word.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None => format!("{word}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_says_group_namespace_and_the_plural_of_the_kind() -> Result<()> {
        for (version, kind, path) in [
            ("v1", "Pod", "/api/v1/namespaces/shop/pods/one"),
            ("v1", "Node", "/api/v1/nodes/one"),
            ("mesh.byrnie.io/v1alpha1", "PeerPolicy", "/apis/mesh.byrnie.io/v1alpha1/namespaces/shop/peerpolicies/one"),
        ] {
            let object = json!({"apiVersion": version, "kind": kind, "metadata": {"name": "one", "namespace": "shop"}});
            assert_eq!(ObjectPath::of(&object)?, ObjectPath(path.to_owned()));
        }
        let told = ObjectPath::of(&json!({"apiVersion": "v1", "kind": "Pod"})).unwrap_err().to_string();
        assert!(told.contains("/metadata/name is missing"), "{told}");
        Ok(())
    }
}
