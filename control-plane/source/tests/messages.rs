//! What users are told of their mistakes, word for word.

// Helpers of tests are tests.
#![allow(clippy::unwrap_used)]

use byrnie_source::{Severity, check_text};

/// What is told of a YAML text, without the file's name.
fn told(text: &str) -> Vec<String> {
    check_text("x.yaml", text.as_bytes()).iter().map(|finding| finding.to_string().replacen("x.yaml:", "", 1)).collect()
}

/// What is told of an HTTPRoute whose one rule is this flow mapping, without the object's name.
fn told_of_rule(rule: &str) -> Vec<String> {
    let head = "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: r}, spec: {rules: [";
    let strip = |line: &String| line.replacen("1: HTTPRoute/default/r: spec.rules[0].", "", 1);
    told(&format!("{head}{rule}]}}}}")).iter().map(strip).collect()
}

/// What is told of a TrafficPolicy with these fields, without the object's name.
fn told_of_policy(fields: &str) -> Vec<String> {
    let service = "{apiVersion: v1, kind: Service, metadata: {name: cart}, spec: {}}\n---\n";
    let head = "{apiVersion: mesh.byrnie.io/v1alpha1, kind: TrafficPolicy, metadata: {name: p}, spec: {targetRef: {name: cart}, ";
    let strip = |line: &String| line.replacen("3: TrafficPolicy/default/p: spec.", "", 1);
    told(&format!("{service}{head}{fields}}}}}")).iter().map(strip).collect()
}

#[test]
fn a_wrong_word_is_told_with_its_line_its_field_and_the_accepted_ones() {
    let text = "\
# a comment
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: cart
  namespace: shop
spec:
  rules:
  - matches:
    - path:
        type: Prefx
        value: /
";
    let expected = "11: HTTPRoute/shop/cart: spec.rules[0].matches[0].path.type: unknown variant `Prefx`, expected one \
                    of `Exact`, `PathPrefix`, `RegularExpression`";
    assert_eq!(told(text), [expected]);
    let moved = format!("kind: Pod\napiVersion: v1\nmetadata: {{name: p}}\n---\n{text}");
    assert_eq!(told(&moved), [expected.replacen("11", "15", 1)]);
}

#[test]
fn an_unknown_field_is_told_at_its_own_line() {
    let text = "\
apiVersion: mesh.byrnie.io/v1alpha1
kind: PeerPolicy
metadata:
  name: p
spec:
  mode: Strict
  prots: {}
";
    assert_eq!(
        told(text),
        ["7: PeerPolicy/default/p: spec.prots: unknown field `prots`, expected one of `selector`, `mode`, `ports`"]
    );
    let slip = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n  anotations: {}\nspec: {}\n";
    assert!(told(slip)[0].starts_with("5: Pod/default/p: metadata.anotations: unknown field `anotations`"));
}

#[test]
fn faults_of_an_item_have_the_line_of_the_item() {
    let text = "\
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Service
  metadata: {name: good}
  spec: {}
- apiVersion: v1
  kind: Service
  metadata:
    name: bad
  spec:
    ports:
    - port: 0
- apiVersion: v1
  kind: Secret
";
    assert_eq!(
        told(text),
        [
            "14: Service/default/bad: spec.ports[0].port: invalid value: integer `0`, expected a whole number from 1 to 65535",
            "15: v1 Secret is not read by Byrnie: 1 object skipped",
        ]
    );
}

#[test]
fn syntax_is_told_with_its_column() {
    assert_eq!(told("kind: Pod\n\tspec: {}\n"), ["2:1: a tab is used as indentation: YAML accepts spaces only"]);
    assert_eq!(
        told("a: 1\n---\nb: 1\nb: 2\n"),
        [
            "1: apiVersion: is missing: every Kubernetes object has apiVersion and kind",
            "4:4: field \"b\" is there twice",
        ]
    );
    let json = check_text("x.json", b"{\n  \"kind\": \"Pod\",\n}");
    assert_eq!(json[0].to_string(), "x.json:3:1: no JSON: key must be a string");
}

#[test]
fn what_is_no_object_is_told() {
    assert_eq!(told("- a\n"), ["1: expected a Kubernetes object, found a list"]);
    assert_eq!(told("hello\n"), ["1: expected a Kubernetes object, found the text \"hello\""]);
    assert_eq!(told("kind: Pod\n"), ["1: apiVersion: is missing: every Kubernetes object has apiVersion and kind"]);
    assert_eq!(told("apiVersion: v1\nkind: 3\n"), ["2: kind: expected a text, found the number 3"]);
    assert_eq!(
        told("apiVersion: v1\nkind: Pod\nmetadata: {}\n"),
        ["3: metadata.name: is missing: every object needs a name"]
    );
    assert_eq!(told("# nothing\n---\n"), [""; 0]);
}

#[test]
fn versions_and_kinds_that_do_not_exist_are_told() {
    assert_eq!(
        told("apiVersion: mesh.byrnie.io/v1\nkind: PeerPolicy\n"),
        ["1: apiVersion: unknown version \"mesh.byrnie.io/v1\" of PeerPolicy, mesh.byrnie.io/v1alpha1 is accepted"]
    );
    assert_eq!(
        told("apiVersion: mesh.byrnie.io/v1alpha1\nkind: Trafic\n"),
        ["2: kind: unknown kind \"Trafic\" of mesh.byrnie.io, expected one of TrafficPolicy, PeerPolicy, MeshConfig"]
    );
    let two = "apiVersion: apps/v1\nkind: Deployment\n---\napiVersion: apps/v1\nkind: Deployment\n";
    assert_eq!(told(two), ["1: apps/v1 Deployment is not read by Byrnie: 2 objects skipped"]);
}

#[test]
fn rules_that_gateway_api_refuses_are_refused() {
    let prefix = "ReplacePrefixMatch needs a rule with exactly one match, of path type PathPrefix";
    let cases = [
        (
            "{matches: [{path: {value: a}}]}",
            "matches[0].path.value: \"a\" does not start with '/': an absolute path is accepted",
        ),
        (
            "{matches: [{path: {value: /a//b}}]}",
            "matches[0].path.value: \"/a//b\" contains \"//\": a path in its shortest form is accepted",
        ),
        (
            "{matches: [{path: {value: /a/..}}]}",
            "matches[0].path.value: \"/a/..\" ends with \"/..\": a path in its shortest form is accepted",
        ),
        (
            "{matches: [{path: {type: RegularExpression, value: '/a('}}]}",
            "matches[0].path.value: \"/a(\" is no regular expression (RE2 syntax): unclosed group",
        ),
        (
            "{matches: [{headers: [{name: 'a b', value: x}]}]}",
            "matches[0].headers[0].name: \"a b\" is no header name: 1 to 256 of letters, digits and !#$%&'*+-.^_`|~ are accepted",
        ),
        (
            "{matches: [{method: get}]}",
            "matches[0].method: unknown variant `get`, expected one of `GET`, `HEAD`, `POST`, `PUT`, `DELETE`, \
             `CONNECT`, `OPTIONS`, `TRACE`, `PATCH`",
        ),
        (
            "{timeouts: {request: 1s, backendRequest: 2s}}",
            "timeouts.backendRequest: 2s is longer than timeouts.request, 1s",
        ),
        (
            "{timeouts: {request: 1.5s}}",
            "timeouts.request: invalid value: string \"1.5s\", expected a duration such as 10s, 1m30s or 250ms",
        ),
        (
            "{retry: {codes: [200]}}",
            "retry.codes[0]: invalid value: integer `200`, expected a whole number from 400 to 599",
        ),
        ("{backendRefs: [{name: a}]}", "backendRefs[0].port: is missing: a Service as backend needs a port"),
        (
            "{backendRefs: [{name: a, port: 80, weight: 1000001}]}",
            "backendRefs[0].weight: invalid value: integer `1000001`, expected a whole number from 0 to 1000000",
        ),
        (
            "{filters: [{type: RequestRedirect, requestRedirect: {}}], backendRefs: [{name: a, port: 80}]}",
            "backendRefs: must be empty: a rule with a RequestRedirect filter calls no backend",
        ),
        (
            "{filters: [{type: RequestRedirect, requestRedirect: {}}, {type: URLRewrite, urlRewrite: {}}]}",
            "filters: RequestRedirect and URLRewrite cannot be used together",
        ),
        (
            "{filters: [{type: RequestRedirect, requestRedirect: {statusCode: 304}}]}",
            "filters[0].requestRedirect.statusCode: 304 is no redirect: 301, 302, 303, 307 or 308 is accepted",
        ),
        (
            "{filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}], \
              matches: [{path: {type: Exact, value: /a}}]}",
            &format!("filters[0].urlRewrite.path.type: {prefix}"),
        ),
        (
            "{filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replacePrefixMatch: /}}}]}",
            "filters[0].urlRewrite.path.replacePrefixMatch: must not be there: the type is ReplaceFullPath",
        ),
        ("{filters: [{type: CORS}]}", "filters[0].cors: is missing: a filter of type CORS needs it"),
        (
            "{filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {}}, \
              {type: ResponseHeaderModifier, responseHeaderModifier: {}}]}",
            "filters[1].type: ResponseHeaderModifier cannot be repeated",
        ),
        (
            "{name: a}, {name: a}",
            "1: HTTPRoute/default/r: spec.rules[1].name: \"a\" is there twice: names of rules are unique within the route",
        ),
    ];
    for (rule, expected) in cases {
        assert!(told_of_rule(rule).iter().any(|told| told == expected), "{rule}: {:#?}", told_of_rule(rule));
    }
}

#[test]
fn parents_are_told_apart_by_port_or_section() {
    let told_of = |parents: &str| {
        told(&format!(
            "{{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {{name: r}}, spec: {{parentRefs: [{parents}]}}}}"
        ))
    };
    assert_eq!(
        told_of("{kind: Service, group: '', name: a, port: 1}, {kind: Service, group: '', name: a, port: 2}"),
        [""; 0]
    );
    assert_eq!(
        told_of("{name: a}, {name: a, port: 2}"),
        [
            "1: HTTPRoute/default/r: spec.parentRefs[1]: names the same parent as parentRefs[0]: each of them must then give a port or a sectionName"
        ]
    );
    assert_eq!(
        told_of("{name: a}, {name: a}"),
        ["1: HTTPRoute/default/r: spec.parentRefs[1]: is the same as parentRefs[0]: each may be there once"]
    );
}

#[test]
fn policies_are_told_what_is_accepted() {
    let cases = [
        ("balancer: {type: Maglev}", "balancer.hashKey: is missing: type Maglev needs header, cookie or source"),
        ("balancer: {type: Random, choices: 3}", "balancer.choices: has no meaning for type Random"),
        (
            "balancer: {type: Maglev, hashKey: {source: true}, tableSize: 100}",
            "balancer.tableSize: 100 is no prime: a prime up to 5000011 is accepted",
        ),
        (
            "balancer: {type: RingHash, hashKey: {source: true, header: x}}",
            "balancer.hashKey: exactly one of header, cookie and source: true is accepted",
        ),
        (
            "retry: {when: [5xx, oops]}",
            "retry.when[1]: invalid value: string \"oops\", expected a status code from 400 to 599 or one of 5xx, \
             gateway-error, reset, reset-before-request, connect-failure, envoy-ratelimited, retriable-4xx, \
             refused-stream, http3-post-connect-failure, cancelled, deadline-exceeded, internal, resource-exhausted, \
             unavailable",
        ),
        ("retry: {backoff: {base: 1s, max: 10ms}}", "retry.backoff.max: 10ms is shorter than backoff.base, 1s"),
        ("connectTimeout: 0s", "connectTimeout: is 0s: a longer duration is accepted, or leave the field out"),
        (
            "healthCheck: {interval: 1s}",
            "healthCheck: exactly one of http, grpc and tcp is accepted (tcp: {} connects)",
        ),
        (
            "healthCheck: {http: {path: /, expectedStatuses: [20-30]}}",
            "healthCheck.http.expectedStatuses[0]: invalid value: string \"20-30\", expected a status from 100 to 599, \
             or a range of them such as \"200-299\"",
        ),
        (
            "healthCheck: {tcp: {}, interval: 1s, timeout: 2s}",
            "healthCheck.timeout: 2s is longer than the interval, 1s",
        ),
        ("panicThreshold: 101", "panicThreshold: invalid value: integer `101`, expected a whole number from 0 to 100"),
        (
            "slowStart: {window: 10s}, balancer: {type: Random}",
            "slowStart: works with balancer.type RoundRobin or LeastRequest only",
        ),
    ];
    for (fields, expected) in cases {
        assert!(told_of_policy(fields).iter().any(|told| told == expected), "{fields}: {:#?}", told_of_policy(fields));
    }
}

#[test]
fn services_that_are_not_there_are_told() {
    let policy = "{apiVersion: mesh.byrnie.io/v1alpha1, kind: TrafficPolicy, metadata: {name: p}, spec: {targetRef: {name: cart}}}";
    assert_eq!(told(policy), ["1: TrafficPolicy/default/p: spec.targetRef.name: there is no Service default/cart"]);
    let pod = "\
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec: {ports: [{port: 80}, {port: 81}]}
---
apiVersion: v1
kind: Pod
metadata:
  name: web
  annotations:
    byrnie.io/upstreams: 127.0.0.1:1=cart.shop:8080, 127.0.0.1:2=pay.shop:80, 127.0.0.1:3=cart.shop:80
spec: {}
";
    assert_eq!(
        told(pod),
        [
            "6: Pod/default/web: metadata.annotations[byrnie.io/upstreams]: Service shop/cart has no TCP port 8080; it has 80, 81",
            "6: Pod/default/web: metadata.annotations[byrnie.io/upstreams]: there is no Service shop/pay",
        ]
    );
    let wrong = pod.replace("=pay.shop:80", "=pay:80");
    assert_eq!(
        told(&wrong),
        [
            "11: Pod/default/web: metadata.annotations[byrnie.io/upstreams]: entry \"127.0.0.1:2=pay:80\": \"pay:80\" is no \
         service port: SERVICE.NAMESPACE:PORT is accepted, as in cart.shop:80"
        ]
    );
}

#[test]
fn the_mesh_config_has_one_name() {
    let text =
        "{apiVersion: mesh.byrnie.io/v1alpha1, kind: MeshConfig, metadata: {name: mesh}, spec: {trustDomain: 'A B'}}";
    let told = told(text);
    assert_eq!(told[0], "1: MeshConfig/mesh: metadata.name: found \"mesh\": the one MeshConfig is named \"default\"");
    assert!(told[1].starts_with("1: MeshConfig/mesh: spec.trustDomain: "), "{told:?}");
}

#[test]
fn a_long_row_of_faults_is_cut() {
    let headers: Vec<String> = (0..40).map(|_| "{name: 'a b', value: x}".to_owned()).collect();
    let told = told_of_rule(&format!("{{matches: [{{headers: [{}]}}]}}", headers.join(", ")));
    assert_eq!(told.len(), 21);
    assert!(told.iter().any(|told| told == "1: HTTPRoute/default/r: and 60 more of the same object"), "{told:#?}");
}

#[test]
fn a_file_that_is_too_large_is_not_read() {
    let told = check_text("x.yaml", &vec![b'#'; (8 << 20) + 1]);
    assert_eq!(told[0].to_string(), "x.yaml: is larger than 8 MiB and is not read");
}

#[test]
fn any_bytes_are_taken() {
    let seeds: [&[u8]; 8] = [
        b"a: &a [*a, *a]",
        b"? [a, b]\n: c",
        b"%YAML 1.2\n---\n!!set {a, b}\n",
        b"\xef\xbb\xbfkind: Pod",
        b"{{{{{{[[[[[[",
        b"a: |\n  x\n\ty\n--- >\n z",
        b"kind: List\napiVersion: v1\nitems: [{kind: List, apiVersion: v1, items: [1, {}]}]",
        b"\x00\x01",
    ];
    for seed in seeds {
        for end in 0..=seed.len() {
            check_text("x.yaml", &seed[..end]);
            check_text("x.json", &seed[..end]);
        }
    }
}

#[test]
fn an_annotation_that_nobody_reads_is_an_error_that_names_the_accepted_ones() {
    let pod = |annotation: &str| {
        let text = format!("apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n  annotations:\n    {annotation}\n");
        let finding = check_text("x.yaml", text.as_bytes()).pop();
        finding.map(|finding| (finding.severity, finding.to_string().replacen("x.yaml:6: Pod/default/p: ", "", 1)))
    };
    for slip in ["byrnie.io/inbounds", "byrnie.io/upstream", "byrnie.io/Inbound"] {
        let message = format!(
            "metadata.annotations[{slip}]: is read by nothing: byrnie.io/inbound, byrnie.io/upstreams, \
             byrnie.io/proxy, byrnie.io/status, byrnie.io/inject, byrnie.io/exclude-inbound-ports, "
        );
        let (severity, told) = pod(&format!("{slip}: 127.0.1.10:8080=127.0.0.1:18080")).unwrap();
        assert!(severity == Severity::Error && told.starts_with(&message), "{told}");
    }
    let message = "metadata.annotations[byrnie.io/uses]: is known and not in force yet".to_owned();
    assert_eq!(pod("byrnie.io/uses: x"), Some((Severity::Note, message)));
    assert_eq!((pod("byrnie.io/inject: 'true'"), pod("byrnie.io/inject: 'false'")), (None, None));
    let message =
        "metadata.annotations[byrnie.io/inject]: found \"yes\": \"true\" and \"false\" are accepted".to_owned();
    assert_eq!(pod("byrnie.io/inject: 'yes'"), Some((Severity::Warning, message)));
    assert_eq!(pod("byrnie.io/inbound: 127.0.1.10:8080=127.0.0.1:18080"), None);
    let message = "metadata.annotations[byrnie.io/status]: the Pod has no sidecar, which would be an init container \
                   byrnie-proxy with restartPolicy Always: it is called in plain text. Leave the annotation out: the \
                   injector writes it";
    assert_eq!(pod("byrnie.io/status: injected"), Some((Severity::Warning, message.to_owned())));
    assert_eq!(
        pod("byrnie.io/status: injected\nspec: {initContainers: [{name: byrnie-proxy, restartPolicy: Always}]}"),
        None
    );
    assert_eq!(pod("byrnie.io/status: injected\n    byrnie.io/inbound: 127.0.1.10:80=127.0.0.1:80"), None);
    assert_eq!((pod("byrnie.io/exclude-uids: '0'"), pod("byrnie.io/pre-stop-delay: 5s")), (None, None));
    assert_eq!((pod("byrnie.io/proxy: micro"), pod("byrnie.io/proxy: envoy")), (None, None));
    let message = "metadata.annotations[byrnie.io/proxy]: found \"Envoy\": micro and envoy are accepted".to_owned();
    assert_eq!(pod("byrnie.io/proxy: Envoy"), Some((Severity::Error, message)));
    assert_eq!(pod("example.com/inbounds: x"), None);
}

#[test]
fn a_slip_in_an_annotation_leaves_the_pod_in_force_as_it_was() {
    let pod = |key: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n  annotations:\n    {key}: 127.0.1.10:8080=127.0.0.1:18080\n"
        )
    };
    let (good, slip) = (pod("byrnie.io/inbound"), pod("byrnie.io/inbounds"));
    let batches = byrnie_source::read_texts("x.yaml", [good.as_bytes(), slip.as_bytes()]);
    let is_there = |update: &byrnie_model::Update| matches!(update, byrnie_model::Update::Workload(_, Some(_)));
    assert!(batches[0].updates.iter().any(is_there), "{:?}", batches[0].updates);
    assert!(batches[1].updates.is_empty(), "the last good version serves on: {:?}", batches[1].updates);
    assert_eq!(batches[1].findings.iter().map(|finding| finding.severity).collect::<Vec<_>>(), [Severity::Error]);
}

#[test]
fn a_namespace_of_an_object_that_has_none_is_a_warning() {
    let text = "apiVersion: mesh.byrnie.io/v1alpha1\nkind: MeshConfig\nmetadata:\n  name: default\n  namespace: shop\nspec: {}\n";
    let findings = check_text("x.yaml", text.as_bytes());
    let told: Vec<_> = findings.iter().map(|finding| (finding.severity, finding.to_string())).collect();
    let message = "x.yaml:5: MeshConfig/default: metadata.namespace: found \"shop\", which is ignored: a MeshConfig belongs \
                   to no namespace and holds for the whole mesh";
    assert_eq!(told, [(Severity::Warning, message.to_owned())]);
}

#[test]
fn a_service_that_misses_the_sidecars_port_is_told_with_both_ports() {
    let text = |target: u16| {
        format!(
            "apiVersion: v1
kind: Service
metadata: {{name: cart, namespace: shop}}
spec:
  selector: {{app: cart}}
  ports: [{{name: http, port: 80, targetPort: {target}}}, {{name: metrics, port: 9090}}]
---
apiVersion: v1
kind: Pod
metadata:
  name: cart-1
  namespace: shop
  labels: {{app: cart}}
  annotations: {{byrnie.io/inbound: \"127.0.1.10:8080=127.0.0.1:18080\"}}
status: {{podIP: 127.0.1.10}}
"
        )
    };
    let told =
        |target| check_text("x.yaml", text(target).as_bytes()).iter().map(ToString::to_string).collect::<Vec<_>>();
    let message = "x.yaml:8: Pod/shop/cart-1: metadata.annotations[byrnie.io/inbound]: Service shop/cart forwards to port \
                   8081, where this sidecar does not listen; it listens on 8080, which no Service forwards to";
    assert_eq!(told(8081), [message]);
    assert_eq!(told(8080), [""; 0], "a port outside the mesh alone is no slip");
}
