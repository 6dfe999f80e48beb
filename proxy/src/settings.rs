//! What the program is started with: arguments as they were given, then as they were checked.

use std::{
    fmt, fs, io,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use byrnie_runtime::{listen::everywhere, logs};
use clap::{Parser, ValueEnum};
use rustls_pki_types::{CertificateDer, pem::PemObject};

/// The sidecar of a workload: takes its configuration from the control plane and carries its traffic.
#[derive(Debug, Parser)]
#[command(name = "byrnie-proxy", version)]
pub struct Arguments {
    /// The workload that this proxy stands beside
    #[arg(long, value_name = "NAMESPACE/POD")]
    workload: Workload,
    /// Where the control plane serves xDS. Beyond loopback TLS is spoken, and --roots-file is needed
    #[arg(long, value_name = "HOST:PORT")]
    xds_address: XdsAddress,
    /// The join token that proves who this is (`byrnie token`); read whenever the proxy connects
    #[arg(long, value_name = "FILE")]
    token_file: PathBuf,
    /// The roots that the control plane is proven by, PEM
    #[arg(long, value_name = "FILE")]
    roots_file: Option<PathBuf>,
    /// Speak TLS to a loopback address too
    #[arg(long)]
    xds_tls: bool,
    /// Health, metrics and debugging, by plain HTTP
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:15000")]
    admin_address: SocketAddr,
    /// A port of all addresses that tells a kubelet whether this is ready, by plain HTTP: `/ready`, `/healthz/ready`
    #[arg(long, value_name = "PORT")]
    health_port: Option<u16>,
    /// Where the last good configuration is kept, so that a restart serves while the control plane is away
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Threads that carry traffic
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: u16,
    /// Form of the access log on standard output
    #[arg(long, value_enum, value_name = "FORM", default_value_t)]
    access_log: AccessLog,
    /// How long what runs may take to finish after SIGTERM, such as 30s, 500ms or 5m
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "30s")]
    drain_time: Duration,
    /// Form of the log on standard error
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: logs::Format,
    /// What is logged, such as `debug` or `info,byrnie_xds=debug` [default: BYRNIE_LOG, else info]
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
}

/// What a proxy is started with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Who this is.
    pub workload: Workload,
    /// The control plane.
    pub xds: XdsAddress,
    /// The roots of the control plane's certificate, PEM; none is plain text.
    pub roots_file: Option<PathBuf>,
    /// Proves who this is; the file may come late and change.
    pub token_file: PathBuf,
    /// The admin pages.
    pub admin: SocketAddr,
    /// Where a kubelet asks whether this is ready.
    pub health: Option<SocketAddr>,
    /// The last good configuration; the folder is there.
    pub state: Option<PathBuf>,
    /// At least 1.
    pub workers: u16,
    /// One line a request and connection.
    pub access_log: AccessLog,
    /// Between SIGTERM and the end.
    pub drain_time: Duration,
    /// Of the log.
    pub log_format: logs::Format,
    /// Of the log; none leaves it to `BYRNIE_LOG`.
    pub log: Option<String>,
}

/// `NAMESPACE/POD`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    text: String,
    slash: usize,
}

/// `HOST:PORT`; IPv6 in brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct XdsAddress {
    host: String,
    port: u16,
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

/// An option that nothing can be started with.
#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    /// A text that is no workload.
    #[error("NAMESPACE/POD is accepted, such as shop/cart-1")]
    Workload,
    /// A text that is no address of a control plane.
    #[error("HOST:PORT is accepted, an IPv6 address in brackets")]
    Address,
    /// An address that nobody can call.
    #[error(
        "--xds-address {0}: a client cannot call that; name the address or host by which it reaches the control plane"
    )]
    Unspecified(XdsAddress),
    /// TLS without anything to prove the server by.
    #[error(
        "--xds-address {0}: TLS is spoken beyond loopback and with --xds-tls, and needs --roots-file FILE with the roots of the control plane"
    )]
    NoRoots(XdsAddress),
    /// Roots that are not there.
    #[error("--roots-file {}: {problem}; a readable file with at least one certificate in PEM is accepted", path.display())]
    Roots {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A place that nothing can be kept in.
    #[error("--state {}: {source}; a directory that this user may write to is accepted", path.display())]
    State {
        /// The directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

impl Arguments {
    /// Looks at what the options name. A token that is not there yet is not looked for.
    pub fn check(self) -> Result<Settings, SettingError> {
        let xds = self.xds_address;
        if xds.ip().is_some_and(|ip| ip.is_unspecified()) {
            return Err(SettingError::Unspecified(xds));
        }
        let roots_file = match self.roots_file {
            None if self.xds_tls || !xds.is_loopback() => return Err(SettingError::NoRoots(xds)),
            // Plain text on loopback has no use for roots, and a common set of options may name them nevertheless.
            given => given.filter(|_| self.xds_tls || !xds.is_loopback()),
        };
        if let Some(path) = &roots_file {
            has_certificate(path).map_err(|problem| SettingError::Roots { path: path.clone(), problem })?;
        }
        if let Some(path) = &self.state {
            fs::create_dir_all(path).map_err(|source| SettingError::State { path: path.clone(), source })?;
        }
        Ok(Settings {
            workload: self.workload,
            xds,
            roots_file,
            token_file: self.token_file,
            admin: self.admin_address,
            health: self.health_port.map(everywhere),
            state: self.state,
            workers: self.workers,
            access_log: self.access_log,
            drain_time: self.drain_time,
            log_format: self.log_format,
            log: self.log,
        })
    }
}

fn has_certificate(path: &Path) -> Result<(), String> {
    let text = fs::read(path).map_err(|error| error.to_string())?;
    match CertificateDer::pem_slice_iter(&text).next() {
        Some(Ok(_)) => Ok(()),
        Some(Err(error)) => Err(error.to_string()),
        None => Err("no certificate in it".to_owned()),
    }
}

impl Workload {
    /// Of the Pod.
    pub fn namespace(&self) -> &str {
        &self.text[..self.slash]
    }

    /// Of the Pod.
    pub fn pod(&self) -> &str {
        &self.text[self.slash + 1..]
    }

    /// `NAMESPACE/POD`
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Workload {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, SettingError> {
        // RFC 1123, section 2.1, as Kubernetes has it for both names.
        let is_name = |name: &str| {
            let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
            !name.is_empty() && name.len() <= 253 && name.bytes().all(fits)
        };
        match text.split_once('/') {
            Some((namespace, pod)) if is_name(namespace) && is_name(pod) => {
                Ok(Self { text: text.to_owned(), slash: namespace.len() })
            }
            _ => Err(SettingError::Workload),
        }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl XdsAddress {
    /// A name or an address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether it never leaves this machine: there the control plane is served in plain text.
    pub fn is_loopback(&self) -> bool {
        self.ip().map_or(self.host == "localhost", |ip| ip.is_loopback())
    }

    fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

impl FromStr for XdsAddress {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, SettingError> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(Self { host: address.ip().to_string(), port: address.port() });
        }
        let (host, port) = text.rsplit_once(':').ok_or(SettingError::Address)?;
        let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
        match port.parse() {
            Ok(port) if !host.is_empty() && host.bytes().all(fits) => Ok(Self { host: host.to_owned(), port }),
            _ => Err(SettingError::Address),
        }
    }
}

impl fmt::Display for XdsAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip() {
            Some(ip) => SocketAddr::new(ip, self.port).fmt(f),
            None => write!(f, "{}:{}", self.host, self.port),
        }
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
        assert_eq!((settings.workload.namespace(), settings.workload.pod()), ("shop", "cart-1"));
        assert_eq!((settings.xds.host(), settings.xds.port()), ("127.0.0.1", 15010));
        assert_eq!(settings.roots_file, None);
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
        assert_eq!(at("10.0.0.1:1", &["--roots-file", path]).unwrap().roots_file, Some(file.clone()));
        assert_eq!(checked(&["--roots-file", path]).unwrap().roots_file, None);
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
