//! Secrets on one stream: which names its client wants, and what it was sent of them. Pure: requests and identities in,
//! responses out.

use std::{collections::BTreeMap, mem};

use byrnie_identity::certificates_pem;
use byrnie_proto::{
    Kind,
    envoy::{
        envoy::{
            config::core::v3::{DataSource, data_source::Specifier},
            extensions::transport_sockets::tls::v3::{CertificateValidationContext, Secret, TlsCertificate, secret},
            service::discovery::v3::{
                DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse, Resource,
            },
        },
        google::{protobuf::Any, rpc},
    },
};
use bytes::Bytes;
use prost::{DecodeError, Message};
use tracing::warn;

use super::message::Variant;
use crate::identity::Identity;

/// The names that the control plane's resources ask for: the certificate with its key, and the roots.
const WORKLOAD: &str = "workload";
const TRUST: &str = "trust";

/// What one stream wants of secrets, and has.
#[derive(Debug)]
pub struct Session {
    variant: Variant,
    /// By name: the generation of the identity that it was sent.
    names: BTreeMap<String, Option<u64>>,
    nonce: u64,
}

impl Session {
    /// Of a new stream.
    pub fn new(variant: Variant) -> Self {
        Self { variant, names: BTreeMap::new(), nonce: 0 }
    }

    /// The client asks, or says what became of an answer. What it holds of an earlier stream does not matter: it may be
    /// of another agent.
    pub fn ask(&mut self, request: Bytes) -> Result<(), DecodeError> {
        match self.variant {
            Variant::Delta => {
                let request = DeltaDiscoveryRequest::decode(request)?;
                tell_refusal(request.error_detail.as_ref());
                self.names.retain(|name, _| !request.resource_names_unsubscribe.contains(name));
                self.names.extend(request.resource_names_subscribe.into_iter().map(|name| (name, None)));
            }
            Variant::Sotw => {
                let request = DiscoveryRequest::decode(request)?;
                tell_refusal(request.error_detail.as_ref());
                let is_first = request.response_nonce.is_empty();
                // Said before the client had the last answer: it says it again.
                if !is_first && request.response_nonce != self.nonce.to_string() {
                    return Ok(());
                }
                let held = mem::take(&mut self.names);
                let sent = |name: &str| held.get(name).copied().flatten().filter(|_| !is_first);
                self.names = request.resource_names.into_iter().map(|name| (name.clone(), sent(&name))).collect();
            }
        }
        Ok(())
    }

    /// What is to be sent now that `identity` is in force.
    pub fn next(&mut self, identity: &Identity) -> Option<Bytes> {
        let generation = identity.generation();
        let due = |sent: &&mut Option<u64>| **sent != Some(generation);
        let due: Vec<_> = self.names.iter_mut().filter(|(_, sent)| due(sent)).collect();
        if due.is_empty() {
            return None;
        }
        let (mut resources, mut missing) = (Vec::new(), Vec::new());
        for (name, sent) in due {
            *sent = Some(generation);
            match secret(name, identity) {
                Some(content) => resources.push((name.clone(), packed(name, content))),
                None => missing.push(name.clone()),
            }
        }
        self.nonce += 1;
        let (type_url, nonce, version) =
            (Kind::Secret.type_url().to_owned(), self.nonce.to_string(), version(identity));
        let encoded = match self.variant {
            Variant::Delta => {
                let one = |(name, resource)| Resource {
                    name,
                    version: version.clone(),
                    resource: Some(resource),
                    ..Resource::default()
                };
                DeltaDiscoveryResponse {
                    system_version_info: version.clone(),
                    resources: resources.into_iter().map(one).collect(),
                    type_url,
                    removed_resources: missing,
                    nonce,
                    ..DeltaDiscoveryResponse::default()
                }
                .encode_to_vec()
            }
            Variant::Sotw => {
                let resources = resources.into_iter().map(|(_, resource)| resource).collect();
                let version_info = version;
                DiscoveryResponse { version_info, resources, type_url, nonce, ..DiscoveryResponse::default() }
                    .encode_to_vec()
            }
        };
        Some(encoded.into())
    }
}

/// Which certificate it is, for people. That two agents of one Pod may count alike is of no matter: each answers anew.
fn version(identity: &Identity) -> String {
    identity.generation().to_string()
}

fn tell_refusal(error: Option<&rpc::Status>) {
    if let Some(error) = error {
        warn!(error = error.message, "envoy refused a secret");
    }
}

fn secret(name: &str, identity: &Identity) -> Option<secret::Type> {
    match name {
        WORKLOAD => Some(secret::Type::TlsCertificate(TlsCertificate {
            certificate_chain: Some(inline(certificates_pem(identity.chain()))),
            private_key: Some(inline(identity.key_pem())),
            ..TlsCertificate::default()
        })),
        // Whom a peer may be is said by those who use it (`combined_validation_context`).
        TRUST => Some(secret::Type::ValidationContext(CertificateValidationContext {
            trusted_ca: Some(inline(certificates_pem(identity.roots()))),
            ..CertificateValidationContext::default()
        })),
        _ => None,
    }
}

fn packed(name: &str, content: secret::Type) -> Any {
    let secret = Secret { name: name.to_owned(), r#type: Some(content) };
    Any { type_url: Kind::Secret.type_url().to_owned(), value: secret.encode_to_vec() }
}

fn inline(pem: String) -> DataSource {
    DataSource { specifier: Some(Specifier::InlineBytes(pem.into_bytes())), ..DataSource::default() }
}

#[cfg(test)]
mod tests;
