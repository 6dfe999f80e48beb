//! The messages that every subject sends: a browser's GET of 4 pseudo-fields and 11 fields, and a reply.

/// The pseudo-fields of the request.
pub const METHOD: &str = "GET";
pub const SCHEME: &str = "http";
pub const AUTHORITY: &str = "catalog.shop.svc.cluster.local:8080";
pub const PATH: &str = "/v1/items/4711?currency=EUR";

/// The other fields of the request. They are the same each time, which is kind to a peer with a dynamic table: there,
/// most of them shrink to one octet.
pub const REQUEST_FIELDS: [(&str, &str); 11] = [
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

/// The fields of the reply after `:status`, but for the length of its body.
pub const RESPONSE_FIELDS: [(&str, &str); 5] = [
    ("content-type", "application/json"),
    ("cache-control", "max-age=60"),
    ("etag", "\"33a64df551425fcc55e4d42a148795d9f25f89d4\""),
    ("x-request-id", "6f1c2a9e-0b5d-4c8e-9a77-3d2f1e0c4b5a"),
    ("server", "catalog"),
];

/// A reply of 1 KiB.
pub static SMALL: [u8; 1 << 10] = [b'x'; 1 << 10];
/// A reply of 1 MiB, four times the stream's window.
pub static LARGE: [u8; 1 << 20] = [b'x'; 1 << 20];

/// How many exchanges share the connection in `streams`.
pub const AT_ONCE: usize = 100;

/// The windows of both subjects, octets.
pub const STREAM_WINDOW: u32 = 256 << 10;
pub const CONNECTION_WINDOW: u32 = 1 << 20;
