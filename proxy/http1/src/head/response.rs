//! The head of a response (RFC 9112 section 4).

use super::{BodyLength, FieldIter, RequestMethod, Space, Version, fault, fields::Fields, space, survey::Survey};
use crate::{error::Error, limits::Limits};

/// The head of a response, borrowed from the input and the [`Space`]. It was read and checked as a whole.
#[derive(Clone, Copy)]
pub struct Response<'h, 'b> {
    status: u16,
    reason: &'b [u8],
    version: Version,
    length: BodyLength,
    content_length: Option<u64>,
    keep_alive: bool,
    upgrade: Option<&'b [u8]>,
    fields: Fields<'h, 'b>,
}

impl<'h, 'b> Response<'h, 'b> {
    /// Reads the head at the front of `input`, the response to a request with `method`, and says how many bytes it
    /// has; none if it is not there as a whole.
    pub(crate) fn parse(
        input: &'b [u8],
        space: &'h mut Space<'b>,
        limits: &Limits,
        method: RequestMethod,
    ) -> Result<Option<(Self, usize)>, Error> {
        if let Some(b'\r' | b'\n') = input.first() {
            return Err(Error::StatusLine);
        }
        let mut parsed = httparse::Response::new(&mut []);
        let places = space.first(limits.fields);
        let end = match httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut parsed, input, places)
        {
            Ok(httparse::Status::Complete(end)) => end,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => return Err(space::too_many_fields(limits)),
            Err(_) => return fault::of_response(input).map_or(Ok(None), Err),
        };
        let (Some(status), Some(version)) = (parsed.code, parsed.version) else {
            return Err(Error::StatusLine);
        };
        let version = if version == 0 { Version::Http10 } else { Version::Http11 };
        Self::check(status, version, &input[..end], parsed.headers, limits, method)
            .map(|response| Some((response, end)))
    }

    fn check(
        status: u16,
        version: Version,
        head: &'b [u8],
        list: &'h [httparse::Header<'b>],
        limits: &Limits,
        method: RequestMethod,
    ) -> Result<Self, Error> {
        let survey = Survey::of(head, list, limits)?;
        if status < 100 {
            return Err(Error::Status { status });
        }
        let length = BodyLength::of_response(method, status, version, survey.length, survey.chunked)?;
        let fields = Fields { head, list, own: survey.own };
        Ok(Self {
            status,
            reason: reason(head, fields.start()),
            version,
            length,
            content_length: survey.length,
            keep_alive: super::persists(version, survey.close, survey.keep_alive),
            upgrade: fields.value(survey.upgrade),
            fields,
        })
    }

    /// RFC 9112 section 4: the status, 100 to 999.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// RFC 9112 section 4: the reason phrase, often empty.
    pub fn reason(&self) -> &'b [u8] {
        self.reason
    }

    /// RFC 9112 section 2.3: the version of the message.
    pub fn version(&self) -> Version {
        self.version
    }

    /// All fields in their order, with the case of their names.
    pub fn fields(&self) -> FieldIter<'h, 'b> {
        self.fields.all()
    }

    /// The fields that are for the next hop: without framing, hop-by-hop fields and those that Connection names (RFC
    /// 9110 section 7.6.1).
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

    /// RFC 9110 section 8.6: the Content-Length, which the responses to HEAD and with status 304 have without a body.
    pub fn content_length(&self) -> Option<u64> {
        self.content_length
    }

    /// RFC 9112 section 9.3: whether the server goes on with the connection.
    pub fn keep_alive(&self) -> bool {
        self.keep_alive
    }

    /// RFC 9110 section 7.8: the protocol that a 101 switches to, or those that another response asks for.
    pub fn upgrade(&self) -> Option<&'b [u8]> {
        self.upgrade
    }
}

impl std::fmt::Debug for Response<'_, '_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("version", &self.version)
            .field("fields", &self.fields())
            .finish_non_exhaustive()
    }
}

/// RFC 9112 section 4: what follows `HTTP/1.1 200 ` in the status line, which ends in front of `fields`. Taken from the
/// bytes, since httparse drops a phrase with bytes above 0x7f.
fn reason(head: &[u8], fields: usize) -> &[u8] {
    head.get("HTTP/1.1 200 ".len()..fields.saturating_sub(2)).unwrap_or_default()
}
