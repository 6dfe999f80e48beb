//! Conditions of a route other than its path: chance, gRPC, header fields, query parameters.

use std::borrow::Cow;

use byrnie_proto::envoy::envoy::{
    config::{
        core::v3::RuntimeFractionalPercent,
        route::v3::{
            HeaderMatcher, QueryParameterMatcher, RouteMatch, header_matcher::HeaderMatchSpecifier,
            query_parameter_matcher::QueryParameterMatchSpecifier,
        },
    },
    r#type::v3::fractional_percent::DenominatorType,
};

use crate::{Fields, Refused, RequestHead, ResponseHead, fields::At, line::Of, text::TextMatch, value::each};

/// All have to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    fraction: Option<Fraction>,
    grpc: bool,
    fields: Box<[FieldMatch]>,
    query: Box<[ParameterMatch]>,
}

/// `runtime_fraction`: the share of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fraction {
    numerator: u32,
    denominator: u32,
}

/// `HeaderMatcher`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldMatch {
    /// In lower case; `host` is `:authority`.
    name: Box<[u8]>,
    wanted: Wanted,
    invert: bool,
    missing_is_empty: bool,
    /// Whether its values count as one.
    one_line: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Wanted {
    Present(bool),
    Text(TextMatch),
    /// From, and up to but without.
    Number(i64, i64),
}

/// `QueryParameterMatcher`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ParameterMatch {
    name: Box<[u8]>,
    wanted: Wanted,
}

/// Where the values of a field are looked up.
pub trait Head {
    /// What is not among the fields: `:authority`, `:status`.
    fn pseudo(&self, name: &[u8]) -> Option<Cow<'_, [u8]>>;

    /// All others.
    fn list(&self) -> &Fields;
}

impl Conditions {
    /// Reads all but the path.
    pub fn read(conditions: &RouteMatch, at: &At<'_>) -> Result<Self, Refused> {
        let fraction = match &conditions.runtime_fraction {
            Some(fraction) => Some(Fraction::read(fraction, &at.field("runtime_fraction"))?),
            None => None,
        };
        let of_requests = |matcher: &_, at: &At<'_>| FieldMatch::read(matcher, Of::Requests, at);
        let fields = each(&conditions.headers, &at.field("headers"), of_requests)?;
        let parameters = at.field("query_parameters");
        Ok(Self {
            fraction,
            grpc: conditions.grpc.is_some(),
            fields: fields.into(),
            query: each(&conditions.query_parameters, &parameters, ParameterMatch::read)?.into(),
        })
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether all hold; `random` is asked only where chance decides.
    pub fn hold(&self, request: &RequestHead, random: impl FnOnce() -> u64) -> bool {
        (!self.grpc || request.is_grpc())
            && self.fields.iter().all(|field| field.takes(request))
            && self.query.iter().all(|parameter| parameter.takes(request.path()))
            && self.fraction.is_none_or(|fraction| fraction.takes(random()))
    }
}

impl Fraction {
    fn read(fraction: &RuntimeFractionalPercent, at: &At<'_>) -> Result<Self, Refused> {
        at.check(fraction)?;
        let at = &at.field("default_value");
        let fraction = at.required(&fraction.default_value)?;
        let denominator = match at.field("denominator").known(fraction.denominator)? {
            DenominatorType::Hundred => 100,
            DenominatorType::TenThousand => 10_000,
            DenominatorType::Million => 1_000_000,
        };
        Ok(Self { numerator: fraction.numerator, denominator })
    }

    fn takes(self, random: u64) -> bool {
        random % u64::from(self.denominator) < u64::from(self.numerator)
    }
}

impl FieldMatch {
    /// Reads a `HeaderMatcher` for the heads of requests or responses.
    pub fn read(matcher: &HeaderMatcher, of: Of, at: &At<'_>) -> Result<Self, Refused> {
        at.check(matcher)?;
        let wanted = match &matcher.header_match_specifier {
            None => Wanted::Present(true),
            Some(HeaderMatchSpecifier::PresentMatch(present)) => Wanted::Present(*present),
            Some(HeaderMatchSpecifier::StringMatch(text)) => {
                Wanted::Text(TextMatch::read(text, &at.field("string_match"))?)
            }
            Some(HeaderMatchSpecifier::RangeMatch(range)) => Wanted::Number(range.start, range.end),
            Some(_) => return Err(at.refuse("accepted: string_match, present_match, range_match")),
        };
        let name = at.field("name").text(&matcher.name)?.to_ascii_lowercase();
        let name = if name == "host" { ":authority".to_owned() } else { name };
        Ok(Self {
            one_line: of.is_one_line(name.as_bytes()),
            name: name.into_bytes().into(),
            wanted,
            invert: matcher.invert_match,
            missing_is_empty: matcher.treat_missing_header_as_empty,
        })
    }

    /// Whether one of the values in `head` is as wanted, or none if that is inverted. A field that is missing is like
    /// nothing but absence, inverted or not.
    pub fn takes(&self, head: &impl Head) -> bool {
        if let Some(value) = head.pseudo(&self.name) {
            return self.wanted.takes(&value) != self.invert;
        }
        let mut values = head.list().all(&self.name).peekable();
        let missing = values.peek().is_none();
        match &self.wanted {
            Wanted::Present(present) => ((!missing || self.missing_is_empty) == *present) != self.invert,
            wanted if missing => self.missing_is_empty && wanted.takes(b"") != self.invert,
            wanted if self.one_line => wanted.takes(&joined(values)) != self.invert,
            wanted => values.any(|value| wanted.takes(value)) != self.invert,
        }
    }
}

impl Wanted {
    fn takes(&self, value: &[u8]) -> bool {
        match self {
            Self::Present(present) => *present,
            Self::Text(text) => text.takes(value),
            Self::Number(from, to) => {
                let number = std::str::from_utf8(value).ok().and_then(|text| text.trim_ascii().parse::<i64>().ok());
                number.is_some_and(|number| (*from..*to).contains(&number))
            }
        }
    }
}

impl ParameterMatch {
    fn read(matcher: &QueryParameterMatcher, at: &At<'_>) -> Result<Self, Refused> {
        at.check(matcher)?;
        let wanted = match &matcher.query_parameter_match_specifier {
            None => Wanted::Present(true),
            Some(QueryParameterMatchSpecifier::PresentMatch(present)) => Wanted::Present(*present),
            Some(QueryParameterMatchSpecifier::StringMatch(text)) => {
                Wanted::Text(TextMatch::read(text, &at.field("string_match"))?)
            }
        };
        Ok(Self { name: at.field("name").text(&matcher.name)?.as_bytes().into(), wanted })
    }

    /// The first value counts, as it stands; one without `=` is empty.
    fn takes(&self, path: &[u8]) -> bool {
        let query = memchr::memchr(b'?', path).map_or(&b""[..], |start| &path[start + 1..]);
        let mut pairs = query.split(|octet| *octet == b'&').map(|pair| {
            memchr::memchr(b'=', pair).map_or((pair, &b""[..]), |equals| (&pair[..equals], &pair[equals + 1..]))
        });
        let value = pairs.find(|(name, _)| **name == *self.name).map(|(_, value)| value);
        match (&self.wanted, value) {
            (Wanted::Present(present), value) => value.is_some() == *present,
            (_, None) => false,
            (wanted, Some(value)) => wanted.takes(value),
        }
    }
}

impl Head for RequestHead {
    fn pseudo(&self, name: &[u8]) -> Option<Cow<'_, [u8]>> {
        match name.first() {
            Some(b':') => self.get(name).map(Cow::Borrowed),
            _ if name == b"upgrade" => self.upgrade().map(Cow::Borrowed),
            _ => None,
        }
    }

    fn list(&self) -> &Fields {
        self.fields()
    }
}

impl Head for ResponseHead {
    fn pseudo(&self, name: &[u8]) -> Option<Cow<'_, [u8]>> {
        (name == b":status").then(|| Cow::Owned(self.status.to_string().into_bytes()))
    }

    fn list(&self) -> &Fields {
        &self.fields
    }
}

/// Allocates only where there are several.
fn joined<'f>(mut values: impl Iterator<Item = &'f [u8]>) -> Cow<'f, [u8]> {
    let mut all = Cow::Borrowed(values.next().unwrap_or_default());
    for value in values {
        let all = all.to_mut();
        all.push(b',');
        all.extend_from_slice(value);
    }
    all
}
