//! What the control plane says of its proxies at `/debug/clients`: the same of all kinds.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::mesh::NAMESPACE;

/// The page that [`read`] reads.
pub const PATH: &str = "/debug/clients";

/// What a proxy answered to the configuration that it was sent, over its present stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// Responses that it took.
    pub taken: u64,
    /// Responses that it refused.
    pub refused: u64,
}

/// By Pod.
pub fn read(page: &[u8]) -> serde_json::Result<BTreeMap<String, Answers>> {
    let mut read = BTreeMap::<_, Answers>::new();
    for client in serde_json::from_slice::<Vec<Client>>(page)? {
        let Some(pod) = client.node.strip_prefix(NAMESPACE).and_then(|rest| rest.strip_prefix('/')) else { continue };
        let answers = read.entry(pod.to_owned()).or_default();
        for kind in client.kinds {
            answers.taken += kind.acks;
            answers.refused += kind.nacks;
        }
    }
    Ok(read)
}

#[derive(Deserialize)]
struct Client {
    node: String,
    kinds: Vec<Kind>,
}

#[derive(Deserialize)]
struct Kind {
    acks: u64,
    nacks: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_all_kinds_of_resources_are_added() {
        let page = br#"[{"node":"shop/web-1","stream":1,"kinds":[{"kind":"CDS","acks":2,"nacks":1},{"kind":"LDS","acks":1,"nacks":0}]},
            {"node":"other/web-1","kinds":[{"acks":9,"nacks":9}]}]"#;
        assert_eq!(read(page).unwrap(), [("web-1".to_owned(), Answers { taken: 3, refused: 1 })].into());
    }
}
