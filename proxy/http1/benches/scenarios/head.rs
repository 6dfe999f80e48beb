//! A request's head rewritten through owned types, as a proxy on hyper does it: `httparse` into slots on the stack, an
//! `http::Request` whose values share the read buffer, two fields taken out, three put in, and all written again.
//!
//! It is less than what hyper itself does: no framing is decided, no hop-by-hop field is looked for.

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};

use super::message::{ADDED, DROPPED, REQUEST_FIELDS};

/// The most fields in a head, as hyper's default.
const SLOTS: usize = 100;

/// Reads the head in `input` and writes it, changed, to `out`.
pub fn rewrite(input: &Bytes, out: &mut Vec<u8>) {
    let mut request = parse(input);
    assert_eq!(request.headers().len(), REQUEST_FIELDS.len());
    let headers = request.headers_mut();
    for name in DROPPED {
        headers.remove(name);
    }
    for (name, value) in ADDED {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    write(&request, out);
}

fn parse(input: &Bytes) -> Request<()> {
    let mut slots = [const { MaybeUninit::uninit() }; SLOTS];
    let mut head = httparse::Request::new(&mut []);
    let status = head.parse_with_uninit_headers(input, &mut slots).expect("the head is well formed");
    assert!(status.is_complete());
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(head.method.expect("a whole head has a method").as_bytes())
        .expect("httparse has checked the method");
    let target = head.path.expect("a whole head has a target");
    *request.uri_mut() = Uri::from_maybe_shared(input.slice_ref(target.as_bytes())).expect("the target is well formed");
    let mut headers = HeaderMap::with_capacity(head.headers.len());
    for field in head.headers.iter() {
        headers.append(
            HeaderName::from_bytes(field.name.as_bytes()).expect("httparse has checked the name"),
            HeaderValue::from_maybe_shared(input.slice_ref(field.value)).expect("httparse has checked the value"),
        );
    }
    *request.headers_mut() = headers;
    request
}

fn write(request: &Request<()>, out: &mut Vec<u8>) {
    out.reserve(30 + request.headers().len() * 30); // hyper's guess
    out.extend_from_slice(request.method().as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(request.uri().path_and_query().expect("an origin form has a path").as_str().as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    for (name, value) in request.headers() {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
}
