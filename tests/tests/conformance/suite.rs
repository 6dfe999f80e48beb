//! What the Gateway API project's Go tests expect, read from their source: composite literals of constants.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::{Map, Value};

/// `http.ExpectedResponse` of the suite, as far as tests of meshes use it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default, deny_unknown_fields)]
pub struct Case {
    pub test_case_name: String,
    pub request: Request,
    pub expected_request: Option<ExpectedRequest>,
    pub redirect_request: Option<Redirect>,
    pub response: Response,
    pub backend: String,
    pub namespace: Value,
    /// The client is in the consumer's namespace.
    #[serde(skip)]
    pub of_consumer: bool,
    /// It is about rewriting.
    #[serde(skip)]
    pub of_rewrite: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default, deny_unknown_fields)]
pub struct Request {
    pub protocol: String,
    /// A text; anything else stands for the address of a Pod.
    pub host: Value,
    pub method: String,
    pub path: String,
    pub headers: BTreeMap<String, String>,
    pub unfollow_redirect: Value,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default, deny_unknown_fields)]
pub struct ExpectedRequest {
    pub request: Request,
    pub absent_headers: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default, deny_unknown_fields)]
pub struct Redirect {
    pub scheme: String,
    pub host: String,
    pub port: String,
    pub path: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default, deny_unknown_fields)]
pub struct Response {
    pub status_code: u16,
    pub headers: BTreeMap<String, String>,
    pub absent_headers: Vec<String>,
}

/// One Go file.
#[derive(Debug)]
pub struct GoTest {
    pub name: String,
    /// The manifests with which it runs, one after another: paths in the module, or one empty where there are none.
    pub manifests: Vec<String>,
    pub cases: Vec<Case>,
    /// Shares of backends, where it is about them.
    pub weights: BTreeMap<String, f64>,
}

/// Every test of `tests/mesh`, by name.
pub fn read(module: &Path) -> Result<Vec<GoTest>> {
    let mut tests = Vec::new();
    for entry in fs::read_dir(module.join("tests/mesh"))? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if name.ends_with(".go") && name != "main.go" {
            tests.push(go_test(&name, &fs::read_to_string(&path)?).with_context(|| name.clone())?);
        }
    }
    tests.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(tests)
}

fn go_test(name: &str, source: &str) -> Result<GoTest> {
    let mut manifests = Vec::new();
    for literal in literals(source, "Manifests:") {
        match literal? {
            Value::Array(list) if list.is_empty() => manifests.push(String::new()),
            Value::Array(list) => manifests.extend(list.iter().filter_map(Value::as_str).map(str::to_owned)),
            other => bail!("Manifests: {other}"),
        }
    }
    let mut cases = Vec::new();
    for (at, _) in source.match_indices("http.ExpectedResponse{") {
        let literal = Reader { text: &source[at..] }.value()?;
        let (of_consumer, of_rewrite) = (source[..at].ends_with("consumerCases := []"), name.contains("rewrite"));
        let list = if let Value::Array(list) = literal { list } else { vec![literal] };
        for one in list {
            let mut case: Case = serde_json::from_value(one.clone()).with_context(|| one.to_string())?;
            // One test holds its host in a variable.
            if let Some(variable) = case.request.host["expression"].as_str()
                && let Some(text) = literals(source, &format!("\t{variable} :=")).next()
            {
                case.request.host = text?;
            }
            cases.push(Case { of_consumer, of_rewrite, ..case });
        }
    }
    ensure!(!cases.is_empty() && !manifests.is_empty(), "holds {} cases, {manifests:?}", cases.len());
    let weights = literals(source, "expectedWeights :=").next().transpose()?.map(serde_json::from_value).transpose()?;
    Ok(GoTest { name: name.to_owned(), manifests, cases, weights: weights.unwrap_or_default() })
}

fn literals<'a>(source: &'a str, after: &'a str) -> impl Iterator<Item = Result<Value>> {
    source.match_indices(after).map(move |(at, _)| Reader { text: &source[at + after.len()..] }.value())
}

/// Reads a Go expression: constants and composite literals as JSON; anything else as `{"expression": TEXT}`.
struct Reader<'a> {
    text: &'a str,
}

impl Reader<'_> {
    fn value(&mut self) -> Result<Value> {
        self.skip();
        if self.text.starts_with('"') {
            return self.string().map(Value::String);
        }
        // `&http.Request{`, `map[string]string{`, `[]string{`, or the bare `{` of an element.
        let is_of_type = |c: char| c.is_alphanumeric() || "&[]._*".contains(c);
        let end = self.text.find(|c: char| !is_of_type(c)).context("the source ends within a value")?;
        if self.text[end..].starts_with('{') {
            self.text = &self.text[end + 1..];
            return self.composite();
        }
        let expression = self.expression()?;
        Ok(serde_json::from_str(&expression).unwrap_or_else(|_| serde_json::json!({"expression": expression})))
    }

    fn composite(&mut self) -> Result<Value> {
        let (mut fields, mut list) = (Map::new(), Vec::new());
        loop {
            self.skip();
            if let Some(rest) = self.text.strip_prefix('}') {
                self.text = rest;
                break;
            }
            match self.key()? {
                Some(key) => drop(fields.insert(key, self.value()?)),
                None => list.push(self.value()?),
            }
            self.skip();
            self.text = self.text.strip_prefix(',').unwrap_or(self.text);
        }
        Ok(if fields.is_empty() { Value::Array(list) } else { Value::Object(fields) })
    }

    /// `Path:` or `"X-Header":`; the text is left alone where there is none.
    fn key(&mut self) -> Result<Option<String>> {
        let mut ahead = Reader { text: self.text };
        let key = if self.text.starts_with('"') {
            ahead.string()?
        } else {
            let end = self.text.find(|c: char| !c.is_alphanumeric()).unwrap_or_default();
            ahead.text = &self.text[end..];
            self.text[..end].to_owned()
        };
        let Some(rest) = ahead.text.strip_prefix(':').filter(|_| !key.is_empty()) else { return Ok(None) };
        self.text = rest;
        Ok(Some(key))
    }

    fn string(&mut self) -> Result<String> {
        let end = self.text[1..].find('"').context("a text without an end")? + 2;
        let quoted = &self.text[..end];
        ensure!(!quoted.contains('\\'), "a text with an escape: {quoted}");
        self.text = &self.text[end..];
        Ok(quoted[1..end - 1].to_owned())
    }

    /// Up to the comma, brace or line end that closes it.
    fn expression(&mut self) -> Result<String> {
        let mut depth = 0;
        for (at, c) in self.text.char_indices() {
            match c {
                '(' => depth += 1,
                ')' if depth > 0 => depth -= 1,
                ',' | '}' | '\n' | ')' if depth == 0 => {
                    let expression = self.text[..at].trim().to_owned();
                    self.text = &self.text[at..];
                    return Ok(expression);
                }
                _ => {}
            }
        }
        bail!("an expression without an end")
    }

    fn skip(&mut self) {
        loop {
            self.text = self.text.trim_start();
            match self.text.strip_prefix("//") {
                Some(comment) => self.text = comment.split_once('\n').map_or("", |(_, rest)| rest),
                None => return,
            }
        }
    }
}
