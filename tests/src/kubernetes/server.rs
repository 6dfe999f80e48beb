//! How the API server and the controller manager are set up.

use std::{fs, net::SocketAddr, path::Path, process::Command};

use anyhow::Result;
use rcgen::KeyPair;

use super::{
    audit,
    authority::{Authority, Certificate},
    programs,
};

/// The program of the API server.
pub const SERVER: &str = "kube-apiserver";
/// The program of the controllers.
pub const CONTROLLERS: &str = "kube-controller-manager";

/// Who signs the tokens of ServiceAccounts, and the audience of a token that names none.
const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
/// Both families, IPv4 unless a Service asks for more.
const SERVICES: &str = "10.96.0.0/16,fd00::/108";
/// The first address of `SERVICES`, which is the API server's own.
const KUBERNETES: &str = "10.96.0.1";

/// Writes the certificates, the key of ServiceAccounts' tokens and the kubeconfigs.
pub fn write_files(folder: &Path, authority: &Authority, address: SocketAddr) -> Result<()> {
    fs::write(folder.join("ca.crt"), authority.pem())?;
    let ip = address.ip().to_string();
    let names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost", KUBERNETES, &ip];
    write_certificate(folder, "server", &authority.server(&names)?)?;
    for (file, user, group) in
        [("admin", "admin", "system:masters"), (CONTROLLERS, "system:kube-controller-manager", "")]
    {
        write_certificate(folder, file, &authority.client(user, group)?)?;
        let path = |end| folder.join(format!("{file}.{end}")).display().to_string();
        let user = format!("client-certificate: {}, client-key: {}", path("crt"), path("key"));
        fs::write(path("kubeconfig"), kubeconfig(folder, address, &user))?;
    }
    fs::write(folder.join("audit.yaml"), audit::POLICY)?;
    let key = KeyPair::generate()?;
    fs::write(folder.join("accounts.key"), key.serialize_pem())?;
    Ok(fs::write(folder.join("accounts.pub"), key.public_key_pem())?)
}

/// A kubeconfig for a user, given as its fields in flow style.
pub fn kubeconfig(folder: &Path, address: SocketAddr, user: &str) -> String {
    let authority = folder.join("ca.crt");
    format!(
        "apiVersion: v1
kind: Config
clusters: [{{name: test, cluster: {{server: 'https://{address}', certificate-authority: {}}}}}]
users: [{{name: test, user: {{{user}}}}}]
contexts: [{{name: test, context: {{cluster: test, user: test}}}}]
current-context: test
",
        authority.display()
    )
}

/// The API server.
pub fn command(folder: &Path, address: SocketAddr, etcd: SocketAddr) -> Result<Command> {
    let mut command = Command::new(programs::path(SERVER)?);
    let file = |flag: &str, name: &str| format!("--{flag}={}", folder.join(name).display());
    command.arg(format!("--etcd-servers=http://{etcd}"));
    command.arg(format!("--bind-address={}", address.ip())).arg(format!("--secure-port={}", address.port()));
    command.args([file("client-ca-file", "ca.crt"), file("tls-cert-file", "server.crt")]);
    command.args([file("tls-private-key-file", "server.key"), file("cert-dir", "")]);
    command.args([file("audit-policy-file", "audit.yaml"), file("audit-log-path", audit::LOG)]);
    command.args([file("service-account-key-file", "accounts.pub")]);
    command.args([file("service-account-signing-key-file", "accounts.key")]);
    command.args([
        &format!("--service-account-issuer={ISSUER}"),
        &format!("--service-cluster-ip-range={SERVICES}"),
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        // Pods may be made although no controller makes the ServiceAccount of their namespace.
        "--disable-admission-plugins=ServiceAccount",
        "--allow-privileged=true",
        // Nobody reaches it by the Service `kubernetes`: a documentation address (RFC 5737) which nothing publishes.
        "--advertise-address=192.0.2.1",
        "--endpoint-reconciler-type=none",
        // Compaction is the test's own.
        "--etcd-compaction-interval=0",
    ]);
    Ok(command)
}

/// The controllers that Services, ServiceAccounts and ownership need.
pub fn controllers(folder: &Path) -> Result<Command> {
    let mut command = Command::new(programs::path(CONTROLLERS)?);
    let file = |flag: &str, name: &str| format!("--{flag}={}", folder.join(name).display());
    command.arg(file("kubeconfig", &format!("{CONTROLLERS}.kubeconfig")));
    command.arg(file("service-account-private-key-file", "accounts.key"));
    command.args([file("root-ca-file", "ca.crt"), file("flex-volume-plugin-dir", "volumes")]);
    command.args(["--use-service-account-credentials", "--leader-elect=false", "--secure-port=0"]);
    command.arg(
        "--controllers=serviceaccount-controller,serviceaccount-token-controller,namespace-controller,\
         root-ca-certificate-publisher-controller,endpointslice-controller,garbage-collector-controller,\
         deployment-controller,replicaset-controller",
    );
    Ok(command)
}

fn write_certificate(folder: &Path, name: &str, certificate: &Certificate) -> Result<()> {
    fs::write(folder.join(format!("{name}.crt")), certificate.pem())?;
    Ok(fs::write(folder.join(format!("{name}.key")), certificate.key_pem())?)
}
