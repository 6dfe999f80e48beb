//! Compiles Byrnie's own `.proto` files in Rust; no protoc is needed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=protos");
    let files = protox::compile(["protos/byrnie_ca_v1.proto", "protos/byrnie_fleet_v1.proto"], ["protos"])?;
    tonic_prost_build::configure().compile_fds(files)?;
    Ok(())
}
