use std::{collections::BTreeSet, sync::Arc};

use byrnie_model::{ObjectRef, WorkloadName};
use byrnie_proto::Kind;
use imbl::{OrdMap, OrdSet, ordmap::DiffItem};

use crate::{
    Client, Dialect, Pods, Resource, View, names,
    objects::{Objects, Slot},
};

type Names = OrdMap<Arc<str>, Arc<Resource>>;

/// All resources at one moment. A clone is a few reference counts and shares everything.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    layers: OrdMap<(View, Kind), Names>,
    /// Which of them come from what users wrote for the mesh.
    objects: Objects,
    /// Workloads that are shown no listener but their own: nothing is redirected to them.
    secluded: OrdSet<WorkloadName>,
    pods: Pods,
}

/// A resource that differs between two snapshots.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// Who is shown it.
    pub view: View,
    /// Its kind.
    pub kind: Kind,
    /// Its name; `*` where the view as a whole shows other resources of this kind than before; in [`View::Asked`] what
    /// the names begin with: `out/10.1.2.3:`.
    pub name: Arc<str>,
}

/// What one client is shown of one kind: a few shared maps, the narrowest first.
#[derive(Clone, Debug, Default)]
pub struct Sight {
    layers: [Names; DEPTH],
    /// How many of the layers a wildcard covers.
    covered: usize,
    /// What more there is for who asks by name.
    pods: Option<Pods>,
}

/// How many views a client has whose resources are built in advance.
const DEPTH: usize = 5;

impl Snapshot {
    /// Puts a resource in a view.
    pub fn put(&mut self, view: View, resource: impl Into<Arc<Resource>>) {
        let resource = resource.into();
        let key = (view, resource.kind());
        let names = self.layers.entry(key.clone()).or_default();
        let old = names.insert(resource.name().clone(), Arc::clone(&resource));
        self.objects.replace(&key.0, old.as_deref(), Some(&resource));
    }

    /// Takes a resource out of a view; nothing happens where it is not there.
    pub fn remove(&mut self, view: &View, kind: Kind, name: &str) {
        let key = (view.clone(), kind);
        let Some(names) = self.layers.get_mut(&key) else { return };
        let old = names.remove(name);
        if names.is_empty() {
            self.layers.remove(&key);
        }
        self.objects.replace(view, old.as_deref(), None);
    }

    /// Sets whether the workload is shown no listener but its own (explicit mode).
    pub fn seclude(&mut self, workload: &WorkloadName, secluded: bool) {
        if secluded {
            self.secluded.insert(workload.clone());
        } else {
            self.secluded.remove(workload);
        }
    }

    /// The workloads by address.
    pub(crate) fn pods_mut(&mut self) -> &mut Pods {
        &mut self.pods
    }

    /// What `client` is shown of `kind`.
    pub fn sight(&self, client: &Client, kind: Kind) -> Sight {
        let alone = self.is_alone(client, kind);
        let micro = client.dialect == Dialect::Micro;
        let covered = self.covered(client, kind);
        let layer = |view: View| match view {
            View::Namespace(..) | View::Dialect(_) | View::Common if alone => Names::new(),
            view if !client.sees(&view) => Names::new(),
            view => self.layers.get(&(view, kind)).cloned().unwrap_or_default(),
        };
        let pods = (micro && matches!(kind, Kind::Listener | Kind::Cluster)).then(|| self.pods.clone());
        Sight { layers: client.views().map(layer), covered, pods }
    }

    /// One resource as `client` is shown it.
    pub fn find(&self, client: &Client, kind: Kind, name: &str) -> Option<&Arc<Resource>> {
        let reach = if self.is_alone(client, kind) { 1 } else { DEPTH };
        self.find_within(reach, client, kind, name)
    }

    /// One resource as a wildcard of `client` covers it.
    pub fn find_covered(&self, client: &Client, kind: Kind, name: &str) -> Option<&Arc<Resource>> {
        let reach = if self.is_alone(client, kind) { 1 } else { self.covered(client, kind) };
        self.find_within(reach, client, kind, name)
    }

    /// One resource of one view.
    pub fn at(&self, view: &View, kind: Kind, name: &str) -> Option<&Arc<Resource>> {
        self.layers.get(&(view.clone(), kind))?.get(name)
    }

    /// Where the resources stand that come from an object, by kind, name and view. Only of routes, policies and the mesh's
    /// settings: nobody asks for the others.
    pub fn of_object(&self, object: &ObjectRef) -> impl Iterator<Item = &Slot> {
        self.objects.of(object)
    }

    /// The objects of which other resources come than in `old`, whatever is in them, in proportion to the difference.
    pub fn changed_objects<'a>(&'a self, old: &'a Self) -> impl Iterator<Item = &'a ObjectRef> {
        self.objects.changes(&old.objects)
    }

    fn find_within(&self, reach: usize, client: &Client, kind: Kind, name: &str) -> Option<&Arc<Resource>> {
        let mut views = client.views().into_iter().take(reach).filter(|view| client.sees(view));
        views.find_map(|view| self.layers.get(&(view, kind))?.get(name))
    }

    /// How many of a client's views its wildcard covers.
    fn covered(&self, client: &Client, kind: Kind) -> usize {
        match client.dialect == Dialect::Micro {
            // Nothing arrives at `out`.
            true if kind == Kind::Listener && self.secluded.contains(&client.workload) => 1,
            true => 2,
            false => DEPTH,
        }
    }

    /// Whether the client is shown no resource of `kind` but its own. A proxyless client beside such a sidecar is not
    /// meant: nothing is redirected to it anyway. Nor is a micro-proxy, which gets what it asks for.
    fn is_alone(&self, client: &Client, kind: Kind) -> bool {
        kind == Kind::Listener && client.dialect == Dialect::Envoy && self.secluded.contains(&client.workload)
    }

    /// The names of one kind in one view.
    pub fn names(&self, view: &View, kind: Kind) -> impl Iterator<Item = &Arc<str>> {
        self.layers.get(&(view.clone(), kind)).into_iter().flat_map(|names| names.keys())
    }

    /// All resources with the view they are in, by view, kind and name.
    pub fn all(&self) -> impl Iterator<Item = (&View, &Arc<Resource>)> {
        self.layers.iter().flat_map(|((view, _), names)| names.values().map(move |resource| (view, resource)))
    }

    /// What differs between `old` and this, in proportion to the difference.
    pub fn changes(&self, old: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        let empty = Names::new();
        for item in old.layers.diff(&self.layers) {
            let ((view, kind), before, after) = match item {
                DiffItem::Add(key, after) => (key, &empty, after),
                DiffItem::Remove(key, before) => (key, before, &empty),
                DiffItem::Update { old: (key, before), new: (_, after) } => (key, before, after),
            };
            let differing = before.diff(after).filter_map(differing_name);
            changes.extend(differing.map(|name| Change { view: view.clone(), kind: *kind, name }));
        }
        self.changes_of_seclusion(old, &mut changes);
        for ip in self.pods.changes(&old.pods) {
            let name: Arc<str> = names::outbound_of(ip).into();
            let change = |kind| Change { view: View::Asked, kind, name: Arc::clone(&name) };
            changes.extend([Kind::Cluster, Kind::Listener].map(change));
        }
        changes
    }

    /// A workload that is secluded or no longer so is shown other listeners; one change stands for all.
    fn changes_of_seclusion(&self, old: &Self, changes: &mut Vec<Change>) {
        let moved = old.secluded.diff(&self.secluded).map(|item| match item {
            imbl::ordset::DiffItem::Add(name) | imbl::ordset::DiffItem::Remove(name) => name.clone(),
        });
        let all =
            moved.map(|workload| Change { view: View::Workload(workload), kind: Kind::Listener, name: "*".into() });
        changes.extend(all);
    }
}

impl Sight {
    /// As much of it as a wildcard covers.
    pub fn wildcard(&self) -> Self {
        let mut layers = self.layers.clone();
        layers[self.covered..].fill(Names::new());
        Self { layers, covered: self.covered, pods: None }
    }

    /// Whether a wildcard covers only a part of it.
    pub fn is_partly_covered(&self) -> bool {
        self.covered < DEPTH
    }

    /// The workloads of which a resource can be built that has a name by address.
    pub fn pods(&self) -> Option<&Pods> {
        self.pods.as_ref()
    }

    /// One resource that was built in advance.
    pub fn get(&self, name: &str) -> Option<&Arc<Resource>> {
        self.layers.iter().find_map(|layer| layer.get(name))
    }

    /// All resources, each name once; the order is unspecified.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.layers.iter().enumerate().flat_map(move |(depth, layer)| {
            layer.values().filter(move |r| !self.layers[..depth].iter().any(|narrower| narrower.contains_key(r.name())))
        })
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there is nothing to see.
    pub fn is_empty(&self) -> bool {
        self.layers.iter().all(OrdMap::is_empty)
    }

    /// The names whose resource differs between `old` and this, in proportion to the difference.
    pub fn changes(&self, old: &Self) -> BTreeSet<Arc<str>> {
        let layers = old.layers.iter().zip(&self.layers);
        let candidates = layers.flat_map(|(before, after)| before.diff(after).filter_map(differing_name));
        candidates.filter(|name| version(self.get(name)) != version(old.get(name))).collect()
    }
}

/// The name of a difference. Where only the bytes count (`Resource::eq` also compares origins) the caller sorts it out.
fn differing_name(item: DiffItem<'_, '_, Arc<str>, Arc<Resource>>) -> Option<Arc<str>> {
    match item {
        DiffItem::Add(name, _) | DiffItem::Remove(name, _) => Some(name.clone()),
        DiffItem::Update { old: (name, before), new: (_, after) } => {
            (before.version() != after.version()).then(|| name.clone())
        }
    }
}

fn version(resource: Option<&Arc<Resource>>) -> Option<crate::Version> {
    resource.map(|resource| resource.version())
}

#[cfg(test)]
mod tests {
    use byrnie_proto::envoy::google::protobuf::StringValue;

    use super::*;

    fn resource(name: &str, content: &str) -> Resource {
        Resource::new(Kind::Cluster, name, &StringValue { value: content.to_owned() })
    }

    fn client() -> Client {
        Client { workload: WorkloadName::new("shop", "cart-1"), dialect: Dialect::Envoy }
    }

    #[test]
    fn a_narrower_view_hides_a_wider_one_and_only_for_who_sees_it() {
        let mut snapshot = Snapshot::default();
        snapshot.put(View::Dialect(Dialect::Envoy), resource("a", "wide"));
        snapshot.put(View::Namespace(Dialect::Envoy, "shop".into()), resource("a", "narrow"));
        let other = Client { workload: WorkloadName::new("bank", "teller"), ..client() };
        let seen = |client: &Client| snapshot.find(client, Kind::Cluster, "a").map(|r| r.body().clone());
        assert_eq!(seen(&client()), Some(resource("a", "narrow").body().clone()));
        assert_eq!(seen(&other), Some(resource("a", "wide").body().clone()));
        assert_eq!(snapshot.sight(&client(), Kind::Cluster).len(), 1);
    }

    #[test]
    fn a_proxyless_client_is_not_shown_what_the_sidecar_beside_it_has_for_itself() {
        let mut snapshot = Snapshot::default();
        let own = View::Workload(client().workload);
        snapshot.put(own.clone(), resource("a", "the sidecar's"));
        snapshot.put(View::Common, resource("a", "wide"));
        let proxyless = Client { dialect: Dialect::Grpc, ..client() };
        assert!(client().sees(&own) && !proxyless.sees(&own));
        let wide = resource("a", "wide").version();
        assert_eq!(snapshot.find(&proxyless, Kind::Cluster, "a").map(|r| r.version()), Some(wide));
        assert_eq!(snapshot.sight(&proxyless, Kind::Cluster).get("a").map(|r| r.version()), Some(wide));
    }

    #[test]
    fn changes_name_what_differs_in_bytes_and_nothing_else() {
        let mut old = Snapshot::default();
        for n in 0..100 {
            old.put(View::Common, resource(&format!("r{n}"), "same"));
        }
        let mut new = old.clone();
        new.put(View::Common, resource("r7", "other"));
        new.put(View::Common, resource("r8", "same"));
        new.remove(&View::Common, Kind::Cluster, "r9");
        let names: Vec<_> = new.changes(&old).into_iter().map(|change| change.name.to_string()).collect();
        assert_eq!(names, ["r7", "r9"]);
        let sights = new.sight(&client(), Kind::Cluster).changes(&old.sight(&client(), Kind::Cluster));
        assert_eq!(sights.len(), 2);
    }

    #[test]
    fn a_narrower_resource_that_goes_uncovers_the_wider_one() {
        let mut old = Snapshot::default();
        let narrow = View::Namespace(Dialect::Envoy, "shop".into());
        old.put(View::Common, resource("a", "wide"));
        old.put(narrow.clone(), resource("a", "narrow"));
        let mut new = old.clone();
        new.remove(&narrow, Kind::Cluster, "a");
        let changed = new.sight(&client(), Kind::Cluster).changes(&old.sight(&client(), Kind::Cluster));
        assert_eq!(changed.into_iter().map(|name| name.to_string()).collect::<Vec<_>>(), ["a"]);
    }
}
