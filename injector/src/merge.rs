//! A container of the Pod over the one that would be added: what a Pod's own `byrnie-proxy` may say, and what stays of a
//! container that was added before, when others have changed it since.
//!
//! That a container was added before is what the Pod says of itself, and anybody can write. So nothing stays of one that its
//! author could not have said too, but for what the API server itself makes of every container that is added.

use serde_json::{Map, Value};

use crate::{annotation::Annotation, refusal::Refusal, settings::Settings, taken};

/// Lists whose items are told apart by a field.
const BY_KEY: [(&str, &str); 3] = [("env", "name"), ("ports", "containerPort"), ("volumeMounts", "mountPath")];

/// Fields that are taken as they stand.
const AS_IT_STANDS: [&str; 6] = [
    "imagePullPolicy",
    "lifecycle",
    "livenessProbe",
    "resizePolicy",
    "terminationMessagePath",
    "terminationMessagePolicy",
];

/// An image that stands for the one that would be added: in the template of a Deployment there has to be one.
const NO_IMAGE: &str = "auto";

/// Whose a container is.
#[derive(Clone, Copy, Debug)]
pub enum Origin<'a> {
    /// The Pod's author wrote it, so that what has no effect is refused.
    Author {
        /// What Pods may set.
        settings: &'a Settings,
        /// Where it stands.
        place: &'a str,
    },
    /// It was added before; what others have made of it is kept where an author may say it too, else undone.
    Earlier {
        /// What Pods may set.
        settings: &'a Settings,
    },
}

/// Where the API server puts the token of the account, in every container.
const API_TOKEN: &str = "/var/run/secrets/kubernetes.io";

/// What a LimitRange gives containers that say nothing of it.
const RANGED: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];

/// The template with what the container says.
pub fn over(template: &Value, own: Value, origin: Origin<'_>) -> Result<Value, Refusal> {
    let Value::Object(own) = own else { return Ok(template.clone()) };
    let has_image = own.get("image").is_some_and(|image| image != NO_IMAGE);
    let mut merged = template.clone();
    for (field, value) in own {
        let wanted = &mut merged[&field];
        if value.is_null() || value == *wanted {
            continue;
        }
        match field.as_str() {
            // By default an image without a tag is pulled always.
            "image" | "imagePullPolicy" if !has_image => {}
            "image" => {
                if origin.may(&field, &[Annotation::ProxyImage])? {
                    *wanted = value;
                }
            }
            "resources" => match origin.may(&field, &Annotation::RESOURCES)? {
                true => lay(wanted, value),
                false => fill(wanted, &value),
            },
            // To run a command in the sidecar is to have another image of it.
            "lifecycle" | "livenessProbe" if runs(&value) && !origin.may(&field, &[Annotation::ProxyImage])? => {}
            name if AS_IT_STANDS.contains(&name) => *wanted = value,
            name => match BY_KEY.iter().find(|(list, _)| *list == name) {
                Some((list, key)) => add(wanted, value, list, key, origin)?,
                None => origin.refuse(&field, &accepted())?,
            },
        }
    }
    // Looking at a field has made it null.
    if let Value::Object(fields) = &mut merged {
        fields.retain(|_, value| !value.is_null());
    }
    Ok(merged)
}

/// The template of a container that nobody but the mesh says anything of, with what the API server's own admission has made
/// of the one that was added before. It would not let the Pod through without.
pub fn alone(template: &Value, earlier: &Value) -> Value {
    let mut merged = template.clone();
    fill(&mut merged["resources"], &earlier["resources"]);
    if earlier["imagePullPolicy"] == "Always" {
        merged["imagePullPolicy"] = "Always".into();
    }
    let mounts = earlier["volumeMounts"].as_array().into_iter().flatten();
    let tokens: Vec<_> = mounts.filter(|mount| taken::is_within(&mount["mountPath"], API_TOKEN)).cloned().collect();
    if !tokens.is_empty() {
        match &mut merged["volumeMounts"] {
            Value::Array(mounts) => mounts.extend(tokens),
            none => *none = tokens.into(),
        }
    }
    // Looking at a field has made it null.
    if let Value::Object(fields) = &mut merged {
        fields.retain(|_, value| !value.is_null());
    }
    merged
}

impl Origin<'_> {
    /// Whether the settings let a Pod set this; an author is told where they do not.
    fn may(self, field: &str, annotations: &[Annotation]) -> Result<bool, Refusal> {
        let (Self::Author { settings, .. } | Self::Earlier { settings }) = self;
        match (annotations.iter().find(|annotation| !settings.allowed.contains(annotation)), self) {
            (None, _) => Ok(true),
            (Some(_), Self::Earlier { .. }) => Ok(false),
            (Some(annotation), Self::Author { place, .. }) => {
                Err(Refusal::OwnNotAllowed { field: format!("{place}.{field}"), annotation: *annotation })
            }
        }
    }

    /// Refuses what only the mesh may say.
    fn refuse(self, field: &str, accepted: &str) -> Result<(), Refusal> {
        match self {
            Self::Author { place, .. } => {
                Err(Refusal::Own { field: format!("{place}.{field}"), accepted: accepted.to_owned() })
            }
            Self::Earlier { .. } => Ok(()),
        }
    }
}

/// The fields that a container may have.
fn accepted() -> String {
    let mut accepted: Vec<&str> = BY_KEY.iter().map(|(list, _)| *list).collect();
    accepted.extend(AS_IT_STANDS);
    accepted.extend(["image", "resources"]);
    accepted.sort_unstable();
    accepted.join(", ")
}

/// Whether a probe or one of the hooks is a command.
fn runs(value: &Value) -> bool {
    let is_command = |action: &Value| action.get("exec").is_some_and(|command| !command.is_null());
    is_command(value) || ["postStart", "preStop"].iter().any(|hook| is_command(&value[*hook]))
}

/// Adds the items whose key is new, and that are nothing of the mesh's own; of others an author is told.
fn add(list: &mut Value, own: Value, name: &str, key: &str, origin: Origin<'_>) -> Result<(), Refusal> {
    let Value::Array(own) = own else { return Ok(()) };
    let mut items = match list.take() {
        Value::Array(items) => items,
        _ => Vec::new(),
    };
    let ours = items.len();
    for item in own {
        let one = items[..ours].iter().find(|one| one[key] == item[key]);
        if one == Some(&item) {
            continue;
        }
        match taken::of_item(name, &item).or(one.map(|_| "others")) {
            None => items.push(item),
            Some(accepted) => {
                let found = item[key].as_str().map_or_else(|| item[key].to_string(), str::to_owned);
                origin.refuse(&format!("{name}[{found}]"), accepted)?;
            }
        }
    }
    // A list of nothing is as none.
    *list = if items.is_empty() { Value::Null } else { items.into() };
    Ok(())
}

/// Adds the quantities that the template says nothing of.
fn fill(below: &mut Value, above: &Value) {
    for list in ["limits", "requests"] {
        for name in RANGED {
            let quantity = &above[list][name];
            if quantity.is_string() && below[list][name].is_null() {
                below[list][name] = quantity.clone();
            }
        }
    }
}

/// Objects are merged, all else is replaced.
fn lay(below: &mut Value, above: Value) {
    match (below, above) {
        (Value::Object(below), Value::Object(above)) => {
            above.into_iter().for_each(|(name, value)| lay(below.entry(name).or_insert(Value::Null), value));
        }
        (below @ Value::Null, Value::Object(above)) => {
            *below = Value::Object(Map::new());
            lay(below, Value::Object(above));
        }
        (below, above) => *below = above,
    }
}
