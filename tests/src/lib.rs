//! What the end-to-end tests and the benchmarks share: a control plane, sidecars and a Kubernetes API server as real
//! processes, applications inside the test, and objects in a directory or at that server.
//!
//! Nothing here decides a test; `tests/` does. Every process ends with the value that owns it.

pub mod agent;
pub mod app;
pub mod http;
pub mod injector;
pub mod kubernetes;
pub mod load;
pub mod mesh;
pub mod netns;
pub mod objects;
pub mod pair;
pub mod process;
pub mod replica;
pub mod shop;
pub mod sidecar;
pub mod tcp;
pub mod tools;
pub mod wait;
pub mod yaml;
