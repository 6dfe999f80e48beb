//! The messages that every subject sends: a browser's GET of 12 fields in 567 bytes, and a reply of 1 KiB.

/// The fields of the request in order, `host` first.
pub const REQUEST_FIELDS: [(&str, &str); 12] = [
    ("host", "catalog.shop.svc.cluster.local:8080"),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("accept", "application/json, text/plain;q=0.9, */*;q=0.8"),
    ("accept-language", "en-US,en;q=0.5"),
    ("accept-encoding", "gzip, deflate, br"),
    ("referer", "https://shop.example/catalog"),
    ("cookie", "session=f3a9c2d1e8b74b60"),
    ("cache-control", "no-cache"),
    ("x-request-id", "6f1c2a9e-0b5d-4c8e-9a77-3d2f1e0c4b5a"),
    ("x-forwarded-for", "10.1.2.3"),
    ("x-forwarded-proto", "http"),
    ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
];
/// The request's target.
pub const TARGET: &str = "/v1/items/4711?currency=EUR";
/// What a proxy would leave out of the request.
pub const DROPPED: [&str; 2] = ["x-forwarded-for", "x-forwarded-proto"];
/// What a proxy would add to the request.
pub const ADDED: [(&str, &str); 3] = [
    ("x-forwarded-for", "10.1.2.3, 10.244.0.17"),
    ("x-forwarded-proto", "https"),
    ("x-envoy-expected-rq-timeout-ms", "15000"),
];

/// The fields of the reply but for those that frame it.
pub const RESPONSE_FIELDS: [(&str, &str); 5] = [
    ("content-type", "application/json"),
    ("cache-control", "max-age=60"),
    ("etag", "\"33a64df551425fcc55e4d42a148795d9f25f89d4\""),
    ("x-request-id", "6f1c2a9e-0b5d-4c8e-9a77-3d2f1e0c4b5a"),
    ("server", "catalog"),
];
/// The body of the reply.
pub static BODY: [u8; 1024] = [b'x'; 1024];

/// The request as it comes in.
pub fn request_head() -> Vec<u8> {
    let fields: String = REQUEST_FIELDS.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("GET {TARGET} HTTP/1.1\r\n{fields}\r\n").into_bytes()
}
