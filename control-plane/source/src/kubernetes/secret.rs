//! Secrets as documents.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

/// What a Secret holds, by key. What is no base64 is left out: the API server keeps none such.
pub fn data(secret: &Value) -> BTreeMap<String, Vec<u8>> {
    let fields = secret["data"].as_object().into_iter().flatten();
    fields.filter_map(|(key, value)| Some((key.clone(), STANDARD.decode(value.as_str()?).ok()?))).collect()
}

/// An opaque Secret that holds `texts`.
pub fn opaque(namespace: &str, name: &str, texts: &BTreeMap<String, Vec<u8>>) -> Value {
    let data: BTreeMap<_, _> = texts.iter().map(|(key, text)| (key, STANDARD.encode(text))).collect();
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "namespace": namespace,
            "name": name,
            "labels": {"app.kubernetes.io/part-of": "byrnie", "app.kubernetes.io/managed-by": "byrnie-control-plane"},
        },
        "type": "Opaque",
        "data": data,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_comes_out() {
        let texts = BTreeMap::from([("root.crt".to_owned(), b"-----\n".to_vec()), ("empty".to_owned(), Vec::new())]);
        assert_eq!(data(&opaque("byrnie-system", "byrnie-ca", &texts)), texts);
        assert!(data(&json!({"kind": "Secret"})).is_empty());
    }
}
