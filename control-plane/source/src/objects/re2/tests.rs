use super::*;

/// What RE2 refuses or reads otherwise, by what is told of it.
fn why(text: &str) -> String {
    let message = fault(text).unwrap_or_else(|| panic!("{text:?} was accepted"));
    let prefix = format!("{text:?} is no regular expression (RE2 syntax): ");
    message.strip_prefix(&prefix).unwrap_or_else(|| panic!("{message}")).to_owned()
}

#[test]
fn what_both_take_alike_is_accepted() {
    let good = [
        "/a.*",
        "/(?:v[0-9]+|latest)/[^/]+",
        r"^/\d+\.\w*\s?$",
        "(?i)a(?-i)b(?s:.)(?mU)c",
        "(?P<id_1>a)(b|)",
        r"[]a-][^]\]\-][[:alpha:][:^digit:]\d\pL\p{Greek}]",
        "[a&b~c-]",
        r"\x41\x{1F600}\n\t\a\f\r\v\/\#\&\_",
        r"\A\bfoo\B\z",
        r"\pN\PN\p{Lu}\P{Old_Italic}\p{Any}",
        "a*?b+?c??d{2}?e{0,1000}f{3,}",
        "(?:a{30}){33}(?:b*)*",
        "a]}",
        "é☃",
    ];
    for text in good {
        assert_eq!(fault(text), None, "{text:?}");
    }
}

#[test]
fn what_neither_takes_is_refused() {
    assert!(why("/(?=a)").starts_with("look-around"), "{}", why("/(?=a)"));
    for text in [r"(a)\1", "(?>a)", "a++*", "(", "[z-a]", r"\Z", "a{2,1}", "(?#c)", "[[:foo:]]"] {
        why(text);
    }
}

#[test]
fn operations_on_classes_and_nested_classes_are_refused() {
    assert_eq!(why("x[a-z&&b]"), "\"a-z&&b\" has one of &&, --, ~~, which are not accepted within a class");
    why("[a-z--b]");
    why("[a-z~~b]");
    why("[^a&&b]");
    assert_eq!(why("[a[bc]]"), "\"[bc]\" is a class within a class, which is not accepted: write \"[\" as \"\\[\"");
    why("[[^a]]");
}

#[test]
fn flags_of_rust_are_refused() {
    assert_eq!(why("(?ix)a b"), "\"x\" is no flag there: i, m, s and U are accepted");
    for text in ["(?x: a)", "(?R)a", "(?u)a", "(?-u:a)", "(?i-x)a"] {
        why(text);
    }
}

#[test]
fn escapes_of_rust_are_refused_within_and_without_a_class() {
    assert_eq!(why(r"\u0041"), r#""\\u0041" is no escape there: \x{41} is accepted"#);
    for text in [r"\u{41}", r"\U00000041", r"\U{41}", r"[\u0041]", r"[a-\u{7A}]", r"[\u0041-z]"] {
        why(text);
    }
}

#[test]
fn word_boundaries_of_rust_are_refused() {
    assert_eq!(why(r"\<a"), r#""\\<" is no word boundary there: \b and \B are accepted"#);
    for text in [r"a\>", r"\b{start}a", r"a\b{end}", r"\b{start-half}a", r"a\b{end-half}"] {
        why(text);
    }
}

#[test]
fn groups_are_named_by_the_form_that_all_releases_know() {
    assert_eq!(why("(?<n>a)"), "\"n\" names a group by (?<, where older releases accept (?P< only");
    assert_eq!(why("(?P<n.a>a)"), "\"n.a\" is no name of a group: letters, digits and _ are accepted");
    why("(?P<né>a)");
}

#[test]
fn unicode_classes_are_those_of_re2_and_no_others() {
    assert!(why(r"\p{greek}").starts_with(r#""\\p{greek}" is no class there: general categories"#));
    for text in [r"\pl", r"\p{Letter}", r"\p{sc=Greek}", r"\p{gc:Lu}", r"\p{Alphabetic}", r"\p{Cn}", r"[\p{ASCII}]"] {
        why(text);
    }
}

#[test]
fn repetitions_are_bounded_and_do_not_run_together() {
    assert_eq!(why("a**"), "\"*\" repeats a repetition: put the inner one in a group, as in (?:a+)*");
    for text in ["a+*", "a{2}{3}", "a*??", "a++", "a?+"] {
        why(text);
    }
    let most = "repetitions, at most 1000 are accepted, counting those around it";
    assert_eq!(why("a{1001}"), format!("\"{{1001}}\" makes 1001 {most}"));
    assert_eq!(why("(?:a{30}){40}"), format!("\"{{30}}\" makes 1200 {most}"));
    why("(?:(?:a{2,100}b){0,5}c{1}){3,}");
    assert_eq!(why("a{02}"), "\"{02}\" is no repetition there: \"{2}\" is accepted");
    why("a{ 2}");
    why("a{1, 2}");
}
