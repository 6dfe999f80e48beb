use serde_json::{Value, json};

use super::*;

fn document(name: &str, version: &str) -> Value {
    json!({"metadata": {"name": name, "resourceVersion": version}})
}

fn element(kind: &str, object: &Value) -> WatchEvent<Document> {
    serde_json::from_value(json!({"type": kind, "object": object})).unwrap()
}

fn bookmark(version: &str, is_end: bool) -> WatchEvent<Document> {
    let mut object = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"resourceVersion": version}});
    if is_end {
        object["metadata"]["annotations"] = json!({LIST_ENDS: "true"});
    }
    element("BOOKMARK", &object)
}

fn status(code: u16) -> Failure {
    Failure::from(&serde_json::from_value::<Status>(json!({"code": code, "message": "told"})).unwrap())
}

fn page(names: &[&str], version: &str, after: &str) -> Page {
    let items: Vec<_> = names.iter().map(|name| document(name, "1")).collect();
    serde_json::from_value(json!({"metadata": {"resourceVersion": version, "continue": after}, "items": items}))
        .unwrap()
}

/// The events in short: `+a` listed, `a` put, `-a` deleted.
fn short(events: impl IntoIterator<Item = Event<Document>>) -> Vec<String> {
    let name = |document: Document| document.name().unwrap().to_owned();
    let one = |event| match event {
        Event::Listed(document) => format!("+{}", name(document)),
        Event::Put(document) => name(document),
        Event::Deleted(document) => format!("-{}", name(document)),
        other => format!("{other:?}"),
    };
    events.into_iter().map(one).collect()
}

fn take(follow: &mut Follow, event: WatchEvent<Document>) -> Vec<String> {
    short(follow.take(event).unwrap())
}

/// One that has listed by a stream up to version 7.
fn following() -> Follow {
    let mut follow = Follow::default();
    follow.opened();
    follow.take(bookmark("7", true)).unwrap();
    follow
}

fn since(version: &str) -> Ask {
    Ask::Changes { since: version.to_owned() }
}

#[test]
fn a_stream_lists_and_goes_on_with_changes() {
    let mut follow = Follow::default();
    assert_eq!(follow.ask(), Ask::Stream);
    assert_eq!(follow.opened(), Event::Begin);
    assert_eq!(take(&mut follow, element("ADDED", &document("a", "3"))), ["+a"]);
    assert!(take(&mut follow, bookmark("6", false)).is_empty());
    assert_eq!(take(&mut follow, bookmark("7", true)), ["Complete"]);
    assert_eq!(follow.ask(), since("7"));
    assert_eq!(take(&mut follow, element("MODIFIED", &document("a", "8"))), ["a"]);
    assert_eq!(take(&mut follow, element("DELETED", &document("a", "9"))), ["-a"]);
    assert_eq!(follow.ask(), since("9"));
    assert!(take(&mut follow, bookmark("12", false)).is_empty());
    follow.ended();
    assert_eq!(follow.ask(), since("12"));
    assert_eq!(follow.opened(), Event::Answering);
}

#[test]
fn a_server_that_streams_no_lists_is_asked_for_pages() {
    for code in [400, 422] {
        let mut follow = Follow::default();
        assert!(follow.failed(&status(code)), "the next question needs no pause");
        assert_eq!(follow.ask(), Ask::Page { after: None });
        assert_eq!(short(follow.page(page(&["a", "b"], "7", "token"))), ["Begin", "+a", "+b"]);
        assert_eq!(follow.ask(), Ask::Page { after: Some("token".to_owned()) });
        assert_eq!(short(follow.page(page(&["c"], "7", ""))), ["+c", "Complete"]);
        assert_eq!(follow.ask(), since("7"));
        // And it is not asked for a stream again.
        assert!(!follow.failed(&status(410)));
        assert_eq!(follow.ask(), Ask::Page { after: None });
    }
}

#[test]
fn pages_whose_token_has_expired_begin_anew() {
    let mut follow = Follow { streams: false, ..Follow::default() };
    follow.page(page(&["a"], "7", "token"));
    assert!(!follow.failed(&status(503)));
    assert_eq!(follow.ask(), Ask::Page { after: Some("token".to_owned()) }, "a page may be asked for again");
    assert!(!follow.failed(&status(410)));
    assert_eq!(short(follow.page(page(&["b"], "8", ""))), ["Begin", "+b", "Complete"]);
}

#[test]
fn history_that_is_forgotten_is_listed_anew() {
    let mut follow = following();
    let error = follow.take(element("ERROR", &json!({"code": 410, "message": "too old"}))).unwrap_err();
    assert_eq!(error, Failure::Expired("too old".to_owned()));
    assert!(!follow.failed(&error));
    assert_eq!(follow.ask(), Ask::Stream);
}

#[test]
fn an_outage_loses_no_place() {
    let mut follow = following();
    for failure in [status(500), status(429), status(403), Failure::Unreachable("connection refused".to_owned())] {
        assert!(!follow.failed(&failure));
        assert_eq!(follow.ask(), since("7"));
    }
}

#[test]
fn a_list_that_breaks_off_begins_anew() {
    let mut follow = Follow::default();
    follow.opened();
    follow.take(element("ADDED", &document("a", "3"))).unwrap();
    follow.ended();
    assert_eq!((follow.ask(), follow.opened()), (Ask::Stream, Event::Begin));
    assert!(!follow.failed(&Failure::Unreachable(String::new())));
    assert_eq!((follow.ask(), follow.opened()), (Ask::Stream, Event::Begin));
    assert!(follow.take(element("DELETED", &document("a", "4"))).is_err(), "no list tells of deletions");
}

#[test]
fn a_kind_that_is_gone_is_listed_when_it_is_back() {
    let mut follow = following();
    assert!(!follow.failed(&status(404)));
    assert_eq!(follow.ask(), Ask::Stream);
}

#[test]
fn a_failure_says_what_happened() {
    let failure =
        Failure::from(&serde_json::from_value::<Status>(json!({"code": 500, "reason": "InternalError"})).unwrap());
    assert_eq!(failure.to_string(), "status 500 InternalError");
    let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
    let failure = Failure::from(kube::Error::Service(Box::new(refused)));
    assert_eq!(failure, Failure::Unreachable("connection refused".to_owned()));
}
