//! `charts/byrnie`, as it is in this program.

use anyhow::{Context, Result};
use serde_json::json;

use super::{template::Templates, values::Values};

/// What holds where nobody says otherwise.
pub const VALUES: &str = include_str!("../../../charts/byrnie/values.yaml");

const HELPERS: &str = include_str!("../../../charts/byrnie/templates/_helpers.tpl");

/// In the order in which they are best applied.
const TEMPLATES: [(&str, &str); 13] = [
    ("serviceaccount.yaml", include_str!("../../../charts/byrnie/templates/serviceaccount.yaml")),
    ("clusterrole.yaml", include_str!("../../../charts/byrnie/templates/clusterrole.yaml")),
    ("role.yaml", include_str!("../../../charts/byrnie/templates/role.yaml")),
    ("services.yaml", include_str!("../../../charts/byrnie/templates/services.yaml")),
    ("poddisruptionbudget.yaml", include_str!("../../../charts/byrnie/templates/poddisruptionbudget.yaml")),
    ("deployment.yaml", include_str!("../../../charts/byrnie/templates/deployment.yaml")),
    ("injector/serviceaccount.yaml", include_str!("../../../charts/byrnie/templates/injector/serviceaccount.yaml")),
    ("injector/clusterrole.yaml", include_str!("../../../charts/byrnie/templates/injector/clusterrole.yaml")),
    ("injector/role.yaml", include_str!("../../../charts/byrnie/templates/injector/role.yaml")),
    ("injector/service.yaml", include_str!("../../../charts/byrnie/templates/injector/service.yaml")),
    (
        "injector/poddisruptionbudget.yaml",
        include_str!("../../../charts/byrnie/templates/injector/poddisruptionbudget.yaml"),
    ),
    ("injector/deployment.yaml", include_str!("../../../charts/byrnie/templates/injector/deployment.yaml")),
    ("injector/webhooks.yaml", include_str!("../../../charts/byrnie/templates/injector/webhooks.yaml")),
];

/// The chart has the version of this program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The documents that the chart gives with these values.
pub fn render(values: &Values, namespace: &str) -> Result<Vec<String>> {
    let fields = json!({
        "Values": values,
        "Chart": {"AppVersion": VERSION},
        "Release": {"Namespace": namespace},
    });
    let mut templates = Templates::default();
    templates.define(HELPERS).context("_helpers.tpl")?;
    let mut documents = Vec::new();
    for (name, text) in TEMPLATES {
        let text = templates.render(text, &fields).context(name)?;
        // What a condition leaves out is empty.
        if !text.trim().is_empty() {
            documents.push(text.trim().to_owned() + "\n");
        }
    }
    Ok(documents)
}
