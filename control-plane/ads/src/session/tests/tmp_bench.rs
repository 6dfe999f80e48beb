use std::time::Instant;
use byrnie_proto::Kind::{self, *};
use byrnie_snapshot::{Snapshot, View};
use crate::session::{Protocol, Session, Request};
use super::peer::{client, resource, delta};
use byrnie_snapshot::Dialect;

#[test]
fn bench() {
    let mut s = Snapshot::default();
    let n = 1000; let clients = 1000;
    let names: Vec<String> = (0..n).map(|i| format!("shop/svc-{i}:80")).collect();
    let body = "x".repeat(700);
    for name in &names {
        s.put(View::Common, resource(Cluster, name, &body, &[(Endpoints, name)]));
        s.put(View::Common, resource(Endpoints, name, &body, &[]));
        s.put(View::Common, resource(Route, name, &body, &[(Cluster, name)]));
        s.put(View::Common, resource(Listener, name, &body, &[(Route, name)]));
    }
    let rss = || { let t = std::fs::read_to_string("/proc/self/statm").unwrap(); t.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4 / 1024 };
    println!("rss before {} MiB", rss());
    let refs: Vec<&str> = names.iter().map(String::as_str).collect();
    let now = Instant::now();
    let t = Instant::now();
    let mut bytes = 0usize;
    let mut sessions: Vec<Session> = Vec::new();
    for c in 0..clients {
        let mut session = Session::new(client(Dialect::Envoy), Protocol::Delta, true, c, None);
        for (kind, names) in [(Cluster, &[][..]), (Endpoints, &refs[..]), (Listener, &[]), (Route, &refs)] {
            session.on_request(Request { kind, nonce: String::new(), error: None, wanted: delta(names, &[], &[]) }, &s, now);
            while let Some(r) = session.next_response(&s, now) {
                bytes += crate::wire::encoded_len(&r);
                let crate::session::TypeUrl::Known(k) = r.type_url else { panic!() };
                session.on_request(Request { kind: k, nonce: r.nonce.clone(), error: None, wanted: delta(&[], &[], &[]) }, &s, now);
            }
        }
        sessions.push(session);
    }
    println!("converge {:?} {} MiB sent, rss {} MiB", t.elapsed(), bytes >> 20, rss());
    let t = Instant::now();
    let old = s.clone();
    s.put(View::Common, resource(Endpoints, &names[7], "new", &[]));
    let ch = s.changes(&old);
    for session in &mut sessions {
        let mut d = crate::session::Dirty::default();
        for c in &ch { d.names.insert((c.kind, c.name.clone())); }
        session.on_dirty(d);
        let r = session.next_response(&s, now).unwrap();
        session.on_request(Request { kind: Kind::Endpoints, nonce: r.nonce.clone(), error: None, wanted: delta(&[], &[], &[]) }, &s, now);
        assert!(session.next_response(&s, now).is_none());
    }
    println!("eds change {:?}", t.elapsed());
    let t = Instant::now();
    let old = s.clone();
    s.put(View::Common, resource(Cluster, &names[7], "new", &[(Endpoints, &names[7])]));
    let ch = s.changes(&old);
    for session in &mut sessions {
        let mut d = crate::session::Dirty::default();
        for c in &ch { d.wildcards.insert(c.kind); }
        session.on_dirty(d);
        while session.next_response(&s, now).is_some() {}
    }
    println!("cds change {:?}", t.elapsed());
}
