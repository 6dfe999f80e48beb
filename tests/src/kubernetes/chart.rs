//! What the chart gives the control plane at an API server: its ServiceAccount, its rights and its Services.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use tokio::process::Command;

use super::ApiServer;
use crate::process::byrnie;

/// The ServiceAccount, the roles, their bindings and the Services have this name, or begin with it.
pub const CONTROL_PLANE: &str = "byrnie-control-plane";
/// So have those of the injector.
pub const INJECTOR: &str = "byrnie-injector";

/// The namespace is the test's own, nothing runs replicas here, and nobody would answer the API server for Pods.
const LEFT_OUT: [&str; 4] = ["Namespace", "Deployment", "PodDisruptionBudget", "MutatingWebhookConfiguration"];

impl ApiServer {
    /// Applies what `byrnie install` prints for a control plane in `namespace`, but for what runs it, and returns the
    /// kubeconfig by which one is its ServiceAccount. The namespace is made where it is missing.
    pub async fn install(&self, namespace: &str) -> Result<PathBuf> {
        self.install_with(namespace, &[]).await
    }

    /// The same with options of `byrnie install`, such as `["--set", "issuerSecret=own"]` or `["--skip-crds"]`.
    pub async fn install_with(&self, namespace: &str, options: &[&str]) -> Result<PathBuf> {
        let printed = printed(&[&["--namespace", namespace], options].concat()).await?;
        let mut documents = vec![format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {namespace}}}\n")];
        documents.extend(printed.split("\n---\n").filter(|one| !LEFT_OUT.contains(&kind(one))).map(|document| {
            match kind(document) {
                // Each namespace has its own; the chart knows of one control plane in a cluster.
                "ClusterRoleBinding" => [CONTROL_PLANE, INJECTOR].iter().fold(document.to_owned(), |document, name| {
                    document.replacen(&format!("  name: {name}\n"), &format!("  name: {name}-{namespace}\n"), 1)
                }),
                _ => document.to_owned(),
            }
        }));
        self.apply(&documents.join("\n---\n")).await?;
        if !options.contains(&"--skip-crds") {
            self.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"]).await?;
        }
        self.kubeconfig_of(namespace, CONTROL_PLANE).await
    }
}

/// What `byrnie install` prints with these options.
pub async fn printed(options: &[&str]) -> Result<String> {
    let output = Command::new(byrnie()?).arg("install").args(options).kill_on_drop(true).output().await?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "byrnie install {}: {said}", options.join(" "));
    Ok(String::from_utf8(output.stdout)?)
}

fn kind(document: &str) -> &str {
    document.lines().find_map(|line| line.strip_prefix("kind: ")).unwrap_or_default()
}
