//! The four forms of a request target (RFC 9112 section 3.2).

use super::authority::Authority;
use crate::{
    characters::{is_target, is_target_byte},
    error::Error,
};

/// The form of a request target, with its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetForm<'b> {
    /// RFC 9112 section 3.2.1: `/path?query`.
    Origin,
    /// RFC 9112 section 3.2.2: `scheme://authority/path?query`, as clients send to a proxy.
    Absolute {
        /// The scheme, in the case of the sender.
        scheme: &'b str,
        /// `host[:port]`; it stands above Host.
        authority: &'b str,
        /// Path and query; empty where the target has neither.
        path: &'b str,
    },
    /// RFC 9112 section 3.2.3: `host:port`, of CONNECT.
    Authority,
    /// RFC 9112 section 3.2.4: `*`, of OPTIONS.
    Asterisk,
}

/// The form of a target without the target: where its parts end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Origin,
    Absolute { scheme: u32, authority: u32 },
    Authority,
    Asterisk,
}

impl Form {
    /// RFC 9112 section 3.2: the form that the target has, given the method.
    #[inline]
    pub fn parse(method: &str, target: &str) -> Result<Self, Error> {
        if !is_target(target.as_bytes()) {
            let byte = target.bytes().find(|byte| !is_target_byte(*byte)).unwrap_or_default();
            return Err(Error::TargetByte { byte });
        }
        match target.as_bytes() {
            _ if method == "CONNECT" => authority_form(target),
            [b'/', ..] => Ok(Self::Origin),
            b"*" => asterisk_form(method),
            _ => absolute_form(target),
        }
    }

    /// The form with the parts of `target`, of which it is.
    pub fn of(self, target: &str) -> TargetForm<'_> {
        match self {
            Self::Origin => TargetForm::Origin,
            Self::Authority => TargetForm::Authority,
            Self::Asterisk => TargetForm::Asterisk,
            Self::Absolute { scheme, authority } => {
                let (target, path) = target.split_at(authority as usize);
                let (scheme, rest) = target.split_at(scheme as usize);
                TargetForm::Absolute { scheme, authority: &rest["://".len()..], path }
            }
        }
    }
}

/// RFC 9112 section 3.2.2: scheme, authority without user information, path.
fn absolute_form(target: &str) -> Result<Form, Error> {
    let (scheme, rest) = target.split_once("://").ok_or(Error::TargetForm)?;
    let scheme_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    if !scheme.starts_with(|first: char| first.is_ascii_alphabetic()) || !scheme.bytes().all(scheme_byte) {
        return Err(Error::TargetForm);
    }
    let authority = &rest[..rest.find(['/', '?']).unwrap_or(rest.len())];
    if authority.contains('@') {
        return Err(Error::Userinfo);
    }
    match Authority::parse(authority.as_bytes()) {
        Some(parsed) if !parsed.host.is_empty() => {
            let end = |length: usize| u32::try_from(length).map_err(|_| Error::TargetForm);
            let (scheme, authority) = (end(scheme.len())?, end(scheme.len() + "://".len() + authority.len())?);
            Ok(Form::Absolute { scheme, authority })
        }
        _ => Err(Error::TargetAuthority),
    }
}

/// RFC 9112 section 3.2.3: CONNECT names host and port, both.
fn authority_form(target: &str) -> Result<Form, Error> {
    if target.contains('@') {
        return Err(Error::Userinfo);
    }
    let zero = |port: &[u8]| port.iter().all(|digit| *digit == b'0');
    match Authority::parse(target.as_bytes()) {
        Some(Authority { host: [_, ..], port: Some(port) }) if !zero(port) => Ok(Form::Authority),
        _ => Err(Error::ConnectTarget),
    }
}

/// RFC 9112 section 3.2.4: the server as a whole, for OPTIONS only.
fn asterisk_form(method: &str) -> Result<Form, Error> {
    if method == "OPTIONS" { Ok(Form::Asterisk) } else { Err(Error::AsteriskTarget) }
}
