//! What the program is started with: arguments as they were given, then as they were checked.

mod sidecar;
mod workload;

use std::{net::SocketAddr, time::Duration};

use clap::{Parser, ValueEnum};

pub use self::{
    sidecar::{SettingError, Sidecar, SidecarArguments},
    workload::{Workload, WorkloadError},
};

/// The sidecar of a workload: takes its configuration from the control plane and carries its traffic.
#[derive(Debug, Parser)]
#[command(name = "byrnie-proxy", version, after_help = AGENT)]
pub struct Arguments {
    #[command(flatten)]
    sidecar: SidecarArguments,
    /// Health, metrics and debugging, by plain HTTP
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:15000")]
    admin_address: SocketAddr,
    /// Threads that carry traffic
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: u16,
    /// Form of the access log on standard output
    #[arg(long, value_enum, value_name = "FORM", default_value_t)]
    access_log: AccessLog,
    /// How long what runs may take to finish after SIGTERM, such as 30s, 500ms or 5m
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "30s")]
    drain_time: Duration,
}

const AGENT: &str = "`byrnie-proxy agent` stands beside an Envoy instead, and has options of its own";

/// What a proxy is started with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whose it is, and its control plane.
    pub sidecar: Sidecar,
    /// The admin pages.
    pub admin: SocketAddr,
    /// At least 1.
    pub workers: u16,
    /// One line a request and connection.
    pub access_log: AccessLog,
    /// Between SIGTERM and the end.
    pub drain_time: Duration,
}

/// How requests and connections are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum AccessLog {
    /// Envoy's default line.
    Text,
    /// One object a line.
    Json,
    /// Not at all.
    #[default]
    Off,
}

impl Arguments {
    /// Looks at what the options name.
    ///
    /// # Errors
    /// Where nothing can be started by them.
    pub fn check(self) -> Result<Settings, SettingError> {
        Ok(Settings {
            sidecar: self.sidecar.check()?,
            admin: self.admin_address,
            workers: self.workers,
            access_log: self.access_log,
            drain_time: self.drain_time,
        })
    }
}

/// Reads `30s`, `500ms`, `5m`, `1h`.
fn duration(text: &str) -> Result<Duration, String> {
    let units = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];
    let read = |(unit, milliseconds): (&str, u64)| {
        let number: u32 = text.strip_suffix(unit)?.parse().ok()?;
        Some(Duration::from_millis(u64::from(number) * milliseconds))
    };
    let wrong = || "a whole number and ms, s, m or h is accepted, such as 30s".to_owned();
    units.into_iter().find_map(read).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const LEAST: [&str; 6] = ["--workload", "shop/cart-1", "--xds-address", "127.0.0.1:15010", "--token-file", "t"];

    fn parsed(options: &[&str]) -> Result<Arguments, String> {
        let all = ["byrnie-proxy"].iter().chain(&LEAST).chain(options);
        Arguments::try_parse_from(all).map_err(|error| error.to_string())
    }

    fn checked(options: &[&str]) -> Result<Settings, String> {
        parsed(options)?.check().map_err(|error| error.to_string())
    }

    /// `LEAST` with another control plane.
    fn at(xds: &str, options: &[&str]) -> Result<Settings, String> {
        let all = ["byrnie-proxy", "--workload", "shop/cart-1", "--token-file", "t", "--xds-address", xds];
        let arguments = Arguments::try_parse_from(all.iter().chain(options)).map_err(|error| error.to_string())?;
        arguments.check().map_err(|error| error.to_string())
    }

    #[test]
    fn three_options_are_enough_on_one_machine() {
        let settings = checked(&[]).unwrap();
        let sidecar = &settings.sidecar;
        assert_eq!((sidecar.workload.namespace(), sidecar.workload.pod()), ("shop", "cart-1"));
        assert_eq!(sidecar.xds.to_string(), "127.0.0.1:15010");
        assert_eq!(sidecar.roots_file, None);
        assert_eq!((settings.workers, settings.drain_time), (1, Duration::from_secs(30)));
    }

    #[test]
    fn a_control_plane_beyond_this_machine_has_to_be_proven() {
        let error = at("10.0.0.1:15010", &[]).unwrap_err();
        assert!(error.starts_with("--xds-address 10.0.0.1:15010: ") && error.contains("--roots-file FILE"), "{error}");
        assert!(checked(&["--xds-tls"]).unwrap_err().contains("--roots-file FILE"));
        assert!(at("0.0.0.0:15010", &[]).unwrap_err().contains("cannot call that"));
    }

    #[test]
    fn roots_are_looked_at_where_they_are_used() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("roots.pem");
        let path = file.to_str().unwrap();
        let error = at("byrnie.byrnie-system.svc:15012", &["--roots-file", path]).unwrap_err();
        assert!(error.starts_with(&format!("--roots-file {path}: ")), "{error}");
        fs::write(&file, "hello").unwrap();
        assert!(at("10.0.0.1:1", &["--roots-file", path]).unwrap_err().contains("no certificate in it"));
        let key = rcgen::generate_simple_self_signed(vec!["x".to_owned()]).unwrap();
        fs::write(&file, key.cert.pem()).unwrap();
        assert_eq!(at("10.0.0.1:1", &["--roots-file", path]).unwrap().sidecar.roots_file, Some(file.clone()));
        assert_eq!(checked(&["--roots-file", path]).unwrap().sidecar.roots_file, None);
    }

    #[test]
    fn the_place_of_the_state_is_made_or_named() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("a/b");
        checked(&["--state", state.to_str().unwrap()]).unwrap();
        assert!(state.is_dir());
        fs::write(state.join("file"), "").unwrap();
        let inside = state.join("file/c");
        let error = checked(&["--state", inside.to_str().unwrap()]).unwrap_err();
        assert!(error.starts_with("--state ") && error.contains("a directory that this user may write to"), "{error}");
    }

    #[test]
    fn what_cannot_be_read_names_the_option_and_what_is_accepted() {
        for (option, wrong, accepted) in [
            ("--workload", "shop", "NAMESPACE/POD is accepted"),
            ("--xds-address", "15010", "HOST:PORT is accepted"),
            ("--drain-time", "30", "a whole number and ms, s, m or h"),
            ("--workers", "0", "1..=256"),
            ("--log-format", "xml", "text and json"),
            ("--access-log", "xml", "text, json, off"),
        ] {
            let error = Arguments::try_parse_from(["byrnie-proxy", option, wrong]).unwrap_err().to_string();
            assert!(error.contains(option) && error.contains(wrong) && error.contains(accepted), "{error}");
        }
    }

    #[test]
    fn times_are_read_with_their_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        for wrong in ["", "s", "-1s", "1.5s", "1d", "99999999999s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
