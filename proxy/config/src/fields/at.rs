use std::{
    fmt::{self, Debug, Write as _},
    time::Duration,
};

use byrnie_proto::envoy::google::protobuf;
use prost::{Message, Name};

use super::Known;
use crate::Refused;

/// Enough of a value to be found again.
const LONGEST_FOUND: usize = 100;

/// Where in a resource something stands. Nothing is written down before a path is needed.
#[derive(Clone, Copy)]
pub struct At<'a> {
    up: Option<&'a At<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Field(&'static str),
    Index(usize),
    Key(&'a str),
}

impl At<'_> {
    /// The resource itself.
    pub const ROOT: At<'static> = At { up: None, step: Step::Root };

    /// A field of the message here.
    pub fn field(&self, name: &'static str) -> At<'_> {
        At { up: Some(self), step: Step::Field(name) }
    }

    /// An element of the list here.
    pub fn index(&self, index: usize) -> At<'_> {
        At { up: Some(self), step: Step::Index(index) }
    }

    /// An entry of the map here.
    pub fn key<'b>(&'b self, key: &'b str) -> At<'b> {
        At { up: Some(self), step: Step::Key(key) }
    }

    /// Something is wrong here.
    pub fn refuse(&self, problem: impl Into<String>) -> Refused {
        Refused { path: self.to_string(), problem: problem.into() }
    }

    /// What stands here is not one of the accepted.
    pub fn unlike(&self, found: impl Debug, accepted: &str) -> Refused {
        self.refuse(format!("found {}; accepted: {accepted}", shortened(&found)))
    }

    /// Nothing may stand here.
    pub fn unsupported(&self, found: &impl Debug) -> Refused {
        self.refuse(format!("not supported, found {}; accepted: nothing", shortened(found)))
    }

    /// Fails where the message here sets a field that is refused.
    pub fn check(&self, message: &impl Known) -> Result<(), Refused> {
        message.check(self)
    }

    /// What has to stand here.
    pub fn required<'m, T>(&self, value: &'m Option<T>) -> Result<&'m T, Refused> {
        value.as_ref().ok_or_else(|| self.refuse("missing"))
    }

    /// A text that may not be empty.
    pub fn text<'m>(&self, value: &'m str) -> Result<&'m str, Refused> {
        if value.is_empty() { Err(self.refuse("empty; accepted: a text")) } else { Ok(value) }
    }

    /// A flag of which only one value is supported.
    pub fn only(&self, value: bool, accepted: bool) -> Result<(), Refused> {
        if value == accepted { Ok(()) } else { Err(self.unlike(value, if accepted { "true" } else { "false" })) }
    }

    /// A value of an enum that this build knows.
    pub fn known<E: TryFrom<i32>>(&self, value: i32) -> Result<E, Refused> {
        E::try_from(value).map_err(|_| self.unlike(value, "a value of the enum"))
    }

    /// A duration that is there; never a negative one.
    pub fn duration(&self, value: &protobuf::Duration) -> Result<Duration, Refused> {
        let parts = u64::try_from(value.seconds).ok().zip(u32::try_from(value.nanos).ok());
        match parts.filter(|(_, nanos)| *nanos < 1_000_000_000) {
            Some((seconds, nanos)) => Ok(Duration::new(seconds, nanos)),
            None => Err(self.unlike(value, "a duration that is not negative")),
        }
    }

    /// A duration, or what holds where there is none.
    pub fn duration_or(&self, value: &Option<protobuf::Duration>, absent: Duration) -> Result<Duration, Refused> {
        value.as_ref().map_or(Ok(absent), |value| self.duration(value))
    }

    /// A limit that is switched off by zero, or what holds where nothing is said.
    pub fn limit(
        &self,
        value: &Option<protobuf::Duration>,
        absent: Option<Duration>,
    ) -> Result<Option<Duration>, Refused> {
        let Some(value) = value else { return Ok(absent) };
        Ok(Some(self.duration(value)?).filter(|limit| !limit.is_zero()))
    }

    /// A duration above zero.
    pub fn above_zero(&self, value: &Option<protobuf::Duration>) -> Result<Option<Duration>, Refused> {
        let Some(value) = value else { return Ok(None) };
        let duration = self.duration(value)?;
        if duration.is_zero() { Err(self.unlike(value, "a duration above zero")) } else { Ok(Some(duration)) }
    }

    /// A port number of TCP.
    pub fn port(&self, value: u32) -> Result<u16, Refused> {
        u16::try_from(value).map_err(|_| self.unlike(value, "0 to 65535"))
    }

    /// The message packed here, if it is a `T`; its fields are checked.
    pub fn unpack<T: Message + Name + Default + Known>(&self, any: &protobuf::Any) -> Result<Option<T>, Refused> {
        if any.type_url.rsplit('/').next() != Some(&*T::full_name()) {
            return Ok(None);
        }
        let message = T::decode(&*any.value).map_err(|error| self.refuse(error.to_string()))?;
        message.check(self)?;
        Ok(Some(message))
    }

    /// An extension that is not among the accepted.
    pub fn unknown_type(&self, any: &protobuf::Any, accepted: &[&str]) -> Refused {
        let accepted = accepted.join(", ");
        self.refuse(format!("{} is not supported; accepted: {accepted}", any.type_url))
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(up) = self.up else { return Ok(()) };
        up.fmt(f)?;
        match self.step {
            Step::Root => Ok(()),
            Step::Field(name) => {
                let dot = if matches!(up.step, Step::Root) { "" } else { "." };
                write!(f, "{dot}{}", name.trim_start_matches("r#"))
            }
            Step::Index(index) => write!(f, "[{index}]"),
            Step::Key(key) => write!(f, "[{key:?}]"),
        }
    }
}

/// Only the first octets of a value: a NACK is read by people.
fn shortened(found: &impl Debug) -> String {
    let mut short = Short(String::new());
    // Ends early by an error where there is more.
    if write!(short, "{found:?}").is_err() {
        short.0.push_str("...");
    }
    short.0
}

struct Short(String);

impl fmt::Write for Short {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = LONGEST_FOUND.saturating_sub(self.0.len());
        self.0.push_str(&text[..text.floor_char_boundary(room)]);
        if text.len() > room { Err(fmt::Error) } else { Ok(()) }
    }
}
