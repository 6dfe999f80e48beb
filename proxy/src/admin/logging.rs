//! `POST /logging`: what is logged, until the process ends.

use byrnie_runtime::{
    admin::Reply,
    logs::{Levels, LogsError},
};
use http::StatusCode;

use super::query;

/// `?level=debug` for everything, `?byrnie_proxy=debug&byrnie_xds=trace` for some targets beside `info`; nothing only
/// tells what is in force. Anything else is refused and changes nothing.
pub fn change(levels: &Levels, asked: &str) -> Reply {
    let mut directives = Vec::new();
    for (name, value) in query::pairs(asked) {
        let Some(level) = level(&value) else {
            let problem = format!("{name}={value}: off, error, warn, info, debug and trace are accepted\n");
            return Reply::text(StatusCode::BAD_REQUEST, problem);
        };
        directives.push(match name.as_str() {
            "level" => level.to_owned(),
            target => format!("{}={level}", target.replace('-', "_")),
        });
    }
    if !directives.is_empty()
        && let Err(error) = set(levels, &directives.join(","))
    {
        return Reply::text(StatusCode::BAD_REQUEST, format!("{error}\n"));
    }
    let filter = levels.filter();
    Reply::text(StatusCode::OK, format!("{}\n", if filter.is_empty() { "info" } else { &filter }))
}

/// By our names and Envoy's.
fn level(name: &str) -> Option<&'static str> {
    Some(match name {
        "off" => "off",
        "critical" | "error" => "error",
        "warning" | "warn" => "warn",
        "info" => "info",
        "debug" => "debug",
        "trace" => "trace",
        _ => return None,
    })
}

fn set(levels: &Levels, filter: &str) -> Result<(), LogsError> {
    levels.set(filter)?;
    tracing::info!(filter, "the log filter was changed");
    Ok(())
}

#[cfg(test)]
mod tests {
    use byrnie_runtime::logs;

    use super::*;

    #[test]
    fn levels_are_changed_and_told_and_what_is_wrong_changes_nothing() {
        let levels = logs::init(logs::Format::Text, Some("off")).unwrap();
        let asked = |query: &str| {
            let reply = change(&levels, query);
            (reply.status.as_u16(), String::from_utf8(reply.body.to_vec()).unwrap())
        };
        assert_eq!(asked(""), (200, "off\n".to_owned()));
        assert_eq!(asked("level=error"), (200, "error\n".to_owned()));
        let (status, told) = asked("level=loud");
        assert!(status == 400 && told.starts_with("level=loud: off, error"), "{told}");
        assert_eq!(asked("byrnie-proxy=warn&byrnie_xds=off"), (200, "byrnie_proxy=warn,byrnie_xds=off\n".to_owned()));
        assert_eq!(asked("level=off"), (200, "off\n".to_owned()));
    }
}
