use crate::{BodyLength, Error, Limits, Request, Response, Space, TargetForm, Version, head::RequestMethod};

fn refused(head: &str) -> Error {
    refused_with(head, Limits::default())
}

fn refused_with(head: &str, limits: Limits) -> Error {
    Request::parse(head.as_bytes(), &mut Space::new(), &limits).expect_err(head)
}

/// What is wrong with a GET that has these fields beside a Host.
fn refused_field(lines: &str) -> Error {
    refused(&format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n"))
}

fn accepted<T>(head: &str, look: impl FnOnce(Request<'_, '_>) -> T) -> T {
    let mut space = Space::new();
    let (request, end) = Request::parse(head.as_bytes(), &mut space, &Limits::default()).expect(head).expect(head);
    assert_eq!(end, head.len());
    look(request)
}

fn with_fields<T>(lines: &str, look: impl FnOnce(Request<'_, '_>) -> T) -> T {
    accepted(&format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n"), look)
}

fn response_refused(head: &[u8]) -> Error {
    Response::parse(head, &mut Space::new(), &Limits::default(), RequestMethod::Other).expect_err("a breach")
}

fn response_to<T>(method: RequestMethod, head: &[u8], look: impl FnOnce(Response<'_, '_>) -> T) -> T {
    let mut space = Space::new();
    let parsed = Response::parse(head, &mut space, &Limits::default(), method).expect("a response");
    look(parsed.expect("a whole head").0)
}

fn forwarded(request: &Request<'_, '_>) -> Vec<String> {
    request.end_to_end().map(|(name, _)| String::from_utf8_lossy(name).into_owned()).collect()
}

#[test]
fn a_request_is_read_with_order_and_case_kept() {
    accepted("PUT /a?b=%20 HTTP/1.1\r\nhOsT: x:80\r\nX-One:1\r\nx-two: \t 2 b \t\r\nX-one: \r\n\r\n", |request| {
        assert_eq!((request.method(), request.target(), request.path()), ("PUT", "/a?b=%20", "/a?b=%20"));
        assert_eq!((request.version(), request.form()), (Version::Http11, TargetForm::Origin));
        assert_eq!(request.authority(), Some("x:80"));
        let fields: Vec<_> = request.fields().collect();
        let wanted: [(&[u8], &[u8]); 4] = [(b"hOsT", b"x:80"), (b"X-One", b"1"), (b"x-two", b"2 b"), (b"X-one", b"")];
        assert_eq!(fields, wanted);
        assert_eq!(request.get("X-TWO"), Some(&b"2 b"[..]));
        assert_eq!(request.get("x-three"), None);
        assert!(request.keep_alive());
    });
}

#[test]
fn a_line_that_ends_with_lf_alone_is_refused_wherever_it_is() {
    let lines = ["GET / HTTP/1.1", "Host: a", "X-B: c", ""];
    for bare in 0..lines.len() {
        let end = |at: usize| if at == bare { "\n" } else { "\r\n" };
        let head: String = lines.iter().enumerate().map(|(at, line)| format!("{line}{}", end(at))).collect();
        assert_eq!(refused(&head), Error::BareLf, "{head:?}");
        let head = head.replace("GET / HTTP/1.1", "HTTP/1.1 200 OK");
        assert_eq!(response_refused(head.as_bytes()), Error::BareLf, "{head:?}");
    }
    assert_eq!(response_refused(b"HTTP/1.1 200\n\r\n"), Error::BareLf);
}

#[test]
fn a_cr_without_lf_is_refused_wherever_it_is() {
    for head in [
        "GET\r / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /\r HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\rHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHo\rst: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\rX: b\r\n\r\n",
    ] {
        assert!(matches!(refused(head), Error::BareCr), "{head:?} {:?}", refused(head));
    }
    assert_eq!(response_refused(b"HTTP/1.1 200 O\rK\r\n\r\n"), Error::BareCr);
}

#[test]
fn each_fault_of_a_request_line_is_named() {
    let line = |line: &str| refused(&format!("{line}\r\nHost: a\r\n\r\n"));
    assert_eq!(line("GET  / HTTP/1.1"), Error::RequestLineSpace);
    assert_eq!(line("GET /  HTTP/1.1"), Error::RequestLineSpace);
    assert_eq!(line("GET / HTTP/1.1 "), Error::RequestLineSpace);
    assert_eq!(line("GET / a HTTP/1.1"), Error::RequestLineSpace);
    assert_eq!(line("GET\t/ HTTP/1.1"), Error::RequestLineSpace);
    assert_eq!(line("GET /\tHTTP/1.1"), Error::RequestLineSpace);
    assert_eq!(line("GET /"), Error::RequestLine);
    assert_eq!(line("GET"), Error::RequestLine);
    assert_eq!(line(" GET / HTTP/1.1"), Error::RequestLineSpace);
    assert_eq!(line("G@T / HTTP/1.1"), Error::Method { byte: b'@' });
    assert_eq!(line("GE\u{1}T / HTTP/1.1"), Error::Method { byte: 1 });
    assert_eq!(line("GET / HTTP/2.0"), Error::Version);
    assert_eq!(line("GET / HTTP/1.2"), Error::Version);
    assert_eq!(line("GET / HTTP/0.9"), Error::Version);
    assert_eq!(line("GET / http/1.1"), Error::RequestLine);
    assert_eq!(line("GET / HTTP/1.10"), Error::RequestLine);
    assert_eq!(refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Error::Version);
    assert_eq!((Error::Version.status(), Error::Version.section()), (Some(505), "RFC 9112 section 2.3"));
}

#[test]
fn each_fault_of_a_field_line_is_named() {
    assert_eq!(refused_field("X : b\r\n"), Error::SpaceBeforeColon);
    assert_eq!(refused_field("X\t: b\r\n"), Error::SpaceBeforeColon);
    assert_eq!(refused_field("X: b\r\n c\r\n"), Error::Folding);
    assert_eq!(refused_field("X: b\r\n\tc: d\r\n"), Error::Folding);
    assert_eq!(refused_field(": b\r\n"), Error::EmptyName);
    assert_eq!(refused_field("Xb\r\n"), Error::NoColon);
    assert_eq!(refused_field("X y: b\r\n"), Error::NameByte { byte: b' ' });
    assert_eq!(refused_field("X(y): b\r\n"), Error::NameByte { byte: b'(' });
    assert_eq!(refused_field("X\0: b\r\n"), Error::NameByte { byte: 0 });
    assert_eq!(refused_field("X\u{e9}: b\r\n"), Error::NameByte { byte: 0xc3 });
    assert_eq!(refused("GET / HTTP/1.1\r\n Host: a\r\n\r\n"), Error::SpaceBeforeFirstField);
    for byte in (0..0x20).chain([0x7f]).filter(|byte| !b"\t\r\n".contains(byte)) {
        let line = format!("X: a{}b\r\n", char::from(byte));
        assert_eq!(refused_field(&line), Error::ValueByte { byte }, "{line:?}");
    }
    with_fields("X: caf\u{e9}\ttab\r\n", |request| assert_eq!(request.get("x"), Some("caf\u{e9}\ttab".as_bytes())));
}

#[test]
fn a_target_holds_visible_ascii_without_a_fragment() {
    for byte in (0_u8..0x21).chain([b'#', 0x7f]).filter(|byte| !b"\t\r\n ".contains(byte)) {
        let head = format!("GET /a{}b HTTP/1.1\r\nHost: a\r\n\r\n", char::from(byte));
        assert_eq!(refused(&head), Error::TargetByte { byte }, "{head:?}");
    }
    assert_eq!(refused("GET /caf\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n"), Error::TargetByte { byte: 0xc3 });
    let raw = b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n";
    let refused = Request::parse(raw, &mut Space::new(), &Limits::default()).map(drop);
    assert_eq!(refused, Err(Error::TargetByte { byte: 0xff }));
    accepted("GET /!\"$%&'()*+,-./:;<=>?@[\\]^_`{|}~ HTTP/1.1\r\nHost: a\r\n\r\n", |_| ());
}

#[test]
fn the_absolute_form_gives_authority_and_path_and_hides_host() {
    let look = |method: &str, target: &str| {
        accepted(&format!("{method} {target} HTTP/1.1\r\nHost: other\r\nX: y\r\n\r\n"), |request| {
            assert_eq!(forwarded(&request), ["X"]);
            assert!(matches!(request.form(), TargetForm::Absolute { .. }), "{target}");
            (request.authority().unwrap_or_default().to_owned(), request.path().to_owned())
        })
    };
    let pair = |authority: &str, path: &str| (authority.to_owned(), path.to_owned());
    assert_eq!(look("GET", "http://a.b:81/c?d"), pair("a.b:81", "/c?d"));
    assert_eq!(look("GET", "HTTPS://a"), pair("a", "/"));
    assert_eq!(look("OPTIONS", "http://a"), pair("a", "*"));
    assert_eq!(look("OPTIONS", "http://a/"), pair("a", "/"));
    assert_eq!(look("GET", "http://[::1]:8080?q"), pair("[::1]:8080", "?q"));
    accepted("GET http://a/b HTTP/1.1\r\nHost: c\r\n\r\n", |request| {
        assert_eq!(request.form(), TargetForm::Absolute { scheme: "http", authority: "a", path: "/b" });
    });
}

#[test]
fn a_target_of_no_form_is_refused() {
    let target = |method: &str, target: &str| refused(&format!("{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert_eq!(target("GET", "http://u@a/"), Error::Userinfo);
    assert_eq!(target("GET", "http://u:p@a/"), Error::Userinfo);
    assert_eq!(target("CONNECT", "u@a:1"), Error::Userinfo);
    assert_eq!(target("GET", "http:///b"), Error::TargetAuthority);
    assert_eq!(target("GET", "http://:80/"), Error::TargetAuthority);
    assert_eq!(target("GET", "http://a:b/"), Error::TargetAuthority);
    assert_eq!(target("GET", "http://a:65536/"), Error::TargetAuthority);
    assert_eq!(target("GET", "http://a\\b/"), Error::TargetAuthority);
    assert_eq!(target("GET", "http://[::1/"), Error::TargetAuthority);
    assert_eq!(target("GET", "a/b"), Error::TargetForm);
    assert_eq!(target("GET", "1http://a/"), Error::TargetForm);
    assert_eq!(target("GET", "://a/"), Error::TargetForm);
    assert_eq!(target("GET", "a:80"), Error::TargetForm);
    assert_eq!(target("GET", "*"), Error::AsteriskTarget);
    assert_eq!(target("OPTIONS", "*a"), Error::TargetForm);
    for other in ["/", "a", "a:", "a:0", "a:00", ":1", "http://a:1/", "a:b", "a:1/", "[::1]", "*"] {
        assert_eq!(target("CONNECT", other), Error::ConnectTarget, "{other}");
    }
    accepted("CONNECT [::1]:443 HTTP/1.1\r\nHost: x\r\n\r\n", |request| {
        assert_eq!((request.form(), request.authority()), (TargetForm::Authority, Some("[::1]:443")));
        assert_eq!((request.path(), request.body()), ("[::1]:443", BodyLength::None));
        assert!(forwarded(&request).is_empty(), "Host may name another authority than the target");
    });
    accepted("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", |request| {
        assert_eq!((request.form(), request.authority(), request.path()), (TargetForm::Asterisk, Some("x"), "*"));
    });
}

#[test]
fn a_request_has_one_valid_host() {
    let hosts = |version: &str, lines: &str| format!("GET / HTTP/1.{version}\r\n{lines}\r\n");
    assert_eq!(refused(&hosts("1", "")), Error::HostMissing);
    assert_eq!(refused(&hosts("1", "Host: a\r\nHost: a\r\n")), Error::HostRepeated);
    assert_eq!(refused(&hosts("0", "Host: a\r\nhost: b\r\n")), Error::HostRepeated);
    accepted(&hosts("0", ""), |request| assert_eq!(request.authority(), None));
    accepted(&hosts("1", "Host:\r\n"), |request| assert_eq!(request.authority(), Some("")));
    for host in [
        "a b",
        "a/",
        "a:b",
        "a:1:2",
        "a:123456",
        "a:65536",
        "[::1",
        "[]",
        "[a]",
        "::1",
        "a%",
        "a%4",
        "a%zz",
        "a?",
        "a, b",
        "a\\",
        "[fe80::1%25eth0]",
        "\u{e9}",
        "[::1]x",
    ] {
        assert_eq!(refused(&hosts("1", &format!("Host: {host}\r\n"))), Error::HostInvalid, "{host}");
    }
    assert_eq!(refused(&hosts("1", "Host: a@b\r\n")), Error::Userinfo);
    for host in ["a", "a:", "a:0", "a:65535", "1.2.3.4:80", "[::1]", "[::ffff:1.2.3.4]:80", "a_b-c.d~", "a%41", "a,b;c"]
    {
        accepted(&hosts("1", &format!("Host: {host}\r\n")), |request| assert_eq!(request.authority(), Some(host)));
    }
}

#[test]
fn content_length_is_one_plain_number() {
    for value in ["", "+5", "-5", "0x5", "5 5", "5;", "5.0", "1234567890123456789", "\u{661}", "1_0"] {
        assert_eq!(refused_field(&format!("Content-Length: {value}\r\n")), Error::ContentLengthInvalid, "{value}");
    }
    assert_eq!(refused_field("Content-Length: 5, 5\r\n"), Error::ContentLengthRepeated);
    assert_eq!(refused_field("Content-Length: 5,\r\n"), Error::ContentLengthRepeated);
    assert_eq!(refused_field("Content-Length: 5\r\nContent-Length: 6\r\n"), Error::ContentLengthRepeated);
    assert_eq!(refused_field("Content-Length: 5\r\ncontent-length: 5\r\n"), Error::ContentLengthRepeated);
    for (value, length) in [("0", 0), ("007", 7), ("999999999999999999", 999_999_999_999_999_999)] {
        with_fields(&format!("Content-Length: {value}\r\n"), |request| {
            assert_eq!(request.body(), BodyLength::Sized(length));
        });
    }
    with_fields("", |request| assert_eq!(request.body(), BodyLength::None));
    assert_eq!(
        response_refused(b"HTTP/1.1 200 \r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n"),
        Error::ContentLengthRepeated
    );
}

#[test]
fn transfer_encoding_is_exactly_chunked() {
    let coding = |value: &str| refused_field(&format!("Transfer-Encoding: {value}\r\n"));
    for value in ["gzip", "gzip, chunked", "chunked, gzip", "identity", "xchunked", "chunkedx"] {
        assert_eq!(coding(value), Error::TransferEncodingUnknown, "{value}");
    }
    for value in ["", ",", "chunked,", ",chunked", "chunked;a=b", "\"chunked\"", "chunked chunked", "chunked\u{b}"] {
        assert!(matches!(coding(value), Error::TransferEncodingInvalid | Error::ValueByte { .. }), "{value}");
    }
    assert_eq!(coding("chunked, chunked"), Error::TransferEncodingRepeated);
    assert_eq!(
        refused_field("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
        Error::TransferEncodingRepeated
    );
    assert_eq!(refused_field("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n"), Error::LengthAndTransferEncoding);
    assert_eq!(refused_field("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), Error::LengthAndTransferEncoding);
    assert_eq!(refused("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), Error::TransferEncodingVersion);
    assert_eq!(
        response_refused(b"HTTP/1.0 200 \r\nTransfer-Encoding: chunked\r\n\r\n"),
        Error::TransferEncodingVersion
    );
    for status in [100, 103, 204] {
        let head = format!("HTTP/1.1 {status} \r\nTransfer-Encoding: chunked\r\n\r\n");
        assert_eq!(response_refused(head.as_bytes()), Error::TransferEncodingStatus { status });
    }
    assert_eq!(Error::TransferEncodingUnknown.status(), Some(501));
    with_fields("transfer-encoding: CHUNKed \r\n", |request| assert_eq!(request.body(), BodyLength::Chunked));
}

#[test]
fn a_connect_request_has_no_body() {
    let connect = |line: &str| format!("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n{line}\r\n");
    assert_eq!(refused(&connect("Content-Length: 1\r\n")), Error::ConnectBody);
    assert_eq!(refused(&connect("Transfer-Encoding: chunked\r\n")), Error::ConnectBody);
    accepted(&connect("Content-Length: 0\r\n"), |request| assert_eq!(request.body(), BodyLength::None));
}

#[test]
fn an_upgrade_that_names_no_protocol_is_no_offer() {
    for value in ["", ",", " , "] {
        let lines = format!("Connection: upgrade\r\nUpgrade: {value}\r\n");
        with_fields(&lines, |request| assert_eq!(request.upgrade(), None, "{value:?}"));
    }
}

#[test]
fn hop_by_hop_fields_and_those_that_connection_names_end_here() {
    let lines = "Connection: X-One, close , ,keep-alive\r\nX-one: 1\r\nTE: trailers\r\nKeep-Alive: 5\r\nX-Two: 2\r\nProxy-Connection: a\r\nUpgrade: b\r\nTransfer-Encoding: chunked\r\nHTTP2-Settings: c\r\nX-ONE: 3\r\nconnection: x-three\r\nX-Three: 4\r\nTrailer: d\r\n";
    with_fields(lines, |request| {
        assert_eq!(forwarded(&request), ["Host", "X-Two", "Trailer"]);
        assert_eq!(request.fields().count(), 14);
        assert!(!request.keep_alive());
    });
}

#[test]
fn connection_takes_no_field_away_that_is_meant_for_all() {
    let lines = "Connection: host, Authorization, cookie, content-length, content-type, cache-control, x-forwarded-for\r\nAuthorization: a\r\nCookie: b\r\nContent-Length: 3\r\nContent-Type: d\r\nCache-Control: e\r\nX-Forwarded-For: f\r\n";
    with_fields(lines, |request| {
        let kept = ["Host", "Authorization", "Cookie", "Content-Type", "Cache-Control", "X-Forwarded-For"];
        assert_eq!(forwarded(&request), kept);
        assert_eq!((request.body(), request.authority()), (BodyLength::Sized(3), Some("a")));
    });
}

#[test]
fn persistence_depends_on_version_and_connection() {
    let keeps = |version: &str, line: &str| {
        accepted(&format!("GET / HTTP/1.{version}\r\nHost: a\r\n{line}\r\n"), |request| request.keep_alive())
    };
    assert!(keeps("1", ""));
    assert!(!keeps("1", "Connection: Close\r\n"));
    assert!(!keeps("1", "Connection: x, close\r\n"));
    assert!(!keeps("0", ""));
    assert!(keeps("0", "Connection: Keep-Alive\r\n"));
    assert!(!keeps("0", "Connection: keep-alive, close\r\n"));
    assert!(!keeps("0", "Keep-Alive: 5\r\nProxy-Connection: keep-alive\r\n"));
}

#[test]
fn an_upgrade_is_offered_with_its_connection_option_and_never_to_h2c() {
    with_fields("Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n", |request| {
        assert_eq!(request.upgrade(), Some(&b"websocket"[..]));
    });
    let none = |lines: &str| with_fields(lines, |request| assert_eq!(request.upgrade(), None, "{lines}"));
    none("Upgrade: websocket\r\n");
    none("Connection: upgrade\r\n");
    none("Connection: upgrade, http2-settings\r\nUpgrade: h2c\r\nHTTP2-Settings: a\r\n");
    none("Connection: upgrade\r\nUpgrade: websocket, H2C\r\n");
    accepted("GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", |request| {
        assert_eq!(request.upgrade(), None);
    });
}

#[test]
fn continue_is_expected_of_a_body_in_http_1_1() {
    let expects = |version: &str, line: &str| {
        let head = format!("PUT / HTTP/1.{version}\r\nHost: a\r\nExpect: 100-Continue\r\n{line}\r\n");
        accepted(&head, |request| request.expects_continue())
    };
    assert!(expects("1", "Content-Length: 5\r\n"));
    assert!(expects("1", "Transfer-Encoding: chunked\r\n"));
    assert!(!expects("1", ""));
    assert!(!expects("0", "Content-Length: 5\r\n"));
}

#[test]
fn every_limit_of_a_head_holds_to_the_byte() {
    let head = "GET /123 HTTP/1.1\r\nHost: a\r\nX-123: 12345\r\nConnection: a, b\r\n\r\n";
    let exact = Limits { fields: 3, name: 10, value: 5, target: 4, connection_options: 2, ..Limits::default() };
    assert!(Request::parse(head.as_bytes(), &mut Space::new(), &exact).is_ok_and(|parsed| parsed.is_some()));
    assert_eq!(refused_with(head, Limits { fields: 2, ..exact }), Error::TooManyFields { limit: 2 });
    assert_eq!(refused_with(head, Limits { name: 9, ..exact }), Error::NameTooLong { limit: 9 });
    assert_eq!(refused_with(head, Limits { value: 4, ..exact }), Error::ValueTooLong { limit: 4 });
    assert_eq!(refused_with(head, Limits { target: 3, ..exact }), Error::TargetTooLong { limit: 3 });
    assert_eq!(
        refused_with(head, Limits { connection_options: 1, ..exact }),
        Error::TooManyConnectionOptions { limit: 1 }
    );
}

#[test]
fn no_limit_lets_a_head_have_more_fields_than_there_is_room_for() {
    let limits = Limits { fields: u32::MAX, ..Limits::default() };
    let head = |fields: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "Te: b\r\n".repeat(fields - 1));
    let most = head(Limits::MOST_FIELDS);
    let mut space = Space::new();
    let (request, _) = Request::parse(most.as_bytes(), &mut space, &limits).unwrap().unwrap();
    assert_eq!((request.fields().count(), request.end_to_end().count()), (128, 1));
    let refused = Request::parse(head(129).as_bytes(), &mut Space::new(), &limits).map(drop);
    assert_eq!(refused, Err(Error::TooManyFields { limit: 128 }));
}

#[test]
fn a_response_is_read_with_any_status_and_reason() {
    response_to(RequestMethod::Other, b"HTTP/1.1 299 caf\xe9 \t x\r\nA: b\r\n\r\n", |response| {
        assert_eq!((response.status(), response.reason()), (299, &b"caf\xe9 \t x"[..]));
        assert_eq!(response.get("a"), Some(&b"b"[..]));
    });
    for head in [&b"HTTP/1.1 200\r\n\r\n"[..], b"HTTP/1.1 200 \r\n\r\n"] {
        response_to(RequestMethod::Other, head, |response| assert_eq!(response.reason(), b""));
    }
    response_to(RequestMethod::Other, b"HTTP/1.0 999 OK\r\n\r\n", |response| {
        assert_eq!((response.status(), response.reason(), response.version()), (999, &b"OK"[..], Version::Http10));
        assert!(!response.keep_alive());
    });
}

#[test]
fn each_fault_of_a_status_line_is_named() {
    let line = |line: &str| response_refused(format!("{line}\r\n\r\n").as_bytes());
    assert_eq!(line("HTTP/1.1 099 OK"), Error::Status { status: 99 });
    assert_eq!(line("HTTP/1.1 000"), Error::Status { status: 0 });
    for other in [
        "HTTP/1.1",
        "HTTP/1.1 ",
        "HTTP/1.1  200 OK",
        "HTTP/1.1 20 OK",
        "HTTP/1.1 2000 OK",
        "HTTP/1.1 2x0",
        "ICY 200 OK",
        "http/1.1 200 OK",
        " HTTP/1.1 200 OK",
    ] {
        assert_eq!(line(other), Error::StatusLine, "{other}");
    }
    assert_eq!(line("HTTP/2.0 200 OK"), Error::Version);
    assert_eq!(line("HTTP/1.1 200 O\0K"), Error::ValueByte { byte: 0 });
    assert_eq!(response_refused(b"\r\nHTTP/1.1 200 OK\r\n\r\n"), Error::StatusLine);
    assert_eq!(response_refused(b"HTTP/1.1 200 OK\r\n A: b\r\n\r\n"), Error::SpaceBeforeFirstField);
    assert_eq!(response_refused(b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n"), Error::Folding);
}

#[test]
fn the_length_of_a_response_follows_section_6_3() {
    let length = |method, head: &str| response_to(method, head.as_bytes(), |response| response.body());
    let (get, head, connect) = (RequestMethod::Other, RequestMethod::Head, RequestMethod::Connect);
    assert_eq!(length(get, "HTTP/1.1 200 \r\nContent-Length: 5\r\n\r\n"), BodyLength::Sized(5));
    assert_eq!(length(get, "HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n"), BodyLength::Chunked);
    assert_eq!(length(get, "HTTP/1.1 200 \r\n\r\n"), BodyLength::UntilClose);
    assert_eq!(length(get, "HTTP/1.1 204 \r\nContent-Length: 5\r\n\r\n"), BodyLength::None);
    assert_eq!(length(get, "HTTP/1.1 304 \r\nContent-Length: 5\r\n\r\n"), BodyLength::None);
    assert_eq!(length(get, "HTTP/1.1 100 \r\nContent-Length: 5\r\n\r\n"), BodyLength::None);
    assert_eq!(length(get, "HTTP/1.1 101 \r\nContent-Length: 5\r\n\r\n"), BodyLength::Tunnel);
    assert_eq!(length(head, "HTTP/1.1 200 \r\nContent-Length: 5\r\n\r\n"), BodyLength::None);
    assert_eq!(length(head, "HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n"), BodyLength::None);
    assert_eq!(length(connect, "HTTP/1.1 200 \r\nContent-Length: 5\r\n\r\n"), BodyLength::Tunnel);
    assert_eq!(length(connect, "HTTP/1.1 403 \r\nContent-Length: 5\r\n\r\n"), BodyLength::Sized(5));
    response_to(head, b"HTTP/1.1 200 \r\nContent-Length: 5\r\n\r\n", |response| {
        assert_eq!(response.content_length(), Some(5));
    });
}

mod properties {
    use proptest::prelude::*;

    use super::super::{fault, section::Search};
    use crate::{Error, Limits, Request, Space};

    proptest! {
        /// httparse and the reader of faults agree on what is refused: one that httparse refuses has a fault with a
        /// name of its own, unless it is the request line's shape.
        #[test]
        fn a_refused_head_has_a_fault(at in 0_usize..60, byte: u8, cut in 0_usize..70) {
            let mut head = b"GET /index HTTP/1.1\r\nHost: a.b\r\nX-Value: some text\r\n\r\n".to_vec();
            let at = at.min(head.len() - 1);
            head[at] = byte;
            head.truncate(cut.max(at + 1));
            let mut parsed = httparse::Request::new(&mut []);
            let mut space = [const { std::mem::MaybeUninit::uninit() }; 8];
            let config = httparse::ParserConfig::default();
            let refused = config.parse_request_with_uninit_headers(&mut parsed, &head, &mut space).is_err();
            let fault = fault::of_request(&head);
            let in_fields = at >= 21 && head.ends_with(b"\r\n\r\n");
            prop_assert!(!refused || !in_fields || fault.is_some(), "{:?}", String::from_utf8_lossy(&head));
            prop_assert!(!refused || at < 21 || fault != Some(Error::RequestLine), "{:?}", String::from_utf8_lossy(&head));
        }

        /// A head is found to be whole at the same place however it is cut.
        #[test]
        fn the_end_of_a_section_is_found_in_pieces(cuts in proptest::collection::vec(0_usize..40, 0..6)) {
            let section = b"A: b\r\nC: d\r\nEee: f\r\n\r\nrest\r\n\r\n";
            let mut search = Search::default();
            let mut cuts = cuts;
            cuts.sort_unstable();
            for cut in cuts.into_iter().map(|cut| cut.min(section.len())) {
                let wanted = (cut >= 22).then_some(22);
                prop_assert_eq!(search.end(&section[..cut]), Ok(wanted));
            }
        }

        /// No bytes make the parser panic, and what it accepts ends with an empty line.
        #[test]
        fn any_bytes_are_read_or_refused(tail in "[ -~\r\n\t]{0,80}") {
            let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{tail}\r\n\r\n");
            if let Ok(Some((_, end))) = Request::parse(head.as_bytes(), &mut Space::new(), &Limits::default()) {
                prop_assert!(head.as_bytes()[..end].ends_with(b"\r\n\r\n"));
            }
        }
    }
}
