use byrnie_model::{ObjectKind, ObjectRef};

/// An object as kubectl names it: `httproute/cart`, `tp/cart`, `httproutes.gateway.networking.k8s.io/cart`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    kind: ObjectKind,
    name: String,
}

struct Kind {
    kind: ObjectKind,
    group: &'static str,
    /// Singular, plural, and what is short for them.
    words: &'static [&'static str],
}

const GATEWAY: &str = "gateway.networking.k8s.io";
const OWN: &str = "mesh.byrnie.io";

const KINDS: [Kind; 5] = [
    Kind { kind: ObjectKind::HTTPRoute, group: GATEWAY, words: &["httproute", "httproutes"] },
    Kind { kind: ObjectKind::GRPCRoute, group: GATEWAY, words: &["grpcroute", "grpcroutes"] },
    Kind { kind: ObjectKind::TrafficPolicy, group: OWN, words: &["trafficpolicy", "trafficpolicies", "tp"] },
    Kind { kind: ObjectKind::PeerPolicy, group: OWN, words: &["peerpolicy", "peerpolicies", "pp"] },
    Kind { kind: ObjectKind::MeshConfig, group: OWN, words: &["meshconfig", "meshconfigs", "meshcfg"] },
];

impl Named {
    /// The object, in this namespace where its kind has one.
    pub fn within(&self, namespace: &str) -> ObjectRef {
        let namespace = if self.kind.is_namespaced() { namespace } else { "" };
        ObjectRef { kind: self.kind, namespace: namespace.into(), name: self.name.as_str().into() }
    }
}

/// Reads `KIND/NAME`.
pub fn object(text: &str) -> Result<Named, String> {
    let wrong = || {
        let kinds = KINDS.map(|kind| kind.words[0]).join(", ");
        format!("{text:?} names no object that can be waited for: KIND/NAME is accepted, KIND one of {kinds}")
    };
    let (kind, object) = text.split_once('/').ok_or_else(wrong)?;
    let kind = kind.to_ascii_lowercase();
    // `kubectl apply --output name` writes the group behind the kind.
    let (word, group) = kind.split_once('.').map_or((&*kind, None), |(word, group)| (word, Some(group)));
    let is_meant = |known: &&Kind| known.words.contains(&word) && group.is_none_or(|group| group == known.group);
    let kind = KINDS.iter().find(is_meant).ok_or_else(wrong)?.kind;
    Ok(Named { kind, name: name(object).map_err(|_| wrong())? })
}

/// Reads the name of a namespace or an object (RFC 1123).
pub fn name(text: &str) -> Result<String, String> {
    let is_fit = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    match !text.is_empty() && text.chars().all(is_fit) {
        true => Ok(text.to_owned()),
        false => Err(format!("{text:?} is no name: lower case letters, digits, - and . are accepted")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        object(text).map_or_else(|told| told, |named| named.within("shop").to_string())
    }

    #[test]
    fn an_object_is_named_as_kubectl_names_it() {
        let route = "HTTPRoute/shop/cart";
        for text in ["httproute/cart", "HTTPRoute/cart", "httproutes/cart", "httproute.gateway.networking.k8s.io/cart"]
        {
            assert_eq!(read(text), route, "{text}");
        }
        assert_eq!(read("grpcroutes/a.b"), "GRPCRoute/shop/a.b");
        assert_eq!([read("tp/cart"), read("trafficpolicies.mesh.byrnie.io/cart")], ["TrafficPolicy/shop/cart"; 2]);
        assert_eq!(read("pp/cart"), "PeerPolicy/shop/cart");
        assert_eq!(read("meshcfg/default"), "MeshConfig/default");
    }

    #[test]
    fn what_names_no_such_object_is_told_what_does() {
        for text in ["cart", "service/cart", "tp.example.com/cart", "tp/", "tp/a/b", "tp/Cart", "/cart"] {
            let told = read(text);
            assert!(told.starts_with(&format!("{text:?} names no object")), "{told}");
            assert!(told.ends_with("httproute, grpcroute, trafficpolicy, peerpolicy, meshconfig"), "{told}");
        }
    }
}
