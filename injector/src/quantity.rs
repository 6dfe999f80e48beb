//! Quantities of Kubernetes: `100m`, `1.5`, `128Mi`, `1e3`.

pub use byrnie_model::is_quantity;
