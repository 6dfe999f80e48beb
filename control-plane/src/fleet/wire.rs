//! Tallies as `byrnie.fleet.v1` writes them.

use byrnie_ads::{Refusal, Tally};
use byrnie_model::{ObjectKind, ObjectRef, WorkloadName};
use byrnie_proto::{Kind, fleet};

use super::book::Batch;

/// The kinds of object whose standing is counted.
const KINDS: [ObjectKind; 5] = [
    ObjectKind::HTTPRoute,
    ObjectKind::GRPCRoute,
    ObjectKind::TrafficPolicy,
    ObjectKind::PeerPolicy,
    ObjectKind::MeshConfig,
];

/// What `replica` tells.
pub fn write(replica: &str, batch: &Batch) -> fleet::TalliesUpdate {
    let tallies = batch.tallies.iter().map(|(object, tally)| write_tally(object, tally.as_ref()));
    fleet::TalliesUpdate { replica: replica.to_owned(), tallies: tallies.collect(), complete: batch.complete }
}

/// What a replica told. A kind that this version does not know is left out: the other may be newer.
pub fn read(update: fleet::TalliesUpdate) -> Batch {
    Batch { tallies: update.tallies.into_iter().filter_map(read_tally).collect(), complete: update.complete }
}

fn write_tally(object: &ObjectRef, tally: Option<&Tally>) -> fleet::Tally {
    let named = fleet::Tally {
        kind: object.kind.as_str().to_owned(),
        namespace: object.namespace.to_string(),
        name: object.name.to_string(),
        ..fleet::Tally::default()
    };
    match tally {
        None => fleet::Tally { gone: true, ..named },
        Some(Tally { generation, needing, accepted, refusals }) => fleet::Tally {
            generation: *generation,
            needing: *needing,
            accepted: *accepted,
            refusals: refusals.iter().map(write_refusal).collect(),
            ..named
        },
    }
}

fn write_refusal(refusal: &Refusal) -> fleet::Refusal {
    fleet::Refusal {
        client_namespace: refusal.client.namespace().to_owned(),
        client_name: refusal.client.name().to_owned(),
        kind: refusal.kind.short().to_owned(),
        resource: refusal.resource.to_string(),
        text: refusal.text.to_string(),
    }
}

fn read_tally(told: fleet::Tally) -> Option<(ObjectRef, Option<Tally>)> {
    let kind = KINDS.into_iter().find(|kind| kind.as_str() == told.kind)?;
    let object = ObjectRef { kind, namespace: told.namespace.into(), name: told.name.into() };
    let tally = (!told.gone).then(|| Tally {
        generation: told.generation,
        needing: told.needing,
        accepted: told.accepted,
        refusals: told.refusals.into_iter().filter_map(read_refusal).collect(),
    });
    Some((object, tally))
}

fn read_refusal(told: fleet::Refusal) -> Option<Refusal> {
    let kind = Kind::ALL.into_iter().find(|kind| kind.short() == told.kind)?;
    let client = WorkloadName::new(told.client_namespace, told.client_name);
    Some(Refusal { client, kind, resource: told.resource.into(), text: told.text.into() })
}

#[cfg(test)]
mod tests {
    use byrnie_model::Origin;

    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_what_is_newer_is_left_out() {
        let refusal = Refusal {
            client: WorkloadName::new("shop", "cart-1"),
            kind: Kind::Route,
            resource: "route/shop/cart:80".into(),
            text: "no".into(),
        };
        let tally = Tally { generation: 3, needing: 12, accepted: 7, refusals: [refusal].into() };
        let web = Origin::of(ObjectKind::HTTPRoute, "shop", "web").object;
        let mesh = Origin::of(ObjectKind::MeshConfig, "", "default").object;
        let batch = Batch { tallies: vec![(web, Some(tally)), (mesh, None)], complete: true };
        let mut update = write("byrnie-control-plane-1", &batch);
        assert_eq!(update.replica, "byrnie-control-plane-1");
        assert_eq!(read(update.clone()), batch);
        update.tallies.push(fleet::Tally { kind: "UDPRoute".into(), ..Default::default() });
        assert_eq!(read(update), batch);
    }
}
