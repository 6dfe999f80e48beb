//! When a try is worth another.

use std::time::Duration;

use byrnie_proto::envoy::envoy::{
    config::route::v3::{
        RetryPolicy,
        retry_policy::{RetryBackOff, RetryHostPredicate, retry_host_predicate::ConfigType},
    },
    extensions::retry::host::previous_hosts::v3::PreviousHostsPredicate,
};

use super::conditions::FieldMatch;
use crate::{
    Refused, RequestHead, ResponseHead,
    fields::At,
    line::Of,
    value::{each, number},
};

/// `retry_back_off.base_interval` where nothing is said.
const BASE: Duration = Duration::from_millis(25);

/// `RetryPolicy`.
#[derive(Clone, Debug, PartialEq)]
pub struct Retry {
    /// `num_retries`: tries after the first.
    pub attempts: u32,
    /// `per_try_timeout`; none is never.
    pub per_try_timeout: Option<Duration>,
    /// `retry_host_predicate` previous_hosts: other endpoints first, looked for so often
    /// (`host_selection_retry_max_attempts`); none does not mind.
    pub other_host_attempts: Option<u32>,
    /// `retry_back_off.base_interval`, 25 ms where absent.
    pub base: Duration,
    /// `retry_back_off.max_interval`, ten times the base where absent.
    pub max: Duration,
    on: On,
    statuses: Box<[u32]>,
    response_fields: Box<[FieldMatch]>,
    request_fields: Box<[FieldMatch]>,
}

/// The words of `retry_on`, as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct On(u32);

impl On {
    const SERVER_ERROR: u32 = 1 << 0;
    const GATEWAY_ERROR: u32 = 1 << 1;
    const CONNECT_FAILURE: u32 = 1 << 2;
    const CONFLICT: u32 = 1 << 3;
    const REFUSED_STREAM: u32 = 1 << 4;
    const STATUSES: u32 = 1 << 5;
    const RESET: u32 = 1 << 6;
    const FIELDS: u32 = 1 << 7;
    const RATE_LIMITED: u32 = 1 << 8;
    const RESET_BEFORE_REQUEST: u32 = 1 << 9;
    const CANCELLED: u32 = 1 << 10;
    const DEADLINE_EXCEEDED: u32 = 1 << 11;
    const INTERNAL: u32 = 1 << 12;
    const RESOURCE_EXHAUSTED: u32 = 1 << 13;
    const UNAVAILABLE: u32 = 1 << 14;

    const WORDS: [(&'static str, u32); 16] = [
        ("5xx", Self::SERVER_ERROR),
        ("gateway-error", Self::GATEWAY_ERROR),
        ("reset", Self::RESET),
        ("reset-before-request", Self::RESET_BEFORE_REQUEST),
        ("connect-failure", Self::CONNECT_FAILURE),
        ("envoy-ratelimited", Self::RATE_LIMITED),
        ("retriable-4xx", Self::CONFLICT),
        ("refused-stream", Self::REFUSED_STREAM),
        ("retriable-status-codes", Self::STATUSES),
        ("retriable-headers", Self::FIELDS),
        ("cancelled", Self::CANCELLED),
        ("deadline-exceeded", Self::DEADLINE_EXCEEDED),
        ("internal", Self::INTERNAL),
        ("resource-exhausted", Self::RESOURCE_EXHAUSTED),
        ("unavailable", Self::UNAVAILABLE),
        // There is no HTTP/3 here, so it never happens.
        ("http3-post-connect-failure", 0),
    ];

    fn read(words: &str, at: &At<'_>) -> Result<Self, Refused> {
        let mut on = 0;
        for word in words.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            let Some((_, bit)) = Self::WORDS.iter().find(|(known, _)| *known == word) else {
                return Err(at.unlike(word, &Self::WORDS.map(|(word, _)| word).join(", ")));
            };
            on |= bit;
        }
        Ok(Self(on))
    }

    fn has(self, any: u32) -> bool {
        self.0 & any != 0
    }
}

impl Retry {
    pub(super) fn read(policy: &RetryPolicy, at: &At<'_>) -> Result<Self, Refused> {
        at.check(policy)?;
        let (base, max) = back_off(&policy.retry_back_off, &at.field("retry_back_off"))?;
        let hosts = each(&policy.retry_host_predicate, &at.field("retry_host_predicate"), other_host)?;
        // Envoy's default; less than nothing is nothing.
        let attempts = match policy.host_selection_retry_max_attempts {
            0 => 1,
            attempts => u32::try_from(attempts)
                .map_err(|_| at.field("host_selection_retry_max_attempts").unlike(attempts, "0 to 4294967295"))?,
        };
        let fields = |matchers, of, field| {
            each(matchers, &at.field(field), |matcher, at| FieldMatch::read(matcher, of, at)).map(Into::into)
        };
        Ok(Self {
            attempts: number(policy.num_retries).unwrap_or(1),
            per_try_timeout: at.field("per_try_timeout").limit(&policy.per_try_timeout, None)?,
            other_host_attempts: (!hosts.is_empty()).then_some(attempts),
            base,
            max,
            on: On::read(&policy.retry_on, &at.field("retry_on"))?,
            statuses: policy.retriable_status_codes.as_slice().into(),
            response_fields: fields(&policy.retriable_headers, Of::Responses, "retriable_headers")?,
            request_fields: fields(&policy.retriable_request_headers, Of::Requests, "retriable_request_headers")?,
        })
    }

    /// Whether a request may be tried again at all (`retriable_request_headers`: one has to fit where there are any).
    pub fn applies_to(&self, request: &RequestHead) -> bool {
        self.on.0 != 0
            && (self.request_fields.is_empty() || self.request_fields.iter().any(|field| field.takes(request)))
    }

    /// Whether a response is one to try again: 5xx, gateway-error, retriable-4xx, retriable-status-codes,
    /// retriable-headers, and the words of gRPC where a trailers-only response or its head has `grpc-status`.
    pub fn on_response(&self, response: &ResponseHead) -> bool {
        if response.fields.get(b"x-envoy-ratelimited").is_some() {
            return self.on.has(On::RATE_LIMITED);
        }
        let status = response.status;
        let by_status = match status {
            502..=504 => On::SERVER_ERROR | On::GATEWAY_ERROR,
            500..=599 => On::SERVER_ERROR,
            409 => On::CONFLICT,
            _ => 0,
        };
        self.on.has(by_status)
            || (self.on.has(On::STATUSES) && self.statuses.contains(&status.into()))
            || (self.on.has(On::FIELDS) && self.response_fields.iter().any(|field| field.takes(response)))
            || self.on.has(by_grpc_status(response))
    }

    /// `connect-failure`, or a word that includes it (5xx, gateway-error, reset).
    pub fn on_connect_failure(&self) -> bool {
        self.on.has(On::CONNECT_FAILURE | On::SERVER_ERROR | On::GATEWAY_ERROR | On::RESET | On::RESET_BEFORE_REQUEST)
    }

    /// `refused-stream`, or a word that includes it.
    pub fn on_refused_stream(&self) -> bool {
        self.on.has(On::REFUSED_STREAM | On::SERVER_ERROR | On::GATEWAY_ERROR | On::RESET)
    }

    /// A stream or connection that ended, or a try that timed out, before the response's head; `sent` is whether the
    /// request's head was sent (`reset-before-request` asks).
    pub fn on_reset(&self, sent: bool) -> bool {
        self.on.has(On::SERVER_ERROR | On::GATEWAY_ERROR | On::RESET)
            || (!sent && self.on.has(On::RESET_BEFORE_REQUEST))
    }
}

fn by_grpc_status(response: &ResponseHead) -> u32 {
    match response.fields.get(b"grpc-status") {
        Some(b"1") => On::CANCELLED,
        Some(b"4") => On::DEADLINE_EXCEEDED,
        Some(b"8") => On::RESOURCE_EXHAUSTED,
        Some(b"13") => On::INTERNAL,
        Some(b"14") => On::UNAVAILABLE,
        _ => 0,
    }
}

fn back_off(back_off: &Option<RetryBackOff>, at: &At<'_>) -> Result<(Duration, Duration), Refused> {
    let Some(back_off) = back_off else { return Ok((BASE, BASE * 10)) };
    at.check(back_off)?;
    let at_base = at.field("base_interval");
    let base = at_base.above_zero(&back_off.base_interval)?.ok_or_else(|| at_base.refuse("missing"))?;
    let at_max = at.field("max_interval");
    let max = at_max.above_zero(&back_off.max_interval)?.unwrap_or(base * 10);
    if max < base {
        return Err(at_max.unlike(max, "at least base_interval"));
    }
    Ok((base, max))
}

fn other_host(predicate: &RetryHostPredicate, at: &At<'_>) -> Result<(), Refused> {
    at.check(predicate)?;
    let at = &at.field("typed_config");
    let Some(ConfigType::TypedConfig(any)) = &predicate.config_type else { return Err(at.refuse("missing")) };
    match at.unpack::<PreviousHostsPredicate>(any)? {
        Some(_) => Ok(()),
        None => Err(at.unknown_type(any, &["PreviousHostsPredicate"])),
    }
}
