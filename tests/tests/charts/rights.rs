//! What the chart's ServiceAccounts may do, and what they may not.

use std::fs;

use anyhow::Result;
use byrnie_tests::kubernetes::{ApiServer, gateway_crds};

/// Verb, resource with an object's name, and whether it is granted: in all namespaces, and then in its own alone.
const EVERYWHERE: &[(&str, &str, bool)] = &[
    ("watch", "pods", true),
    ("list", "nodes", true),
    ("watch", "endpointslices.discovery.k8s.io", true),
    ("watch", "customresourcedefinitions.apiextensions.k8s.io", true),
    ("get", "httproutes.gateway.networking.k8s.io", true),
    ("patch", "grpcroutes.gateway.networking.k8s.io/status", true),
    ("patch", "meshconfigs.mesh.byrnie.io/status", true),
    ("create", "tokenreviews.authentication.k8s.io", true),
    ("create", "events.events.k8s.io", true),
    ("patch", "configmaps/byrnie-trust", true),
    ("watch", "configmaps/byrnie-trust", true),
    ("get", "configmaps/other", false),
    ("create", "configmaps", false),
    ("delete", "configmaps/byrnie-trust", false),
    ("list", "secrets", false),
    ("get", "secrets/byrnie-ca", false),
    ("get", "secrets/own", false),
    ("create", "secrets", false),
    ("patch", "httproutes.gateway.networking.k8s.io", false),
    ("update", "trafficpolicies.mesh.byrnie.io/status", false),
    ("create", "pods", false),
    ("patch", "pods", false),
    ("create", "serviceaccounts/default --subresource=token", false),
    ("create", "leases.coordination.k8s.io", false),
];
const AT_HOME: &[(&str, &str, bool)] = &[
    ("create", "leases.coordination.k8s.io", true),
    ("update", "leases.coordination.k8s.io/byrnie-control-plane", true),
    ("update", "leases.coordination.k8s.io/other", false),
    ("create", "secrets", true),
    ("watch", "secrets/byrnie-ca", true),
    ("update", "secrets/byrnie-ca", true),
    ("get", "secrets/own", true),
    ("get", "secrets/other", false),
    ("list", "secrets", false),
    ("delete", "secrets/byrnie-ca", false),
];
/// Of the injector, likewise.
const INJECTORS_EVERYWHERE: &[(&str, &str, bool)] = &[
    ("get", "namespaces/shop", true),
    ("watch", "namespaces", true),
    ("watch", "meshconfigs.mesh.byrnie.io", true),
    ("patch", "meshconfigs.mesh.byrnie.io/status", false),
    ("watch", "mutatingwebhookconfigurations.admissionregistration.k8s.io/byrnie-injector", true),
    ("patch", "mutatingwebhookconfigurations.admissionregistration.k8s.io/byrnie-injector", true),
    ("update", "mutatingwebhookconfigurations.admissionregistration.k8s.io/byrnie-injector", false),
    ("patch", "mutatingwebhookconfigurations.admissionregistration.k8s.io/other", false),
    ("create", "mutatingwebhookconfigurations.admissionregistration.k8s.io", false),
    ("delete", "mutatingwebhookconfigurations.admissionregistration.k8s.io/byrnie-injector", false),
    ("get", "pods", false),
    ("patch", "pods", false),
    ("get", "secrets/byrnie-ca", false),
    ("get", "configmaps/byrnie-trust", false),
    ("create", "tokenreviews.authentication.k8s.io", false),
    ("create", "serviceaccounts/default --subresource=token", false),
];
const INJECTORS_AT_HOME: &[(&str, &str, bool)] = &[
    ("watch", "configmaps/byrnie-trust", true),
    ("list", "configmaps/byrnie-trust", true),
    ("patch", "configmaps/byrnie-trust", false),
    ("get", "configmaps/other", false),
    ("get", "secrets/byrnie-ca", false),
    ("get", "pods", false),
];

#[tokio::test]
async fn the_accounts_may_do_what_they_need_and_no_more() -> Result<()> {
    let server = ApiServer::shared().await?;
    server.apply_crds(&gateway_crds()?).await?;
    let (home, elsewhere) = (server.namespace("home").await?, server.namespace("elsewhere").await?);
    let account = server.install_with(&home, &["--set", "issuerSecret=own"]).await?;
    let injector = server.kubeconfig_of(&home, "byrnie-injector").await?;
    for (account, namespace, rights) in [
        (&account, &elsewhere, EVERYWHERE),
        (&account, &home, AT_HOME),
        (&injector, &elsewhere, INJECTORS_EVERYWHERE),
        (&injector, &home, INJECTORS_AT_HOME),
    ] {
        for (verb, resource, expected) in rights {
            let words: Vec<&str> = resource.split(' ').collect();
            let mut arguments = vec!["auth", "can-i", verb, "--namespace", namespace];
            // As kubectl has it: a name follows the resource, a subresource is an option.
            let (resource, rest) = words[0].split_once('/').unwrap_or((words[0], ""));
            let (subresource, named) = (format!("--subresource={rest}"), format!("{resource}/{rest}"));
            match rest {
                "" => arguments.push(resource),
                "status" => arguments.extend([resource, &subresource]),
                _ => arguments.push(&named),
            }
            arguments.extend(&words[1..]);
            let answer = server.kubectl_as(account, &arguments).await;
            assert_eq!(answer.is_ok(), *expected, "{verb} {} in {namespace}: {answer:?}", words.join(" "));
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_account_makes_the_roots_of_a_namespace_by_server_side_apply() -> Result<()> {
    let server = ApiServer::shared().await?;
    let (home, shop) = (server.namespace("home").await?, server.namespace("shop").await?);
    let account = server.install_with(&home, &["--skip-crds"]).await?;
    let file = server.folder().join("roots.yaml");
    let path = file.display().to_string();
    for (name, expected) in [("byrnie-trust", true), ("other", false)] {
        let roots = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{root.crt: x}}\n");
        fs::write(&file, roots)?;
        let apply = ["apply", "--server-side", "--validate=false", "--namespace", &shop, "--filename", &path];
        let answer = server.kubectl_as(&account, &apply).await;
        assert_eq!(answer.is_ok(), expected, "{name}: {answer:?}");
    }
    Ok(())
}
