//! The MutatingWebhookConfiguration: whom the API server calls, and by which roots it proves who answers.

use base64::{Engine, prelude::BASE64_STANDARD};
use rustls::RootCertStore;
use rustls_pki_types::{CertificateDer, pem::PemObject};
use serde_json::{Value, json};

/// Why the API server cannot prove who answers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unregistered {
    /// Nobody is called.
    #[error("it has no webhooks")]
    NoWebhooks,
    /// Something else than certificates.
    #[error("webhooks[{webhook}].clientConfig.caBundle: {problem}; the roots of the mesh are accepted")]
    Roots {
        /// The webhook's name.
        webhook: String,
        /// What was found.
        problem: String,
    },
}

/// What makes all webhooks of the configuration hold the roots `pem`, as a document to apply; none where they do.
pub fn due(configuration: &Value, pem: &str) -> Option<Value> {
    let bundle = BASE64_STANDARD.encode(pem);
    let webhooks = webhooks(configuration);
    if webhooks.iter().all(|webhook| ca_bundle(webhook) == Some(&bundle)) {
        return None;
    }
    // All of them: what an earlier document had and this one lacks would be taken out.
    let webhooks =
        webhooks.iter().map(|webhook| json!({"name": webhook["name"], "clientConfig": {"caBundle": bundle}}));
    Some(json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": configuration["metadata"]["name"]},
        "webhooks": webhooks.collect::<Vec<_>>(),
    }))
}

/// The roots by which the API server proves who answers, for each bundle that a webhook has.
pub fn roots(configuration: &Value) -> Result<Vec<RootCertStore>, Unregistered> {
    let mut bundles: Vec<(&str, &str)> = Vec::new();
    for webhook in webhooks(configuration) {
        let bundle = ca_bundle(webhook).unwrap_or_default();
        if !bundles.iter().any(|(_, known)| *known == bundle) {
            bundles.push((webhook["name"].as_str().unwrap_or_default(), bundle));
        }
    }
    if bundles.is_empty() {
        return Err(Unregistered::NoWebhooks);
    }
    let read = |(webhook, bundle): (&str, &str)| {
        store(bundle).map_err(|problem| Unregistered::Roots { webhook: webhook.to_owned(), problem })
    };
    bundles.into_iter().map(read).collect()
}

fn webhooks(configuration: &Value) -> &[Value] {
    configuration["webhooks"].as_array().map_or(&[], Vec::as_slice)
}

fn ca_bundle(webhook: &Value) -> Option<&str> {
    webhook.pointer("/clientConfig/caBundle")?.as_str()
}

fn store(bundle: &str) -> Result<RootCertStore, String> {
    let pem = BASE64_STANDARD.decode(bundle).map_err(|error| error.to_string())?;
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        store.add(certificate).map_err(|error| error.to_string())?;
    }
    if store.is_empty() { Err("found no certificate".to_owned()) } else { Ok(store) }
}

#[cfg(test)]
mod tests {
    use byrnie_identity::certificates_pem;
    use byrnie_keeper::testing::Authority;

    use super::*;

    fn configuration(bundles: &[Option<&str>]) -> Value {
        let webhook = |(index, bundle): (usize, &Option<&str>)| {
            let bundle = bundle.map(|bundle| BASE64_STANDARD.encode(bundle));
            json!({"name": format!("w{index}"), "clientConfig": {"service": {"name": "s"}, "caBundle": bundle}})
        };
        let webhooks: Vec<_> = bundles.iter().enumerate().map(webhook).collect();
        json!({"metadata": {"name": "byrnie-injector", "resourceVersion": "7"}, "webhooks": webhooks})
    }

    #[test]
    fn every_webhook_is_given_the_roots_and_nothing_else_is_touched() {
        let wanted = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": "byrnie-injector"},
            "webhooks": [
                {"name": "w0", "clientConfig": {"caBundle": "UEVN"}},
                {"name": "w1", "clientConfig": {"caBundle": "UEVN"}},
            ],
        });
        for found in [[None, None], [Some("PEM"), None], [Some("other"), Some("PEM")]] {
            assert_eq!(due(&configuration(&found), "PEM").as_ref(), Some(&wanted), "{found:?}");
        }
    }

    #[test]
    fn nothing_is_written_where_all_hold_the_roots_or_nobody_is_called() {
        assert_eq!(due(&configuration(&[Some("PEM"), Some("PEM")]), "PEM"), None);
        assert_eq!(due(&configuration(&[]), "PEM"), None);
        assert_eq!(due(&json!({}), "PEM"), None);
    }

    #[test]
    fn what_the_api_server_would_trust_is_read_once_for_each_bundle() {
        let pem = certificates_pem(&Authority::new().roots());
        let other = certificates_pem(&Authority::new().roots());
        let count = |bundles: &[Option<&str>]| roots(&configuration(bundles)).map(|roots| roots.len());
        assert_eq!(count(&[Some(&pem), Some(&pem)]), Ok(1));
        assert_eq!(count(&[Some(&pem), Some(&other)]), Ok(2));
        assert_eq!(count(&[]), Err(Unregistered::NoWebhooks));
        for wrong in [None, Some("hello")] {
            let error = count(&[Some(&pem), wrong]).unwrap_err().to_string();
            assert_eq!(
                error,
                "webhooks[w1].clientConfig.caBundle: found no certificate; the roots of the mesh are accepted"
            );
        }
    }
}
