//! What the operator's command asks of an API server: lists as they are now, its version, the rights of its user.

use http::{Request, header::CONTENT_TYPE};
use serde_json::{Value, json};

use super::{
    call::{CallError, Calls},
    resources::Scope,
};

/// As many as kubectl asks for at once.
const PAGE: u32 = 500;

const REVIEWS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

impl Calls {
    /// What `/version` says: `gitVersion`, `major`, `minor`.
    pub async fn version(&self) -> Result<Value, CallError> {
        self.send(Request::get("/version"), None).await
    }

    /// The objects of a scope as they are now.
    pub async fn list(&self, scope: &Scope) -> Result<Vec<Value>, CallError> {
        let mut objects = Vec::new();
        let mut after = String::new();
        loop {
            let mut request = Request::get(format!("{}limit={PAGE}{after}", scope.path()));
            if scope.is_metadata_only() {
                let form = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
                request = request.header(http::header::ACCEPT, form);
            }
            let mut page = self.send(request, None).await?;
            if let Value::Array(items) = page["items"].take() {
                objects.extend(items);
            }
            match page["metadata"]["continue"].as_str() {
                Some(token) if !token.is_empty() => after = format!("&continue={token}"),
                _ => return Ok(objects),
            }
        }
    }

    /// Whether this user may do `verb` to a resource of a group (empty: the core), in a namespace or in all.
    pub async fn may(
        &self,
        verb: &str,
        group: &str,
        resource: &str,
        namespace: Option<&str>,
    ) -> Result<bool, CallError> {
        let mut attributes = json!({"verb": verb, "group": group, "resource": resource});
        if let Some(namespace) = namespace {
            attributes["namespace"] = namespace.into();
        }
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        });
        let request = Request::post(REVIEWS).header(CONTENT_TYPE, "application/json");
        Ok(self.send(request, Some(&review)).await?["status"]["allowed"] == true)
    }
}
