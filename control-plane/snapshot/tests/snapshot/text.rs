//! Resources as text for golden files: what prost prints, with `Any` unpacked and what is unset left out.

use byrnie_proto::{
    Kind,
    envoy::envoy::{
        config::{
            cluster::v3::Cluster, endpoint::v3::ClusterLoadAssignment, listener::v3::Listener,
            route::v3::RouteConfiguration,
        },
        extensions::{
            filters::{http::router::v3::Router, network::http_connection_manager::v3::HttpConnectionManager},
            load_balancing_policies::{least_request::v3::LeastRequest, round_robin::v3::RoundRobin},
            retry::host::previous_hosts::v3::PreviousHostsPredicate,
            transport_sockets::{
                raw_buffer::v3::RawBuffer,
                tls::v3::{UpstreamTlsContext, common_tls_context::ValidationContextType},
            },
            upstreams::http::v3::HttpProtocolOptions,
        },
    },
};
use byrnie_snapshot::Resource;
use prost::{Message, Name};

/// A resource as text.
pub fn of(resource: &Resource) -> String {
    let body = resource.body();
    folded(&tidy(&match resource.kind() {
        Kind::Cluster => printed::<Cluster>(body),
        Kind::Endpoints => printed::<ClusterLoadAssignment>(body),
        Kind::Listener => printed::<Listener>(body),
        Kind::Route => printed::<RouteConfiguration>(body),
        Kind::Secret => panic!("no secret is built here"),
    }))
}

fn printed<M: Message + Default + std::fmt::Debug>(body: &[u8]) -> String {
    format!("{:#?}", M::decode(body).unwrap())
}

fn unpacked(type_url: &str, body: &[u8]) -> String {
    type Print = fn(&[u8]) -> String;
    let known: [(String, Print); 9] = [
        (HttpProtocolOptions::type_url(), printed::<HttpProtocolOptions>),
        (UpstreamTlsContext::type_url(), tls),
        (RawBuffer::type_url(), printed::<RawBuffer>),
        (PreviousHostsPredicate::type_url(), printed::<PreviousHostsPredicate>),
        (HttpConnectionManager::type_url(), printed::<HttpConnectionManager>),
        (Router::type_url(), printed::<Router>),
        (LeastRequest::type_url(), printed::<LeastRequest>),
        (RoundRobin::type_url(), printed::<RoundRobin>),
        (Cluster::type_url(), printed::<Cluster>),
    ];
    let (_, print) = known.iter().find(|(known, _)| known == type_url).unwrap_or_else(|| panic!("{type_url}"));
    print(body)
}

/// What differs between the TLS contexts of clusters; the rest has tests of its own.
fn tls(body: &[u8]) -> String {
    let context = UpstreamTlsContext::decode(body).unwrap();
    let common = context.common_tls_context.unwrap();
    let Some(ValidationContextType::CombinedValidationContext(combined)) = common.validation_context_type else {
        panic!("no combined validation")
    };
    let sans = combined.default_validation_context.unwrap().match_typed_subject_alt_names;
    let san = sans[0].matcher.as_ref().unwrap().match_pattern.as_ref().unwrap();
    let (sni, alpn) = (context.sni, common.alpn_protocols.join(", "));
    format!("UpstreamTlsContext {{\nsni: {sni},\nalpn: {alpn},\nsan: {san:?},\n}}")
}

/// Leaves out what is unset and every `Some(`, unpacks `Any`, indents anew.
fn tidy(printed: &str) -> String {
    let mut text = String::new();
    let mut open: Vec<bool> = Vec::new();
    let mut lines = printed.lines().map(str::trim).peekable();
    let mut joined = String::new();
    while let Some(line) = lines.next() {
        if let Some(before) = line.strip_suffix("Any {") {
            let inner = any(&mut lines);
            let mut inner = inner.lines();
            let first = inner.next().unwrap_or_default();
            line_out(&mut text, open.len_kept(), &format!("{joined}{before}{first}"));
            joined.clear();
            for line in inner {
                line_out(&mut text, open.len_kept(), line);
            }
        } else if let Some(before) = line.strip_suffix("Some(") {
            joined.push_str(before);
            open.push(false);
        } else if line.starts_with([')', '}', ']']) {
            if open.pop().unwrap_or_default() {
                line_out(&mut text, open.len_kept(), line.trim_end_matches(','));
            }
        } else if !is_unset(line) {
            line_out(&mut text, open.len_kept(), &format!("{joined}{}", line.trim_end_matches(',')));
            joined.clear();
            if line.ends_with(['(', '{', '[']) {
                open.push(true);
            }
        }
    }
    text
}

/// How deep the text is, without what is not printed.
trait Depth {
    fn len_kept(&self) -> usize;
}

impl Depth for Vec<bool> {
    fn len_kept(&self) -> usize {
        self.iter().filter(|kept| **kept).count()
    }
}

fn line_out(text: &mut String, depth: usize, line: &str) {
    text.push_str(&"  ".repeat(depth));
    text.push_str(line);
    text.push('\n');
}

fn is_unset(line: &str) -> bool {
    let Some((name, value)) = line.trim_end_matches(',').split_once(": ") else { return false };
    let empty = ["None", "\"\"", "[]", "{}", "false", "0", "0.0"];
    let first_of_enum =
        ["Default", "PassThroughInternalRedirect", "Auto", "UseConfiguredProtocol", "Tcp", "ServiceUnavailable"];
    name != "value" && empty.iter().chain(&first_of_enum).any(|unset| *unset == value)
}

/// What fits is put on one line.
fn folded(tidy: &str) -> String {
    let mut text = String::new();
    let lines: Vec<&str> = tidy.lines().collect();
    fold(&lines, &mut text);
    text
}

fn fold(lines: &[&str], text: &mut String) {
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        let depth = line.len() - line.trim_start().len();
        let is_end = |other: &&str| other.len() - other.trim_start().len() <= depth;
        let opens = line.ends_with(['(', '{', '[']);
        let end = if opens { at + 1 + lines[at + 1..].iter().position(is_end).unwrap() } else { at };
        let flat = flat(&lines[at..=end]);
        if depth + flat.len() <= 120 {
            text.push_str(&format!("{:depth$}{flat}\n", ""));
        } else {
            text.push_str(&format!("{line}\n"));
            if opens {
                fold(&lines[at + 1..end], text);
                text.push_str(&format!("{}\n", lines[end]));
            }
        }
        at = end + 1;
    }
}

fn flat(lines: &[&str]) -> String {
    let mut flat = String::new();
    for line in lines.iter().map(|line| line.trim()) {
        let closes = line.starts_with([')', '}', ']']);
        if !flat.is_empty() && !closes && !flat.ends_with(['(', '{', '[']) {
            flat.push(',');
        }
        if flat.ends_with([',', '{']) || line == "}" && !flat.is_empty() {
            flat.push(' ');
        }
        flat.push_str(line);
    }
    flat.replace("{ }", "{}")
}

/// The rest of a printed `Any`, unpacked.
fn any<'a>(lines: &mut impl Iterator<Item = &'a str>) -> String {
    let type_url = lines.next().unwrap().split('"').nth(1).unwrap().to_owned();
    let mut body = Vec::new();
    if lines.next().unwrap() == "value: [" {
        body = lines.take_while(|line| *line != "],").map(|byte| byte.trim_end_matches(',').parse().unwrap()).collect();
    }
    lines.next();
    tidy(&unpacked(&type_url, &body))
}
