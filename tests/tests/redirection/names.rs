//! The ports of every application, and other words that all share.

/// HTTP/1.
pub const HTTP: u16 = 8080;
/// HTTP/1 for callers without a certificate too, and of no Service.
pub const OPEN: u16 = 8079;
/// HTTP/1 for callers without a certificate too, and of a headless Service.
pub const APART: u16 = 8078;
/// gRPC.
pub const GRPC: u16 = 8081;
/// Octets, sent back.
pub const ECHO: u16 = 8082;
/// The same, and the application speaks first.
pub const GREETS: u16 = 8083;
/// What it says.
pub const GREETING: &str = "220 at your service\r\n";
/// Where programs stand that the user of sidecars may run: what is below a home is closed to it.
pub const PROGRAMS: &str = "/run/programs";
