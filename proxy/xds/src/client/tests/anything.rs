//! Responses that make no sense.

use byrnie_proto::{
    Kind,
    envoy::{
        envoy::service::discovery::v3::{DeltaDiscoveryResponse, Resource},
        google::protobuf::Any,
    },
};
use proptest::{collection::vec, option, prelude::*, sample::select};

use super::peer::Peer;
use crate::testing::body;

fn type_url() -> impl Strategy<Value = String> {
    let known = select(Kind::ALL.map(|kind| kind.type_url().to_owned()).to_vec());
    prop_oneof![8 => known, 1 => Just(String::new()), 1 => "[a-z./]{0,12}"]
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![8 => select(vec!["a", "b", "*", ""]).prop_map(str::to_owned), 1 => any::<String>()]
}

fn resource() -> impl Strategy<Value = Resource> {
    let good = (select(Kind::ALL.to_vec()), select(vec![Kind::Route, Kind::Cluster, Kind::Endpoints]), name())
        .prop_map(|(kind, to, name)| body(kind, "a", &[(to, &name)]));
    let value = prop_oneof![good, vec(any::<u8>(), 0..40)];
    let any = option::of((type_url(), value)).prop_map(|any| any.map(|(type_url, value)| Any { type_url, value }));
    (name(), "[0-3]?", any).prop_map(|(name, version, resource)| Resource {
        name,
        version,
        resource,
        ..Resource::default()
    })
}

fn response() -> impl Strategy<Value = DeltaDiscoveryResponse> {
    let parts = (type_url(), vec(resource(), 0..4), vec(name(), 0..3), "[0-9]?");
    parts.prop_map(|(type_url, resources, removed_resources, nonce)| DeltaDiscoveryResponse {
        type_url,
        resources,
        removed_resources,
        nonce,
        ..Default::default()
    })
}

proptest! {
    #[test]
    fn whatever_comes_is_survived_and_what_is_told_stays_what_is_held(
        responses in vec((response(), any::<bool>()), 0..20),
    ) {
        let mut peer = Peer::asked();
        peer.want(&["a"]);
        for (response, reads) in responses {
            peer.client.on_response(response, peer.now);
            if reads {
                while peer.client.next_request().is_some() {}
            }
        }
        while peer.client.next_request().is_some() {}
        for kind in Kind::ALL {
            for (name, entry) in &peer.client.table(kind).entries {
                prop_assert!(entry.told == entry.named, "{kind} {name}: {entry:?}");
                prop_assert!(entry.referred, "{kind} {name}: {entry:?}");
            }
        }
    }
}
