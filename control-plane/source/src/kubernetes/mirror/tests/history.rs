//! Whatever a watch tells, and in whatever order it breaks, comes to what a directory with the same objects says.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::directory;

/// A step of the history that a watch tells, in a form that shrinks well.
#[derive(Clone, Debug)]
enum Step {
    /// The object of this number is written in this form.
    Write(usize, usize),
    /// It is deleted.
    Remove(usize),
    /// The watch breaks here, and goes on after so many more steps: by a list where true, where it stopped where false.
    Break(usize, bool),
    /// A list that breaks off in the middle.
    HalfList,
    /// What has changed is taken.
    Take,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..OBJECTS, 0..FORMS).prop_map(|(object, form)| Step::Write(object, form)),
        2 => (0..OBJECTS).prop_map(Step::Remove),
        1 => (0..4_usize, any::<bool>()).prop_map(|(steps, is_list)| Step::Break(steps, is_list)),
        1 => Just(Step::HalfList),
        2 => Just(Step::Take),
    ]
}

const OBJECTS: usize = 8;
const FORMS: usize = 3;

fn kind_of(object: usize) -> ObjectKind {
    [ObjectKind::Service, ObjectKind::EndpointSlice, ObjectKind::Pod, ObjectKind::HTTPRoute, ObjectKind::Node]
        [object % 5]
}

/// An object of the mesh in one of its forms; all are valid, since of others the two sources keep different histories.
fn object(object: usize, form: usize, version: u32) -> Value {
    let kind = kind_of(object);
    let name = ["cart", "web"][object / 5];
    let mut metadata = json!({"name": name, "namespace": "shop", "resourceVersion": version.to_string()});
    let ip = format!("10.0.0.{form}");
    let (api, mut rest) = match kind {
        ObjectKind::Service => ("v1", json!({"spec": {"selector": {"app": name}, "ports": [{"port": 80 + form}]}})),
        ObjectKind::EndpointSlice => {
            metadata["labels"] = json!({"kubernetes.io/service-name": name});
            let target = json!({"kind": "Pod", "name": name, "namespace": "shop"});
            let endpoint = json!({"addresses": [ip], "targetRef": target, "nodeName": "n1"});
            let ports = json!([{"name": "", "port": 8080, "protocol": "TCP"}]);
            ("discovery.k8s.io/v1", json!({"addressType": "IPv4", "endpoints": [endpoint], "ports": ports}))
        }
        ObjectKind::Pod => {
            metadata["labels"] = json!({"app": name});
            let spec = json!({"serviceAccountName": format!("a{form}"), "nodeName": "n1", "containers": []});
            ("v1", json!({"spec": spec, "status": {"podIP": ip, "phase": "Running"}}))
        }
        ObjectKind::HTTPRoute => {
            ("gateway.networking.k8s.io/v1", json!({"spec": route(name, 1, &format!("/{form}"))["spec"]}))
        }
        _ => {
            metadata = json!({"name": "n1", "labels": {"topology.kubernetes.io/zone": format!("z{form}")},
                              "resourceVersion": version.to_string()});
            ("v1", json!({}))
        }
    };
    (rest["apiVersion"], rest["kind"], rest["metadata"]) = (json!(api), json!(kind.as_str()), metadata);
    rest
}

/// What the server holds, and the mirror that is told of it.
struct Server {
    objects: BTreeMap<usize, Value>,
    version: u32,
    mirror: Mirror,
    world: World,
}

impl Server {
    fn new() -> Self {
        let kinds: BTreeSet<ObjectKind> = (0..OBJECTS).map(kind_of).collect();
        let mut server =
            Self { objects: BTreeMap::new(), version: 0, mirror: Mirror::new(kinds), world: World::default() };
        server.list();
        server
    }

    fn tell(&mut self, kind: ObjectKind, event: Event<Seen>) {
        self.mirror.take(kind, event, Instant::now());
    }

    fn list(&mut self) {
        for kind in (0..OBJECTS).map(kind_of).collect::<BTreeSet<_>>() {
            self.tell(kind, Event::Begin);
            for (number, object) in self.objects.clone() {
                if kind_of(number) == kind {
                    self.tell(kind, Event::Listed(seen(kind, &object)));
                }
            }
            self.tell(kind, Event::Complete);
        }
    }

    /// Steps of the server itself; what they tell is told at once or kept back.
    fn change(&mut self, step: &Step) -> Option<(ObjectKind, Event<Seen>)> {
        self.version += 1;
        match *step {
            Step::Write(number, form) => {
                let object = object(number, form, self.version);
                let event = Event::Put(seen(kind_of(number), &object));
                self.objects.insert(number, object);
                Some((kind_of(number), event))
            }
            Step::Remove(number) => {
                let object = self.objects.remove(&number)?;
                Some((kind_of(number), Event::Deleted(seen(kind_of(number), &object))))
            }
            _ => None,
        }
    }

    fn run(&mut self, steps: &[Step]) {
        let mut kept_back: Vec<(ObjectKind, Event<Seen>)> = Vec::new();
        let mut away: Option<(usize, bool)> = None;
        for step in steps {
            match (step, &mut away) {
                (Step::Break(steps, is_list), None) => {
                    away = Some((*steps, *is_list));
                    (0..OBJECTS).for_each(|number| self.tell(kind_of(number), Event::Failing(unreachable())));
                }
                (Step::HalfList, None) => {
                    self.tell(SERVICES, Event::Begin);
                    self.tell(SERVICES, Event::Listed(seen(SERVICES, &service("half", 1, 80))));
                    self.tell(SERVICES, Event::Failing(unreachable()));
                    away = Some((0, true));
                }
                (Step::Take, _) => self.take(),
                (step, None) => {
                    let told = self.change(step);
                    told.into_iter().for_each(|(kind, event)| self.tell(kind, event));
                }
                (step, Some((left, _))) => {
                    *left = left.saturating_sub(1);
                    kept_back.extend(self.change(step));
                }
            }
            if let Some((0, is_list)) = away {
                self.come_back(&mut kept_back, is_list);
                away = None;
            }
        }
        if let Some((_, is_list)) = away {
            self.come_back(&mut kept_back, is_list);
        }
        self.take();
    }

    fn come_back(&mut self, kept_back: &mut Vec<(ObjectKind, Event<Seen>)>, is_list: bool) {
        let kept_back = std::mem::take(kept_back);
        if is_list {
            self.list();
        } else {
            kept_back.into_iter().for_each(|(kind, event)| self.tell(kind, event));
        }
    }

    fn take(&mut self) {
        let now = Instant::now();
        if let Some(batch) = self.mirror.batch(now, now) {
            self.world = self.world.apply(batch.updates).0;
        }
    }
}

/// A World without the places of files.
fn text(world: &World) -> String {
    let place = regex::Regex::new(r"place: Some\(\s*Place \{[^}]*\},?\s*\)").unwrap();
    place.replace_all(&format!("{world:#?}"), "place: None").into_owned()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_watch_tells_the_world_is_that_of_a_directory_with_the_same_objects(
        steps in prop::collection::vec(any_step(), 1..40)
    ) {
        let mut server = Server::new();
        server.run(&steps);
        let list = json!({"apiVersion": "v1", "kind": "List", "items": server.objects.values().collect::<Vec<_>>()});
        let mut batches = directory::read_texts("all.json", [list.to_string().as_bytes()]);
        let world = World::default().apply(batches.remove(0).updates).0;
        prop_assert_eq!(text(&server.world), text(&world));
    }
}
