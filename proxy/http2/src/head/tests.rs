//! Which heads are malformed (RFC 9113 sections 8.1 to 8.5), as a server or a client finds them.

use super::*;

type Pairs<'a> = &'a [(&'a [u8], &'a [u8])];

fn decoded(pairs: Pairs<'_>) -> Fields {
    let mut fields = Fields::new();
    for (name, value) in pairs {
        fields.push(name, value);
    }
    fields
}

fn request(pairs: Pairs<'_>) -> Result<RequestLayout, Malformed> {
    check_request(&decoded(pairs), true)
}

/// A GET with these fields behind the pseudo-header fields.
fn get_with(pairs: Pairs<'_>) -> Result<RequestLayout, Malformed> {
    request(&[&GET[..], pairs].concat())
}

fn response(pairs: Pairs<'_>) -> Result<ResponseLayout, Malformed> {
    check_response(&decoded(pairs))
}

const GET: [(&[u8], &[u8]); 4] =
    [(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"cart.shop"), (b":path", b"/")];

/// GET with one pseudo-header field as told, or without it.
fn get_but(name: &[u8], value: Option<&[u8]>) -> Result<RequestLayout, Malformed> {
    let pairs: Vec<_> = GET
        .iter()
        .filter_map(
            |&(other, usual)| if other == name { value.map(|value| (other, value)) } else { Some((other, usual)) },
        )
        .collect();
    request(&pairs)
}

#[test]
fn the_parts_of_a_request_are_found_by_name_and_the_others_in_order() {
    let fields = decoded(&[&GET[..], &[(b"x", b"1"), (b"content-length", b"12"), (b"x", b"2")]].concat());
    let head = Request::new(&fields, check_request(&fields, true).unwrap());
    assert_eq!(head.method(), b"GET");
    assert_eq!(head.scheme(), Some(&b"http"[..]));
    assert_eq!(head.path(), Some(&b"/"[..]));
    assert_eq!(head.authority(), Some(&b"cart.shop"[..]));
    assert_eq!(head.protocol(), None);
    assert_eq!(head.content_length(), Some(12));
    assert_eq!(head.get(b"x"), Some(&b"1"[..]));
    assert_eq!(head.get(b":path"), None);
    let others: Vec<_> = head.fields().map(|field| (field.name, field.value)).collect();
    assert_eq!(others, [(&b"x"[..], &b"1"[..]), (b"content-length", b"12"), (b"x", b"2")]);
}

#[test]
fn pseudo_header_fields_may_stand_in_any_order_before_the_others() {
    let reversed: Vec<_> = GET.iter().rev().copied().collect();
    assert!(request(&reversed).is_ok());
    for at in 0..4 {
        let mut pairs = GET.to_vec();
        pairs.insert(at, (b"x", b"y"));
        assert_eq!(request(&pairs).err(), Some(Malformed::PseudoAfterField), "a field at {at}");
    }
}

#[test]
fn each_pseudo_header_field_is_there_once() {
    for (name, value) in GET {
        let pairs = [&GET[..], &[(name, value)]].concat();
        assert_eq!(request(&pairs).err(), Some(Malformed::PseudoRepeated), "{}", String::from_utf8_lossy(name));
    }
    assert_eq!(get_but(b":method", None).err(), Some(Malformed::PseudoMissing(":method")));
    assert_eq!(get_but(b":scheme", None).err(), Some(Malformed::PseudoMissing(":scheme")));
    assert_eq!(get_but(b":path", None).err(), Some(Malformed::PseudoMissing(":path")));
    assert!(get_but(b":authority", None).is_ok());
}

#[test]
fn pseudo_header_fields_of_elsewhere_are_malformed() {
    for name in [&b":status"[..], b":Path", b":", b":x", b":host"] {
        let pairs = [&[(name, &b"200"[..])], &GET[..]].concat();
        assert_eq!(request(&pairs).err(), Some(Malformed::PseudoUnknown));
    }
    for name in [&b":method"[..], b":path", b":x", b":"] {
        assert_eq!(response(&[(b":status", b"200"), (name, b"GET")]).err(), Some(Malformed::PseudoUnknown));
        assert_eq!(check_trailers(&decoded(&[(b"x", b"y"), (name, b"z")])).err(), Some(Malformed::PseudoUnknown));
    }
    assert_eq!(check_trailers(&decoded(&[(b":status", b"200")])).err(), Some(Malformed::PseudoUnknown));
}

#[test]
fn a_method_is_a_token() {
    for good in [&b"GET"[..], b"get", b"M-SEARCH", b"!#$%&'*+-.^_`|~09"] {
        assert!(get_but(b":method", Some(good)).is_ok());
    }
    for bad in [&b""[..], b" ", b"G T", b"GET ", b"GET\r\n", b"G(T", b"\xff"] {
        assert_eq!(get_but(b":method", Some(bad)).err(), Some(Malformed::PseudoValue(":method")), "{bad:?}");
    }
}

#[test]
fn a_scheme_is_one_by_rfc_3986() {
    for good in [&b"http"[..], b"https", b"coap+tcp", b"a.b-1"] {
        assert!(get_but(b":scheme", Some(good)).is_ok());
    }
    for bad in [&b""[..], b"1http", b"ht tp", b"http:", b"http://x/", b"h\0"] {
        assert_eq!(get_but(b":scheme", Some(bad)).err(), Some(Malformed::PseudoValue(":scheme")), "{bad:?}");
    }
}

#[test]
fn a_path_begins_with_a_slash_and_has_no_octet_that_could_end_it_elsewhere() {
    for good in [&b"/"[..], b"//x", b"/?q", b"/a%20b?c=d&e", b"/[]{}|\\^`\""] {
        assert!(get_but(b":path", Some(good)).is_ok(), "{good:?}");
    }
    for bad in [
        &b""[..],
        b"*",
        b"x",
        b"http://x/",
        b"?q",
        b"/ ",
        b"/a b",
        b"/\t",
        b"/\r\nx: y",
        b"/\0",
        b"/#f",
        b"/\x7f",
        b"/\xc3\xa4",
    ] {
        assert_eq!(get_but(b":path", Some(bad)).err(), Some(Malformed::PseudoValue(":path")), "{bad:?}");
    }
    let options = [(&b":method"[..], &b"OPTIONS"[..]), (b":scheme", b"http"), (b":path", b"*")];
    assert!(request(&options).is_ok());
}

#[test]
fn an_authority_has_no_userinfo_and_nothing_that_is_no_part_of_one() {
    for good in [&b"a"[..], b"a:80", b"[::1]:80", b"10.0.0.1", b"a_b.c-d"] {
        assert!(get_but(b":authority", Some(good)).is_ok());
        let mut pairs = GET.to_vec();
        pairs.remove(2);
        pairs.push((b"host", good));
        assert!(request(&pairs).is_ok());
    }
    for bad in [&b"u@a"[..], b"u:p@a", b"a/b", b"a?b", b"a#b", b"a\\b", b"a b", b"a,b", b"\xff", b"a\0", b"a\r"] {
        assert_eq!(get_but(b":authority", Some(bad)).err(), Some(Malformed::PseudoValue(":authority")), "{bad:?}");
        let mut pairs = GET.to_vec();
        pairs.remove(2);
        pairs.push((b"host", bad));
        assert!(request(&pairs).is_err(), "{bad:?}");
    }
    assert!(get_but(b":authority", Some(b"")).is_err());
}

#[test]
fn host_and_authority_do_not_differ() {
    assert!(get_with(&[(b"host", b"CART.shop")]).is_ok());
    assert_eq!(get_with(&[(b"host", b"other.shop")]).err(), Some(Malformed::Host));
    assert_eq!(get_with(&[(b"host", b"")]).err(), Some(Malformed::Host));
    assert_eq!(get_with(&[(b"host", b"cart.shop"), (b"host", b"cart.shop")]).err(), Some(Malformed::Host));
    assert_eq!(get_with(&[(b"host", b"cart.shop:81")]).err(), Some(Malformed::Host));
    assert_eq!(get_with(&[(b"host", b"cart.shop:443")]).err(), Some(Malformed::Host), "the port of another scheme");
}

/// Section 8.3.1: servers other than the origin must compare after normalization by scheme (RFC 3986 section 6.2.3).
#[test]
fn host_and_authority_that_differ_by_the_default_port_are_the_same() {
    for (scheme, port) in [(&b"http"[..], "80"), (b"https", "443")] {
        for (authority, host) in [
            ("cart.shop".to_owned(), format!("cart.shop:{port}")),
            (format!("cart.shop:{port}"), "cart.shop".to_owned()),
        ] {
            let pairs = [
                (&b":method"[..], &b"GET"[..]),
                (b":scheme", scheme),
                (b":authority", authority.as_bytes()),
                (b":path", b"/"),
                (b"host", host.as_bytes()),
            ];
            assert!(request(&pairs).is_ok(), "{authority} and {host}");
        }
    }
}

#[test]
fn the_authority_is_that_of_host_where_there_is_no_other() {
    let fields = decoded(&[(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b"host", b"cart.shop")]);
    let head = Request::new(&fields, check_request(&fields, true).unwrap());
    assert_eq!(head.authority(), Some(&b"cart.shop"[..]));
    assert_eq!(head.get(b"host"), Some(&b"cart.shop"[..]));
}

#[test]
fn a_connect_has_an_authority_only() {
    let connect = [(&b":method"[..], &b"CONNECT"[..]), (b":authority", b"db.shop:5432")];
    assert!(request(&connect).is_ok_and(|layout| layout.kind.tunnel));
    assert_eq!(request(&connect[..1]).err(), Some(Malformed::Connect));
    for other in [(&b":scheme"[..], &b"http"[..]), (b":path", b"/")] {
        assert_eq!(request(&[&connect[..], &[other]].concat()).err(), Some(Malformed::Connect));
    }
    assert_eq!(request(&[connect[0], (b"host", b"db.shop:5432")]).err(), Some(Malformed::Connect));
}

#[test]
fn an_extended_connect_has_a_protocol_and_all_the_rest() {
    fn extended<'a>(method: &'a [u8], protocol: &'a [u8]) -> [(&'a [u8], &'a [u8]); 5] {
        let others = [(&b":scheme"[..], &b"https"[..]), (b":path", b"/"), (b":authority", b"a")];
        [(b":method", method), (b":protocol", protocol), others[0], others[1], others[2]]
    }
    let good = extended(b"CONNECT", b"websocket");
    assert!(request(&good).is_ok_and(|layout| layout.kind.tunnel));
    assert_eq!(check_request(&decoded(&good), false).err(), Some(Malformed::PseudoUnknown), "not enabled");
    assert!(request(&extended(b"GET", b"websocket")).is_err(), "RFC 8441 section 4: of CONNECT only");
    for absent in [2, 3] {
        let mut pairs = good.to_vec();
        pairs.remove(absent);
        assert!(request(&pairs).is_err());
    }
    for bad in [&b""[..], b"web socket", b"\r\n"] {
        assert_eq!(request(&extended(b"CONNECT", bad)).err(), Some(Malformed::PseudoValue(":protocol")), "{bad:?}");
    }
}

#[test]
fn a_field_name_is_a_token_in_lower_case() {
    for octet in 0..=255_u8 {
        let good = matches!(octet, b'a'..=b'z' | b'0'..=b'9') || b"!#$%&'*+-.^_`|~".contains(&octet);
        let name = [b'x', octet];
        let is_good = |result: bool| assert_eq!(result, good, "{octet:#x}");
        is_good(get_with(&[(&name, b"y")]).is_ok());
        is_good(response(&[(b":status", b"200"), (&name, b"y")]).is_ok());
        is_good(check_trailers(&decoded(&[(&name, b"y")])).is_ok());
    }
    assert_eq!(get_with(&[(b"", b"y")]).err(), Some(Malformed::FieldName));
    assert_eq!(get_with(&[(b"Content-Length", b"1")]).err(), Some(Malformed::FieldName));
}

#[test]
fn a_field_value_has_no_control_characters_and_no_space_around_it() {
    for octet in 0..=255_u8 {
        let good = octet == b'\t' || (octet >= b' ' && octet != 0x7f);
        assert_eq!(get_with(&[(b"x", &[b'a', octet, b'b'])]).is_ok(), good, "{octet:#x}");
    }
    for bad in [&b" a"[..], b"a ", b"\ta", b"a\t", b" "] {
        assert_eq!(get_with(&[(b"x", bad)]).err(), Some(Malformed::FieldValue), "{bad:?}");
    }
    assert!(get_with(&[(b"x", b"")]).is_ok());
    // Names of the static table too.
    assert_eq!(get_with(&[(b"accept", b"a\n")]).err(), Some(Malformed::FieldValue));
}

#[test]
fn fields_of_a_connection_of_http1_are_malformed_everywhere() {
    let bad: [(&[u8], &[u8]); 9] = [
        (b"connection", b"close"),
        (b"connection", b""),
        (b"keep-alive", b"1"),
        (b"proxy-connection", b"x"),
        (b"transfer-encoding", b"chunked"),
        (b"upgrade", b"h2c"),
        (b"te", b"gzip"),
        (b"te", b"trailers, gzip"),
        (b"te", b""),
    ];
    for pair in bad {
        assert_eq!(get_with(&[pair]).err(), Some(Malformed::ConnectionField), "{pair:?}");
        assert_eq!(response(&[(b":status", b"200"), pair]).err(), Some(Malformed::ConnectionField), "{pair:?}");
        assert_eq!(check_trailers(&decoded(&[pair])).err(), Some(Malformed::ConnectionField), "{pair:?}");
    }
    assert!(get_with(&[(b"te", b"trailers")]).is_ok());
}

#[test]
fn a_content_length_is_one_decimal_number() {
    for (value, length) in [(&b"0"[..], 0), (b"007", 7), (b"18446744073709551615", u64::MAX)] {
        assert_eq!(get_with(&[(b"content-length", value)]).unwrap().content_length, Some(length));
        let response = response(&[(b":status", b"200"), (b"content-length", value)]);
        assert_eq!(response.unwrap().content_length, Some(length));
    }
    for bad in [&b""[..], b"-1", b"+1", b"1, 1", b"0x1", b"1.0", b"18446744073709551616", b"1\xb2"] {
        assert_eq!(get_with(&[(b"content-length", bad)]).err(), Some(Malformed::ContentLength), "{bad:?}");
    }
    let twice: [(&[u8], &[u8]); 2] = [(b"content-length", b"1"), (b"content-length", b"1")];
    assert_eq!(get_with(&twice).err(), Some(Malformed::ContentLength));
}

#[test]
fn a_response_has_one_status_of_three_digits() {
    for (value, status) in [(&b"100"[..], 100), (b"200", 200), (b"599", 599), (b"600", 600), (b"999", 999)] {
        assert_eq!(response(&[(b":status", value)]).unwrap().status, status);
    }
    for bad in [&b""[..], b"0", b"099", b"20", b"2000", b"2x0", b" 200", b"+20", b"101"] {
        assert!(response(&[(b":status", bad)]).is_err(), "{bad:?}");
    }
    assert_eq!(response(&[]).err(), Some(Malformed::PseudoMissing(":status")));
    assert_eq!(response(&[(b"x", b"y")]).err(), Some(Malformed::PseudoMissing(":status")));
    assert_eq!(response(&[(b"x", b"y"), (b":status", b"200")]).err(), Some(Malformed::PseudoAfterField));
    assert_eq!(response(&[(b":status", b"200"), (b":status", b"200")]).err(), Some(Malformed::PseudoRepeated));
}

#[test]
fn the_fields_of_a_response_are_those_behind_its_status() {
    let fields = decoded(&[(b":status", b"404"), (b"x", b"1"), (b"content-length", b"3")]);
    let head = Response::new(&fields, check_response(&fields).unwrap());
    assert_eq!((head.status(), head.content_length()), (404, Some(3)));
    assert_eq!(head.get(b"x"), Some(&b"1"[..]));
    assert_eq!(head.get(b":status"), None);
    assert_eq!(head.fields().count(), 2);
}
