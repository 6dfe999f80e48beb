//! The connected clients as JSON, for `byrnie proxy-status` and `/debug/clients`.

use byrnie_ads::{ClientStatus, KindStatus, NackStatus, Sync};
use byrnie_proto::Kind;
use serde_json::{Map, Value, json};

/// One object a stream, by node and stream; `CDS` to `SDS` say in a word how the client stands.
pub fn list(clients: &[ClientStatus]) -> Value {
    let mut clients: Vec<_> = clients.iter().collect();
    clients.sort_by(|a, b| (&a.workload, a.stream).cmp(&(&b.workload, b.stream)));
    clients.into_iter().map(client).collect()
}

fn client(client: &ClientStatus) -> Value {
    let mut fields = Map::new();
    fields.insert("node".to_owned(), json!(client.workload.to_string()));
    fields.insert("stream".to_owned(), json!(client.stream));
    fields.insert("dialect".to_owned(), json!(client.dialect.to_string()));
    fields.insert("protocol".to_owned(), json!(format!("{:?}", client.protocol).to_lowercase()));
    fields.insert("version".to_owned(), json!(client.user_agent));
    fields.insert("peer".to_owned(), json!(client.peer.map(|peer| peer.to_string())));
    fields.insert("connectedSeconds".to_owned(), json!(client.connected.as_secs()));
    for kind in Kind::ALL {
        let status = client.kinds.iter().find(|status| status.kind == kind);
        fields.insert(kind.short().to_owned(), json!(status.map(standing)));
    }
    fields.insert("kinds".to_owned(), client.kinds.iter().map(kind).collect());
    let open = client.kinds.iter().filter_map(|status| Some((status.kind, status.nack.as_ref()?)));
    let refused = open.filter(|(_, nack)| !nack.cured).map(|(kind, nack)| refusal(kind, nack));
    fields.insert("refused".to_owned(), refused.collect());
    Value::Object(fields)
}

fn kind(status: &KindStatus) -> Value {
    json!({
        "kind": status.kind.short(),
        "wildcard": status.wildcard,
        "names": status.names,
        "responses": status.responses,
        "acks": status.acks,
        "nacks": status.nacks,
        "lastNonce": status.last_nonce,
        "sync": standing(status),
        "denied": status.denied,
        "pendingSeconds": match status.sync {
            Sync::Pending { since } => Some(since.as_secs()),
            _ => None,
        },
        "lastNack": status.nack.as_ref().map(|nack| refusal(status.kind, nack)),
    })
}

fn refusal(kind: Kind, nack: &NackStatus) -> Value {
    let objects = nack.blamed.iter().flat_map(|blamed| &blamed.origins);
    json!({
        "kind": kind.short(),
        "resources": nack.blamed.iter().map(|blamed| &blamed.name).collect::<Vec<_>>(),
        "objects": objects.map(ToString::to_string).collect::<Vec<_>>(),
        "message": nack.text,
        "secondsAgo": nack.ago.as_secs(),
        "cured": nack.cured,
    })
}

/// A client that is refused a kind has all that it gets, and still not what it asked for.
fn standing(status: &KindStatus) -> &'static str {
    if status.denied.is_some() { "denied" } else { word(status.sync) }
}

fn word(sync: Sync) -> &'static str {
    match sync {
        Sync::Synced => "synced",
        Sync::Pending { .. } => "pending",
        Sync::Stale => "stale",
        Sync::Refused => "refused",
    }
}
