use std::time::Duration;

use byrnie_config::PeerName;

use super::*;
use crate::identity::testing::{Authority, CART};

fn downstream(alpn: &str) -> Arc<DownstreamTls> {
    let peers = vec![PeerName::Prefix("spiffe://cluster.local/".into())];
    Arc::new(DownstreamTls { alpn: vec![alpn.as_bytes().into()], peers })
}

fn upstream(server_name: Option<&str>) -> Arc<UpstreamTls> {
    let peers = vec![PeerName::Exact(CART.into())];
    Arc::new(UpstreamTls { server_name: server_name.map(Into::into), alpn: Vec::new(), peers })
}

fn contexts() -> (Authority, Arc<Current>, Contexts) {
    let (authority, current) = (Authority::new(), Arc::new(Current::new()));
    let contexts = Contexts::new(Arc::clone(&current));
    (authority, current, contexts)
}

#[test]
fn there_is_no_context_before_the_first_certificate() {
    let (authority, current, contexts) = contexts();
    assert!(matches!(contexts.server(&downstream("h2")), Err(ContextError::NoIdentity)));
    assert!(matches!(contexts.client(&upstream(None)), Err(ContextError::NoIdentity)));
    current.publish(authority.identity(CART, Duration::from_secs(3600)));
    contexts.server(&downstream("h2")).unwrap();
}

#[test]
fn equal_contexts_are_one_until_the_identity_changes() {
    let (authority, current, contexts) = contexts();
    let hour = Duration::from_secs(3600);
    current.publish(authority.identity(CART, hour));
    let (server, client) = (contexts.server(&downstream("h2")).unwrap(), contexts.client(&upstream(None)).unwrap());
    assert!(Arc::ptr_eq(&server, &contexts.server(&downstream("h2")).unwrap()));
    assert!(Arc::ptr_eq(&client, &contexts.client(&upstream(None)).unwrap()));
    assert!(!Arc::ptr_eq(&server, &contexts.server(&downstream("byrnie-tcp")).unwrap()));
    let held = Arc::downgrade(&server);
    drop(server);
    assert!(held.upgrade().is_some());
    current.publish(authority.identity(CART, hour));
    let next = contexts.client(&upstream(None)).unwrap();
    assert!(!Arc::ptr_eq(&client, &next));
    assert!(held.upgrade().is_none(), "the old generation stays");
}

#[test]
fn a_name_that_cannot_be_called_is_told() {
    let (authority, current, contexts) = contexts();
    current.publish(authority.identity(CART, Duration::from_secs(3600)));
    let error = contexts.client(&upstream(Some("not a name"))).unwrap_err().to_string();
    assert!(error.contains("\"not a name\""), "{error}");
    let session = contexts.client(&upstream(None)).unwrap().connect(([192, 0, 2, 1], 80).into(), None).unwrap();
    assert_eq!(session.server_name(), None, "an address is not sent as SNI");
}

#[test]
fn tickets_of_a_bounded_number_of_endpoints_are_kept() {
    let (authority, current, contexts) = contexts();
    current.publish(authority.identity(CART, Duration::from_secs(3600)));
    let context = contexts.client(&upstream(None)).unwrap();
    let endpoint = |index: usize| SocketAddr::from(([192, 0, 2, 1], index as u16));
    let first = context.config(endpoint(0));
    (1..ENDPOINTS).for_each(|index| drop(context.config(endpoint(index))));
    assert!(Arc::ptr_eq(&first, &context.config(endpoint(0))));
    context.config(endpoint(ENDPOINTS));
    assert!(!Arc::ptr_eq(&first, &context.config(endpoint(0))), "the oldest goes first");
    assert!(context.endpoints.lock().unwrap().configs.len() <= ENDPOINTS);
}

#[test]
fn contexts_that_nothing_uses_are_let_go() {
    let (authority, current, contexts) = contexts();
    current.publish(authority.identity(CART, Duration::from_secs(3600)));
    let used = downstream("used");
    let server = contexts.server(&used).unwrap();
    (0..2 * CONTEXTS).for_each(|index| drop(contexts.server(&downstream(&index.to_string())).unwrap()));
    assert!(contexts.held.lock().unwrap().servers.len() <= CONTEXTS);
    assert!(Arc::ptr_eq(&server, &contexts.server(&used).unwrap()));
}
