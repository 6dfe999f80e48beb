//! Syntax of names and values, as the schemas of Kubernetes and Gateway API have it.

/// What [`is_dns_label`] takes, up to its length, for schemas.
pub const LABEL: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";

/// What [`is_dns_subdomain`] takes, up to its length, for schemas.
pub const SUBDOMAIN: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

/// What [`is_header_name`] takes, up to its length, for schemas.
pub const HEADER: &str = r"^[A-Za-z0-9!#$%&'*+\-.^_`|~]+$";

/// RFC 1123 label: names of Services and namespaces.
pub fn is_dns_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// RFC 1123 subdomain: most other names.
pub fn is_dns_subdomain(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let label =
        |label: &str| !label.is_empty() && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-');
    (1..=253).contains(&text.len()) && text.split('.').all(label)
}

/// `*.example.com` or `example.com`
pub fn is_hostname(text: &str) -> bool {
    is_dns_subdomain(text.strip_prefix("*.").unwrap_or(text))
}

/// A Kubernetes kind: `Service`.
pub fn is_kind(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(inner)
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && !text.ends_with('-')
}

/// A token of RFC 9110, section 5.6.2, at most 256 bytes.
pub fn is_header_name(text: &str) -> bool {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    (1..=256).contains(&text.len()) && text.bytes().all(token)
}

/// Path characters of RFC 3986, section 3.3, without a query.
pub fn is_path_text(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-/._~!$&'()*+,;=:@".contains(&b);
    let bytes = text.as_bytes();
    let mut position = 0;
    while position < bytes.len() {
        position += match bytes[position] {
            b'%' if bytes.len() > position + 2
                && bytes[position + 1].is_ascii_hexdigit()
                && bytes[position + 2].is_ascii_hexdigit() =>
            {
                3
            }
            byte if plain(byte) => 1,
            _ => return false,
        };
    }
    !bytes.is_empty()
}

/// The message for a name that is no DNS label.
pub fn not_a_label(text: &str) -> String {
    format!("{text:?} is no name: 1 to 63 of a-z, 0-9 and '-' are accepted, with a letter or digit at both ends")
}

/// The message for a name that is no DNS subdomain.
pub fn not_a_subdomain(text: &str) -> String {
    format!(
        "{text:?} is no name: 1 to 253 of a-z, 0-9, '-' and '.' are accepted, with a letter or digit at both ends of \
         each part"
    )
}

/// The message for a name that is no header name.
pub fn not_a_header(text: &str) -> String {
    format!("{text:?} is no header name: 1 to 256 of letters, digits and !#$%&'*+-.^_`|~ are accepted")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_their_rfc() {
        assert!(is_dns_label("cart-1") && !is_dns_label("Cart") && !is_dns_label("a.b") && !is_dns_label("-a"));
        assert!(is_dns_subdomain("cart-1.shop") && !is_dns_subdomain("a..b") && !is_dns_subdomain(""));
        assert!(is_hostname("*.example.com") && !is_hostname("*") && !is_hostname("a.*.b"));
        assert!(is_header_name("x-version") && !is_header_name("x version") && !is_header_name(":path"));
    }

    #[test]
    fn a_path_has_whole_escapes() {
        assert!(is_path_text("/a%20b") && !is_path_text("/a%2") && !is_path_text("/a b") && !is_path_text("/a?b"));
    }
}
