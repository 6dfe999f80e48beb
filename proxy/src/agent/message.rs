//! Requests as far as whoever passes them on has to read them.

use byrnie_proto::Kind;
use bytes::{Bytes, BytesMut};
use prost::{DecodeError, Message};

/// A variant of the discovery protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// Only differences.
    Delta,
    /// State of the world.
    Sotw,
}

/// Of a request: who asks, and for what.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    /// `envoy.config.core.v3.Node`, which stands in the first request of a stream alone.
    node: Option<Bytes>,
    type_url: String,
}

/// `envoy.service.discovery.v3.DeltaDiscoveryRequest`, without what is not read.
#[derive(Clone, PartialEq, Message)]
struct DeltaHead {
    #[prost(bytes = "bytes", optional, tag = "1")]
    node: Option<Bytes>,
    #[prost(string, tag = "2")]
    type_url: String,
}

/// `envoy.service.discovery.v3.DiscoveryRequest`, without what is not read.
#[derive(Clone, PartialEq, Message)]
struct SotwHead {
    #[prost(bytes = "bytes", optional, tag = "2")]
    node: Option<Bytes>,
    #[prost(string, tag = "4")]
    type_url: String,
}

impl Head {
    /// Reads a request.
    pub fn of(variant: Variant, request: &Bytes) -> Result<Self, DecodeError> {
        Ok(match variant {
            Variant::Delta => {
                let DeltaHead { node, type_url } = DeltaHead::decode(request.clone())?;
                Self { node, type_url }
            }
            Variant::Sotw => {
                let SotwHead { node, type_url } = SotwHead::decode(request.clone())?;
                Self { node, type_url }
            }
        })
    }

    /// Whether it asks for secrets.
    pub fn is_for_secrets(&self) -> bool {
        self.type_url == Kind::Secret.type_url()
    }
}

/// The requests of a stream without those that are kept back. The node that one of them said is said by the next.
#[derive(Debug)]
pub struct Passing {
    variant: Variant,
    /// Said by the client, and to nobody else yet.
    node: Option<Bytes>,
}

impl Passing {
    /// Of a new stream.
    pub fn new(variant: Variant) -> Self {
        Self { variant, node: None }
    }

    /// The request is kept back.
    pub fn keep(&mut self, head: Head) {
        self.node = head.node.or(self.node.take());
    }

    /// The request as it is passed on.
    pub fn pass(&mut self, head: &Head, request: Bytes) -> Bytes {
        let node = self.node.take().filter(|_| head.node.is_none());
        if node.is_none() {
            return request;
        }
        // What is written behind a message is a part of it (protobuf, "Encoding": last one wins).
        let mut whole = BytesMut::from(request);
        let written = match self.variant {
            Variant::Delta => DeltaHead { node, ..DeltaHead::default() }.encode(&mut whole),
            Variant::Sotw => SotwHead { node, ..SotwHead::default() }.encode(&mut whole),
        };
        written.expect("a buffer that grows has room");
        whole.freeze()
    }
}

#[cfg(test)]
mod tests {
    use byrnie_proto::envoy::envoy::{
        config::core::v3::Node,
        service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest},
    };

    use super::*;

    fn node() -> Option<Node> {
        Some(Node { id: "shop/cart-1".to_owned(), cluster: "shop".to_owned(), ..Node::default() })
    }

    #[test]
    fn who_asks_is_said_by_the_first_request_that_is_passed_on() {
        let kept = DeltaDiscoveryRequest {
            node: node(),
            type_url: Kind::Secret.type_url().to_owned(),
            ..DeltaDiscoveryRequest::default()
        };
        let passed = DeltaDiscoveryRequest {
            type_url: Kind::Cluster.type_url().to_owned(),
            resource_names_subscribe: vec!["*".to_owned()],
            ..DeltaDiscoveryRequest::default()
        };
        let mut passing = Passing::new(Variant::Delta);
        let head = Head::of(Variant::Delta, &kept.encode_to_vec().into()).unwrap();
        assert!(head.is_for_secrets());
        passing.keep(head);
        let octets = Bytes::from(passed.encode_to_vec());
        let head = Head::of(Variant::Delta, &octets).unwrap();
        assert!(!head.is_for_secrets());
        let first = DeltaDiscoveryRequest::decode(passing.pass(&head, octets.clone())).unwrap();
        assert_eq!(first, DeltaDiscoveryRequest { node: node(), ..passed });
        assert_eq!(passing.pass(&head, octets.clone()), octets, "and by no other");
    }

    #[test]
    fn the_other_variant_has_its_own_numbers() {
        let mut passing = Passing::new(Variant::Sotw);
        let kept = DiscoveryRequest { node: node(), ..DiscoveryRequest::default() };
        passing.keep(Head::of(Variant::Sotw, &kept.encode_to_vec().into()).unwrap());
        let passed = DiscoveryRequest { type_url: Kind::Route.type_url().to_owned(), ..DiscoveryRequest::default() };
        let octets = Bytes::from(passed.encode_to_vec());
        let head = Head::of(Variant::Sotw, &octets).unwrap();
        assert_eq!(head.type_url, Kind::Route.type_url());
        let first = DiscoveryRequest::decode(passing.pass(&head, octets)).unwrap();
        assert_eq!(first, DiscoveryRequest { node: node(), ..passed });
    }

    #[test]
    fn a_request_that_says_who_asks_is_passed_on_as_it_is() {
        let request = DeltaDiscoveryRequest { node: node(), ..DeltaDiscoveryRequest::default() };
        let octets = Bytes::from(request.encode_to_vec());
        let mut passing = Passing::new(Variant::Delta);
        assert_eq!(passing.pass(&Head::of(Variant::Delta, &octets).unwrap(), octets.clone()), octets);
        assert!(Head::of(Variant::Delta, &Bytes::from_static(&[0x12, 9])).is_err());
    }
}
