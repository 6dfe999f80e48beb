//! What holds for the Pods of files: the options, and over them what a MeshConfig says, as it is with the webhook.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use byrnie_injector::Settings;
use byrnie_source::objects::mesh_config;
use serde_json::Value;

use super::{
    Args, called,
    documents::{self, Document},
    text,
    workload::for_each,
};

/// The one MeshConfig that counts.
const NAME: &str = "default";

/// By the MeshConfig that an option names, else by one among the files, else by the options alone.
pub fn settings(args: &Args, files: &[(&PathBuf, Vec<Document<'_>>)]) -> Result<Settings> {
    let base = by_options(args);
    if let Some(file) = &args.mesh_config {
        let text = text(file)?;
        let read = documents::read(&text).with_context(|| called(file))?;
        let found = found([(file.as_path(), read.as_slice())])?;
        let Some((_, object)) = found else { bail!("{}: has no MeshConfig {NAME}; one is accepted", called(file)) };
        return over(&base, file, &object);
    }
    match found(files.iter().map(|(file, read)| (file.as_path(), read.as_slice())))? {
        Some((file, object)) => over(&base, file, &object),
        None => Ok(base),
    }
}

fn by_options(args: &Args) -> Settings {
    let mut settings = Settings { namespace: args.installation.namespace().to_owned(), ..Settings::default() };
    for (option, setting) in [
        (&args.init_image, &mut settings.init_image),
        (&args.proxy_image, &mut settings.proxy_image),
        (&args.envoy_image, &mut settings.envoy_image),
        (&args.image_pull_policy, &mut settings.image_pull_policy),
    ] {
        if let Some(option) = option {
            setting.clone_from(option);
        }
    }
    settings
}

/// The MeshConfig of these, with the file that it stands in.
fn found<'a, 'd>(files: impl IntoIterator<Item = (&'a Path, &'a [Document<'d>])>) -> Result<Option<(&'a Path, Value)>>
where
    'd: 'a,
{
    let mut all = Vec::new();
    for (file, read) in files {
        for document in read {
            for_each(&document.value, &mut |object| {
                if is_mesh_config(object) {
                    all.push((file, object.clone()));
                }
            });
        }
    }
    if let [_, (file, _), ..] = all.as_slice() {
        bail!("{}: MeshConfig {NAME} is there a second time; one is accepted", called(file));
    }
    Ok(all.pop())
}

fn is_mesh_config(object: &Value) -> bool {
    let version = object["apiVersion"].as_str().unwrap_or_default();
    version.starts_with("mesh.byrnie.io/") && object["kind"] == "MeshConfig" && object["metadata"]["name"] == NAME
}

fn over(base: &Settings, file: &Path, object: &Value) -> Result<Settings> {
    let config = mesh_config(object).map_err(|error| anyhow!("{}: MeshConfig {NAME}: {error}", called(file)))?;
    Ok(base.with(&config.injection))
}
