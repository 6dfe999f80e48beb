//! Responses are written straight from the shared bytes of their resources: `Any.value` of the generated types is a
//! `Vec<u8>` and would be copied once for each client.

use byrnie_proto::Kind;
use byrnie_snapshot::Resource;
use bytes::BufMut;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};

use crate::session::{Protocol, ResourceError, Response};

/// Writes a `DiscoveryResponse` or a `DeltaDiscoveryResponse` (envoy/service/discovery/v3/discovery.proto).
pub(crate) fn encode(response: &Response, target: &mut impl BufMut) {
    let type_url = response.type_url.as_str();
    let delta = response.protocol == Protocol::Delta;
    if let Some(version) = response.version {
        string(1, &version.to_string(), target);
    }
    for resource in &response.resources {
        nested(2, if delta { resource_len(resource) } else { any_len(resource) }, target);
        if delta {
            string(1, &resource.version().to_string(), target);
            nested(2, any_len(resource), target);
            any(resource, target);
            string(3, resource.name(), target);
        } else {
            any(resource, target);
        }
    }
    string(4, type_url, target);
    string(5, &response.nonce, target);
    response.removed.iter().for_each(|name| string(6, name, target));
    for error in &response.errors {
        nested(errors_tag(response), error_len(error), target);
        nested(1, string_len(1, &error.name), target);
        string(1, &error.name, target);
        nested(2, status_len(error), target);
        number(1, error.code, target);
        string(2, &error.message, target);
    }
}

/// How many bytes [`encode`] writes.
pub(crate) fn encoded_len(response: &Response) -> usize {
    let delta = response.protocol == Protocol::Delta;
    let version = response.version.map_or(0, |_| 2 + VERSION_LEN);
    let inner = |resource| if delta { resource_len(resource) } else { any_len(resource) };
    let resources: usize = response.resources.iter().map(|resource| nested_len(2, inner(resource))).sum();
    let removed: usize = response.removed.iter().map(|name| string_len(6, name)).sum();
    let errors: usize = response.errors.iter().map(|e| nested_len(errors_tag(response), error_len(e))).sum();
    let texts = string_len(4, response.type_url.as_str()) + string_len(5, &response.nonce);
    version + resources + texts + removed + errors
}

/// 16 hexadecimal digits.
const VERSION_LEN: usize = 16;

fn errors_tag(response: &Response) -> u32 {
    match response.protocol {
        Protocol::Sotw => 7,
        Protocol::Delta => 9,
    }
}

/// `google.protobuf.Any`
fn any(resource: &Resource, target: &mut impl BufMut) {
    string(1, resource.kind().type_url(), target);
    if !resource.body().is_empty() {
        nested(2, resource.body().len(), target);
        target.put_slice(resource.body());
    }
}

fn any_len(resource: &Resource) -> usize {
    let body = if resource.body().is_empty() { 0 } else { nested_len(2, resource.body().len()) };
    type_url_len(resource.kind()) + body
}

fn type_url_len(kind: Kind) -> usize {
    string_len(1, kind.type_url())
}

/// `envoy.service.discovery.v3.Resource`
fn resource_len(resource: &Resource) -> usize {
    2 + VERSION_LEN + nested_len(2, any_len(resource)) + string_len(3, resource.name())
}

/// `envoy.service.discovery.v3.ResourceError`
fn error_len(error: &ResourceError) -> usize {
    nested_len(1, string_len(1, &error.name)) + nested_len(2, status_len(error))
}

/// `google.rpc.Status`
fn status_len(error: &ResourceError) -> usize {
    let code = if error.code == 0 { 0 } else { key_len(1) + encoded_len_varint(code(error.code)) };
    code + string_len(2, &error.message)
}

fn number(tag: u32, value: i32, target: &mut impl BufMut) {
    if value != 0 {
        encode_key(tag, WireType::Varint, target);
        encode_varint(code(value), target);
    }
}

/// An `int32` on the wire: negative ones are sign-extended to 64 bits (protobuf encoding, "Signed Integers").
fn code(value: i32) -> u64 {
    i64::from(value).cast_unsigned()
}

fn string(tag: u32, text: &str, target: &mut impl BufMut) {
    // Repeated strings may be empty, but an empty name is nobody's.
    if !text.is_empty() {
        nested(tag, text.len(), target);
        target.put_slice(text.as_bytes());
    }
}

fn string_len(tag: u32, text: &str) -> usize {
    if text.is_empty() { 0 } else { nested_len(tag, text.len()) }
}

/// The head of a length-delimited field.
fn nested(tag: u32, len: usize, target: &mut impl BufMut) {
    encode_key(tag, WireType::LengthDelimited, target);
    encode_varint(len as u64, target);
}

fn nested_len(tag: u32, len: usize) -> usize {
    key_len(tag) + encoded_len_varint(len as u64) + len
}

#[cfg(test)]
mod tests;
