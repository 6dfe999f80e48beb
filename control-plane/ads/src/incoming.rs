//! The two kinds of discovery request, read the same way.

use std::time::Instant;

use byrnie_model::WorkloadName;
use byrnie_proto::{
    Kind,
    envoy::envoy::{
        config::core::v3::{Node, node::UserAgentVersionType},
        service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest},
    },
};
use byrnie_snapshot::{Client, Dialect, Snapshot};
use tonic::Status;

use crate::session::{Outcome, Protocol, Request, Session, Wanted};

/// A discovery request of either protocol.
pub(crate) trait Incoming: prost::Message + Default + Send + 'static {
    /// Which protocol it belongs to.
    const PROTOCOL: Protocol;

    fn node(&self) -> Option<&Node>;
    fn type_url(&self) -> &str;
    /// Whether it answers a response.
    fn is_answer(&self) -> bool;
    /// How many names it holds.
    fn names_count(&self) -> usize;
    /// The names that it asks for.
    fn into_names(self) -> Vec<String>;
    fn into_request(self, kind: Kind) -> Request;
}

impl Incoming for DiscoveryRequest {
    const PROTOCOL: Protocol = Protocol::Sotw;

    fn node(&self) -> Option<&Node> {
        self.node.as_ref()
    }

    fn type_url(&self) -> &str {
        &self.type_url
    }

    fn is_answer(&self) -> bool {
        !self.response_nonce.is_empty()
    }

    fn names_count(&self) -> usize {
        self.resource_names.len()
    }

    fn into_names(self) -> Vec<String> {
        self.resource_names
    }

    fn into_request(self, kind: Kind) -> Request {
        Request {
            kind,
            nonce: self.response_nonce,
            error: self.error_detail.map(|status| status.message),
            wanted: Wanted::Sotw { names: self.resource_names, version: self.version_info },
        }
    }
}

impl Incoming for DeltaDiscoveryRequest {
    const PROTOCOL: Protocol = Protocol::Delta;

    fn node(&self) -> Option<&Node> {
        self.node.as_ref()
    }

    fn type_url(&self) -> &str {
        &self.type_url
    }

    fn is_answer(&self) -> bool {
        !self.response_nonce.is_empty()
    }

    fn names_count(&self) -> usize {
        self.resource_names_subscribe.len() + self.resource_names_unsubscribe.len()
    }

    fn into_names(self) -> Vec<String> {
        self.resource_names_subscribe
    }

    fn into_request(self, kind: Kind) -> Request {
        Request {
            kind,
            nonce: self.response_nonce,
            error: self.error_detail.map(|status| status.message),
            wanted: Wanted::Delta {
                subscribe: self.resource_names_subscribe,
                unsubscribe: self.resource_names_unsubscribe,
                initial: self.initial_resource_versions,
            },
        }
    }
}

/// Gives a session the bytes of a message, as its stream does; returned is what it asked for, if that is served. It
/// takes any bytes and returns, which is fuzzed.
#[allow(clippy::result_large_err, reason = "tonic's own type")]
pub fn take_bytes(
    session: &mut Session,
    bytes: &[u8],
    snapshot: &Snapshot,
    now: Instant,
) -> Result<Option<(Kind, Outcome)>, Status> {
    match session.protocol() {
        Protocol::Sotw => take::<DiscoveryRequest>(session, bytes, snapshot, now),
        Protocol::Delta => take::<DeltaDiscoveryRequest>(session, bytes, snapshot, now),
    }
}

#[allow(clippy::result_large_err, reason = "tonic's own type")]
fn take<R: Incoming>(
    session: &mut Session,
    bytes: &[u8],
    snapshot: &Snapshot,
    now: Instant,
) -> Result<Option<(Kind, Outcome)>, Status> {
    let message = R::decode(bytes).map_err(|error| Status::internal(error.to_string()))?;
    // Streams read it of the first message only.
    if let Some(node) = message.node() {
        client(Some(node), R::PROTOCOL)?;
        user_agent(node);
    }
    let type_url = message.type_url().to_owned();
    match type_url.parse::<Kind>() {
        Ok(kind) => Ok(Some((kind, session.on_request(message.into_request(kind), snapshot, now)))),
        Err(_) => {
            session.on_unknown(&type_url, message.is_answer(), message.into_names());
            Ok(None)
        }
    }
}

/// What Byrnie's own proxy calls itself.
const MICRO: &str = "byrnie-proxy";

/// Whom a node claims to be.
#[allow(clippy::result_large_err, reason = "tonic's own type")]
pub(crate) fn client(node: Option<&Node>, protocol: Protocol) -> Result<Client, Status> {
    let Some(node) = node else {
        return Err(Status::invalid_argument(
            "the first request of the stream has no node: node.id is to be NAMESPACE/POD",
        ));
    };
    let workload: WorkloadName = node.id.parse().map_err(|_| {
        Status::invalid_argument(format!("node.id {:?} is no workload: NAMESPACE/POD is accepted", node.id))
    })?;
    // "gRPC C-core", "gRPC Go", "gRPC Java" (gRFC A27).
    let is_grpc = node.user_agent_name.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("grpc"));
    let dialect = match protocol {
        _ if is_grpc => Dialect::Grpc,
        // Only in delta can a client hold names beside what its wildcard covers.
        Protocol::Delta if node.user_agent_name == MICRO => Dialect::Micro,
        Protocol::Delta | Protocol::Sotw => Dialect::Envoy,
    };
    Ok(Client { workload, dialect })
}

/// What a node calls itself: `envoy 1.40.0`.
pub(crate) fn user_agent(node: &Node) -> String {
    let version = match &node.user_agent_version_type {
        Some(UserAgentVersionType::UserAgentVersion(version)) => version.clone(),
        Some(UserAgentVersionType::UserAgentBuildVersion(build)) => {
            build.version.map(|v| format!("{}.{}.{}", v.major_number, v.minor_number, v.patch)).unwrap_or_default()
        }
        None => String::new(),
    };
    // A client's own words, shown in a table.
    let clean = |text: &str| text.chars().filter(|c| !c.is_control()).take(64).collect::<String>();
    format!("{} {}", clean(&node.user_agent_name), clean(&version)).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: &str, agent: &str) -> Node {
        Node { id: id.into(), user_agent_name: agent.into(), ..Node::default() }
    }

    #[test]
    fn a_node_is_a_workload_and_its_agent_tells_the_dialect() {
        let of = |agent, protocol| client(Some(&node("shop/cart-1", agent)), protocol).unwrap().dialect;
        let dialect = |agent| of(agent, Protocol::Delta);
        assert_eq!(dialect("envoy"), Dialect::Envoy);
        assert_eq!(dialect("gRPC C-core linux"), Dialect::Grpc);
        assert_eq!(dialect("grpc-go"), Dialect::Grpc);
        assert_eq!(dialect("é"), Dialect::Envoy);
        assert_eq!(dialect("byrnie-proxy"), Dialect::Micro);
        assert_eq!(of("byrnie-proxy", Protocol::Sotw), Dialect::Envoy);
    }

    #[test]
    fn a_bad_node_is_told_what_is_accepted() {
        for bad in [None, Some(node("", "envoy")), Some(node("cart", "envoy")), Some(node("a/b/c", "envoy"))] {
            let status = client(bad.as_ref(), Protocol::Delta).unwrap_err();
            assert_eq!(status.code(), tonic::Code::InvalidArgument);
            assert!(status.message().contains("NAMESPACE/POD"), "{status:?}");
        }
    }
}
