use std::path::PathBuf;

use anyhow::Result;
use byrnie_control_plane::describe::{self, DescribeError};
use byrnie_model::{ObjectRef, World};
use serde_json::Value;

use crate::{
    output::{self, Format},
    remote::Admin,
};

/// `byrnie describe`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The object: KIND/NAMESPACE/NAME, such as HTTPRoute/shop/cart or Service/shop/cart
    #[arg(value_parser = object)]
    object: ObjectRef,
    /// Read this directory instead of asking a running control plane
    #[arg(long, value_name = "DIR")]
    config: Option<PathBuf>,
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    admin: Admin,
}

/// Prints what the object does.
pub async fn run(args: &Args) -> Result<()> {
    let description = match &args.config {
        Some(directory) => {
            let batch = byrnie_source::read_once(directory)?;
            let (world, _) = World::default().apply(batch.updates);
            describe::describe(&world, &args.object)?
        }
        None => args.admin.control_plane().await?.any(&format!("/debug/describe?object={}", args.object)).await?,
    };
    output::print(args.output, &description, |description| outline(description, 0));
    Ok(())
}

fn object(text: &str) -> Result<ObjectRef, DescribeError> {
    describe::parse_object(text)
}

/// A document as an indented outline: what `kubectl describe` looks like.
fn outline(value: &Value, depth: usize) -> String {
    let indent = "  ".repeat(depth);
    let nested = |name: &str, inner: &Value| match inner {
        Value::Object(fields) if !fields.is_empty() => format!("{indent}{name}:\n{}", outline(inner, depth + 1)),
        Value::Array(items) if items.iter().any(|item| item.is_object()) => {
            let one =
                |item: &Value| outline(item, depth + 2).replacen(&"  ".repeat(depth + 2), &format!("{indent}  - "), 1);
            format!("{indent}{name}:\n{}", items.iter().map(one).collect::<String>())
        }
        plain => format!("{indent}{name}: {}\n", output::cell(Some(plain))),
    };
    match value {
        Value::Object(fields) => fields.iter().map(|(name, inner)| nested(name, inner)).collect(),
        plain => format!("{indent}{}\n", output::cell(Some(plain))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_of_objects_is_outlined_with_a_dash_each() {
        let value = json!({"object": "x", "parents": [{"a": 1, "b": [2, 3]}, {"a": null}]});
        assert_eq!(outline(&value, 0), "object: x\nparents:\n  - a: 1\n    b: 2, 3\n  - a: -\n");
    }
}
