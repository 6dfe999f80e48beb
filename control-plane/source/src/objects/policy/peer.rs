//! PeerPolicy: who may call the workloads of a namespace.

use std::{collections::BTreeMap, fmt};

use byrnie_model::{ObjectKind, PeerMode, policy::PeerPolicy};
use serde::{Deserialize, Deserializer, de};

use super::Mode;
use crate::{
    field::Cursor,
    objects::{
        meta::{Strict, StringMap},
        scalar::Port,
    },
};

/// `spec`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    #[serde(default)]
    selector: Selector,
    mode: Mode,
    #[serde(default)]
    ports: Ports,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Selector {
    #[serde(default)]
    match_labels: StringMap,
}

/// `ports`: a map from port to mode, as in Istio, or a list of both.
#[derive(Clone, Debug, Default)]
struct Ports(Vec<(u16, Mode)>);

#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct PortMode {
    port: Port,
    mode: Mode,
}

/// Reads a PeerPolicy.
pub(crate) fn read(object: Strict<Spec>, at: Cursor<'_>) -> PeerPolicy {
    let Strict { metadata, spec, .. } = object;
    let mut ports: BTreeMap<u16, PeerMode> = BTreeMap::new();
    for (port, mode) in spec.ports.0 {
        if ports.insert(port, mode.into()).is_some() {
            at.key("spec").key("ports").refuse(format!("port {port} is there twice"));
        }
    }
    PeerPolicy {
        origin: metadata.origin(ObjectKind::PeerPolicy),
        created: metadata.created(),
        namespace: metadata.namespace(),
        selector: spec.selector.match_labels,
        mode: spec.mode.into(),
        ports,
    }
}

impl<'de> Deserialize<'de> for Ports {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Ports;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("modes by port as in {\"8080\": Strict}, or a list of {port, mode}")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Ports, A::Error> {
                let mut ports = Vec::new();
                while let Some(key) = map.next_key::<String>()? {
                    let port = key.parse().ok().filter(|port| *port > 0);
                    let port = port.ok_or_else(|| {
                        de::Error::invalid_value(de::Unexpected::Str(&key), &"a port from 1 to 65535")
                    })?;
                    ports.push((port, map.next_value()?));
                }
                Ok(Ports(ports))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Ports, A::Error> {
                let mut ports = Vec::new();
                while let Some(PortMode { port, mode }) = list.next_element()? {
                    ports.push((port.number(), mode));
                }
                Ok(Ports(ports))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}
