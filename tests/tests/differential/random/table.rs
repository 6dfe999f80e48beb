//! Random rules of an HTTPRoute.

use std::fmt::Write as _;

use proptest::{collection::vec, option, prelude::*, sample::select};

/// The Services behind the tables; each says its name.
pub const BACKENDS: [&str; 4] = ["alpha", "beta", "gamma", "delta"];

#[derive(Clone, Debug)]
pub struct Table(Vec<Rule>);

#[derive(Clone, Debug)]
struct Rule {
    matches: Vec<Match>,
    request: Change,
    response: Change,
    action: Action,
}

#[derive(Clone, Debug)]
struct Match {
    path: Option<(&'static str, &'static str)>,
    method: Option<&'static str>,
    headers: Vec<Valued>,
    queries: Vec<Valued>,
}

/// A name, a kind of match and a value.
type Valued = (&'static str, (&'static str, &'static str));

/// What becomes of headers: name and value to set, to add, and names to remove.
#[derive(Clone, Debug)]
struct Change {
    set: Vec<(&'static str, &'static str)>,
    add: Vec<(&'static str, &'static str)>,
    remove: Vec<&'static str>,
}

#[derive(Clone, Debug)]
enum Action {
    Forward { rewrite: Option<Target>, backends: Vec<Backend> },
    Redirect { scheme: Option<&'static str>, port: Option<u16>, status: u16, target: Target },
}

#[derive(Clone, Debug)]
struct Backend {
    name: &'static str,
    weight: u32,
    request: Change,
    response: Change,
}

/// A new host and a new path: its whole, or the prefix that matched.
#[derive(Clone, Debug)]
struct Target {
    host: Option<&'static str>,
    path: Option<(bool, &'static str)>,
}

pub fn a_table() -> BoxedStrategy<Table> {
    vec(a_rule(), 1..9).prop_map(Table).boxed()
}

fn a_rule() -> BoxedStrategy<Rule> {
    (vec(a_match(), 0..3), a_change(), a_change(), an_action())
        .prop_map(|(matches, request, response, action)| Rule { matches, request, response, action })
        .boxed()
}

fn a_match() -> BoxedStrategy<Match> {
    let exact =
        select(vec!["/", "/a", "/a/", "/a/b", "/a/b/c", "/ab", "/a/b/", "/a%62"]).prop_map(|path| ("Exact", path));
    let prefix = select(vec!["/", "/a", "/a/", "/a/b", "/b", "/c/a", "/A"]).prop_map(|path| ("PathPrefix", path));
    let regexes = vec!["/a.*", "/[ab]/?", "/.+", "/a/[^/]+", "/(a|b)/c", "/A?a?", "/\\\\w+", "/a{1,2}b*"];
    let regex = select(regexes).prop_map(|path| ("RegularExpression", path));
    let path = option::of(prop_oneof![1 => exact, 2 => prefix, 1 => regex]);
    let method = option::weighted(0.2, select(vec!["GET", "PUT", "POST", "DELETE", "OPTIONS"]));
    let value = || {
        let regexes = select(vec!["1.*", "[12]", ".*", ".+", "1|2"]).prop_map(|value| ("RegularExpression", value));
        prop_oneof![2 => select(vec!["1", "2", "12"]).prop_map(|value| ("Exact", value)), 1 => regexes]
    };
    let some = |names: Vec<&'static str>| {
        // Each name at most once: the schema says so.
        let each: Vec<_> = names.into_iter().map(|name| option::weighted(0.15, (Just(name), value()))).collect();
        each.prop_map(|all| all.into_iter().flatten().collect::<Vec<_>>())
    };
    (path, method, some(vec!["x-a", "X-B", "x-c", "Host"]), some(vec!["q", "r"]))
        .prop_map(|(path, method, headers, queries)| Match { path, method, headers, queries })
        .boxed()
}

fn a_change() -> BoxedStrategy<Change> {
    let names = ["x-a", "X-B", "x-c", "x-new", "server", "user-agent"];
    let chosen =
        |chance: f64| names.map(|name| option::weighted(chance, (Just(name), select(vec!["1", "new", "a b"]))));
    let flat = |all: [Option<(&'static str, &'static str)>; 6]| all.into_iter().flatten().collect::<Vec<_>>();
    let change = (chosen(0.06), chosen(0.06), chosen(0.06)).prop_map(move |(set, add, remove)| {
        // A name in one of the three only: what two would do together is nobody's to say.
        let (set, mut add, mut remove) = (flat(set), flat(add), flat(remove));
        add.retain(|(name, _)| !set.iter().any(|(known, _)| known == name));
        remove.retain(|(name, _)| !set.iter().chain(&add).any(|(known, _)| known == name));
        Change { set, add, remove: remove.into_iter().map(|(name, _)| name).collect() }
    });
    change.boxed()
}

fn an_action() -> BoxedStrategy<Action> {
    // Each at most once: by its name is told which was chosen.
    let backends = BACKENDS.map(|name| option::weighted(0.4, a_backend(name)));
    let forward = (option::weighted(0.3, a_target()), backends).prop_map(|(rewrite, backends)| {
        let backends = backends.into_iter().flatten().collect();
        Action::Forward { rewrite, backends }
    });
    let schemes = option::of(select(vec!["http", "https"]));
    let ports = option::of(select(vec![80, 443, 8080]));
    let redirect = (schemes, ports, select(vec![301, 302, 303, 307, 308]), a_target())
        .prop_map(|(scheme, port, status, target)| Action::Redirect { scheme, port, status, target });
    prop_oneof![4 => forward, 1 => redirect].boxed()
}

fn a_backend(name: &'static str) -> BoxedStrategy<Backend> {
    (select(vec![0, 1, 1, 2]), a_change(), a_change())
        .prop_map(move |(weight, request, response)| Backend { name, weight, request, response })
        .boxed()
}

fn a_target() -> BoxedStrategy<Target> {
    let path = option::of((any::<bool>(), select(vec!["/", "/new", "/new/", "/n/e/w"])));
    (option::of(select(vec!["one.example", "two.example"])), path)
        .prop_map(|(host, path)| Target { host, path })
        .boxed()
}

impl Table {
    /// The list of rules.
    pub fn yaml(&self) -> String {
        self.0.iter().map(Rule::yaml).collect()
    }
}

impl Rule {
    fn yaml(&self) -> String {
        let mut text = String::new();
        let matches: Vec<_> = self.matches.iter().map(Match::yaml).collect();
        // A prefix can be replaced only where a prefix is the one match.
        let is_prefix = matches!(&*self.matches, [Match { path: Some(("PathPrefix", _)), .. }]);
        let mut filters = vec![self.request.yaml("Request"), self.response.yaml("Response")];
        let mut backends = None;
        match &self.action {
            Action::Forward { rewrite, backends: all } => {
                let rewrite = rewrite.as_ref().map(|target| target.yaml(is_prefix));
                filters.extend(
                    rewrite
                        .filter(|fields| !fields.is_empty())
                        .map(|fields| format!("{{type: URLRewrite, urlRewrite: {{{fields}}}}}")),
                );
                backends = Some(all.iter().map(Backend::yaml).collect::<Vec<_>>().join(", "));
            }
            Action::Redirect { scheme, port, status, target } => {
                let mut fields = vec![format!("statusCode: {status}")];
                fields.extend(scheme.map(|scheme| format!("scheme: {scheme}")));
                fields.extend(port.map(|port| format!("port: {port}")));
                fields.extend(Some(target.yaml(is_prefix)).filter(|fields| !fields.is_empty()));
                filters.push(format!("{{type: RequestRedirect, requestRedirect: {{{}}}}}", fields.join(", ")));
            }
        }
        filters.retain(|filter| !filter.is_empty());
        writeln!(text, "- matches: [{}]", matches.join(", ")).expect("a string takes all");
        writeln!(text, "  filters: [{}]", filters.join(", ")).expect("a string takes all");
        if let Some(backends) = backends {
            writeln!(text, "  backendRefs: [{backends}]").expect("a string takes all");
        }
        text
    }
}

impl Match {
    fn yaml(&self) -> String {
        let valued = |list: &[Valued]| {
            let one = |(name, (kind, value)): &Valued| format!("{{name: {name}, type: {kind}, value: \"{value}\"}}");
            list.iter().map(one).collect::<Vec<_>>().join(", ")
        };
        let mut fields = Vec::new();
        fields.extend(self.path.map(|(kind, value)| format!("path: {{type: {kind}, value: \"{value}\"}}")));
        fields.extend(self.method.map(|method| format!("method: {method}")));
        fields.extend((!self.headers.is_empty()).then(|| format!("headers: [{}]", valued(&self.headers))));
        fields.extend((!self.queries.is_empty()).then(|| format!("queryParams: [{}]", valued(&self.queries))));
        format!("{{{}}}", fields.join(", "))
    }
}

impl Change {
    fn yaml(&self, kind: &str) -> String {
        let Self { set, add, remove } = self;
        if set.is_empty() && add.is_empty() && remove.is_empty() {
            return String::new();
        }
        let valued = |list: &[(&str, &str)]| {
            let one = |(name, value): &(&str, &str)| format!("{{name: {name}, value: \"{value}\"}}");
            list.iter().map(one).collect::<Vec<_>>().join(", ")
        };
        format!(
            "{{type: {kind}HeaderModifier, {}HeaderModifier: {{set: [{}], add: [{}], remove: [{}]}}}}",
            kind.to_lowercase(),
            valued(set),
            valued(add),
            remove.join(", ")
        )
    }
}

impl Backend {
    fn yaml(&self) -> String {
        let mut filters = vec![self.request.yaml("Request"), self.response.yaml("Response")];
        filters.retain(|filter| !filter.is_empty());
        let Self { name, weight, .. } = self;
        format!("{{name: ${name}, port: 80, weight: {weight}, filters: [{}]}}", filters.join(", "))
    }
}

impl Target {
    fn yaml(&self, is_prefix: bool) -> String {
        let mut fields = Vec::new();
        fields.extend(self.host.map(|host| format!("hostname: {host}")));
        fields.extend(self.path.map(|(replaces_prefix, path)| match replaces_prefix && is_prefix {
            true => format!("path: {{type: ReplacePrefixMatch, replacePrefixMatch: {path}}}"),
            false => format!("path: {{type: ReplaceFullPath, replaceFullPath: {path}}}"),
        }));
        fields.join(", ")
    }
}
