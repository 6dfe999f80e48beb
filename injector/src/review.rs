//! An AdmissionReview (`admission.k8s.io/v1`) and its answer, as bytes.

use std::fmt;

use base64::{Engine, prelude::BASE64_STANDARD};
use byrnie_source::objects::is_dns_label;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value;

use self::{answer::cut, size::Size};
use crate::{
    decide::{Decision, decide},
    patch::patch,
    pod,
    refusal::{Refusal, shown},
    settings::{Namespace, Settings},
};

mod answer;
mod size;

pub use self::{
    answer::{Answer, Outcome},
    size::TooLarge,
};

const API_VERSION: &str = "admission.k8s.io/v1";
const KIND: &str = "AdmissionReview";

/// An API server makes 36 octets.
const LONGEST_UID: usize = 256;

/// What a review asks.
#[derive(Debug)]
pub enum Review<'a> {
    /// Whether and how a Pod may be made: its Namespace has to be known for the answer.
    Pod(Asked<'a>),
    /// Something that needs no look.
    Settled(Answer),
}

/// A Pod that is about to be made. It is still text: as a tree it takes many times the memory, and many may wait for what
/// the API server says of their namespaces.
#[derive(Debug)]
pub struct Asked<'a> {
    uid: String,
    namespace: String,
    body: &'a [u8],
}

/// The same, looked into.
struct Creation {
    uid: String,
    namespace: String,
    pod: Value,
}

/// A body that is no review at all.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    /// Not JSON, or JSON of another shape.
    #[error("the body cannot be read: {API_VERSION} {KIND} in JSON is accepted ({0})")]
    Json(#[from] serde_json::Error),
    /// JSON that takes too much memory as a tree.
    #[error("the body cannot be looked at: {0}")]
    Size(#[from] TooLarge),
    /// Without what every answer repeats.
    #[error("the body has no request.uid; {API_VERSION} {KIND} with a request is accepted")]
    NoRequest,
    /// It is kept while the namespace is asked for, and repeated.
    #[error("request.uid has {0} octets; at most {LONGEST_UID} are accepted")]
    LongUid(usize),
}

/// What is read of a review before it is known whether its object matters.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Head {
    api_version: Option<String>,
    kind: Option<String>,
    request: Option<Request>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Request {
    uid: String,
    kind: GroupVersionKind,
    sub_resource: Option<String>,
    namespace: Option<String>,
    operation: Option<String>,
    #[serde(rename = "object")]
    _object: IgnoredAny,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct GroupVersionKind {
    group: String,
    version: String,
    kind: String,
}

/// The object alone, of a review whose head was read.
#[derive(Deserialize)]
struct Whole {
    request: Object,
}

#[derive(Deserialize)]
struct Object {
    object: Value,
}

impl<'a> Review<'a> {
    /// Reads the body of a review, but not its object.
    ///
    /// # Errors
    /// For what cannot be answered by a review, since it is none.
    pub fn read(body: &'a [u8]) -> Result<Self, Malformed> {
        Size::of(body).check()?;
        let head: Head = serde_json::from_slice(body)?;
        let request = head.request.filter(|request| !request.uid.is_empty()).ok_or(Malformed::NoRequest)?;
        if request.uid.len() > LONGEST_UID {
            return Err(Malformed::LongUid(request.uid.len()));
        }
        let uid = request.uid.clone();
        let found = [head.api_version, head.kind].map(Option::unwrap_or_default);
        if found != [API_VERSION, KIND] {
            let [version, kind] = found;
            let message = format!("found apiVersion {version:?} and kind {kind:?}: {API_VERSION} {KIND} is accepted");
            return Ok(Self::Settled(Answer::refused(uid, Outcome::Malformed, 400, "BadRequest", message)));
        }
        if !request.makes_a_pod() {
            return Ok(Self::Settled(Answer::skipped(uid, None)));
        }
        let namespace = request.namespace.unwrap_or_default();
        if !is_dns_label(&namespace) {
            let found = cut(namespace);
            let message =
                format!("request.namespace: found {found:?}: the name of a namespace is accepted, such as shop-1");
            return Ok(Self::Settled(Answer::refused(uid, Outcome::Malformed, 400, "BadRequest", message)));
        }
        Ok(Self::Pod(Asked { uid, namespace, body }))
    }
}

impl Request {
    fn makes_a_pod(&self) -> bool {
        let GroupVersionKind { group, version, kind } = &self.kind;
        let is_whole = self.sub_resource.as_deref().unwrap_or_default().is_empty();
        (group.as_str(), version.as_str(), kind.as_str()) == ("", "v1", "Pod")
            && is_whole
            && self.operation.as_deref() == Some("CREATE")
    }
}

impl Asked<'_> {
    /// The Namespace that the Pod is to be in; the Pod itself need not name it.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// What becomes of the Pod in its Namespace.
    ///
    /// # Errors
    /// For a review without an object, or with one that is nested too deeply.
    pub fn answer(self, namespace: &Namespace, settings: &Settings) -> Result<Answer, Malformed> {
        Ok(self.look()?.answer(namespace, settings))
    }

    /// The answer where nobody knows the Namespace.
    ///
    /// # Errors
    /// As [`answer`](Self::answer).
    pub fn unanswerable(self, why: &str) -> Result<Answer, Malformed> {
        Ok(self.look()?.unanswerable(why))
    }

    fn look(self) -> Result<Creation, Malformed> {
        let Self { uid, namespace, body } = self;
        let whole: Whole = serde_json::from_slice(body)?;
        Ok(Creation { uid, namespace, pod: whole.request.object })
    }
}

impl fmt::Display for Asked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a Pod of {}, uid {}", self.namespace, self.uid)
    }
}

impl Creation {
    fn answer(self, namespace: &Namespace, settings: &Settings) -> Answer {
        match decide(&self.pod, namespace, settings) {
            Ok(Decision::Skip(reason)) => {
                let warning = (!reason.is_meant()).then(|| format!("{self}: no sidecar: {reason}"));
                Answer::skipped(self.uid, warning)
            }
            Ok(Decision::Inject(_, done)) => {
                let patch = serde_json::to_vec(&patch(&self.pod, &done)).expect("a patch is JSON");
                Answer::injected(self.uid, BASE64_STANDARD.encode(patch))
            }
            Err(refusal) => self.refused(&refusal),
        }
    }

    fn unanswerable(self, why: &str) -> Answer {
        let message = format!("{self}: the labels of its namespace are not known: {why}; try again");
        Answer::refused(self.uid, Outcome::Refused, 503, "ServiceUnavailable", message)
    }

    fn refused(self, refusal: &Refusal) -> Answer {
        let (code, reason) = if is_forbidden(refusal) { (403, "Forbidden") } else { (422, "Invalid") };
        let message = format!("{self}: {refusal}");
        Answer::refused(self.uid, Outcome::Refused, code, reason, message)
    }
}

impl fmt::Display for Creation {
    /// `Pod shop/web-1`, and `Pod shop/web-...` before the API server has made up its name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pod {}/", self.namespace)?;
        match pod::text(&self.pod, "/metadata/name") {
            Some(name) if !name.is_empty() => f.write_str(&shown(name)),
            _ => write!(f, "{}...", shown(pod::text(&self.pod, "/metadata/generateName").unwrap_or_default())),
        }
    }
}

/// Whether the same would be let through where the settings allow more.
fn is_forbidden(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::NotAllowed(_) | Refusal::OwnNotAllowed { .. })
}

#[cfg(test)]
mod tests;
