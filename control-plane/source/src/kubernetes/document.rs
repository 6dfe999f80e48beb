//! An object as the API server sends it, without what the mesh has no use for.

use std::{fmt, sync::Arc};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::{Map, Value};
use xxhash_rust::xxh3::xxh3_64;

use crate::objects;

/// What is kept of `metadata`. `managedFields` alone is often half of an object; fields of later versions of Kubernetes
/// are none of the user's slips.
const METADATA: [&str; 9] = [
    "name",
    "namespace",
    "labels",
    "annotations",
    "creationTimestamp",
    "deletionTimestamp",
    "generation",
    "resourceVersion",
    "uid",
];

/// An object. It is read and dropped at once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document(pub Value);

/// A part of a list, or all of it.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Page {
    #[serde(default)]
    metadata: PageMeta,
    items: Option<Vec<Document>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PageMeta {
    resource_version: String,
    #[serde(rename = "continue")]
    after: Option<String>,
}

impl Document {
    fn metadata(&self, field: &str) -> Option<&str> {
        self.0.get("metadata")?.get(field)?.as_str()
    }

    /// `metadata.name`
    pub fn name(&self) -> Option<&str> {
        self.metadata("name")
    }

    /// Namespace, empty for a cluster-scoped kind, and name.
    pub fn key(&self) -> Option<(Arc<str>, Arc<str>)> {
        Some((self.metadata("namespace").unwrap_or_default().into(), self.name()?.into()))
    }

    /// `metadata.generation`, 0 where it has none.
    pub fn generation(&self) -> i64 {
        self.0.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or_default()
    }

    /// `metadata.resourceVersion`, from where a watch goes on.
    pub fn version(&self) -> Option<&str> {
        self.metadata("resourceVersion")
    }

    /// What tells this state of the object from all others, also from one that had its name before.
    pub fn stamp(&self) -> Option<u64> {
        self.version().map(|version| xxh3_64(version.as_bytes()))
    }
}

impl Page {
    /// Where the next page begins, if there is one.
    pub fn after(&self) -> Option<&str> {
        self.metadata.after.as_deref().filter(|after| !after.is_empty())
    }

    /// The version of the whole list, from where a watch goes on.
    pub fn version(&self) -> &str {
        &self.metadata.resource_version
    }

    /// The objects.
    pub fn into_items(self) -> Vec<Document> {
        self.items.unwrap_or_default()
    }
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut value = deserializer.deserialize_map(Fields)?;
        objects::prune(&mut value);
        Ok(Self(value))
    }
}

/// The fields of an object.
struct Fields;

/// Its `metadata`.
struct Metadata(Value);

impl<'de> Visitor<'de> for Fields {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a Kubernetes object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let value = if key == "metadata" { map.next_value::<Metadata>()?.0 } else { map.next_value()? };
            fields.insert(key, value);
        }
        Ok(Value::Object(fields))
    }
}

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Kept;
        impl<'de> Visitor<'de> for Kept {
            type Value = Metadata;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the metadata of an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Metadata, A::Error> {
                let mut fields = Map::new();
                while let Some(key) = map.next_key::<String>()? {
                    if METADATA.contains(&key.as_str()) {
                        fields.insert(key, map.next_value()?);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(Metadata(Value::Object(fields)))
            }
        }
        deserializer.deserialize_map(Kept)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn of_metadata_only_what_is_read_is_kept_and_nulls_are_not() {
        let text = r#"{"kind": "Pod", "metadata": {"name": "a", "managedFields": [{"manager": "m"}], "uid": "u",
            "aFieldOfTomorrow": 1, "resourceVersion": "7", "creationTimestamp": null}, "spec": {"nodeName": null}}"#;
        let document: Document = serde_json::from_str(text).unwrap();
        assert_eq!(
            document.0,
            json!({"kind": "Pod", "metadata": {"name": "a", "resourceVersion": "7", "uid": "u"}, "spec": {}})
        );
        assert_eq!((document.name(), document.version()), (Some("a"), Some("7")));
    }

    #[test]
    fn a_list_without_items_is_empty() {
        let page: Page = serde_json::from_str(r#"{"metadata": {"resourceVersion": "7"}, "items": null}"#).unwrap();
        assert_eq!((page.version(), page.after()), ("7", None));
        assert!(page.into_items().is_empty());
    }
}
