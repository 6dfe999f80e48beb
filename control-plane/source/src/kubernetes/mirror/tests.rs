mod history;

use byrnie_model::{Update, World};
use serde_json::{Value, json};

use super::*;

const ROUTES: ObjectKind = ObjectKind::HTTPRoute;
const SERVICES: ObjectKind = ObjectKind::Service;

/// A mirror of two kinds, the World that it makes, and a clock.
struct Subject {
    mirror: Mirror,
    world: World,
    now: Instant,
}

impl Subject {
    fn new() -> Self {
        Self { mirror: Mirror::new([SERVICES, ROUTES]), world: World::default(), now: Instant::now() }
    }

    /// One that has listed these Services, and no routes.
    fn with(services: &[Value]) -> Self {
        let mut subject = Self::new();
        subject.list(ROUTES, &[]);
        subject.list(SERVICES, services);
        subject.batch().unwrap();
        subject
    }

    fn take(&mut self, kind: ObjectKind, event: Event<Seen>) {
        self.mirror.take(kind, event, self.now);
    }

    fn list(&mut self, kind: ObjectKind, objects: &[Value]) {
        self.take(kind, Event::Begin);
        objects.iter().for_each(|object| self.take(kind, Event::Listed(seen(kind, object))));
        self.take(kind, Event::Complete);
    }

    fn put(&mut self, kind: ObjectKind, object: &Value) {
        self.take(kind, Event::Put(seen(kind, object)));
    }

    fn fail(&mut self, kind: ObjectKind, failure: Failure) {
        self.take(kind, Event::Failing(failure));
    }

    /// The batch that is due: the names that it updates, and its findings.
    fn batch(&mut self) -> Option<(Vec<String>, Vec<String>)> {
        let Batch { updates, findings, .. } = self.mirror.batch(self.now, self.now)?;
        let name = |update: &Update| match update {
            Update::Service(name, value) => Some(format!("{}{name}", if value.is_some() { "" } else { "-" })),
            Update::Route(name, value) => Some(format!("{}{}", if value.is_some() { "" } else { "-" }, name.name())),
            _ => None,
        };
        let names = updates.iter().filter_map(name).collect();
        self.world = self.world.apply(updates).0;
        Some((names, findings.iter().map(ToString::to_string).collect()))
    }

    fn standing(&self, kind: ObjectKind) -> Standing {
        self.mirror.standings().find(|standing| standing.kind == kind).unwrap()
    }
}

fn seen(kind: ObjectKind, object: &Value) -> Seen {
    Seen::of(kind, &Document(object.clone())).unwrap()
}

fn service(name: &str, version: u32, port: u32) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "shop", "resourceVersion": version.to_string()},
        "spec": {"clusterIP": "10.0.0.1", "ports": [{"port": port}]},
    })
}

fn route(name: &str, version: u32, path: &str) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": "shop", "resourceVersion": version.to_string(), "generation": version},
        "spec": {"parentRefs": [{"group": "", "kind": "Service", "name": "cart"}],
                 "rules": [{"matches": [{"path": {"value": path}}], "backendRefs": [{"name": "cart", "port": 80}]}]},
    })
}

fn unreachable() -> Failure {
    Failure::Unreachable("connection refused".to_owned())
}

#[test]
fn the_first_batch_comes_when_every_kind_is_listed() {
    let mut subject = Subject::new();
    subject.list(SERVICES, &[service("cart", 1, 80)]);
    assert_eq!(subject.batch(), None);
    assert_eq!(subject.standing(ROUTES).state, WatchState::Listing);
    assert_eq!(subject.standing(SERVICES).objects, 1);
    subject.list(ROUTES, &[]);
    assert_eq!(subject.batch(), Some((vec!["shop/cart".to_owned()], vec![])));
    assert_eq!(subject.batch(), None, "nothing changed");
}

#[test]
fn an_edit_that_leaves_an_object_as_invalid_as_it_was_is_told_all_the_same() {
    let mut subject = Subject::new();
    subject.list(SERVICES, &[]);
    subject.list(ROUTES, &[route("cart", 1, "no slash")]);
    let generation = |subject: &mut Subject| {
        let batch = subject.mirror.batch(subject.now, subject.now)?;
        batch.unreadable.into_iter().map(|(object, generation)| (object.to_string(), generation)).next()
    };
    assert_eq!(generation(&mut subject), Some(("HTTPRoute/shop/cart".to_owned(), 1)));
    subject.put(ROUTES, &route("cart", 2, "no slash"));
    assert_eq!(generation(&mut subject), Some(("HTTPRoute/shop/cart".to_owned(), 2)));
    subject.put(ROUTES, &route("cart", 3, "/"));
    assert_eq!(generation(&mut subject), None);
}

#[test]
fn an_empty_cluster_has_a_first_batch_too() {
    let mut subject = Subject::new();
    subject.list(SERVICES, &[]);
    subject.take(ROUTES, Event::Absent);
    assert_eq!(subject.batch(), Some((vec![], vec![])));
}

#[test]
fn a_list_replaces_a_kind_as_a_whole_and_in_one_batch() {
    let mut subject = Subject::with(&[service("a", 1, 80), service("b", 2, 80), service("c", 3, 80)]);
    subject.take(SERVICES, Event::Begin);
    for object in [service("b", 2, 80), service("c", 9, 81), service("d", 8, 80)] {
        subject.take(SERVICES, Event::Listed(seen(SERVICES, &object)));
        assert_eq!(subject.batch(), None, "a list counts when it is complete");
    }
    subject.take(SERVICES, Event::Complete);
    let (names, _) = subject.batch().unwrap();
    assert_eq!(names, ["-shop/a", "shop/c", "shop/d"]);
}

#[test]
fn a_list_that_begins_again_forgets_what_was_listed_before() {
    let mut subject = Subject::with(&[service("a", 1, 80)]);
    subject.take(SERVICES, Event::Begin);
    subject.take(SERVICES, Event::Listed(seen(SERVICES, &service("b", 2, 80))));
    subject.fail(SERVICES, unreachable());
    subject.list(SERVICES, &[service("a", 1, 80)]);
    assert_eq!(subject.batch(), None);
}

#[test]
fn an_outage_takes_nothing_away_and_is_told_once() {
    let mut subject = Subject::with(&[service("a", 1, 80)]);
    for kind in [SERVICES, ROUTES] {
        subject.fail(kind, unreachable());
    }
    assert_eq!(subject.batch(), None, "watches break all the time");
    assert_eq!(subject.mirror.due(), Some(subject.now + PATIENCE));
    subject.now += PATIENCE;
    let told = "the API server does not answer: connection refused; what was known last stays in force";
    assert_eq!(subject.batch(), Some((vec![], vec![told.to_owned()])));
    assert_eq!(subject.mirror.due(), None);
    subject.now += PATIENCE;
    subject.fail(SERVICES, Failure::Unreachable("connection reset".to_owned()));
    assert_eq!(subject.batch(), None, "it is the same outage");
    assert!(subject.standing(SERVICES).failing.is_some());
    subject.fail(ROUTES, Failure::Refused("not ready".to_owned()));
    subject.fail(ROUTES, Failure::Unreachable("broken pipe".to_owned()));
    subject.now += PATIENCE;
    assert_eq!(subject.batch(), None, "it is, although it has another reason elsewhere");
    // Deleted while nobody was told; what is said next is a list. The server answers one watch after the other.
    subject.list(SERVICES, &[service("b", 7, 80)]);
    let told = vec![told.to_owned()];
    assert_eq!(subject.batch(), Some((vec!["-shop/a".to_owned(), "shop/b".to_owned()], told)), "and it is not over");
    subject.take(ROUTES, Event::Answering);
    assert_eq!(subject.batch(), Some((vec![], vec![])));
    assert_eq!(subject.standing(SERVICES).failing, None);
}

#[test]
fn a_kind_that_may_not_be_watched_is_told_by_its_name() {
    let mut subject = Subject::with(&[]);
    subject.fail(ROUTES, Failure::Refused("httproutes is forbidden".to_owned()));
    subject.now += PATIENCE;
    let (_, findings) = subject.batch().unwrap();
    assert_eq!(findings, ["no watch of HTTPRoute: httproutes is forbidden; what was known last stays in force"]);
}

#[test]
fn a_kind_that_is_installed_later_is_followed_and_one_that_is_removed_is_empty() {
    let mut subject = Subject::new();
    subject.list(SERVICES, &[service("cart", 1, 80)]);
    subject.take(ROUTES, Event::Absent);
    subject.batch().unwrap();
    assert_eq!(subject.standing(ROUTES).state, WatchState::Absent);
    subject.list(ROUTES, &[route("cart", 2, "/")]);
    assert_eq!(subject.batch().unwrap().0, ["cart"]);
    assert_eq!(subject.standing(ROUTES).state, WatchState::Following);
    subject.take(ROUTES, Event::Absent);
    assert_eq!(subject.batch().unwrap().0, ["-cart"]);
}

#[test]
fn an_invalid_object_leaves_its_last_valid_state_in_force() {
    let mut subject = Subject::with(&[service("cart", 1, 80)]);
    subject.list(ROUTES, &[route("cart", 2, "/")]);
    subject.batch().unwrap();
    subject.put(ROUTES, &route("cart", 3, "no-path"));
    let (names, findings) = subject.batch().unwrap();
    assert!(names.is_empty(), "{names:?}");
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(findings[0].starts_with("HTTPRoute/shop/cart: spec.rules[0].matches[0].path.value: "), "{findings:?}");
    let route_of = |world: &World| world.routes().next().map(|route| route.origin.generation);
    assert_eq!(route_of(&subject.world), Some(2));
    subject.put(ROUTES, &route("cart", 4, "/next"));
    assert_eq!(subject.batch(), Some((vec!["cart".to_owned()], vec![])));
    assert_eq!(route_of(&subject.world), Some(4));
    subject.put(ROUTES, &route("cart", 5, "no-path"));
    subject.take(ROUTES, Event::Deleted(seen(ROUTES, &route("cart", 6, "no-path"))));
    assert_eq!(subject.batch(), Some((vec!["-cart".to_owned()], vec![])));
}

#[test]
fn an_object_that_was_never_valid_is_told_and_not_in_force() {
    let mut subject = Subject::with(&[service("cart", 1, 80)]);
    subject.put(ROUTES, &route("cart", 2, "no-path"));
    let (names, findings) = subject.batch().unwrap();
    assert_eq!((names.len(), findings.len()), (0, 1), "{findings:?}");
    assert_eq!(subject.world.routes().count(), 0);
    subject.list(ROUTES, &[]);
    assert_eq!(subject.batch(), Some((vec![], vec![])), "the finding goes with the object");
}
