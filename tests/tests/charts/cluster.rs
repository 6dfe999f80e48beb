//! The chart at a real API server. There are no nodes, so that nothing waits for replicas.

use anyhow::{Context, Result};
use byrnie_tests::kubernetes::ApiServer;
use serde_json::{Value, json};

use crate::{Place, chart, install, webhooks};

#[tokio::test]
async fn helm_3_installs_it_and_helm_4_upgrades_it_and_takes_it_away() -> Result<()> {
    let server = ApiServer::start().await?;
    let (place, chart, kubeconfig) = (Place::new()?, chart(), server.kubeconfig());
    let namespace = ["--namespace", "byrnie-system"];
    let release = [&["byrnie", chart.as_str()][..], &namespace].concat();
    let notes = place.helm(3, &kubeconfig, &[&["install"], &release[..], &["--create-namespace"]].concat())?;
    assert!(notes.contains("byrnie-control-plane.byrnie-system.svc:15012"), "{notes}");
    let replicas = ["get", "deployment", "byrnie-control-plane", "--output=jsonpath={.spec.replicas}"];
    let replicas = [&replicas[..], &namespace].concat();
    assert_eq!(server.kubectl(&replicas).await?, "2");
    // What the control plane makes while it runs.
    let secret = ["create", "secret", "generic", "byrnie-ca"];
    server.kubectl(&[&secret[..], &namespace].concat()).await?;
    for (major, number) in [(3, "4"), (4, "3")] {
        webhooks::write_bundle(&server).await?;
        webhooks::meddle(&server).await?;
        let set = format!("replicas={number}");
        place.helm(major, &kubeconfig, &[&["upgrade"], &release[..], &["--set", &set]].concat())?;
        assert_eq!(server.kubectl(&replicas).await?, number);
        webhooks::are_the_charts_with_their_bundle(&server).await?;
    }
    place.helm(4, &kubeconfig, &[&["uninstall", "byrnie"], &namespace[..]].concat())?;
    let all = "deployments,services,serviceaccounts,roles,rolebindings,poddisruptionbudgets";
    let left = server.kubectl(&[&["get", all, "--output=name"], &namespace[..]].concat()).await?;
    assert_eq!(left, "", "Helm left these");
    let all = "clusterroles,clusterrolebindings,mutatingwebhookconfigurations";
    let left = server.kubectl(&["get", all, "--output=name"]).await?;
    assert!(!left.contains("byrnie"), "{left}");
    server.kubectl(&[&["get", "secret", "byrnie-ca"], &namespace[..]].concat()).await?;
    Ok(())
}

#[tokio::test]
async fn what_byrnie_install_prints_is_applied_twice_and_then_taken_over_by_helm() -> Result<()> {
    let server = ApiServer::start().await?;
    let place = Place::new()?;
    let file = place.file("printed.yaml", &install(&[])?)?;
    let apply = ["apply", "--server-side", "--filename", &file];
    server.kubectl(&apply).await?;
    webhooks::write_bundle(&server).await?;
    let again = server.kubectl(&apply).await?;
    assert!(again.lines().count() > 10, "{again}");
    webhooks::are_the_charts_with_their_bundle(&server).await?;
    let get = ["get", "namespace", "byrnie-system", "--output=jsonpath={.metadata.labels}"];
    let labels: Value = serde_json::from_str(&server.kubectl(&get).await?)?;
    assert_eq!(labels["pod-security.kubernetes.io/enforce"], "restricted");
    webhooks::meddle(&server).await?;
    let chart = chart();
    let options = ["upgrade", "--install", "byrnie", &chart, "--namespace", "byrnie-system", "--take-ownership"];
    place.helm(4, &server.kubeconfig(), &[&options[..], &["--server-side=true", "--force-conflicts"]].concat())?;
    webhooks::are_the_charts_with_their_bundle(&server).await?;
    Ok(())
}

#[tokio::test]
async fn its_pods_keep_to_the_restricted_pod_security_standard() -> Result<()> {
    let server = ApiServer::shared().await?;
    let namespace = server.namespace("restricted").await?;
    let label = "pod-security.kubernetes.io/enforce=restricted";
    server.kubectl(&["label", "namespace", &namespace, label]).await?;
    let place = Place::new()?;
    let printed = install(&["--skip-crds", "--namespace", &namespace, "--set", "issuerSecret=own"])?;
    let mut tried = 0;
    for deployment in printed.split("\n---\n").filter(|one| one.contains("\nkind: Deployment\n")) {
        let file = place.file("deployment.yaml", deployment)?;
        let create = ["create", "--dry-run=server", "--output=json", "--filename", &file];
        let deployment: Value = serde_json::from_str(&server.kubectl(&create).await?)?;
        let name = deployment["metadata"]["name"].as_str().context("a deployment has a name")?;
        let mut pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": format!("{name}-1"), "namespace": namespace},
            "spec": deployment["spec"]["template"]["spec"],
        });
        server.create(&pod).await?;
        pod["metadata"]["name"] = format!("{name}-2").into();
        pod["spec"]["containers"][0]["securityContext"] = json!({});
        let refused = server.create(&pod).await.unwrap_err().to_string();
        assert!(refused.contains("violates PodSecurity \"restricted:latest\""), "{refused}");
        tried += 1;
    }
    assert_eq!(tried, 2, "the control plane and the injector");
    Ok(())
}
