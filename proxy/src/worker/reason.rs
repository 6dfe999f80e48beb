//! Why this proxy answered itself, or broke off: one list from which status, gRPC code, flag, and text follow.

/// gRPC's code of a call whose time is over.
const DEADLINE_EXCEEDED: u32 = 4;

/// Why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// No route takes the request.
    NoRoute,
    /// The route names a cluster that is not there.
    NoCluster,
    /// No endpoint may be called.
    NoEndpoint,
    /// No connection to the endpoint.
    ConnectFailure,
    /// The endpoint closed the connection before it answered.
    Closed,
    /// The endpoint reset the stream.
    Reset,
    /// What the endpoint sent is no HTTP.
    Malformed,
    /// A limit on connections, waiting or active requests.
    Overflow,
    /// Every try failed, the last one so that it would be tried again.
    RetriesExhausted,
    /// `timeout` or `per_try_timeout`.
    Timeout,
    /// `max_stream_duration`, or what a gRPC call asked for in `grpc-timeout`.
    Deadline,
    /// `idle_timeout`.
    Idle,
    /// The client went away.
    ClientGone,
    /// The client's request is no HTTP.
    BadRequest,
    /// The client speaks HTTP/1.0, which is not taken.
    OldVersion,
    /// The client asks for a protocol that is not passed on.
    Upgrade,
    /// This proxy ends.
    Ending,
}

impl Reason {
    /// The status that a client is answered.
    pub fn status(self) -> u16 {
        match self {
            Self::NoRoute => 404,
            Self::BadRequest => 400,
            Self::Upgrade => 403,
            Self::OldVersion => 426,
            Self::Malformed => 502,
            Self::Timeout => 504,
            Self::Deadline | Self::Idle => 408,
            Self::NoCluster
            | Self::NoEndpoint
            | Self::ConnectFailure
            | Self::Closed
            | Self::Reset
            | Self::Overflow
            | Self::RetriesExhausted
            | Self::ClientGone
            | Self::Ending => 503,
        }
    }

    /// Envoy's response flag.
    pub fn flag(self) -> &'static str {
        match self {
            Self::NoRoute => "NR",
            Self::NoCluster => "NC",
            Self::NoEndpoint => "UH",
            Self::ConnectFailure => "UF",
            Self::Closed => "UC",
            Self::Reset => "UR",
            Self::Malformed => "UPE",
            Self::Overflow => "UO",
            Self::RetriesExhausted => "URX",
            Self::Timeout => "UT",
            Self::Idle => "SI",
            Self::ClientGone => "DC",
            Self::BadRequest => "DPE",
            Self::OldVersion | Self::Upgrade | Self::Deadline => "-",
            Self::Ending => "LR",
        }
    }

    /// What a client is told besides the status.
    pub fn text(self) -> &'static str {
        match self {
            Self::NoRoute | Self::NoCluster | Self::OldVersion | Self::Upgrade => "",
            Self::NoEndpoint => "no endpoint is available",
            Self::ConnectFailure => "the endpoint could not be connected to",
            Self::Closed => "the endpoint closed the connection before it answered",
            Self::Reset => "the endpoint reset the request",
            Self::Malformed => "the endpoint's answer could not be read",
            Self::Overflow => "a limit of the service is reached",
            Self::RetriesExhausted => "every try failed",
            Self::Timeout => "the endpoint did not answer in time",
            // Envoy's words: whose sidecar was first is not to be told apart.
            Self::Deadline => "downstream duration timeout",
            Self::Idle => "nothing was sent for too long",
            Self::ClientGone => "the client is gone",
            Self::BadRequest => "Bad Request",
            Self::Ending => "the proxy is ending",
        }
    }
}

/// The gRPC code of a reply of this proxy's.
pub fn grpc_code(reason: Option<Reason>, status: u16) -> u32 {
    match reason {
        Some(Reason::Deadline) => DEADLINE_EXCEEDED,
        _ => code_of_status(status),
    }
}

/// The gRPC code of an HTTP status (gRPC, "HTTP to gRPC Status Code Mapping").
fn code_of_status(status: u16) -> u32 {
    match status {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => 14,
        _ => 2,
    }
}
