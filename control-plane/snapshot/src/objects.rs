use std::sync::Arc;

use byrnie_model::ObjectRef;
use byrnie_proto::Kind;
use imbl::{OrdMap, OrdSet, ordmap::DiffItem};

use crate::{Resource, View};

/// Where a resource stands in a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: Arc<str>,
    /// Who is shown it.
    pub view: View,
}

/// The resources of each object of [`Resource::objects`].
#[derive(Clone, Debug, Default)]
pub struct Objects(OrdMap<ObjectRef, OrdSet<Slot>>);

impl Objects {
    /// Where the resources of `object` stand.
    pub fn of(&self, object: &ObjectRef) -> impl Iterator<Item = &Slot> {
        self.0.get(object).into_iter().flatten()
    }

    /// The objects whose resources stand elsewhere than in `old`.
    pub fn changes<'a>(&'a self, old: &'a Self) -> impl Iterator<Item = &'a ObjectRef> {
        old.0.diff(&self.0).map(|item| match item {
            DiffItem::Add(object, _) | DiffItem::Remove(object, _) => object,
            DiffItem::Update { new: (object, _), .. } => object,
        })
    }

    /// Puts `new` in the place of `old`, the same resource of the same view.
    pub fn replace(&mut self, view: &View, old: Option<&Resource>, new: Option<&Resource>) {
        let Some(either) = new.or(old) else { return };
        let slot = || Slot { kind: either.kind(), name: either.name().clone(), view: view.clone() };
        for gone in of(old).filter(|object| !of(new).any(|kept| kept == *object)) {
            let Some(slots) = self.0.get_mut(gone) else { continue };
            slots.remove(&slot());
            if slots.is_empty() {
                self.0.remove(gone);
            }
        }
        for object in of(new).filter(|object| !of(old).any(|known| known == *object)) {
            self.0.entry(object.clone()).or_default().insert(slot());
        }
    }
}

fn of(resource: Option<&Resource>) -> impl Iterator<Item = &ObjectRef> {
    resource.into_iter().flat_map(Resource::objects)
}

#[cfg(test)]
mod tests {
    use byrnie_model::{ObjectKind, Origin};
    use byrnie_proto::envoy::google::protobuf::StringValue;

    use super::*;
    use crate::Snapshot;

    fn route(name: &str) -> ObjectRef {
        Origin::of(ObjectKind::HTTPRoute, "shop", name).object
    }

    fn resource(name: &str, routes: &[&str]) -> Resource {
        let service = Origin::of(ObjectKind::Service, "shop", name);
        let routes = routes.iter().map(|route| Origin::of(ObjectKind::HTTPRoute, "shop", route));
        let message = StringValue { value: name.to_owned() };
        Resource::new(Kind::Route, name, &message).from_origins(routes.chain([service]))
    }

    fn of(snapshot: &Snapshot, name: &str) -> Vec<String> {
        snapshot.of_object(&route(name)).map(|slot| slot.name.to_string()).collect()
    }

    #[test]
    fn an_object_has_the_resources_that_name_it_and_loses_them_with_its_place() {
        let mut first = Snapshot::default();
        first.put(View::Common, resource("a", &["x", "y"]));
        first.put(View::Common, resource("b", &["x"]));
        assert_eq!((of(&first, "x"), of(&first, "y")), (vec!["a".to_owned(), "b".to_owned()], vec!["a".to_owned()]));
        assert_eq!(first.of_object(&Origin::of(ObjectKind::Service, "shop", "a").object).count(), 0);

        let mut second = first.clone();
        second.put(View::Common, resource("a", &["y"]));
        second.remove(&View::Common, Kind::Route, "b");
        assert_eq!((of(&second, "x"), of(&second, "y")), (vec![], vec!["a".to_owned()]));
        assert_eq!(second.changed_objects(&first).collect::<Vec<_>>(), [&route("x")]);
        assert_eq!(first.changed_objects(&first).count(), 0);
        assert_eq!(of(&first, "x").len(), 2);
    }
}
