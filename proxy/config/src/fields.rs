//! Which fields of each message are honoured: behind every NACK, and behind `docs/proxy-fields.md`.
//!
//! [`fields!`] names all fields of a message; one that is left out does not compile, so that a field that a newer
//! `envoy-types` brings is judged before it is used. Fields that `envoy-types` itself does not know are lost when a
//! message is decoded: both ends are built from the same version.

mod at;
#[cfg(test)]
mod reference;

pub use at::At;

use crate::Refused;

/// The fields of one message.
#[derive(Clone, Debug)]
pub struct Table {
    /// `envoy.config.route.v3.Route`.
    pub message: String,
    /// In the order of the message; those of a `oneof` stand at the end.
    pub rows: &'static [Row],
}

/// One field.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Its name in the `.proto` file.
    pub name: &'static str,
    /// What is done with it.
    pub how: How,
    /// What is accepted, or why it is without effect; may be empty.
    pub note: &'static str,
}

/// What is done with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// As Envoy does, within what the note says.
    Honoured,
    /// Nothing: it changes nothing here.
    Idle,
    /// A NACK where it is set.
    Refused,
}

/// A message whose fields have been judged.
pub trait Known {
    /// All of them.
    fn table() -> Table;

    /// Fails at the first field that is set and refused.
    fn check(&self, at: &At<'_>) -> Result<(), Refused>;
}

/// The tables of all messages, by the resource that they are read for.
pub fn supported() -> Vec<(&'static str, Vec<Table>)> {
    vec![
        ("Listeners", crate::listener::tables()),
        ("Routes", crate::route::tables()),
        ("Clusters", crate::cluster::tables()),
        ("Endpoints", crate::endpoints::tables()),
        ("TLS", crate::tls::tables()),
        ("Options of HTTP", crate::http::tables()),
        ("Texts", [crate::text::tables(), crate::re2::tables()].concat()),
        ("Values", crate::value::tables()),
    ]
}

/// Whether a field is not as it is where nothing was said.
pub fn is_set<T: Default + PartialEq>(value: &T) -> bool {
    *value != T::default()
}

/// The table of each message: `field: honoured`, `field: idle "why"` or `field: refused`, and after a semicolon each
/// `oneof` by the name and type of its field, with its variants and their names in the `.proto` file.
macro_rules! fields {
    ($($message:ty {
        $($field:ident: $how:ident $($note:literal)?),* $(,)?
        $(; $oneof:ident: $kind:ty { $($variant:ident $name:ident: $vhow:ident $($vnote:literal)?),* $(,)? })*
    })*) => {
        /// What is done with the fields of the messages that are read here.
        pub fn tables() -> Vec<$crate::fields::Table> {
            vec![$(<$message as $crate::fields::Known>::table()),*]
        }
        $(impl $crate::fields::Known for $message {
            fn table() -> $crate::fields::Table {
                let rows = const { &[
                    $($crate::fields::Row {
                        name: stringify!($field),
                        how: $crate::fields::fields!(@how $how),
                        note: concat!($($note)?),
                    },)*
                    $($($crate::fields::Row {
                        name: stringify!($name),
                        how: $crate::fields::fields!(@how $vhow),
                        note: concat!($($vnote)?),
                    },)*)*
                ] };
                $crate::fields::Table { message: <Self as prost::Name>::full_name(), rows }
            }

            #[allow(deprecated, unused_variables)]
            fn check(&self, at: &$crate::fields::At<'_>) -> Result<(), $crate::Refused> {
                let Self { $($field,)* $($oneof,)* } = self;
                $($crate::fields::fields!(@check $how at $field $field);)*
                $({
                    type OneOf = $kind;
                    match $oneof {
                        None => {}
                        $(Some(OneOf::$variant(found)) => $crate::fields::fields!(@found $vhow at $name found),)*
                    }
                })*
                Ok(())
            }
        })*
    };
    (@how honoured) => { $crate::fields::How::Honoured };
    (@how idle) => { $crate::fields::How::Idle };
    (@how refused) => { $crate::fields::How::Refused };
    (@check honoured $at:ident $name:ident $found:ident) => {};
    (@check idle $at:ident $name:ident $found:ident) => {};
    (@check refused $at:ident $name:ident $found:ident) => {
        if $crate::fields::is_set($found) {
            return Err($at.field(stringify!($name)).unsupported($found));
        }
    };
    (@found honoured $at:ident $name:ident $found:ident) => { {} };
    (@found idle $at:ident $name:ident $found:ident) => { {} };
    (@found refused $at:ident $name:ident $found:ident) => {
        return Err($at.field(stringify!($name)).unsupported($found))
    };
}
pub(crate) use fields;
