//! Logs to standard error, as text for people or as JSON, one event a line. What is logged can be changed while the
//! process runs.

use std::{
    fmt,
    io::{self, IsTerminal},
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tracing::{Subscriber, subscriber::set_global_default};
use tracing_subscriber::{Registry, filter::Targets, fmt::MakeWriter, layer::SubscriberExt, reload};

/// The variable that chooses what is logged, as in `info,byrnie_ads=debug`.
pub const FILTER_VARIABLE: &str = "BYRNIE_LOG";

/// How an event is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people; coloured when standard error is a terminal.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// What is logged, to be changed while the process runs. Clones share it.
#[derive(Clone)]
pub struct Levels(Arc<Inner>);

struct Inner {
    /// In force; empty is the default.
    filter: Mutex<String>,
    reload: Reload,
}

type Reload = Box<dyn Fn(Targets) -> Result<(), reload::Error> + Send + Sync>;

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogsError {
    /// The name of a format is none that is known.
    #[error("log format {found:?} is not known; accepted are text and json")]
    Format {
        /// What was found.
        found: String,
    },
    /// The filter does not parse.
    #[error(
        "log filter {found:?} is not valid: {source}; accepted are off, error, warn, info, debug or trace, \
         or a list of TARGET=LEVEL as in info,byrnie_ads=debug (option or {FILTER_VARIABLE})"
    )]
    Filter {
        /// What was found.
        found: String,
        /// What the parser said.
        source: tracing_subscriber::filter::ParseError,
    },
    /// Something else in this process has set up logging before.
    #[error("logging is already set up in this process")]
    AlreadySet,
    /// Nothing logs any more.
    #[error("the log filter cannot be changed: {0}")]
    Reload(#[from] reload::Error),
}

impl Levels {
    /// The filter in force, as it was given; empty is the default.
    pub fn filter(&self) -> String {
        self.locked().clone()
    }

    /// Puts another filter in its place, of the form that [`init`] takes.
    pub fn set(&self, filter: &str) -> Result<(), LogsError> {
        let parsed = parse_filter(filter)?;
        let mut in_force = self.locked();
        (self.0.reload)(parsed)?;
        filter.clone_into(&mut in_force);
        Ok(())
    }

    fn locked(&self) -> MutexGuard<'_, String> {
        self.0.filter.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Levels").field(&self.filter()).finish()
    }
}

impl FromStr for Format {
    type Err = LogsError;

    fn from_str(name: &str) -> Result<Self, LogsError> {
        match name {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(LogsError::Format { found: name.to_owned() }),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

/// Sends the events of this process to standard error. Without `filter`, `BYRNIE_LOG` decides; what neither names is
/// logged from `info` upwards. What is returned may be let go where nobody changes that later.
pub fn init(format: Format, filter: Option<&str>) -> Result<Levels, LogsError> {
    let variable = std::env::var(FILTER_VARIABLE).ok();
    let filter = filter.or(variable.as_deref()).unwrap_or_default();
    let ansi = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let (subscriber, levels) = subscriber(format, filter, ansi, io::stderr)?;
    set_global_default(subscriber).map_err(|_| LogsError::AlreadySet)?;
    Ok(levels)
}

fn parse_filter(text: &str) -> Result<Targets, LogsError> {
    // A level for one target must not silence the others; of two bare levels the later one counts. Nothing between two
    // commas would be read as every target.
    let directives: Vec<&str> = text.split(',').map(str::trim).filter(|directive| !directive.is_empty()).collect();
    let directives = [&["info"], &*directives].concat().join(",");
    directives.parse().map_err(|source| LogsError::Filter { found: text.to_owned(), source })
}

type AnySubscriber = Box<dyn Subscriber + Send + Sync>;

fn subscriber<W>(format: Format, filter: &str, ansi: bool, writer: W) -> Result<(AnySubscriber, Levels), LogsError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let (targets, handle) = reload::Layer::new(parse_filter(filter)?);
    let registry = Registry::default().with(targets);
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    let subscriber: AnySubscriber = match format {
        Format::Text => Box::new(registry.with(lines.with_ansi(ansi))),
        Format::Json => Box::new(registry.with(lines.json().flatten_event(true).with_current_span(true))),
    };
    let reload = Box::new(move |filter| handle.reload(filter));
    Ok((subscriber, Levels(Arc::new(Inner { filter: Mutex::new(filter.to_owned()), reload }))))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing::{debug, info, subscriber::with_default, warn};

    use super::*;

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: Format, filter: &str, ansi: bool, events: impl FnOnce()) -> String {
        let captured = Captured::default();
        let writer = captured.clone();
        let (subscriber, _) = subscriber(format, filter, ansi, move || writer.clone()).unwrap();
        with_default(subscriber, events);
        let bytes = captured.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn text_without_a_terminal_has_no_escape_codes() {
        let event = || warn!(peer = "10.0.0.7", "accept failed");
        let plain = logged(Format::Text, "", false, event);
        assert!(plain.contains("WARN") && plain.contains("accept failed peer=\"10.0.0.7\""), "{plain}");
        assert!(!plain.contains('\u{1b}'), "{plain}");
        assert!(logged(Format::Text, "", true, event).contains('\u{1b}'));
    }

    #[test]
    fn json_is_one_object_a_line_with_the_fields_beside_the_message() {
        let lines = logged(Format::Json, "", false, || {
            info!(clients = 3, "one");
            info!("two");
        });
        let lines: Vec<&str> = lines.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with('{') && lines[0].ends_with('}'));
        assert!(lines[0].contains("\"message\":\"one\",\"clients\":3"), "{}", lines[0]);
    }

    #[test]
    fn the_default_is_info_and_a_target_can_say_more() {
        let events = || {
            debug!(target: "byrnie_ads", "from ads");
            debug!(target: "byrnie_ca", "from ca");
            info!(target: "byrnie_ca", "said");
        };
        let default = logged(Format::Text, "", false, events);
        assert!(default.contains("said") && !default.contains("from ads"), "{default}");
        let ads = logged(Format::Text, "byrnie_ads=debug", false, events);
        assert!(ads.contains("from ads") && ads.contains("said") && !ads.contains("from ca"), "{ads}");
        assert_eq!(logged(Format::Text, "warn", false, events), "");
        assert_eq!(logged(Format::Text, "off", false, || tracing::error!("lost")), "");
        assert_eq!(logged(Format::Text, "warn, ,", false, events), "");
    }

    #[test]
    fn what_is_logged_can_be_changed_and_a_wrong_filter_changes_nothing() {
        for format in [Format::Text, Format::Json] {
            let captured = Captured::default();
            let writer = captured.clone();
            let (subscriber, levels) = subscriber(format, "warn", false, move || writer.clone()).unwrap();
            let count = || captured.0.lock().unwrap().iter().filter(|octet| **octet == b'\n').count();
            with_default(subscriber, || {
                let say = || debug!(target: "byrnie_changed", "said");
                say();
                assert_eq!((count(), levels.filter().as_str()), (0, "warn"));
                levels.set("byrnie_changed=debug").unwrap();
                say();
                assert_eq!((count(), levels.filter().as_str()), (1, "byrnie_changed=debug"));
                assert!(levels.set("byrnie_changed=loud").is_err());
                say();
                assert_eq!(count(), 2);
                levels.set("").unwrap();
                say();
                assert_eq!(count(), 2);
            });
        }
    }

    #[test]
    fn a_wrong_filter_or_format_says_what_is_accepted() {
        let filter = parse_filter("byrnie_ads=loud").unwrap_err().to_string();
        assert!(filter.contains("\"byrnie_ads=loud\"") && filter.contains("TARGET=LEVEL"), "{filter}");
        let format = "xml".parse::<Format>().unwrap_err().to_string();
        assert_eq!(format, "log format \"xml\" is not known; accepted are text and json");
    }

    #[test]
    fn a_format_is_read_back_as_it_is_written() {
        for format in [Format::Text, Format::Json] {
            assert_eq!(format.to_string().parse::<Format>().unwrap(), format);
        }
    }
}
