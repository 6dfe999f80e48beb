use std::collections::BTreeSet;

use byrnie_proto::fleet::{TalliesRequest, fleet_client::FleetClient};
use tonic::Code;

use super::replica::{Holder, Replica, refused, route, tally};

#[tokio::test]
async fn the_proxies_of_all_replicas_are_added_up_as_they_move() {
    let other = Replica::start("other").await;
    let mut holder = Holder::start(&[other.address]);
    holder.book.write(vec![(route("web"), Some(tally(1, 3, 3)))], true);
    other.book.write(vec![(route("web"), Some(tally(1, 1, 2)))], true);
    holder.until("web", 1, "4/5").await;
    other.book.write(vec![(route("web"), Some(tally(1, 2, 2)))], true);
    holder.until("web", 1, "5/5").await;

    // A new generation is accepted where it was seen.
    other.book.write(vec![(route("web"), Some(tally(2, 2, 2)))], true);
    holder.until("web", 2, "2/5 without own").await;
    holder.book.write(vec![(route("web"), Some(refused(2, "cart-1")))], true);
    holder.until("web", 2, "2/3 refused by shop/cart-1").await;

    other.book.write(vec![(route("web"), None)], true);
    holder.until("web", 2, "0/1 without other refused by shop/cart-1").await;
}

#[tokio::test]
async fn more_objects_than_one_message_holds_are_told() {
    let other = Replica::start("other").await;
    let all = (0..1000).map(|n| (route(&format!("r{n}")), Some(tally(1, 1, 1)))).collect();
    other.book.write(all, true);
    let mut holder = Holder::start(&[other.address]);
    holder.book.write((0..1000).map(|n| (route(&format!("r{n}")), Some(tally(1, 2, 2)))).collect(), true);
    for name in ["r0", "r500", "r999"] {
        holder.until(name, 1, "3/3").await;
    }
}

#[tokio::test]
async fn a_replica_is_missing_until_it_told_all_and_while_it_is_away() {
    let mut other = Replica::start("other").await;
    let address = other.address;
    other.book.write(vec![(route("web"), Some(tally(1, 1, 1)))], false);
    let mut holder = Holder::start(&[address]);
    holder.book.write(vec![(route("web"), Some(tally(1, 3, 3)))], true);
    holder.until("web", 1, "4/4 without other").await;
    other.book.write(vec![], true);
    holder.until("web", 1, "4/4").await;

    drop(other);
    holder.until("web", 1, "3/3 without other").await;
    // Another Pod at the same address: its proxies came back, and it has not seen all yet.
    other = Replica::at(address, "third", true).await;
    other.book.write(vec![(route("web"), Some(tally(1, 2, 2)))], true);
    holder.until("web", 1, "5/5").await;

    holder.peers.send_replace(BTreeSet::new());
    holder.until("web", 1, "3/3").await;
}

#[tokio::test]
async fn this_replica_among_the_peers_is_not_counted_twice() {
    let own = Replica::start("own").await;
    own.book.write(vec![(route("web"), Some(tally(1, 3, 3)))], true);
    let mut holder = Holder::start(&[own.address]);
    holder.book.write(vec![(route("web"), Some(tally(1, 3, 3)))], true);
    holder.until("web", 1, "3/3").await;
    let other = Replica::start("other").await;
    other.book.write(vec![(route("web"), Some(tally(1, 1, 1)))], true);
    holder.peers.send_replace(BTreeSet::from([own.address, other.address]));
    holder.until("web", 1, "4/4").await;
}

#[tokio::test]
async fn a_replica_with_two_addresses_is_counted_once() {
    let first = Replica::start("other").await;
    let second = Replica::start("other").await;
    for replica in [&first, &second] {
        replica.book.write(vec![(route("web"), Some(tally(1, 1, 1)))], true);
    }
    let mut holder = Holder::start(&[first.address, second.address]);
    holder.book.write(vec![(route("web"), Some(tally(1, 3, 3)))], true);
    holder.until("web", 1, "4/4").await;
    drop(first);
    holder.until("web", 1, "4/4").await;
}

#[tokio::test]
async fn who_is_no_replica_is_refused() {
    let other = Replica::at("127.0.0.1:0".parse().unwrap(), "other", false).await;
    other.book.write(vec![(route("web"), Some(tally(1, 1, 1)))], true);
    let mut client = FleetClient::connect(format!("http://{}", other.address)).await.unwrap();
    let status = client.tallies(TalliesRequest {}).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    assert!(status.message().contains("replicas"), "{status:?}");
    let mut holder = Holder::start(&[other.address]);
    holder.book.write(vec![(route("web"), Some(tally(1, 3, 3)))], true);
    holder.until("web", 1, &format!("3/3 without {}", other.address)).await;
}
