//! What happens on one connection: settings, exchanges, and when whom interrupts what.

/// A connection from its beginning to its end.
#[derive(Debug, Clone)]
pub struct Plan {
    pub client: Settings,
    pub server: Settings,
    pub exchanges: Vec<Exchange>,
    pub going: Option<Going>,
    /// From the client to the server.
    pub there: Pieces,
    pub back: Pieces,
    pub seed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Client,
    Server,
}

/// What one end announces, and how it behaves.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    pub stream_window: u32,
    pub connection_window: u32,
    /// Announced by `h2` only.
    pub max_frame_size: u32,
    /// Announced by the server only.
    pub streams: u32,
    pub table: u32,
    /// Ours only.
    pub huffman: bool,
    /// Turns for which what was received of a body is held.
    pub hold: u32,
}

/// How bytes travel in one direction.
#[derive(Debug, Clone, Copy)]
pub struct Pieces {
    /// Bytes that arrive in a turn, at most.
    pub largest: u32,
    /// Bytes that were written and not read, at most.
    pub room: u32,
}

/// The end of the connection before its time.
#[derive(Debug, Clone, Copy)]
pub struct Going {
    pub turn: u32,
    pub by: Side,
    /// With this code, and at once; otherwise what is open is served.
    pub abrupt: Option<u32>,
}

#[derive(Debug, Clone)]
pub struct Exchange {
    /// Turns since the exchange before.
    pub pause: u32,
    /// One step in a turn, not all that are possible.
    pub slow: bool,
    pub method: &'static str,
    pub scheme: &'static str,
    pub authority: &'static str,
    pub path: String,
    pub request: Message,
    pub interim: Vec<(u16, Vec<Field>)>,
    pub status: u16,
    /// The response begins when so much of the request's body is there, or all of it.
    pub respond_at: u64,
    pub response: Message,
    pub reset: Option<Reset>,
}

#[derive(Debug, Clone, Copy)]
pub struct Reset {
    pub by: Side,
    /// Turns since the side knows the exchange.
    pub after: u32,
    pub code: u32,
}

#[derive(Debug, Clone)]
pub struct Message {
    pub fields: Vec<Field>,
    pub declares_length: bool,
    pub chunks: Vec<u32>,
    pub trailers: Option<Vec<Field>>,
    /// END_STREAM in an empty frame of its own.
    pub late_end: bool,
}

#[derive(Debug, Clone)]
pub struct Field {
    pub name: String,
    pub value: Value,
    pub sensitive: bool,
}

#[derive(Clone)]
pub enum Value {
    Short(Vec<u8>),
    Long(u32),
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Short(octets) => write!(f, "b\"{}\"", octets.escape_ascii()),
            Self::Long(length) => write!(f, "{length} octets"),
        }
    }
}

/// One thing that a side does for a message.
#[derive(Debug, Clone, Copy)]
pub enum Step {
    Interim(usize),
    Head { end: bool },
    Body { length: u32, end: bool },
    Trailers,
}

/// A name, its value, and whether no hop may keep it in a table, as far as that is known: `h2` does not tell.
pub type Line = (String, Vec<u8>, Option<bool>);

/// What is not in the received lines as it was sent.
pub fn difference(received: &[Line], sent: &[Line]) -> Option<String> {
    let same = |got: &Line, line: &Line| got.0 == line.0 && got.1 == line.1 && (got.2.is_none() || got.2 == line.2);
    let show = |line: Option<&Line>| match line {
        Some((name, value, kept)) => format!("{name}: {} {kept:?}", value.escape_ascii()),
        None => "nothing".to_owned(),
    };
    (0..received.len().max(sent.len()))
        .map(|at| (received.get(at), sent.get(at)))
        .find(|pair| !matches!(pair, (Some(got), Some(line)) if same(got, line)))
        .map(|(got, line)| format!("{} instead of {}", show(got), show(line)))
}

impl Side {
    pub fn settings(self, plan: &Plan) -> Settings {
        match self {
            Self::Client => plan.client,
            Self::Server => plan.server,
        }
    }
}

impl Plan {
    /// The turn at which the exchange may begin.
    pub fn start(&self, exchange: usize) -> u32 {
        self.exchanges[..=exchange].iter().map(|exchange| exchange.pause).sum()
    }
}

impl Exchange {
    pub fn is_connect(&self) -> bool {
        self.method == "CONNECT"
    }

    /// The pseudo-header fields of the request.
    pub fn request_line(&self) -> String {
        if self.is_connect() {
            request_line(self.method, None, Some(self.authority), None)
        } else {
            request_line(self.method, Some(self.scheme), Some(self.authority), Some(&self.path))
        }
    }

    /// The fields of the request; the first says which exchange it is.
    pub fn request_fields(&self, number: usize) -> Vec<Line> {
        let mut fields = vec![("exchange".to_owned(), number.to_string().into_bytes(), Some(false))];
        fields.extend(self.request.lines());
        fields
    }

    /// What the side sends.
    pub fn steps(&self, side: Side) -> Vec<Step> {
        match side {
            Side::Client => self.request.steps(),
            Side::Server => (0..self.interim.len()).map(Step::Interim).chain(self.response.steps()).collect(),
        }
    }

    pub fn message(&self, side: Side) -> &Message {
        match side {
            Side::Client => &self.request,
            Side::Server => &self.response,
        }
    }

    /// The code with which the side resets its stream.
    pub fn reset_by(&self, side: Side) -> Option<u32> {
        self.reset.filter(|reset| reset.by == side).map(|reset| reset.code)
    }
}

pub fn request_line(method: &str, scheme: Option<&str>, authority: Option<&str>, path: Option<&str>) -> String {
    format!("{method} {} {} {}", scheme.unwrap_or("-"), authority.unwrap_or("-"), path.unwrap_or("-"))
}

impl Message {
    pub fn length(&self) -> u64 {
        self.chunks.iter().map(|&length| u64::from(length)).sum()
    }

    fn steps(&self) -> Vec<Step> {
        let bare = self.trailers.is_none() && !self.late_end;
        let mut steps = vec![Step::Head { end: bare && self.chunks.is_empty() }];
        for (index, &length) in self.chunks.iter().enumerate() {
            steps.push(Step::Body { length, end: bare && index + 1 == self.chunks.len() });
        }
        if self.trailers.is_some() {
            steps.push(Step::Trailers);
        } else if self.late_end {
            steps.push(Step::Body { length: 0, end: true });
        }
        steps
    }

    /// The fields of the head.
    pub fn lines(&self) -> Vec<Line> {
        let mut lines = lines(&self.fields);
        if self.declares_length {
            lines.push(("content-length".to_owned(), self.length().to_string().into_bytes(), Some(false)));
        }
        lines
    }
}

/// In the order that a `HeaderMap` keeps: fields of one name stand together where the first is.
pub fn lines(fields: &[Field]) -> Vec<Line> {
    let mut names: Vec<&str> = Vec::new();
    for field in fields {
        if !names.contains(&field.name.as_str()) {
            names.push(&field.name);
        }
    }
    let mut lines = Vec::with_capacity(fields.len());
    for name in names {
        let same = fields.iter().filter(|field| field.name == name);
        lines.extend(same.map(|field| (field.name.clone(), field.value.octets(), Some(field.sensitive))));
    }
    lines
}

impl Value {
    fn octets(&self) -> Vec<u8> {
        match self {
            Self::Short(octets) => octets.clone(),
            Self::Long(length) => (0..*length).map(|at| b'!' + (at % 94) as u8).collect(),
        }
    }
}

/// The octet of a body at `offset`, so that no body need be kept.
fn octet(exchange: usize, side: Side, offset: u64) -> u8 {
    (offset ^ (offset >> 8)).wrapping_mul(31).wrapping_add(exchange as u64 * 7 + side as u64 * 101) as u8
}

pub fn body(exchange: usize, side: Side, offset: u64, length: usize) -> Vec<u8> {
    (offset..offset + length as u64).map(|at| octet(exchange, side, at)).collect()
}
