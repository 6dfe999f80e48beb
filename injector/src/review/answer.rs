//! What is answered to a review.

use serde::Serialize;

use super::{API_VERSION, KIND};

/// A user's client shows a warning as a line; the API server cuts what is longer.
pub(super) const LONGEST_WARNING: usize = 256;

/// What is answered.
#[derive(Debug)]
pub struct Answer {
    outcome: Outcome,
    response: Response,
}

/// What came of a review.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The object is let through with a patch.
    Injected,
    /// It is let through as it is.
    Skipped,
    /// It is not let through.
    Refused,
    /// Nothing that can be looked at.
    Malformed,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    uid: String,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

/// `metav1.Status`, as far as the API server passes it on.
#[derive(Debug, Serialize)]
struct Status {
    status: &'static str,
    code: u16,
    reason: &'static str,
    message: String,
}

impl Outcome {
    /// As metrics have it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Injected => "injected",
            Self::Skipped => "skipped",
            Self::Refused => "refused",
            Self::Malformed => "malformed",
        }
    }
}

impl Answer {
    /// What came of it.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Why the object is not let through, where it is not.
    pub fn refusal(&self) -> Option<&str> {
        self.response.status.as_ref().map(|status| status.message.as_str())
    }

    /// The AdmissionReview that is answered.
    pub fn into_bytes(self) -> Vec<u8> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Review {
            api_version: &'static str,
            kind: &'static str,
            response: Response,
        }
        let review = Review { api_version: API_VERSION, kind: KIND, response: self.response };
        serde_json::to_vec(&review).expect("an answer is JSON")
    }

    pub(super) fn injected(uid: String, patch: String) -> Self {
        let response =
            Response { uid, allowed: true, patch_type: Some("JSONPatch"), patch: Some(patch), ..Response::default() };
        Self { outcome: Outcome::Injected, response }
    }

    pub(super) fn skipped(uid: String, warning: Option<String>) -> Self {
        let warnings = warning.map(cut).into_iter().collect();
        let response = Response { uid, allowed: true, warnings, ..Response::default() };
        Self { outcome: Outcome::Skipped, response }
    }

    pub(super) fn refused(uid: String, outcome: Outcome, code: u16, reason: &'static str, message: String) -> Self {
        let status = Some(Status { status: "Failure", code, reason, message });
        Self { outcome, response: Response { uid, status, ..Response::default() } }
    }
}

/// As much of the text as a warning may have.
pub(super) fn cut(mut text: String) -> String {
    if text.len() > LONGEST_WARNING {
        text.truncate(text.floor_char_boundary(LONGEST_WARNING - 3));
        text.push_str("...");
    }
    text
}
