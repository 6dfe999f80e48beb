//! Fields that Envoy keeps in one line, whatever came: a second value is joined to the first by a comma. All others
//! keep their lines. (Its "inline headers"; found by asking 1.40 for each.)

/// Of requests, sorted.
const REQUESTS: [&str; 35] = [
    "accept",
    "accept-encoding",
    "access-control-request-headers",
    "access-control-request-method",
    "authorization",
    "cache-control",
    "content-encoding",
    "content-type",
    "expect",
    "grpc-accept-encoding",
    "grpc-timeout",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "origin",
    "pragma",
    "proxy-status",
    "referer",
    "user-agent",
    "via",
    "x-client-trace-id",
    "x-envoy-attempt-count",
    "x-envoy-decorator-operation",
    "x-envoy-downstream-service-cluster",
    "x-envoy-downstream-service-node",
    "x-envoy-external-address",
    "x-envoy-original-host",
    "x-envoy-original-path",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-request-id",
];

/// Of responses, sorted.
const RESPONSES: [&str; 30] = [
    "access-control-allow-credentials",
    "access-control-allow-headers",
    "access-control-allow-methods",
    "access-control-allow-origin",
    "access-control-expose-headers",
    "access-control-max-age",
    "age",
    "cache-control",
    "content-encoding",
    "content-type",
    "date",
    "etag",
    "expires",
    "grpc-message",
    "grpc-status",
    "last-modified",
    "location",
    "proxy-status",
    "server",
    "vary",
    "via",
    "x-envoy-attempt-count",
    "x-envoy-decorator-operation",
    "x-envoy-degraded",
    "x-envoy-immediate-health-check-fail",
    "x-envoy-ratelimited",
    "x-envoy-upstream-canary",
    "x-envoy-upstream-healthchecked-cluster",
    "x-envoy-upstream-service-time",
    "x-request-id",
];

/// Whose fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// Those of requests.
    Requests,
    /// Those of responses.
    Responses,
}

impl Of {
    /// Whether `name` (lower case) is kept in one line.
    pub fn is_one_line(self, name: &[u8]) -> bool {
        let list: &[&str] = match self {
            Self::Requests => &REQUESTS,
            Self::Responses => &RESPONSES,
        };
        list.binary_search_by(|known| known.as_bytes().cmp(name)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_sorted() {
        assert!(REQUESTS.is_sorted() && RESPONSES.is_sorted());
        assert!(Of::Requests.is_one_line(b"accept") && !Of::Requests.is_one_line(b"cookie"));
        assert!(Of::Responses.is_one_line(b"vary") && !Of::Responses.is_one_line(b"set-cookie"));
    }
}
