use std::{fmt, str::FromStr};

/// `NAMESPACE/POD`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    text: String,
    slash: usize,
}

/// A text that is no workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("NAMESPACE/POD is accepted, such as shop/cart-1")]
pub struct WorkloadError;

impl Workload {
    /// Of the Pod.
    pub fn namespace(&self) -> &str {
        &self.text[..self.slash]
    }

    /// Of the Pod.
    pub fn pod(&self) -> &str {
        &self.text[self.slash + 1..]
    }

    /// `NAMESPACE/POD`
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Workload {
    type Err = WorkloadError;

    fn from_str(text: &str) -> Result<Self, WorkloadError> {
        // RFC 1123, section 2.1, as Kubernetes has it for both names.
        let is_name = |name: &str| {
            let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
            !name.is_empty() && name.len() <= 253 && name.bytes().all(fits)
        };
        match text.split_once('/') {
            Some((namespace, pod)) if is_name(namespace) && is_name(pod) => {
                Ok(Self { text: text.to_owned(), slash: namespace.len() })
            }
            _ => Err(WorkloadError),
        }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
