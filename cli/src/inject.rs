//! `byrnie inject`: does by hand what the webhook does.

mod documents;
mod live;
mod mesh;
mod workload;

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result, ensure};
use byrnie_control_plane::cluster_names::INJECT;
use byrnie_injector::{Decision, Namespace, Settings, decide};
use clap::builder::PossibleValuesParser;
use serde_json::{Value, json};

use self::{
    documents::Document,
    workload::{for_each, is_namespace, name, pods},
};
pub use self::{live::settings, workload::namespace};
use crate::{
    output::{self, Format},
    remote::Installation,
};

/// `byrnie inject`
#[derive(Debug, clap::Args)]
#[command(after_help = "Apply what is printed:  byrnie inject -f app.yaml | kubectl apply -f -\n\n\
                  What has no Pods, and Pods that get no sidecar, are printed as they stand.")]
pub struct Args {
    /// Pods of a cluster that --explain speaks of, in place of files: POD or NAMESPACE/POD
    #[arg(value_name = "POD", requires = "explain", conflicts_with_all = ["files", "inject_namespace"])]
    pods: Vec<String>,
    /// A file of YAML or JSON; - is standard input
    #[arg(short = 'f', long = "filename", value_name = "FILE", required_unless_present = "pods")]
    files: Vec<PathBuf>,
    /// Print which Pods get a sidecar, and why the others do not, in place of the objects
    #[arg(long)]
    explain: bool,
    /// Whether namespaces that the files do not hold have the label byrnie.io/inject=enabled
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    inject_namespace: bool,
    /// The namespace of objects that name none [default: default; for Pods of a cluster the context's]
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// The image of byrnie-init
    #[arg(long, value_name = "IMAGE")]
    init_image: Option<String>,
    /// The image of byrnie-proxy
    #[arg(long, value_name = "IMAGE")]
    proxy_image: Option<String>,
    /// The image of Envoy, for Pods that ask for one
    #[arg(long, value_name = "IMAGE")]
    envoy_image: Option<String>,
    /// When a node pulls these images [default: IfNotPresent]
    #[arg(long, value_name = "POLICY", value_parser = PossibleValuesParser::new(["Always", "IfNotPresent", "Never"]))]
    image_pull_policy: Option<String>,
    /// A file with the MeshConfig of the mesh [default: one among the files, else none]
    #[arg(long, value_name = "FILE", conflicts_with = "pods")]
    mesh_config: Option<PathBuf>,
    #[arg(short, long, value_enum, default_value_t, requires = "explain")]
    output: Format,
    #[command(flatten)]
    installation: Installation,
}

/// What was found in the files, and what became of it.
struct Injection<'a> {
    args: &'a Args,
    settings: Settings,
    namespaces: BTreeMap<String, Namespace>,
    /// A row for each Pod and each template of Pods.
    rows: Vec<Value>,
    refusals: Vec<String>,
}

/// Prints the objects with sidecars, or what would become of them. Nothing is printed where one is refused.
pub async fn run(args: &Args) -> Result<ExitCode> {
    match args.pods.is_empty() {
        true => of_files(args),
        false => live::run(args).await,
    }
}

fn of_files(args: &Args) -> Result<ExitCode> {
    let texts = args.files.iter().map(|file| Ok((file, text(file)?))).collect::<Result<Vec<_>>>()?;
    let mut files = Vec::new();
    for (file, text) in &texts {
        files.push((*file, documents::read(text).with_context(|| called(file))?));
    }
    let mut injection = Injection::new(args, &files)?;
    let printed = injection.all(files);
    if args.explain {
        explain(args.output, injection.rows);
        return Ok(if injection.refusals.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    ensure!(injection.refusals.is_empty(), "{}", injection.refusals.join("\nbyrnie: "));
    io::stdout().write_all(printed.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn explain(format: Format, rows: Vec<Value>) {
    output::print(format, &rows.into(), |rows| {
        output::table(rows.as_array().map_or(&[], Vec::as_slice), &["object", "injected", "reason"])
    });
}

fn text(file: &Path) -> Result<String> {
    if file == Path::new("-") {
        let mut text = String::new();
        return io::stdin().read_to_string(&mut text).map(|_| text).context("cannot read standard input");
    }
    fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

fn called(file: &Path) -> String {
    if file == Path::new("-") { "standard input".to_owned() } else { file.display().to_string() }
}

impl<'a> Injection<'a> {
    fn new(args: &'a Args, files: &[(&PathBuf, Vec<Document<'_>>)]) -> Result<Self> {
        let settings = mesh::settings(args, files)?;
        let mut namespaces = BTreeMap::new();
        for document in files.iter().flat_map(|(_, documents)| documents) {
            for_each(&document.value, &mut |object| {
                if is_namespace(object) {
                    let namespace = namespace(object);
                    namespaces.insert(namespace.name.clone(), namespace);
                }
            });
        }
        Ok(Self { args, settings, namespaces, rows: Vec::new(), refusals: Vec::new() })
    }

    /// What is printed.
    fn all(&mut self, files: Vec<(&PathBuf, Vec<Document<'_>>)>) -> String {
        let mut printed = Vec::new();
        for (file, documents) in files {
            printed.extend(documents.into_iter().map(|document| self.document(file, document)));
        }
        printed.join("---\n")
    }

    /// The document with sidecars; as it stands where nothing changes.
    fn document(&mut self, file: &Path, document: Document<'_>) -> String {
        let Document { text, mut value } = document;
        let before = value.clone();
        pods(&mut value, &mut |object, place, pod| self.pod(file, object, place, pod));
        match value == before {
            true if text.ends_with('\n') => text.to_owned(),
            true => format!("{text}\n"),
            false => byrnie_source::crds::yaml(&value),
        }
    }

    /// A Pod or a template of Pods, which stands at a place of the object.
    fn pod(&mut self, file: &Path, object: &Value, place: &str, pod: &mut Value) {
        let space = object["metadata"]["namespace"].as_str().or(self.args.namespace.as_deref()).unwrap_or("default");
        let namespace = self.namespace(space);
        let object = name(object, space);
        let (is_injected, reason) = match decide(pod, &namespace, &self.settings) {
            Ok(Decision::Inject(cause, done)) => {
                *pod = done;
                (true, cause.to_string())
            }
            Ok(Decision::Skip(reason)) => (false, reason.to_string()),
            Err(refusal) => {
                let within = if place.is_empty() { String::new() } else { format!("{place}: ") };
                self.refusals.push(format!("{}: {object}: {within}{refusal}", called(file)));
                (false, format!("refused: {within}{refusal}"))
            }
        };
        self.rows.push(json!({"object": object, "injected": is_injected, "reason": reason}));
    }

    fn namespace(&self, name: &str) -> Namespace {
        let given = || {
            let label = self.args.inject_namespace.then(|| (INJECT.0.to_owned(), INJECT.1.to_owned()));
            Namespace { name: name.to_owned(), labels: label.into_iter().collect() }
        };
        self.namespaces.get(name).cloned().unwrap_or_else(given)
    }
}

#[cfg(test)]
mod tests;
