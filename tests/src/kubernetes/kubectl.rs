//! What a user does with the API server: objects, tokens, and kubectl for all else.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, process::Command};

use super::{ApiServer, programs, server};

impl ApiServer {
    /// kubectl as the administrator: its standard output, or an error with its standard error.
    pub async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.run(&self.kubeconfig(), arguments, "").await
    }

    /// kubectl as the user of another kubeconfig.
    pub async fn kubectl_as(&self, kubeconfig: &Path, arguments: &[&str]) -> Result<String> {
        self.run(kubeconfig, arguments, "").await
    }

    /// Applies objects by server-side apply.
    pub async fn apply(&self, yaml: &str) -> Result<()> {
        let arguments = ["apply", "--server-side", "--force-conflicts", "--filename", "-"];
        self.run(&self.kubeconfig(), &arguments, yaml).await?;
        Ok(())
    }

    /// Applies the files of a folder, or a file, with CRDs, and waits until their kinds are served.
    pub async fn apply_crds(&self, place: &Path) -> Result<()> {
        let place = place.to_str().context("the place of the CRDs is UTF-8")?;
        self.kubectl(&["apply", "--server-side", "--force-conflicts", "--filename", place]).await?;
        self.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"]).await?;
        Ok(())
    }

    /// Makes a namespace that no other test has, named by what it is for: `shop` gives `shop-1`.
    pub async fn namespace(&self, what: &str) -> Result<String> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("{what}-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.kubectl(&["create", "namespace", &name]).await?;
        Ok(name)
    }

    /// Creates an object, and returns it as the server answered. For reviews, which are answers and not kept.
    pub async fn create(&self, object: &Value) -> Result<Value> {
        let arguments = ["create", "--output", "json", "--filename", "-"];
        Ok(serde_json::from_str(&self.run(&self.kubeconfig(), &arguments, &object.to_string()).await?)?)
    }

    /// A new token of a ServiceAccount, for an audience (empty: the API server itself), and bound to `object` where it
    /// is given, such as `["Pod", "web-1"]`.
    pub async fn token(
        &self,
        namespace: &str,
        account: &str,
        audience: &str,
        object: Option<[&str; 2]>,
    ) -> Result<String> {
        let mut arguments = vec!["create", "token", account, "--namespace", namespace];
        if !audience.is_empty() {
            arguments.extend(["--audience", audience]);
        }
        if let Some([kind, name]) = object {
            arguments.extend(["--bound-object-kind", kind, "--bound-object-name", name]);
        }
        Ok(self.kubectl(&arguments).await?.trim().to_owned())
    }

    /// What the API server says of a token: the status of a TokenReview.
    pub async fn review(&self, token: &str, audience: &str) -> Result<Value> {
        let review = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": [audience]},
        });
        Ok(self.create(&review).await?["status"].take())
    }

    /// A kubeconfig by which one is a ServiceAccount, with a new token.
    pub async fn kubeconfig_of(&self, namespace: &str, account: &str) -> Result<PathBuf> {
        let token = self.token(namespace, account, "", None).await?;
        let file = self.folder().join(format!("{namespace}-{account}.kubeconfig"));
        fs::write(&file, server::kubeconfig(self.folder(), self.address, &format!("token: {token}")))?;
        Ok(file)
    }

    async fn run(&self, kubeconfig: &Path, arguments: &[&str], input: &str) -> Result<String> {
        let mut command = Command::new(programs::path("kubectl")?);
        // Its cache of discovery stands in its home.
        command.args(arguments).env("KUBECONFIG", kubeconfig).env("HOME", self.folder()).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("kubectl cannot be started")?;
        let mut stdin = child.stdin.take().context("it is a pipe")?;
        let (written, output) = tokio::join!(
            async {
                let written = stdin.write_all(input.as_bytes()).await;
                drop(stdin);
                written
            },
            child.wait_with_output()
        );
        let output = output?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "kubectl {}: {said}", arguments.join(" "));
        written.context("kubectl did not read what it was given")?;
        Ok(String::from_utf8(output.stdout)?)
    }
}
