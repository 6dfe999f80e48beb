//! What the API server says of a workload's token: TokenReview (authentication.k8s.io/v1).

use std::{
    collections::HashMap,
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{Request, header::CONTENT_TYPE};
use kube::Client;
use serde::Deserialize;
use serde_json::json;
use tokio::time::timeout;
use tracing::{Dispatch, instrument::WithSubscriber};

use super::follow::Failure;

const PATH: &str = "/apis/authentication.k8s.io/v1/tokenreviews";

/// For an answer. A caller waits for it, and asks again.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// What a user is called that is a ServiceAccount: `system:serviceaccount:NAMESPACE:NAME`.
const ACCOUNT: &str = "system:serviceaccount:";
const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";
const NODE_NAME: &str = "authentication.kubernetes.io/node-name";

/// Asks an API server whose a token is.
#[derive(Clone)]
pub struct TokenReviews {
    client: Client,
    audience: Arc<str>,
}

/// Whose a token is: a Pod's, as which the API server made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reviewed {
    /// The namespace of the Pod and of its ServiceAccount.
    pub namespace: Arc<str>,
    /// The ServiceAccount.
    pub account: Arc<str>,
    /// The Pod.
    pub pod: Arc<str>,
    /// Which Pod of that name.
    pub pod_uid: Arc<str>,
    /// The Pod's node, which the API server tells since Kubernetes 1.30.
    pub node: Option<Arc<str>>,
    /// When the token ends, where it says so.
    pub expires: Option<SystemTime>,
}

/// Why it is not known whose a token is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReviewError {
    /// The API server says that it is nobody's.
    #[error("the API server refuses it: {0}")]
    Refused(String),
    /// It is good, but not for us.
    #[error("it is not of the audience {wanted:?}: the API server knows it for {}", listed(.found))]
    Audience {
        /// The audience that was asked for.
        wanted: Arc<str>,
        /// Those that the API server named.
        found: Vec<String>,
    },
    /// It is another user's.
    #[error("it is a token of {0:?}, which is no ServiceAccount")]
    NoAccount(String),
    /// It is a ServiceAccount's, and not a Pod's.
    #[error(
        "it is a token of {0}, bound to no Pod: a projected volume of the Pod, or `kubectl create token \
         --bound-object-kind Pod`, makes one that is"
    )]
    Unbound(String),
    /// The API server does not say.
    #[error("no TokenReview: {0}")]
    Unavailable(String),
}

/// `TokenReview`, of which only the status matters.
#[derive(Debug, Default, Deserialize)]
struct Answer {
    #[serde(default)]
    status: AnswerStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct AnswerStatus {
    authenticated: bool,
    audiences: Vec<String>,
    error: String,
    user: User,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct User {
    username: String,
    extra: HashMap<String, Vec<Arc<str>>>,
}

/// The claims of a JWT (RFC 7519) that matter.
#[derive(Deserialize)]
struct Claims {
    exp: u64,
}

impl TokenReviews {
    pub(super) fn new(client: Client, audience: &str) -> Self {
        Self { client, audience: audience.into() }
    }

    /// Whose `token` is.
    pub async fn review(&self, token: &str) -> Result<Reviewed, ReviewError> {
        let review = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": [&*self.audience]},
        });
        let request = Request::post(PATH).header(CONTENT_TYPE, "application/json");
        let request = request.body(review.to_string().into_bytes()).map_err(|error| unavailable(&error))?;
        // The client logs each failure as an error of this process; who asks tells of it.
        let asked = self.client.request::<Answer>(request).with_subscriber(Dispatch::none());
        let answer = match timeout(ANSWER_LIMIT, asked).await {
            Ok(answer) => answer.map_err(|error| unavailable(&Failure::from(error)))?,
            Err(_) => return Err(unavailable(&format_args!("no answer within {ANSWER_LIMIT:?}"))),
        };
        read(answer.status, &self.audience, expiry(token))
    }
}

impl fmt::Debug for TokenReviews {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenReviews").field("audience", &self.audience).finish_non_exhaustive()
    }
}

/// What the status of a review means.
fn read(status: AnswerStatus, audience: &Arc<str>, expires: Option<SystemTime>) -> Result<Reviewed, ReviewError> {
    let AnswerStatus { authenticated, audiences, error, user } = status;
    if !authenticated {
        let why = if error.is_empty() { "the token is not authenticated".to_owned() } else { error };
        return Err(ReviewError::Refused(why));
    }
    // A server that knows nothing of audiences names none, and the token may be for anybody.
    if !audiences.iter().any(|known| **known == **audience) {
        return Err(ReviewError::Audience { wanted: Arc::clone(audience), found: audiences });
    }
    let account = user.username.strip_prefix(ACCOUNT).and_then(|name| name.split_once(':'));
    let Some((namespace, account)) = account else { return Err(ReviewError::NoAccount(user.username)) };
    let extra = |key: &str| user.extra.get(key).and_then(|values| values.first()).filter(|value| !value.is_empty());
    let (Some(pod), Some(pod_uid)) = (extra(POD_NAME), extra(POD_UID)) else {
        return Err(ReviewError::Unbound(format!("{namespace}/{account}")));
    };
    Ok(Reviewed {
        namespace: namespace.into(),
        account: account.into(),
        pod: Arc::clone(pod),
        pod_uid: Arc::clone(pod_uid),
        node: extra(NODE_NAME).cloned(),
        expires,
    })
}

/// When a token ends by its own word, which the API server has found true where it says that the token is good.
fn expiry(token: &str) -> Option<SystemTime> {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: Claims = serde_json::from_slice(&payload).ok()?;
    UNIX_EPOCH.checked_add(Duration::from_secs(claims.exp))
}

fn unavailable(why: &dyn fmt::Display) -> ReviewError {
    ReviewError::Unavailable(why.to_string())
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "itself alone".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn status(change: impl FnOnce(&mut Value)) -> Result<Reviewed, ReviewError> {
        let mut answer = json!({
            "kind": "TokenReview",
            "metadata": {},
            "spec": {"token": "t", "audiences": ["byrnie.io/ca"]},
            "status": {
                "authenticated": true,
                "audiences": ["byrnie.io/ca"],
                "user": {
                    "username": "system:serviceaccount:shop:cart",
                    "uid": "1",
                    "groups": ["system:serviceaccounts"],
                    "extra": {POD_NAME: ["cart-1"], POD_UID: ["u-1"], NODE_NAME: ["node-1"]},
                },
            },
        });
        change(&mut answer["status"]);
        let answer: Answer = serde_json::from_value(answer).unwrap();
        read(answer.status, &"byrnie.io/ca".into(), None)
    }

    #[test]
    fn a_token_of_a_pod_names_its_account_and_which_pod_it_is() {
        let reviewed = status(|_| {}).unwrap();
        let expected = Reviewed {
            namespace: "shop".into(),
            account: "cart".into(),
            pod: "cart-1".into(),
            pod_uid: "u-1".into(),
            node: Some("node-1".into()),
            expires: None,
        };
        assert_eq!(reviewed, expected);
    }

    #[test]
    fn what_the_server_refuses_is_refused_with_its_words() {
        let refused = |status: Result<Reviewed, ReviewError>| status.unwrap_err().to_string();
        let told = status(|status| *status = json!({"user": {}, "error": "[invalid bearer token, expired]"}));
        assert_eq!(refused(told), "the API server refuses it: [invalid bearer token, expired]");
        let silent = status(|status| *status = json!({}));
        assert_eq!(refused(silent), "the API server refuses it: the token is not authenticated");
    }

    #[test]
    fn a_token_of_another_audience_is_refused() {
        for audiences in [json!([]), json!(["elsewhere"])] {
            let other = status(|status| status["audiences"] = audiences);
            assert!(matches!(other, Err(ReviewError::Audience { .. })), "{other:?}");
        }
    }

    #[test]
    fn a_token_that_is_no_pods_is_refused() {
        let unbound = status(|status| status["user"]["extra"] = json!({})).unwrap_err();
        assert!(unbound.to_string().starts_with("it is a token of shop/cart, bound to no Pod: "), "{unbound}");
        let half = status(|status| status["user"]["extra"] = json!({POD_NAME: ["cart-1"]})).unwrap_err();
        assert_eq!(half, unbound);
        let user = status(|status| status["user"]["username"] = "admin".into()).unwrap_err();
        assert_eq!(user, ReviewError::NoAccount("admin".to_owned()));
    }

    #[test]
    fn a_token_says_when_it_ends() {
        let token = |claims: &str| format!("e30.{}.c2lnbmF0dXJl", URL_SAFE_NO_PAD.encode(claims));
        let ends = expiry(&token(r#"{"aud": ["byrnie.io/ca"], "exp": 1700000000}"#));
        assert_eq!(ends, Some(UNIX_EPOCH + Duration::from_secs(1_700_000_000)));
        for other in [token("{}"), token("nonsense"), "nonsense".to_owned(), String::new()] {
            assert_eq!(expiry(&other), None, "{other}");
        }
    }
}
