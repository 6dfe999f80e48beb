mod chart;
mod layers;
mod template;
mod values;

use std::{io::Write, path::PathBuf};

use anyhow::{Context, Result};
use serde_json::json;

use self::layers::Layers;

/// `byrnie install`
#[derive(Debug, clap::Args)]
#[command(after_help = "Apply what is printed:  byrnie install | kubectl apply --server-side -f -\n\n\
                  It is what `helm template` makes of charts/byrnie, after the definitions and the namespace.")]
pub struct Args {
    /// The namespace of the control plane
    #[arg(short, long, value_name = "NAME", default_value = byrnie_control_plane::cluster_names::NAMESPACE, value_parser = values::label)]
    namespace: String,
    /// A file of values, as for Helm; a later one goes before an earlier one
    #[arg(short = 'f', long, value_name = "FILE")]
    values: Vec<PathBuf>,
    /// Single values, such as replicas=3,image.tag=1.2; they go before those of files
    #[arg(long, value_name = "FIELD=VALUE")]
    set: Vec<String>,
    /// Leave out the definitions of the mesh's own kinds
    #[arg(long)]
    skip_crds: bool,
    /// Whether the namespace is among what is printed
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    create_namespace: bool,
}

/// Prints the objects of the control plane.
pub fn run(args: &Args) -> Result<()> {
    let mut layers = Layers::new(chart::VALUES).context("values.yaml of the chart")?;
    for file in &args.values {
        layers.add_file(file)?;
    }
    for assignments in &args.set {
        layers.add_assignments(assignments)?;
    }
    let mut documents = Vec::new();
    if !args.skip_crds {
        documents.extend(byrnie_source::crds::definitions().iter().map(byrnie_source::crds::yaml));
    }
    if args.create_namespace {
        documents.push(namespace(&args.namespace));
    }
    documents.extend(chart::render(layers.values(), &args.namespace)?);
    Ok(std::io::stdout().write_all(documents.join("---\n").as_bytes())?)
}

/// The control plane keeps to the strictest of the pod security standards, and nothing else belongs beside it.
fn namespace(name: &str) -> String {
    byrnie_source::crds::yaml(&json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": name,
            "labels": {
                "app.kubernetes.io/part-of": "byrnie",
                "pod-security.kubernetes.io/enforce": "restricted",
            },
        },
    }))
}
