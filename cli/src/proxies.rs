//! `proxy-status` and `proxy-config`: what proxies have asked for, were sent, and said of it.

use anyhow::Result;
use byrnie_control_plane::proxy_config;
use byrnie_model::WorkloadName;
use byrnie_proto::Kind;
use clap::ValueEnum;
use serde_json::Value;

use crate::{
    output::{self, Format},
    remote::{Admin, Answer},
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
    let control_plane = args.admin.control_plane().await?;
    let mut clients = merged(control_plane.all("/debug/clients").await?);
    if let Some(workload) = &args.workload {
        clients.retain(|client| client["node"] == workload.to_string());
    }
    let clients = Value::Array(clients);
    output::print(args.output, &clients, status_table);
    Ok(())
}

/// Prints what one proxy was sent of one kind.
pub async fn config(args: &ConfigArgs) -> Result<()> {
    let kind = args.what.kind();
    let path = format!("/debug/config?node={}&kind={}", args.workload, kind.short());
    let rows = args.admin.control_plane().await?.any(&path).await?;
    output::print(args.output, &rows, |rows| output::table(array(rows), proxy_config::columns(kind)));
    Ok(())
}

/// The proxies of all replicas by their names, each with its replica where it has one.
pub fn merged(answers: Vec<Answer>) -> Vec<Value> {
    let mut clients = Vec::new();
    for Answer { replica, document } in answers {
        for mut client in array(&document).iter().cloned() {
            if let (Some(replica), Some(fields)) = (&replica, client.as_object_mut()) {
                fields.insert("replica".to_owned(), replica.as_str().into());
            }
            clients.push(client);
        }
    }
    clients.sort_by(|one, other| one["node"].as_str().cmp(&other["node"].as_str()));
    clients
}

/// One line a proxy with a word for each kind, then what was refused.
fn status_table(clients: &Value) -> String {
    let clients = array(clients);
    if clients.is_empty() {
        return "no proxy is connected\n".to_owned();
    }
    let mut columns = vec!["node", "dialect", "protocol", "CDS", "LDS", "EDS", "RDS", "SDS", "version"];
    if clients.iter().any(|client| client["replica"].is_string()) {
        columns.push("replica");
    }
    let mut text = output::table(clients, &columns);
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_proxies_of_all_replicas_stand_in_one_list() {
        let client = |node: &str| json!({"node": node, "dialect": "envoy", "CDS": "synced", "refused": []});
        let answer = |replica: Option<&str>, nodes: &[&str]| Answer {
            replica: replica.map(str::to_owned),
            document: nodes.iter().map(|node| client(node)).collect(),
        };
        let merged =
            merged(vec![answer(Some("one"), &["shop/cart-1", "shop/web-1"]), answer(Some("two"), &["shop/a"])]);
        let nodes: Vec<_> = merged.iter().map(|client| [&client["node"], &client["replica"]]).collect();
        assert_eq!(nodes, [["shop/a", "two"], ["shop/cart-1", "one"], ["shop/web-1", "one"]]);
        let table = status_table(&Value::Array(merged));
        assert!(table.lines().next().unwrap().ends_with("  REPLICA") && table.contains(" two\n"), "{table}");
        let here = status_table(&Value::Array(super::merged(vec![answer(None, &["shop/a"])])));
        assert!(!here.contains("REPLICA"), "{here}");
        assert_eq!(status_table(&json!([])), "no proxy is connected\n");
    }
}
