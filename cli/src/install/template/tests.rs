use serde_json::json;

use super::*;

fn rendered(text: &str) -> Result<String> {
    let mut templates = Templates::default();
    templates.define("{{- define \"name\" -}}\nname: {{ .a.text }}\nof: {{ .a.number }}\n{{- end }}")?;
    let fields = json!({"a": {"text": "it's \"so\"", "number": 3, "none": "", "list": [], "map": {"x": "it"}}});
    templates.render(text, &fields)
}

#[test]
fn what_the_chart_uses_gives_what_helm_gives() {
    for (text, expected) in [
        ("a {{ .a.number }} b", "a 3 b"),
        ("a {{- .a.number -}} b", "a3b"),
        ("a\n  {{- /* told\n to nobody */}}\nb", "a\nb"),
        ("{{ .a.text | quote }}", r#""it's \"so\"""#),
        ("{{ .a.none | default .a.number }} {{ .a.text | default 5 }}", "3 it's \"so\""),
        ("{{ if .a.none }}yes{{ else }}no{{ end }}", "no"),
        ("{{ if and .a.number (gt (int .a.number) 2) }}yes{{ end }}", "yes"),
        ("{{ if and .a.list .a.number }}yes{{ end }}", ""),
        ("{{ with .a.map }}{{ .x }}{{ else }}{{ .a.number }}{{ end }}", "it"),
        ("{{ with .a.list }}{{ .x }}{{ else }}{{ .a.number }}{{ end }}", "3"),
        ("top:\n  {{- include \"name\" . | nindent 2 }}", "top:\n  name: it's \"so\"\n  of: 3"),
        ("top:\n  {{- toYaml .a.map | nindent 2 }}\n", "top:\n  x: it\n"),
        ("{{ if .a.map }}{{ with .a.list }}a{{ else }}{{ if .a.none }}b{{ else }}c{{ end }}{{ end }}{{ end }}", "c"),
    ] {
        assert_eq!(rendered(text).unwrap(), expected, "{text}");
    }
}

#[test]
fn what_is_not_known_is_an_error() {
    for (text, told) in [
        ("{{ .a.other }}", "there is no .a.other"),
        ("{{ .a.number", "an action has no end"),
        ("{{ if .a.number }}", "an end is missing"),
        ("{{ end }}", "else or end without"),
        ("{{ if .a.number }}{{ else if .a.list }}{{ end }}", "else if is not known"),
        ("{{ range .a.list }}{{ end }}", "else or end without"),
        ("{{ upper .a.text }}", "function upper"),
        ("{{ $x }}", "$x is not known"),
        ("{{ .a.number 5 }}", "5 has no place here"),
        ("{{ int .a.text }}", "is no integer"),
        ("{{ include \"other\" . }}", "\"other\" is not defined"),
        ("{{ .a.text | .a.number }}", "a pipe leads to a function"),
        ("{{ (int .a.number }}", "a parenthesis is not closed"),
    ] {
        let error = format!("{:#}", rendered(text).unwrap_err());
        assert!(error.contains(told), "{text}: {error}");
    }
}
