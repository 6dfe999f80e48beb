//! Where a redirect leads, as far as it is followed: to the same host, whatever the port.

use std::net::SocketAddr;

use http::uri::{PathAndQuery, Uri};

/// What is asked for by GET.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Of the Pod.
    pub address: SocketAddr,
    /// Whatever the certificate.
    pub is_tls: bool,
    /// What of it.
    pub path: PathAndQuery,
}

/// Where it leads.
#[derive(Debug, PartialEq, Eq)]
pub struct Next {
    /// What is asked for there.
    pub target: Target,
    /// Whether the host was named anew.
    pub is_named: bool,
}

/// Reads a `Location` (RFC 9110, 10.2.2) that came in answer to `from`. None where it leads to another host or is
/// unreadable.
pub fn next(from: &Target, location: &str) -> Option<Next> {
    let location = location.split('#').next().unwrap_or_default();
    let (is_tls, rest) = match location.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (false, Some(rest)),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (true, Some(rest)),
        Some((scheme, _)) if !scheme.contains(['/', '?']) => return None,
        _ => (from.is_tls, location.strip_prefix("//")),
    };
    let Some(rest) = rest else {
        let path = below(from.path.as_str(), location).parse().ok()?;
        return Some(Next { target: Target { path, ..from.clone() }, is_named: false });
    };
    let uri: Uri = format!("{}://{rest}", if is_tls { "https" } else { "http" }).parse().ok()?;
    let host = uri.host()?.trim_start_matches('[').trim_end_matches(']');
    if host.parse() != Ok(from.address.ip()) {
        return None;
    }
    let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    let path = uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
    let address = SocketAddr::new(from.address.ip(), port);
    Some(Next { target: Target { address, is_tls, path }, is_named: true })
}

/// Resolves a reference without a host against a path (RFC 3986, 5.2).
fn below(base: &str, reference: &str) -> String {
    let base = base.split('?').next().unwrap_or_default();
    let (path, query) = reference.find('?').map_or((reference, ""), |at| reference.split_at(at));
    let merged = match path {
        "" => base.to_owned(),
        absolute if absolute.starts_with('/') => absolute.to_owned(),
        relative => format!("{}/{relative}", base.rsplit_once('/').map_or("", |(folder, _)| folder)),
    };
    let mut kept: Vec<&str> = Vec::new();
    for segment in merged.split('/').skip(1) {
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            segment => kept.push(segment),
        }
    }
    if merged.ends_with("/.") || merged.ends_with("/..") {
        kept.push("");
    }
    format!("/{}{query}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from() -> Target {
        Target { address: ([10, 0, 0, 7], 8080).into(), is_tls: false, path: PathAndQuery::from_static("/a/b?c") }
    }

    fn told(location: &str) -> Option<String> {
        let Next { target, is_named } = next(&from(), location)?;
        let scheme = if target.is_tls { "https" } else { "http" };
        Some(format!("{scheme}://{}{}{}", target.address, target.path, if is_named { " named" } else { "" }))
    }

    #[test]
    fn the_same_host_is_followed_by_any_port_and_scheme() {
        for (location, leads) in [
            ("/live", "http://10.0.0.7:8080/live"),
            ("live?x=1#y", "http://10.0.0.7:8080/a/live?x=1"),
            ("../live", "http://10.0.0.7:8080/live"),
            ("./", "http://10.0.0.7:8080/a/"),
            ("..", "http://10.0.0.7:8080/"),
            ("../../../live", "http://10.0.0.7:8080/live"),
            ("?x=http://y", "http://10.0.0.7:8080/a/b?x=http://y"),
            ("/live?x=http://y", "http://10.0.0.7:8080/live?x=http://y"),
            ("https://10.0.0.7:8443/live", "https://10.0.0.7:8443/live named"),
            ("HTTPS://10.0.0.7", "https://10.0.0.7:443/ named"),
            ("//10.0.0.7/live", "http://10.0.0.7:80/live named"),
        ] {
            assert_eq!(told(location).as_deref(), Some(leads), "{location}");
        }
    }

    #[test]
    fn another_host_is_not() {
        for location in
            ["http://10.0.0.8/", "https://cart.example:8080/", "//cart.example", "ftp://10.0.0.7/", "http://"]
        {
            assert_eq!(told(location), None, "{location}");
        }
    }

    #[test]
    fn a_host_of_ipv6_is_one_in_brackets() {
        let from = Target { address: "[fd00::7]:8080".parse().unwrap(), ..from() };
        let next = next(&from, "http://[fd00::7]:81/x").unwrap();
        assert_eq!(next.target.address, "[fd00::7]:81".parse().unwrap());
    }
}
