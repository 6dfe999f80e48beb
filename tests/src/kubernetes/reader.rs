//! Who follows the API server by the rights that docs/kubernetes.md gives a control plane which only reads.

use std::path::PathBuf;

use anyhow::Result;

use super::ApiServer;

/// What `byrnie run --kubernetes` needs (docs/kubernetes.md).
const ROLE: &str = "apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: byrnie-source}
rules:
- {apiGroups: [''], resources: [namespaces, nodes, services, pods], verbs: [list, watch]}
- {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}
- {apiGroups: [gateway.networking.k8s.io], resources: [httproutes, grpcroutes], verbs: [list, watch]}
- {apiGroups: [mesh.byrnie.io], resources: [trafficpolicies, peerpolicies, meshconfigs], verbs: [list, watch]}
- {apiGroups: [apiextensions.k8s.io], resources: [customresourcedefinitions], verbs: [list, watch]}
- {apiGroups: [authentication.k8s.io], resources: [tokenreviews], verbs: [create]}
";

impl ApiServer {
    /// A kubeconfig of a ServiceAccount of this namespace that has just the rights that are needed.
    pub async fn reader(&self, namespace: &str) -> Result<PathBuf> {
        let account = format!(
            "apiVersion: v1
kind: ServiceAccount
metadata: {{name: byrnie, namespace: {namespace}}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: byrnie-source-{namespace}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: byrnie-source}}
subjects: [{{kind: ServiceAccount, name: byrnie, namespace: {namespace}}}]
"
        );
        self.apply(&format!("{ROLE}---\n{account}")).await?;
        self.kubeconfig_of(namespace, "byrnie").await
    }
}
