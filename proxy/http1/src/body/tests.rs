use proptest::prelude::*;

use super::{Piece, chunked::Chunked};
use crate::{Error, Limits, characters::is_token};

/// What a body comes to: its data, its trailers, and what is left of the input.
#[derive(Debug, PartialEq, Eq)]
struct Decoded {
    data: Vec<u8>,
    trailers: Vec<(Vec<u8>, Vec<u8>)>,
    rest: Vec<u8>,
}

/// Decodes `body`, cut at `cuts`; none if it is not complete.
fn decode(body: &[u8], cuts: &[usize], limits: &Limits) -> Result<Option<Decoded>, Error> {
    let mut chunked = Chunked::new();
    let mut decoded = Decoded { data: Vec::new(), trailers: Vec::new(), rest: Vec::new() };
    let mut taken = 0;
    for end in cuts.iter().copied().chain([body.len()]) {
        let mut input = &body[taken..end.max(taken)];
        while let Some(piece) = chunked.next(&mut input, limits)? {
            match piece {
                Piece::Data(data) => {
                    assert!(!data.is_empty());
                    decoded.data.extend_from_slice(data);
                }
                Piece::Trailers(trailers) => {
                    decoded.trailers.extend(trailers.iter().map(|(name, value)| (name.to_vec(), value.to_vec())));
                }
                Piece::End => {
                    taken = end.max(taken) - input.len();
                    decoded.rest = body[taken..].to_vec();
                    return Ok(Some(decoded));
                }
            }
        }
        taken = end.max(taken) - input.len();
    }
    Ok(None)
}

fn refused(body: &[u8]) -> Error {
    decode(body, &[], &Limits::default()).expect_err("a breach")
}

fn refused_with(body: &[u8], limits: Limits) -> Error {
    decode(body, &[], &limits).expect_err("a breach")
}

#[test]
fn a_chunked_body_reads_the_same_however_it_is_cut() {
    let body = b"5;a=\"b\"\r\nhello\r\n00a\r\n, chunked \r\n1;x\r\n!\r\n0;last\r\nX-Sum: 9 \r\nEmpty:\r\n\r\nGET /";
    let limits = Limits::default();
    let whole = decode(body, &[], &limits).unwrap().unwrap();
    assert_eq!(whole.data, b"hello, chunked !");
    let trailer = |name: &str, value: &str| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
    assert_eq!(whole.trailers, [trailer("X-Sum", "9"), trailer("Empty", "")]);
    assert_eq!(whole.rest, b"GET /");
    let bytewise: Vec<usize> = (0..body.len()).collect();
    assert_eq!(decode(body, &bytewise, &limits).unwrap().unwrap(), whole);
    for cut in 0..body.len() {
        assert_eq!(decode(body, &[cut], &limits).unwrap().unwrap(), whole, "cut at {cut}");
    }
}

#[test]
fn a_prefix_of_a_chunked_body_is_never_complete() {
    let body = b"3\r\nabc\r\n0\r\nX: y\r\n\r\n";
    for end in 0..body.len() {
        assert_eq!(decode(&body[..end], &[], &Limits::default()), Ok(None), "{end} bytes");
    }
}

#[test]
fn a_chunk_size_is_hexadecimal_digits_and_nothing_else() {
    for (body, byte) in [
        (&b"+5\r\n"[..], b'+'),
        (b"-5\r\n", b'-'),
        (b"0x5\r\n", b'x'),
        (b" 5\r\n", b' '),
        (b"5 \r\n", b' '),
        (b"5 ;a\r\n", b' '),
        (b"5\t\r\n", b'\t'),
        (b"5_\r\n", b'_'),
        (b"g\r\n", b'g'),
        (b";a\r\n", b';'),
        (b"\r\n", b'\r'),
        (b"5\0\r\n", 0),
        (b"\xff\r\n", 0xff),
    ] {
        assert_eq!(refused(body), Error::ChunkSize { byte }, "{body:?}");
    }
    assert_eq!(refused(b"5\n"), Error::ChunkLineEnd);
    assert_eq!(refused(b"\n"), Error::ChunkLineEnd);
    assert_eq!(refused(b"5\rx"), Error::ChunkLineEnd);
    assert_eq!(refused(b"00000000000000005\r\n"), Error::ChunkSizeTooLong);
    assert_eq!(decode(b"ffffffffffffffff\r\nab", &[], &Limits::default()), Ok(None));
    let padded = decode(b"0000000000000001\r\na\r\n0\r\n\r\n", &[], &Limits::default());
    assert_eq!(padded.unwrap().unwrap().data, b"a");
}

#[test]
fn a_chunk_extension_holds_no_line_end_and_no_control_character() {
    assert_eq!(refused(b"5;a\nhello"), Error::ChunkLineEnd);
    assert_eq!(refused(b"5;a\rb\r\n"), Error::ChunkLineEnd);
    assert_eq!(refused(b"5;a=\"\n\"\r\n"), Error::ChunkLineEnd);
    assert_eq!(refused(b"5;\0\r\n"), Error::ChunkExtensionByte { byte: 0 });
    assert_eq!(refused(b"5;\x7f\r\n"), Error::ChunkExtensionByte { byte: 0x7f });
    assert_eq!(refused(b"5;a=\"b\r\nhello"), Error::ChunkExtensionByte { byte: b'\r' });
}

#[test]
fn a_chunk_extension_has_the_form_of_the_grammar() {
    for extension in [";", ";;a", ";=b", ";a=", ";a=;b", ";a=b=c", "; a", ";a ", ";a =b", ";a= b", ";a=\"b\"c", ";a b"]
    {
        let refused = refused(format!("1{extension}\r\nx\r\n0\r\n\r\n").as_bytes());
        assert!(matches!(refused, Error::ChunkExtensionByte { .. }), "{extension:?}");
        assert_eq!(refused.section(), "RFC 9112 section 7.1.1");
    }
    for extension in [";a", ";a=b", ";a=\"\"", ";a=\"b;\\\" \u{e9}\";c", ";a;b=c;d"] {
        let body = format!("1{extension}\r\nx\r\n0{extension}\r\n\r\n");
        let decoded = decode(body.as_bytes(), &[], &Limits::default());
        assert!(decoded.is_ok_and(|body| body.is_some()), "{extension:?}");
    }
}

#[test]
fn the_data_of_a_chunk_ends_with_cr_lf() {
    assert_eq!(refused(b"1\r\nab"), Error::ChunkDataEnd { byte: b'b' });
    assert_eq!(refused(b"1\r\na\n"), Error::ChunkDataEnd { byte: b'\n' });
    assert_eq!(refused(b"1\r\na\rb"), Error::ChunkDataEnd { byte: b'b' });
}

#[test]
fn extensions_are_counted_over_the_whole_body() {
    let limits = Limits { chunk_extension_bytes: 6, ..Limits::default() };
    assert!(decode(b"1;abc\r\nx\r\n1;def\r\nx\r\n0\r\n\r\n", &[], &limits).is_ok_and(|body| body.is_some()));
    let refused = refused_with(b"1;abc\r\nx\r\n1;defg\r\nx\r\n0\r\n\r\n", limits);
    assert_eq!(refused, Error::ChunkExtensionsTooLong { limit: 6 });
}

#[test]
fn every_limit_of_a_trailer_section_holds_to_the_byte() {
    let body = b"0\r\nAb: cde\r\nF: g\r\n\r\n";
    let exact = Limits { trailer_bytes: 17, trailers: 2, name: 2, value: 3, ..Limits::default() };
    assert!(decode(body, &[], &exact).is_ok_and(|body| body.is_some()));
    let too_long = |limits| refused_with(body, limits);
    assert_eq!(too_long(Limits { trailer_bytes: 16, ..exact }), Error::TrailersTooLong { limit: 16 });
    assert_eq!(too_long(Limits { trailers: 1, ..exact }), Error::TooManyTrailers { limit: 1 });
    assert_eq!(too_long(Limits { name: 1, ..exact }), Error::NameTooLong { limit: 1 });
    assert_eq!(too_long(Limits { value: 2, ..exact }), Error::ValueTooLong { limit: 2 });
    let endless = [&b"0\r\n"[..], &b"a".repeat(17)].concat();
    assert_eq!(refused_with(&endless, exact), Error::TrailersTooLong { limit: 17 });
}

#[test]
fn each_fault_of_a_trailer_section_is_named() {
    assert_eq!(refused(b"0\r\nA: b\n\r\n"), Error::BareLf);
    assert_eq!(refused(b"0\r\n\n"), Error::BareLf);
    assert_eq!(refused(b"0\r\nA: b\rc\r\n\r\n"), Error::BareCr);
    assert_eq!(refused(b"0\r\nA : b\r\n\r\n"), Error::SpaceBeforeColon);
    assert_eq!(refused(b"0\r\n A: b\r\n\r\n"), Error::SpaceBeforeFirstField);
    assert_eq!(refused(b"0\r\nA: b\r\n c\r\n\r\n"), Error::Folding);
    assert_eq!(refused(b"0\r\n: b\r\n\r\n"), Error::EmptyName);
    assert_eq!(refused(b"0\r\nAb\r\n\r\n"), Error::NoColon);
    assert_eq!(refused(b"0\r\nA: \0\r\n\r\n"), Error::ValueByte { byte: 0 });
}

#[test]
fn a_trailer_carries_no_framing_routing_or_credentials() {
    for name in [
        "Content-Length",
        "transfer-encoding",
        "HOST",
        "Connection",
        "Keep-Alive",
        "Proxy-Connection",
        "TE",
        "Upgrade",
        "Trailer",
        "Expect",
        "Authorization",
        "Cookie",
        "Set-Cookie",
        "Content-Type",
        "Content-Encoding",
    ] {
        let body = format!("0\r\nOk: a\r\n{name}: b\r\n\r\n");
        assert_eq!(refused(body.as_bytes()), Error::ForbiddenTrailer, "{name}");
    }
}

/// An obvious decoder of a whole chunked body without trailers: line, data, line.
fn obvious(body: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut data = Vec::new();
    let mut at = 0;
    loop {
        let line_end = at + body[at..].windows(2).position(|pair| pair == b"\r\n")?;
        let mut parts = body[at..line_end].splitn(2, |byte| *byte == b';');
        let (size, extension) = (parts.next()?, parts.next().unwrap_or_default());
        let digits = (1..=16).contains(&size.len()) && size.iter().all(u8::is_ascii_hexdigit);
        if !digits || (line_end > at + size.len() && !obvious_extensions(extension)) {
            return None;
        }
        let size = usize::try_from(u64::from_str_radix(std::str::from_utf8(size).ok()?, 16).ok()?).ok()?;
        at = line_end + 2;
        if size == 0 {
            return (body.get(at..at + 2)? == b"\r\n").then_some((data, at + 2));
        }
        let end = at.checked_add(size)?;
        data.extend_from_slice(body.get(at..end)?);
        if body.get(end..end + 2)? != b"\r\n" {
            return None;
        }
        at = end + 2;
    }
}

/// Extensions without quotes: names with at most one value each.
fn obvious_extensions(text: &[u8]) -> bool {
    text.split(|byte| *byte == b';').all(|one| {
        let mut parts = one.split(|byte| *byte == b'=');
        let (name, value) = (parts.next().unwrap_or_default(), parts.next());
        is_token(name) && value.is_none_or(is_token) && parts.next().is_none()
    })
}

fn chunk() -> impl Strategy<Value = Vec<u8>> {
    (proptest::collection::vec(any::<u8>(), 1..20), 0_usize..3, "(;[a-z]{1,3}(=[a-z]{1,3})?){0,2}").prop_map(
        |(data, zeros, extension)| {
            let size = format!("{}{:x}{extension}\r\n", "0".repeat(zeros), data.len());
            [size.as_bytes(), &data, b"\r\n"].concat()
        },
    )
}

proptest! {
    #[test]
    fn the_scanner_agrees_with_the_obvious_decoder(
        chunks in proptest::collection::vec(chunk(), 0..5),
        cuts in proptest::collection::vec(0_usize..120, 0..8),
        fault in proptest::option::of((0_usize..120, any::<u8>())),
    ) {
        let mut body = [chunks.concat(), b"0\r\n\r\nrest".to_vec()].concat();
        if let Some((at, byte)) = fault {
            let at = at % body.len();
            body[at] = byte;
        }
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut % body.len()).collect();
        cuts.sort_unstable();
        let found = decode(&body, &cuts, &Limits::default());
        match obvious(&body) {
            Some((data, end)) => {
                let wanted = Decoded { data, trailers: Vec::new(), rest: body[end..].to_vec() };
                prop_assert_eq!(found, Ok(Some(wanted)));
            }
            // The obvious decoder knows no trailers; with a fault the scanner may take "rest" for a part of them.
            None => prop_assert!(!matches!(found, Ok(Some(_)))),
        }
    }
}
