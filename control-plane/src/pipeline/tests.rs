use std::{fs, path::Path};

use byrnie_snapshot::Snapshot;

use super::*;

const SERVICE: &str = "
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec: {ports: [{port: 80, appProtocol: http}]}
";

/// A pipeline that has taken in the directory as it stands.
struct Subject {
    folder: tempfile::TempDir,
    pipeline: Pipeline,
    current: Current,
}

impl Subject {
    fn new() -> Self {
        let (current, hub) = (Current::default(), Hub::new(Snapshot::default()));
        let pipeline = Pipeline::new(TrustDomain::default(), current.clone(), hub);
        Self { folder: tempfile::tempdir().unwrap(), pipeline, current }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Reads everything anew: what stands already touches nothing.
    fn take(&mut self, name: &str, text: &str) -> Vec<String> {
        fs::write(self.path().join(name), text).unwrap();
        self.pipeline.step(byrnie_source::read_once(self.folder.path()).unwrap());
        self.findings()
    }

    fn findings(&self) -> Vec<String> {
        let strip = format!("{}/", self.path().display());
        self.current.load().findings.iter().map(|finding| finding.to_string().replace(&strip, "")).collect()
    }
}

#[test]
fn a_trust_domain_that_cannot_be_had_is_told_until_it_is_taken_back() {
    let mut subject = Subject::new();
    let mesh = |domain: &str| {
        format!(
            "apiVersion: mesh.byrnie.io/v1alpha1\nkind: MeshConfig\nmetadata: {{name: default}}\nspec: {{trustDomain: {domain}}}\n"
        )
    };
    let findings = subject.take("mesh.yaml", &mesh("other.example"));
    assert!(
        findings[0].contains("MeshConfig/default: spec.trustDomain: \"other.example\" is not in force"),
        "{findings:?}"
    );
    assert_eq!(subject.current.load().world.mesh().trust_domain, TrustDomain::default());
    // A batch about something else carries no MeshConfig.
    let alone = byrnie_source::Batch {
        updates: Vec::new(),
        findings: Vec::new(),
        unreadable: Default::default(),
        changed_at: Instant::now(),
    };
    subject.pipeline.step(alone);
    assert_eq!(subject.findings(), findings);
    assert_eq!(subject.take("mesh.yaml", &mesh("cluster.local")), Vec::<String>::new());
}

#[test]
fn a_finding_about_a_parent_names_its_place_among_all_parents() {
    let mut subject = Subject::new();
    let findings = subject.take(
        "route.yaml",
        "apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: cart, namespace: shop}
spec:
  parentRefs:
  - {name: front}
  - {group: \"\", kind: Service, name: cart}
  rules: [{backendRefs: [{name: cart, port: 80}]}]
",
    );
    let parents: Vec<_> = findings.iter().filter(|finding| finding.contains("Accepted")).collect();
    assert_eq!(parents.len(), 1, "{findings:?}");
    assert!(parents[0].contains("HTTPRoute/shop/cart: spec.parentRefs[1]: Accepted: NoMatchingParent"), "{findings:?}");
}

#[test]
fn a_policy_that_another_overrules_is_told_with_the_winner() {
    let mut subject = Subject::new();
    let policy = |name: &str, created: &str| {
        format!(
            "---\napiVersion: mesh.byrnie.io/v1alpha1\nkind: TrafficPolicy\nmetadata: {{name: {name}, namespace: shop, creationTimestamp: \"{created}\"}}
spec: {{targetRef: {{group: \"\", kind: Service, name: cart}}, connectTimeout: 1s}}\n"
        )
    };
    let both = [policy("new", "2026-02-01T00:00:00Z"), policy("old", "2026-01-01T00:00:00Z")].concat();
    let findings = subject.take("all.yaml", &format!("{SERVICE}{both}"));
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(findings[0].contains("TrafficPolicy/shop/new: spec.targetRef: not in force"), "{findings:?}");
    assert!(findings[0].contains("TrafficPolicy/shop/old"), "{findings:?}");
}

#[test]
fn a_change_of_one_endpoint_builds_one_resource() {
    let mut subject = Subject::new();
    let slice = |address: &str| {
        format!(
            "apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: cart-1, namespace: shop, labels: {{kubernetes.io/service-name: cart}}}}
addressType: IPv4
ports: [{{port: 8080, protocol: TCP, name: \"\"}}]
endpoints: [{{addresses: [{address}], conditions: {{ready: true}}}}]
"
        )
    };
    subject.take("service.yaml", SERVICE);
    subject.take("slice.yaml", &slice("10.0.0.1"));
    let before = subject.current.load().built;
    assert_eq!(subject.take("slice.yaml", &slice("10.0.0.2")), Vec::<String>::new());
    let after = subject.current.load().built;
    assert_eq!(after.endpoints, before.endpoints + 1);
    assert_eq!((after.clusters, after.listeners, after.routes), (before.clusters, before.listeners, before.routes));
}
