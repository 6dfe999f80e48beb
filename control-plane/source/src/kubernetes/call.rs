//! Single requests: an object read, made, replaced or applied.

use std::{fmt, time::Duration};

use http::{
    HeaderValue, Request,
    header::{ACCEPT, CONTENT_TYPE},
};
use kube::Client;
use serde_json::Value;
use tokio::time::timeout;
use tracing::{Dispatch, instrument::WithSubscriber};

use super::{follow::Failure, resources::ObjectPath};

/// For an answer. Whoever asks asks again.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// Why a request did not do what it was to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// 404: there is no such object, or no such kind.
    #[error("{0}")]
    Missing(String),
    /// 409 on creating: somebody made it before.
    #[error("{0}")]
    Exists(String),
    /// 409 on writing: it has changed since it was read, or another field manager has the field.
    #[error("{0}")]
    Conflict(String),
    /// 403: the rights are missing, a namespace is going away, or a webhook denies it.
    #[error("{0}")]
    Forbidden(String),
    /// Another answer that the same request would get again.
    #[error("{0}")]
    Refused(String),
    /// No answer, or one that says to come back later.
    #[error("{0}")]
    Unavailable(String),
}

/// What is done to the whole of an object or to its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Whole,
    Status,
}

/// Single requests to an API server.
#[derive(Clone)]
pub struct Calls {
    client: Client,
}

impl Calls {
    pub(super) fn new(client: Client) -> Self {
        Self { client }
    }

    /// An object as it is now; `None` where it is not there.
    pub async fn read(&self, path: &ObjectPath) -> Result<Option<Value>, CallError> {
        match self.send(Request::get(path.path()), None).await {
            Ok(object) => Ok(Some(object)),
            Err(CallError::Missing(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes an object that must not be there yet.
    pub async fn create(&self, path: &ObjectPath, object: &Value) -> Result<Value, CallError> {
        let request = Request::post(path.collection_path()).header(CONTENT_TYPE, "application/json");
        self.send(request, Some(object)).await
    }

    /// Replaces an object; `metadata.resourceVersion` says in which state it must be.
    pub async fn replace(&self, path: &ObjectPath, object: &Value) -> Result<Value, CallError> {
        let request = Request::put(path.path()).header(CONTENT_TYPE, "application/json");
        self.send(request, Some(object)).await
    }

    /// Applies an object as `manager` (server-side apply), which takes fields from others.
    pub async fn apply(&self, path: &ObjectPath, manager: &str, object: &Value) -> Result<Value, CallError> {
        self.apply_part(path, Part::Whole, manager, object).await
    }

    /// Applies the status of an object, likewise. With `metadata.resourceVersion` only to that state of it.
    pub async fn apply_status(&self, path: &ObjectPath, manager: &str, object: &Value) -> Result<Value, CallError> {
        self.apply_part(path, Part::Status, manager, object).await
    }

    async fn apply_part(
        &self,
        path: &ObjectPath,
        part: Part,
        manager: &str,
        object: &Value,
    ) -> Result<Value, CallError> {
        let part = if part == Part::Status { "/status" } else { "" };
        // JSON is YAML: the server takes the same document under this name since 1.16.
        let request = Request::patch(format!("{}{part}?fieldManager={manager}&force=true", path.path()))
            .header(CONTENT_TYPE, "application/apply-patch+yaml");
        self.send(request, Some(object)).await
    }

    /// Asks for JSON, where the request does not name another form of it.
    pub(super) async fn send(
        &self,
        request: http::request::Builder,
        object: Option<&Value>,
    ) -> Result<Value, CallError> {
        let body = object.map(|object| object.to_string().into_bytes()).unwrap_or_default();
        let mut request = request.body(body).map_err(|error| CallError::Refused(error.to_string()))?;
        request.headers_mut().entry(ACCEPT).or_insert(HeaderValue::from_static("application/json"));
        // The client logs each failure as an error of this process; who asks tells of it.
        let asked = self.client.request::<Value>(request).with_subscriber(Dispatch::none());
        match timeout(ANSWER_LIMIT, asked).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(CallError::Unavailable(format!("no answer within {ANSWER_LIMIT:?}"))),
        }
    }
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calls").finish_non_exhaustive()
    }
}

impl From<kube::Error> for CallError {
    fn from(error: kube::Error) -> Self {
        let status = match &error {
            kube::Error::Api(status) => Some((status.code, status.reason.clone())),
            _ => None,
        };
        let text = Failure::from(error).to_string();
        match status {
            Some((404, _)) => Self::Missing(text),
            Some((409, reason)) if reason == "AlreadyExists" => Self::Exists(text),
            Some((409, _)) => Self::Conflict(text),
            Some((403, _)) => Self::Forbidden(text),
            Some((429 | 500.., _)) | None => Self::Unavailable(text),
            Some(_) => Self::Refused(text),
        }
    }
}
