use std::{cmp::Ordering, sync::Arc};

use byrnie_model::{ObjectRef, Origin, World};

/// The routes, the policies and the mesh's settings of which `new` has another generation than `old`, with it; `None`
/// where one is gone. What is the same costs a comparison of pointers.
pub fn changed(old: &World, new: &World) -> Vec<(ObjectRef, Option<i64>)> {
    let mut changed = Vec::new();
    let routes = [old, new].map(|world| world.routes().map(|route| (&route.name, route)));
    differ(routes, |route| &route.origin, &mut changed);
    differ([old, new].map(World::traffic_policies), |policy| &policy.origin, &mut changed);
    differ([old, new].map(World::peer_policies), |policy| &policy.origin, &mut changed);
    if !Arc::ptr_eq(old.mesh(), new.mesh()) {
        note([old, new].map(|world| world.mesh().origin.as_ref()), &mut changed);
    }
    changed
}

/// Walks two sides in step, both in the order of their keys.
fn differ<'a, K: Ord + 'a, V: 'a>(
    sides: [impl Iterator<Item = (&'a K, &'a Arc<V>)>; 2],
    origin: impl Fn(&V) -> &Origin,
    changed: &mut Vec<(ObjectRef, Option<i64>)>,
) {
    let [mut old, mut new] = sides.map(Iterator::peekable);
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((before, _)), Some((after, _))) => before.cmp(after),
        };
        let before = old.next_if(|_| order.is_le()).map(|(_, value)| value);
        let after = new.next_if(|_| order.is_ge()).map(|(_, value)| value);
        if !matches!((before, after), (Some(before), Some(after)) if Arc::ptr_eq(before, after)) {
            note([before, after].map(|side| side.map(|value| origin(value))), changed);
        }
    }
}

fn note([old, new]: [Option<&Origin>; 2], changed: &mut Vec<(ObjectRef, Option<i64>)>) {
    let differs = |origin: &&Origin| old.is_none_or(|old| old.generation != origin.generation);
    match (old, new) {
        (_, Some(new)) => changed.extend(Some(new).filter(differs).map(|o| (o.object.clone(), Some(o.generation)))),
        (Some(old), None) => changed.push((old.object.clone(), None)),
        (None, None) => {}
    }
}

#[cfg(test)]
mod tests {
    use byrnie_model::{
        MeshConfig, ObjectKind, PolicyName, RouteName, Update,
        policy::PeerPolicy,
        route::{Route, RouteKind},
    };

    use super::*;

    fn origin(kind: ObjectKind, name: &str, generation: i64) -> Origin {
        Origin { generation, ..Origin::of(kind, "shop", name) }
    }

    fn route(kind: RouteKind, name: &str, generation: Option<i64>) -> Update {
        let object = match kind {
            RouteKind::Http => ObjectKind::HTTPRoute,
            RouteKind::Grpc => ObjectKind::GRPCRoute,
        };
        let named = RouteName::new(kind, "shop", name);
        let made = |generation| Route {
            name: named.clone(),
            origin: origin(object, name, generation),
            created: 0,
            parents: Vec::new(),
            rules: Vec::new(),
        };
        Update::Route(named.clone(), generation.map(|generation| Arc::new(made(generation))))
    }

    fn mesh(generation: Option<i64>) -> Update {
        let origin = generation.map(|generation| origin(ObjectKind::MeshConfig, "default", generation));
        Update::Mesh(Arc::new(MeshConfig { origin, ..MeshConfig::default() }))
    }

    fn peers(generation: i64) -> Update {
        let policy = PeerPolicy {
            origin: origin(ObjectKind::PeerPolicy, "strict", generation),
            namespace: "shop".into(),
            created: 0,
            selector: Default::default(),
            mode: Default::default(),
            ports: Default::default(),
        };
        Update::PeerPolicy(PolicyName::new("shop", "strict"), Some(Arc::new(policy)))
    }

    fn told(old: &World, new: &World) -> Vec<(String, Option<i64>)> {
        changed(old, new).into_iter().map(|(object, generation)| (object.to_string(), generation)).collect()
    }

    #[test]
    fn what_is_new_changed_or_gone_is_told_and_nothing_else() {
        let (http, grpc) = (RouteKind::Http, RouteKind::Grpc);
        let first = World::default();
        let updates = [route(http, "a", Some(1)), route(http, "c", Some(1)), route(grpc, "c", Some(1)), peers(1)];
        let (second, _) = first.apply(updates);
        let all = ["GRPCRoute/shop/c", "HTTPRoute/shop/a", "HTTPRoute/shop/c", "PeerPolicy/shop/strict"];
        assert_eq!(told(&first, &second), all.map(|object| (object.to_owned(), Some(1))));
        let updates = [route(http, "a", None), route(http, "b", Some(7)), route(http, "c", Some(2)), mesh(Some(3))];
        let (third, _) = second.apply(updates);
        let expected = [
            ("HTTPRoute/shop/a", None),
            ("HTTPRoute/shop/b", Some(7)),
            ("HTTPRoute/shop/c", Some(2)),
            ("MeshConfig/shop/default", Some(3)),
        ];
        assert_eq!(told(&second, &third), expected.map(|(object, generation)| (object.to_owned(), generation)));
        let (fourth, _) = third.apply([mesh(None)]);
        assert_eq!(told(&third, &fourth), [("MeshConfig/shop/default".to_owned(), None)]);
        assert_eq!(told(&fourth, &fourth), []);
    }
}
