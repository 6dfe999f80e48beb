//! The head of a request (RFC 9112 section 3).

use super::{
    BodyLength, FieldIter, Space, TargetForm, Version,
    authority::Authority,
    fault,
    fields::Fields,
    space,
    survey::{NONE, Survey},
    target::Form,
};
use crate::{error::Error, limits::Limits};

/// The head of a request, borrowed from the input and the [`Space`]. It was read and checked as a whole.
#[derive(Clone, Copy)]
pub struct Request<'h, 'b> {
    method: &'b str,
    target: &'b str,
    form: Form,
    /// The places of Host and Upgrade among the fields, or none.
    host: u8,
    upgrade: u8,
    version: Version,
    length: BodyLength,
    keep_alive: bool,
    expects_continue: bool,
    accepts_trailers: bool,
    fields: Fields<'h, 'b>,
}

impl<'h, 'b> Request<'h, 'b> {
    /// Reads the head at the front of `input`, and says how many bytes it has; none if it is not there as a whole.
    pub(crate) fn parse(
        input: &'b [u8],
        space: &'h mut Space<'b>,
        limits: &Limits,
    ) -> Result<Option<(Self, usize)>, Error> {
        let mut parsed = httparse::Request::new(&mut []);
        let places = space.first(limits.fields);
        let end = match httparse::ParserConfig::default().parse_request_with_uninit_headers(&mut parsed, input, places)
        {
            Ok(httparse::Status::Complete(end)) => end,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => return Err(space::too_many_fields(limits)),
            Err(_) => return fault::of_request(input).map_or(Ok(None), Err),
        };
        let (Some(method), Some(target), Some(version)) = (parsed.method, parsed.path, parsed.version) else {
            return Err(Error::RequestLine);
        };
        let version = if version == 0 { Version::Http10 } else { Version::Http11 };
        let line = Line { method, target, version };
        Self::check(line, &input[..end], parsed.headers, limits).map(|request| Some((request, end)))
    }

    #[inline]
    fn check(line: Line<'b>, head: &'b [u8], list: &'h [httparse::Header<'b>], limits: &Limits) -> Result<Self, Error> {
        let Line { method, target, version } = line;
        let mut survey = Survey::of(head, list, limits)?;
        if target.len() > limits.target as usize {
            return Err(Error::TargetTooLong { limit: limits.target });
        }
        let form = Form::parse(method, target)?;
        host(&survey, version, list)?;
        if matches!(form, Form::Absolute { .. } | Form::Authority) && survey.hosts > 0 {
            survey.own |= 1 << survey.host;
        }
        let length = BodyLength::of_request(method, version, survey.length, survey.chunked)?;
        let modern = version == Version::Http11;
        let fields = Fields { head, list, own: survey.own };
        Ok(Self {
            method,
            target,
            form,
            host: survey.host,
            upgrade: if modern { survey.upgrade } else { NONE },
            version,
            length,
            keep_alive: super::persists(version, survey.close, survey.keep_alive),
            expects_continue: survey.expects_continue && modern && length != BodyLength::None,
            accepts_trailers: survey.accepts_trailers && modern,
            fields,
        })
    }

    /// RFC 9112 section 3.1: the method, a token; methods differ by case.
    pub fn method(&self) -> &'b str {
        self.method
    }

    /// RFC 9112 section 3.2: the target as it was received: 0x21 to 0x7e without `#`.
    pub fn target(&self) -> &'b str {
        self.target
    }

    /// RFC 9112 section 3.2: which of the four forms the target has.
    pub fn form(&self) -> TargetForm<'b> {
        self.form.of(self.target)
    }

    /// Path and query for the next hop: of the origin form the target, of the absolute form its rest, `/` if that is
    /// empty (`*` for OPTIONS, RFC 9112 section 3.2.4). A query without a path (`http://a?b`) is given as `?b`; the
    /// client writes `/` in front of it. `*` for the asterisk form, the target itself for CONNECT.
    pub fn path(&self) -> &'b str {
        match self.form() {
            TargetForm::Absolute { path: "", .. } if self.method == "OPTIONS" => "*",
            TargetForm::Absolute { path: "", .. } => "/",
            TargetForm::Absolute { path, .. } => path,
            TargetForm::Origin | TargetForm::Authority | TargetForm::Asterisk => self.target,
        }
    }

    /// RFC 9112 section 3.3: `host[:port]` that the request is for: of the absolute form and of CONNECT from the
    /// target, else the Host field, which may be empty and, in HTTP/1.0, absent.
    pub fn authority(&self) -> Option<&'b str> {
        match self.form() {
            TargetForm::Absolute { authority, .. } => Some(authority),
            TargetForm::Authority => Some(self.target),
            TargetForm::Origin | TargetForm::Asterisk => self
                .fields
                .value(self.host)
                .map(|host| std::str::from_utf8(host).expect("a Host that was checked is ASCII")),
        }
    }

    /// RFC 9112 section 2.3: the version of the message.
    pub fn version(&self) -> Version {
        self.version
    }

    /// All fields in their order, with the case of their names.
    pub fn fields(&self) -> FieldIter<'h, 'b> {
        self.fields.all()
    }

    /// The fields that are for the next hop: without framing, hop-by-hop fields, those that Connection names (RFC 9110
    /// section 7.6.1), and Host where the target has its own authority (RFC 9112 section 3.2.2).
    pub fn end_to_end(&self) -> FieldIter<'h, 'b> {
        self.fields.end_to_end()
    }

    /// The first value of that name, whatever its case.
    pub fn get(&self, name: impl AsRef<[u8]>) -> Option<&'b [u8]> {
        self.fields.get(name.as_ref())
    }

    /// RFC 9112 section 6.3: how the body is delimited.
    pub fn body(&self) -> BodyLength {
        self.length
    }

    /// RFC 9112 section 9.3: whether the client wants to go on with the connection.
    pub fn keep_alive(&self) -> bool {
        self.keep_alive
    }

    /// RFC 9110 section 7.8: the protocols that the client offers to switch to, as it listed them. None in HTTP/1.0,
    /// without the connection option, and where `h2c` is among them: a proxy that passed such an offer on would let
    /// requests through that it never sees (RFC 9113 section 3.1 withdrew it).
    pub fn upgrade(&self) -> Option<&'b [u8]> {
        self.fields.value(self.upgrade).filter(|protocols| !offers_h2c(protocols))
    }

    /// RFC 9110 section 10.1.1: whether the client waits for `100 Continue` before it sends the body.
    pub fn expects_continue(&self) -> bool {
        self.expects_continue
    }

    /// RFC 9110 section 6.5.1: whether the client takes trailers, for itself and for those behind it: `TE: trailers`. The
    /// connection option for it, which many leave out, is not asked for.
    pub fn accepts_trailers(&self) -> bool {
        self.accepts_trailers
    }
}

impl std::fmt::Debug for Request<'_, '_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("target", &self.target)
            .field("version", &self.version)
            .field("fields", &self.fields())
            .finish_non_exhaustive()
    }
}

/// The parts of a request line.
struct Line<'b> {
    method: &'b str,
    target: &'b str,
    version: Version,
}

/// RFC 9112 section 3.2: exactly one Host in HTTP/1.1, at most one in HTTP/1.0; it may be empty.
#[inline]
fn host(survey: &Survey, version: Version, list: &[httparse::Header<'_>]) -> Result<(), Error> {
    match survey.hosts {
        0 if version == Version::Http10 => Ok(()),
        0 => Err(Error::HostMissing),
        1 => {
            let value = list[usize::from(survey.host)].value;
            if Authority::parse(value).is_none() {
                return Err(if value.contains(&b'@') { Error::Userinfo } else { Error::HostInvalid });
            }
            Ok(())
        }
        _ => Err(Error::HostRepeated),
    }
}

/// Whether `h2c` is among the protocols of an Upgrade field.
fn offers_h2c(protocols: &[u8]) -> bool {
    protocols.split(|byte| *byte == b',').any(|one| crate::characters::trim(one).eq_ignore_ascii_case(b"h2c"))
}
