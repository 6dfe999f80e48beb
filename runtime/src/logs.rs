//! Logs to standard error, as text for people or as JSON, one event a line.

use std::{
    fmt,
    io::{self, IsTerminal},
    str::FromStr,
};

use tracing::{Subscriber, subscriber::set_global_default};
use tracing_subscriber::{
    EnvFilter,
    fmt::{MakeWriter, SubscriberBuilder},
};

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
/// logged from `info` upwards.
pub fn init(format: Format, filter: Option<&str>) -> Result<(), LogsError> {
    let variable = std::env::var(FILTER_VARIABLE).ok();
    let filter = parse_filter(filter.or(variable.as_deref()).unwrap_or_default())?;
    let ansi = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    set_global_default(subscriber(format, filter, ansi, io::stderr)).map_err(|_| LogsError::AlreadySet)
}

fn parse_filter(text: &str) -> Result<EnvFilter, LogsError> {
    // A level for one target must not silence the others; of two bare levels the later one counts.
    let directives = if text.is_empty() { "info".to_owned() } else { format!("info,{text}") };
    EnvFilter::builder().parse(directives).map_err(|source| LogsError::Filter { found: text.to_owned(), source })
}

fn subscriber<W>(format: Format, filter: EnvFilter, ansi: bool, writer: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let builder = SubscriberBuilder::default().with_env_filter(filter).with_writer(writer);
    match format {
        Format::Text => Box::new(builder.with_ansi(ansi).finish()),
        Format::Json => Box::new(builder.json().flatten_event(true).with_current_span(true).finish()),
    }
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
        let subscriber = subscriber(format, parse_filter(filter).unwrap(), ansi, move || writer.clone());
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
