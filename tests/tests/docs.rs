//! The pages for users against the program: examples load, and nothing that the program takes or shows is left out.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
};

use anyhow::{Context, Result, ensure};
use byrnie_tests::{
    http,
    mesh::Mesh,
    process::{byrnie, program},
    yaml,
};
use serde_json::Value;
use tempfile::TempDir;

/// A Markdown file of the project.
struct Page {
    name: String,
    text: String,
}

/// A block of YAML that holds objects.
struct Example<'a> {
    page: &'a Page,
    /// Where its text begins, counted from 1.
    line: usize,
    text: String,
}

/// One mapping of an example of our own kinds, with a field put in that no kind has.
struct Probe {
    kind: String,
    /// From `spec`, without indices: `balancer.hashKey`.
    path: Vec<String>,
    keys: BTreeSet<String>,
    object: Value,
}

const KINDS: [&str; 11] = [
    "Namespace",
    "Service",
    "EndpointSlice",
    "Pod",
    "Node",
    "ServiceAccount",
    "HTTPRoute",
    "GRPCRoute",
    "TrafficPolicy",
    "PeerPolicy",
    "MeshConfig",
];

/// A field that no kind has.
const NO_FIELD: &str = "zzz";

#[test]
fn every_example_loads_without_findings() -> Result<()> {
    let pages = pages()?;
    let mut shown = BTreeSet::new();
    let mut found = Vec::new();
    for page in &pages {
        let folder = tempfile::tempdir()?;
        for example in page.examples() {
            // Blank lines before it, so that findings name the page's own lines.
            let text = "\n".repeat(example.line - 1) + &example.text;
            fs::write(folder.path().join(format!("{}.yaml", example.line)), text)?;
            shown.extend(objects(&example)?.iter().filter_map(|object| Some(object["kind"].as_str()?.to_owned())));
        }
        let told = |finding: &Value| format!("{}:{}: {finding}", page.name, finding["line"]);
        found.extend(validate(&folder)?.iter().map(told));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    let missing: Vec<_> = KINDS.into_iter().filter(|kind| !shown.contains(*kind)).collect();
    assert!(missing.is_empty(), "no page has an example of {}", missing.join(", "));
    Ok(())
}

#[test]
fn every_field_of_our_own_kinds_stands_in_an_example_and_in_a_table() -> Result<()> {
    let pages = pages()?;
    let mut probes = Vec::new();
    for example in pages.iter().flat_map(Page::examples) {
        let own =
            objects(&example)?.into_iter().filter(|object| text(object, "apiVersion").starts_with("mesh.byrnie.io/"));
        own.for_each(|object| probe(&object, &mut Vec::new(), &mut probes));
    }
    let mut shown: BTreeMap<(&str, &[String]), BTreeSet<&str>> = BTreeMap::new();
    let folder = tempfile::tempdir()?;
    for (number, probe) in probes.iter().enumerate() {
        shown.entry((&probe.kind, &probe.path)).or_default().extend(probe.keys.iter().map(String::as_str));
        fs::write(folder.path().join(format!("{number}.json")), probe.object.to_string())?;
    }
    let mut missing = BTreeSet::new();
    let mut known = 0;
    for finding in validate(&folder)? {
        let Some(fields) = accepted_fields(text(&finding, "message")) else { continue };
        let number: usize =
            Path::new(text(&finding, "file")).file_stem().context("no file")?.to_string_lossy().parse()?;
        let Probe { kind, path, .. } = &probes[number];
        for field in fields {
            known += 1;
            let whole: Vec<_> = path.iter().map(String::as_str).chain([field]).collect();
            let whole = whole.join(".");
            if !shown[&(kind.as_str(), path.as_slice())].contains(field) {
                missing.insert(format!("{kind} {whole} stands in no example"));
            }
            if !pages.iter().any(|page| page.tells(kind, &whole)) {
                missing.insert(format!("no table below \"## {kind}\" has a row for `{whole}`"));
            }
        }
    }
    assert!(known > 50, "only {known} fields were told by the refusals: has their wording changed?");
    assert!(missing.is_empty(), "{}", missing.into_iter().collect::<Vec<_>>().join("\n"));
    Ok(())
}

/// What a histogram adds to the name under which it is documented.
const HISTOGRAM_SERIES: [&str; 3] = ["_bucket", "_count", "_sum"];

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_every_admin_page_and_every_option_is_told() -> Result<()> {
    let mesh = Mesh::start(&[]).await?;
    let pages = pages()?;
    let page = pages.iter().find(|page| page.name == "docs/operations.md").context("docs/operations.md is missing")?;
    let metrics = http::get(mesh.admin(), "localhost", "/metrics").await?.body;
    let metrics =
        metrics.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split(['{', ' ']).next());
    let metrics = metrics.map(|name| HISTOGRAM_SERIES.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name));
    let admin = http::get(mesh.admin(), "localhost", "/").await?.body;
    let admin = admin.lines().filter_map(|line| line.split_whitespace().nth(1));
    let mut shown: BTreeSet<String> = metrics.chain(admin).map(str::to_owned).collect();
    ensure!(shown.len() > 20, "too little is shown: {shown:?}");
    for verb in [
        &["run"][..],
        &["validate"],
        &["token"],
        &["bootstrap", "envoy"],
        &["bootstrap", "grpc"],
        &["describe"],
        &["wait"],
        &["check"],
    ] {
        shown.extend(options(Command::new(byrnie()?).args(verb))?);
    }
    let missing: Vec<_> = shown.into_iter().filter(|name| !page.text.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "docs/operations.md does not tell of {}", missing.join(", "));
    Ok(())
}

#[test]
fn every_option_of_the_micro_proxy_is_told() -> Result<()> {
    let pages = pages()?;
    let page = pages.iter().find(|page| page.name == "docs/proxy.md").context("docs/proxy.md is missing")?;
    let shown = options(&mut Command::new(program("byrnie-proxy")?))?;
    ensure!(shown.len() > 10, "too little is shown: {shown:?}");
    let missing: Vec<_> = shown.into_iter().filter(|name| !page.text.contains(&format!("| `{name}"))).collect();
    assert!(missing.is_empty(), "docs/proxy.md has no row for {}", missing.join(", "));
    Ok(())
}

#[test]
fn every_option_of_the_agent_is_told() -> Result<()> {
    let pages = pages()?;
    let page = pages.iter().find(|page| page.name == "docs/proxy.md").context("docs/proxy.md is missing")?;
    let shown = options(Command::new(program("byrnie-proxy")?).arg("agent"))?;
    ensure!(shown.len() > 10, "too little is shown: {shown:?}");
    let missing: Vec<_> = shown.into_iter().filter(|name| !page.text.contains(&format!("| `{name}"))).collect();
    assert!(missing.is_empty(), "docs/proxy.md has no row for {}", missing.join(", "));
    Ok(())
}

#[test]
fn every_option_of_install_is_told() -> Result<()> {
    let pages = pages()?;
    let page = pages.iter().find(|page| page.name == "docs/install.md").context("docs/install.md is missing")?;
    let shown = options(Command::new(byrnie()?).arg("install"))?;
    ensure!(shown.len() > 4, "too little is shown: {shown:?}");
    let missing: Vec<_> = shown.into_iter().filter(|name| !page.text.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "docs/install.md does not tell of {}", missing.join(", "));
    Ok(())
}

/// The options that a program's help names.
fn options(command: &mut Command) -> Result<BTreeSet<String>> {
    let help = String::from_utf8(command.arg("--help").output()?.stdout)?;
    let options = help.split_whitespace().filter(|word| word.starts_with("--") && word.len() > 2);
    let options = options.map(|word| word.trim_end_matches([',', '.', ')']).to_owned());
    Ok(options.filter(|name| !["--help", "--version"].contains(&name.as_str())).collect())
}

/// The pages of the project and of `docs/`.
fn pages() -> Result<Vec<Page>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut pages = Vec::new();
    for folder in ["", "docs/"] {
        for entry in fs::read_dir(root.join(folder))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "md") {
                let name = format!("{folder}{}", path.file_name().unwrap_or_default().to_string_lossy());
                pages.push(Page { name, text: fs::read_to_string(path)? });
            }
        }
    }
    ensure!(pages.len() > 4, "only {} pages were found", pages.len());
    pages.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(pages)
}

impl Page {
    fn examples(&self) -> Vec<Example<'_>> {
        let mut examples = Vec::new();
        let mut open: Option<Example<'_>> = None;
        for (index, line) in self.text.lines().enumerate() {
            match (&mut open, line.trim_end()) {
                (None, "```yaml") => open = Some(Example { page: self, line: index + 2, text: String::new() }),
                (None, _) => {}
                (Some(_), "```") => examples.extend(open.take()),
                (Some(example), _) => example.text.extend([line, "\n"]),
            }
        }
        examples.retain(|example| example.text.lines().any(|line| line.starts_with("kind:")));
        examples
    }

    /// Whether a table below the kind's heading has the field, or one within it, in the first cell of a row.
    fn tells(&self, kind: &str, field: &str) -> bool {
        let heading = format!("## {kind}");
        let section = self.text.lines().skip_while(|line| *line != heading).skip(1);
        let mut rows = section.take_while(|line| !line.starts_with("## ")).filter_map(|line| line.strip_prefix('|'));
        let told = [format!("`{field}`"), format!("`{field}.")];
        rows.any(|row| {
            let cell = row.split('|').next().unwrap_or_default().replace("[]", "");
            told.iter().any(|told| cell.contains(told))
        })
    }
}

/// The findings of `byrnie validate`.
fn validate(folder: &TempDir) -> Result<Vec<Value>> {
    let output = Command::new(byrnie()?).args(["validate", "-o", "json"]).arg(folder.path()).output()?;
    let failure = || format!("validate: {}", String::from_utf8_lossy(&output.stderr));
    let findings: Value = serde_json::from_slice(&output.stdout).with_context(failure)?;
    Ok(findings.as_array().with_context(failure)?.clone())
}

fn objects(example: &Example<'_>) -> Result<Vec<Value>> {
    let place = || format!("{}:{}", example.page.name, example.line);
    yaml::documents(&example.text).with_context(place)
}

/// One probe for each mapping of `spec`; `at` is where the walk stands, as a JSON pointer's parts below it.
fn probe(object: &Value, at: &mut Vec<String>, probes: &mut Vec<Probe>) {
    let pointer: String = at.iter().fold("/spec".to_owned(), |pointer, part| pointer + "/" + part);
    let inner: Vec<String> = match object.pointer(&pointer) {
        Some(Value::Object(fields)) => {
            let mut wrong = object.clone();
            if let Some(Value::Object(fields)) = wrong.pointer_mut(&pointer) {
                fields.insert(NO_FIELD.to_owned(), Value::from(1));
            }
            let path = at.iter().filter(|part| part.parse::<usize>().is_err()).cloned().collect();
            let keys: BTreeSet<String> = fields.keys().cloned().collect();
            probes.push(Probe { kind: text(object, "kind").to_owned(), path, keys: keys.clone(), object: wrong });
            keys.into_iter().collect()
        }
        Some(Value::Array(items)) => (0..items.len()).map(|index| index.to_string()).collect(),
        _ => Vec::new(),
    };
    for part in inner {
        at.push(part);
        probe(object, at, probes);
        at.pop();
    }
}

/// The names in ``unknown field `zzz`, expected one of `a`, `b` ``; `None` for any other finding.
fn accepted_fields(message: &str) -> Option<Vec<&str>> {
    let rest = message.strip_prefix(&format!("unknown field `{NO_FIELD}`, "))?;
    Some(rest.split('`').skip(1).step_by(2).collect())
}

fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object[field].as_str().unwrap_or_default()
}
