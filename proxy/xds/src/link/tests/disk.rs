//! What is kept for the next start.

use std::{fs, os::unix::fs::PermissionsExt, time::Duration};

use byrnie_proto::Kind::{Cluster, Endpoints, Listener};

use super::fixture::{Plane, settings};
use crate::{Listeners, Settings};

#[tokio::test(start_paused = true)]
async fn a_restart_during_an_outage_serves_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let kept = Settings { state: Some(folder.path().join("state")), ..settings() };
    let mut plane = Plane::start();
    let proxy = plane.proxy(kept.clone());
    let mut stream = plane.first_stream().await;
    stream.serve_shop().await;
    until_saved(&proxy, 1).await;
    let mode = fs::metadata(folder.path().join("state/xds-resources")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    drop((proxy, stream));
    plane.cut(true);
    let proxy = plane.proxy(kept);
    let resources = proxy.resources.borrow().clone();
    assert!(resources.warm);
    assert!(resources.listeners.contains_key("out") && resources.endpoints.contains_key("a"));
    plane.cut(false);
    let mut stream = plane.stream().await;
    let requests = [stream.request().await, stream.request().await, stream.request().await];
    assert_eq!(requests, ["CDS node +a a@1", "EDS +a a@1", "LDS +* out@1"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_warm_is_not_kept_in_place_of_what_serves() {
    let folder = tempfile::tempdir().unwrap();
    let kept = Settings { state: Some(folder.path().to_owned()), ..settings() };
    let mut plane = Plane::start();
    let proxy = plane.proxy(kept.clone());
    let mut stream = plane.first_stream().await;
    stream.serve_shop().await;
    stream.good(Listener, &[("out", "2", &[(Cluster, "b")])]).await;
    stream.good(Endpoints, &[("a", "2", &[])]).await;
    until_saved(&proxy, 1).await;
    drop((proxy, stream));
    plane.cut(true);
    let proxy = plane.proxy(kept);
    let resources = proxy.resources.borrow().clone();
    assert_eq!(resources.version(Listener, "out").unwrap().as_str(), "1");
    assert_eq!(resources.version(Endpoints, "a").unwrap().as_str(), "2");
}

#[tokio::test(start_paused = true)]
async fn the_disk_is_written_once_a_second_at_most() {
    let folder = tempfile::tempdir().unwrap();
    let mut plane = Plane::start();
    let proxy = plane.proxy(Settings { state: Some(folder.path().to_owned()), ..settings() });
    let mut stream = plane.first_stream().await;
    stream.serve_shop().await;
    for version in 2..42 {
        stream.good(Endpoints, &[("a", &version.to_string(), &[])]).await;
        stream.request().await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let saves = proxy.handle.figures().saves;
    assert!((3..=4).contains(&saves), "{saves} in four seconds");
}

#[tokio::test(start_paused = true)]
async fn listeners_on_demand_are_wanted_again_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let listeners = Listeners::Named(vec!["out".into()]);
    let kept = Settings { state: Some(folder.path().to_owned()), listeners, ..settings() };
    let mut plane = Plane::start();
    let proxy = plane.proxy(kept.clone());
    let mut stream = plane.stream().await;
    assert_eq!(stream.request().await, "LDS node +out");
    proxy.handle.want("out/1.2.3.4:80");
    assert_eq!(stream.request().await, "LDS +out/1.2.3.4:80");
    stream.good(Listener, &[("out", "1", &[]), ("out/1.2.3.4:80", "1", &[])]).await;
    until_saved(&proxy, 1).await;
    drop((proxy, stream));
    let _proxy = plane.proxy(kept);
    let mut stream = plane.stream().await;
    assert_eq!(stream.request().await, "LDS node +out +out/1.2.3.4:80 out/1.2.3.4:80@1 out@1");
    // And given up like any other.
    assert_eq!(stream.request().await, "LDS -out/1.2.3.4:80");
}

/// By the clock of the runtime, which goes on whenever the disk is done.
async fn until_saved(proxy: &super::fixture::Proxy, saves: u64) {
    while proxy.handle.figures().saves < saves {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
