//! A container of the Pod over the one that would be added: what a Pod's own `byrnie-proxy` may say, and what stays of a
//! container that was added before, when others have changed it since.

use serde_json::{Map, Value};

use crate::{annotation::Annotation, refusal::Refusal, settings::Settings};

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
    Earlier,
}

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
                origin.check(&field, &[Annotation::ProxyImage])?;
                *wanted = value;
            }
            "resources" => {
                origin.check(&field, &Annotation::RESOURCES)?;
                lay(wanted, value);
            }
            name if AS_IT_STANDS.contains(&name) => *wanted = value,
            name => match BY_KEY.iter().find(|(list, _)| *list == name) {
                Some((_, key)) => add(wanted, value, key, |item| origin.refuse(&format!("{field}[{item}]")))?,
                None => origin.refuse(&field)?,
            },
        }
    }
    // Looking at a field has made it null.
    if let Value::Object(fields) = &mut merged {
        fields.retain(|_, value| !value.is_null());
    }
    Ok(merged)
}

impl Origin<'_> {
    /// Refuses what the settings do not let a Pod set.
    fn check(self, field: &str, annotations: &[Annotation]) -> Result<(), Refusal> {
        let Self::Author { settings, place } = self else { return Ok(()) };
        match annotations.iter().find(|annotation| !settings.allowed.contains(annotation)) {
            None => Ok(()),
            Some(annotation) => {
                Err(Refusal::OwnNotAllowed { field: format!("{place}.{field}"), annotation: *annotation })
            }
        }
    }

    /// Refuses what only the mesh may say.
    fn refuse(self, field: &str) -> Result<(), Refusal> {
        let Self::Author { place, .. } = self else { return Ok(()) };
        let mut accepted: Vec<&str> = BY_KEY.iter().map(|(list, _)| *list).collect();
        accepted.extend(AS_IT_STANDS);
        accepted.extend(["image", "resources"]);
        accepted.sort_unstable();
        Err(Refusal::Own { field: format!("{place}.{field}"), accepted: accepted.join(", ") })
    }
}

/// Adds the items whose key is new; one that differs from ours is told.
fn add(
    list: &mut Value,
    own: Value,
    key: &str,
    mut conflict: impl FnMut(&str) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let Value::Array(own) = own else { return Ok(()) };
    let mut items = match list.take() {
        Value::Array(items) => items,
        _ => Vec::new(),
    };
    let ours = items.len();
    for item in own {
        match items[..ours].iter().find(|one| one[key] == item[key]) {
            Some(one) if *one == item => {}
            Some(one) => conflict(&one[key].as_str().map_or_else(|| one[key].to_string(), str::to_owned))?,
            None => items.push(item),
        }
    }
    *list = Value::Array(items);
    Ok(())
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
