//! `proxy-status` and `proxy-config`: what proxies have asked for, were sent, and said of it.

use anyhow::Result;
use byrnie_control_plane::proxy_config;
use byrnie_model::WorkloadName;
use byrnie_proto::Kind;
use clap::ValueEnum;
use serde_json::Value;

use crate::{
    output::{self, Format},
    remote::Admin,
};

/// `byrnie proxy-status`
#[derive(Debug, clap::Args)]
pub struct StatusArgs {
    /// Only this workload: NAMESPACE/POD
    workload: Option<WorkloadName>,
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    admin: Admin,
}

/// `byrnie proxy-config`
#[derive(Debug, clap::Args)]
pub struct ConfigArgs {
    /// What to show
    #[arg(value_enum)]
    what: What,
    /// Of which proxy: NAMESPACE/POD
    workload: WorkloadName,
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    admin: Admin,
}

/// The kinds that can be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    #[value(alias = "listeners")]
    Listener,
    #[value(alias = "routes")]
    Route,
    #[value(alias = "clusters")]
    Cluster,
    #[value(alias = "endpoints")]
    Endpoint,
    #[value(alias = "secrets")]
    Secret,
}

/// Prints the connected proxies.
pub async fn status(args: &StatusArgs) -> Result<()> {
    let mut clients = args.admin.get("/debug/clients").await?;
    if let (Some(workload), Some(list)) = (&args.workload, clients.as_array_mut()) {
        list.retain(|client| client["node"] == workload.to_string());
    }
    output::print(args.output, &clients, status_table);
    Ok(())
}

/// Prints what one proxy was sent of one kind.
pub async fn config(args: &ConfigArgs) -> Result<()> {
    let kind = args.what.kind();
    let path = format!("/debug/config?node={}&kind={}", args.workload, kind.short());
    let rows = args.admin.get(&path).await?;
    output::print(args.output, &rows, |rows| output::table(array(rows), proxy_config::columns(kind)));
    Ok(())
}

/// One line a proxy with a word for each kind, then what was refused.
fn status_table(clients: &Value) -> String {
    let clients = array(clients);
    if clients.is_empty() {
        return "no proxy is connected\n".to_owned();
    }
    let mut text =
        output::table(clients, &["node", "dialect", "protocol", "CDS", "LDS", "EDS", "RDS", "SDS", "version"]);
    for client in clients {
        for refusal in array(&client["refused"]) {
            let field = |name: &str| output::cell(refusal.get(name));
            text.push_str(&format!(
                "\n{} refused {} {}: {}\n  from {}\n",
                output::cell(client.get("node")),
                field("kind"),
                field("resources"),
                field("message"),
                field("objects")
            ));
        }
    }
    text
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

impl What {
    fn kind(self) -> Kind {
        match self {
            Self::Listener => Kind::Listener,
            Self::Route => Kind::Route,
            Self::Cluster => Kind::Cluster,
            Self::Endpoint => Kind::Endpoints,
            Self::Secret => Kind::Secret,
        }
    }
}
