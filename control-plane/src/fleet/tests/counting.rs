use std::sync::{Arc, Mutex};

use byrnie_ads::Hub;
use byrnie_model::{
    ObjectKind, Origin, RouteName, Update, World,
    route::{Route, RouteKind},
};
use byrnie_snapshot::Snapshot;
use tokio_stream::StreamExt;

use super::replica::{route, tally};
use crate::fleet::{Book, count};

/// A World with one route of this generation.
fn with_route(world: &World, generation: i64) -> World {
    let name = RouteName::new(RouteKind::Http, "shop", "web");
    let origin = Origin { generation, ..Origin::of(ObjectKind::HTTPRoute, "shop", "web") };
    let route = Route { name: name.clone(), origin, created: 0, parents: Vec::new(), rules: Vec::new() };
    world.apply([Update::Route(name, Some(Arc::new(route)))]).0
}

#[tokio::test(start_paused = true)]
async fn what_is_published_is_counted_and_told() {
    let hub = Hub::new(Snapshot::default());
    let book = Arc::new(Book::default());
    let present = Arc::new(Mutex::new(with_route(&World::default(), 1)));
    let look = {
        let present = Arc::clone(&present);
        move || (present.lock().unwrap().clone(), Snapshot::default())
    };
    let counting = tokio::spawn(count(Arc::clone(&hub), Arc::clone(&book), look));
    let mut reader = book.read();
    let first = reader.next().await.unwrap().unwrap();
    assert_eq!((first.tallies, first.complete), (vec![(route("web"), Some(tally(1, 0, 0)))], true));
    let next = with_route(&present.lock().unwrap(), 2);
    *present.lock().unwrap() = next;
    hub.publish(Snapshot::default());
    let second = reader.next().await.unwrap().unwrap();
    assert_eq!(second.tallies, [(route("web"), Some(tally(2, 0, 0)))]);
    counting.abort();
}
