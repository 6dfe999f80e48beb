use std::sync::Arc;

use byrnie_proto::envoy::{
    envoy::service::discovery::v3::{DeltaDiscoveryResponse, DiscoveryResponse},
    google::protobuf::BytesValue,
};
use proptest::prelude::{ProptestConfig, Strategy, prop, prop_assert_eq, prop_oneof, proptest};
use prost::Message;

use super::*;
use crate::session::TypeUrl;

fn response() -> impl Strategy<Value = Response> {
    let resource = (0..Kind::ALL.len(), "[a-z/:é]{0,40}", prop::collection::vec(prop::num::u8::ANY, 0..300))
        .prop_map(|(kind, name, value)| Arc::new(Resource::new(Kind::ALL[kind], name, &BytesValue { value })));
    let error = ("[a-z]{0,20}", prop::num::i32::ANY, "[a-z ]{0,200}").prop_map(|(name, code, message)| ResourceError {
        name: name.into(),
        code,
        message: message.into(),
    });
    let type_url = prop_oneof![
        (0..Kind::ALL.len()).prop_map(|kind| TypeUrl::Known(Kind::ALL[kind])),
        "[a-z./]{0,30}".prop_map(|text| TypeUrl::Unknown(text.into())),
    ];
    let removed = prop::collection::vec("[a-z]{1,20}".prop_map(Into::into), 0..4);
    (
        prop::bool::ANY,
        type_url,
        "[a-f0-9.]{0,20}",
        prop::collection::vec(resource, 0..5),
        removed,
        prop::collection::vec(error, 0..3),
    )
        .prop_map(|(delta, type_url, nonce, resources, removed, errors)| Response {
            protocol: if delta { Protocol::Delta } else { Protocol::Sotw },
            type_url,
            nonce,
            version: (!delta).then(|| byrnie_snapshot::Version::of(b"all")),
            resources,
            removed: if delta { removed } else { Vec::new() },
            errors,
        })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_by_hand_is_what_the_generated_types_read(response in response()) {
        let mut bytes = Vec::new();
        encode(&response, &mut bytes);
        prop_assert_eq!(bytes.len(), encoded_len(&response));
        let version = |resource: &Resource| resource.version().to_string();
        match response.protocol {
            Protocol::Sotw => {
                let read = DiscoveryResponse::decode(&*bytes).unwrap();
                prop_assert_eq!(&read.version_info, &response.version.unwrap().to_string());
                prop_assert_eq!(&read.type_url, response.type_url.as_str());
                prop_assert_eq!(&read.nonce, &response.nonce);
                for (read, resource) in read.resources.iter().zip(&response.resources) {
                    prop_assert_eq!(&read.type_url, resource.kind().type_url());
                    prop_assert_eq!(&*read.value, &**resource.body());
                }
                prop_assert_eq!(read.encode_to_vec(), bytes);
            }
            Protocol::Delta => {
                let read = DeltaDiscoveryResponse::decode(&*bytes).unwrap();
                prop_assert_eq!(&read.type_url, response.type_url.as_str());
                prop_assert_eq!(&read.nonce, &response.nonce);
                prop_assert_eq!(read.resources.len(), response.resources.len());
                for (read, resource) in read.resources.iter().zip(&response.resources) {
                    prop_assert_eq!(&read.name, &**resource.name());
                    prop_assert_eq!(&read.version, &version(resource));
                    prop_assert_eq!(&*read.resource.as_ref().unwrap().value, &**resource.body());
                }
                let removed: Vec<_> = response.removed.iter().map(ToString::to_string).collect();
                prop_assert_eq!(&read.removed_resources, &removed);
                for (read, error) in read.resource_errors.iter().zip(&response.errors) {
                    prop_assert_eq!(&read.resource_name.as_ref().unwrap().name, &*error.name);
                    prop_assert_eq!(read.error_detail.as_ref().unwrap().code, error.code);
                    prop_assert_eq!(&read.error_detail.as_ref().unwrap().message, &*error.message);
                }
                prop_assert_eq!(read.resource_errors.len(), response.errors.len());
            }
        }
    }
}
