use super::*;

fn whole(regex: &str) -> Result<Pattern, Refused> {
    Pattern::whole(&RegexMatcher { regex: regex.to_owned(), engine_type: None }, &At::ROOT)
}

fn takes(regex: &str, text: &[u8]) -> bool {
    whole(regex).unwrap().takes(text)
}

#[test]
fn a_pattern_takes_the_whole_text_or_nothing() {
    assert!(takes("/v[0-9]+", b"/v12"));
    assert!(!takes("/v[0-9]+", b"/v12/x") && !takes("/v[0-9]+", b"x/v12"));
    assert!(takes("a|bc", b"bc") && !takes("a|bc", b"ac"));
}

#[test]
fn the_short_classes_are_ascii() {
    assert!(takes(r"\d\w\s", b"1a ") && takes(r"[\d][\w_][\s]", b"1a\t"));
    assert!(!takes(r"\d", "\u{661}".as_bytes()) && !takes(r"\w", "é".as_bytes()) && !takes(r"\s", b"\x0b"));
    assert!(takes(r"\D\W\S", "éé\u{b}".as_bytes()) && takes(r"[^\d]", b"a") && !takes(r"[^\d]", b"1"));
    assert!(takes(r"[\Dx]", b"a") && !takes(r"[\Dx]", b"1") && takes(r"[\D1]", b"1"));
    assert!(takes(r"a\b.*", "aé".as_bytes()), "é is no word character");
}

#[test]
fn classes_hold_neither_sets_nor_classes() {
    for c in ["a", "&", "b"] {
        assert!(takes("[a&&b]", c.as_bytes()), "{c}");
    }
    assert!(takes("[a[b]", b"[") && takes("[[:alpha:]x-z~]+", b"q~") && takes("[]a]+", b"]a") && takes("[^]a]", b"b"));
    assert!(takes("[+--]+", b"+,-") && takes("[a-]+", b"a-") && takes("[!--/]+", b"!-/"));
}

#[test]
fn quoted_texts_are_literal() {
    assert!(takes(r"\Qa.b\E+", b"a.bbb") && !takes(r"\Qa.b\E", b"axb") && takes(r"x\Q.*", b"x.*"));
    assert!(takes(r"\<\.\>[\<\-\]]+", b"<.><-]"));
}

#[test]
fn characters_are_utf8_and_other_octets_match_nothing() {
    assert!(takes("a.b", "aéb".as_bytes()) && !takes("a.b", b"a\xffb") && !takes("a[^x]b", b"a\xffb"));
}

#[test]
fn what_re2_does_not_know_is_refused() {
    for bad in ["", "(", "[", r"\", r"\1", r"(a)\1", "(?=a)", "(?x)a", r"\h", r"a\b{start}", "a{2000000}"] {
        assert!(whole(bad).is_err(), "{bad}");
    }
    let error = whole("(a").unwrap_err();
    assert_eq!((error.path.as_str(), &*error.problem), ("regex", "found \"(a\"; accepted: RE2 (unclosed group)"));
}
