//! Compiles the proto files without protoc and keeps their descriptors for server reflection.

use std::{env, fs, path::PathBuf};

const FILES: [&str; 9] = [
    "moorline/v1/fleet_service.proto",
    "moorline/v1/job.proto",
    "moorline/v1/preflight.proto",
    "moorline/v1/run.proto",
    "moorline/v1/run_service.proto",
    "moorline/v1/shard_service.proto",
    "moorline/v1/skill.proto",
    "moorline/v1/skill_service.proto",
    "moorline/v1/worker_service.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=moorline");
    let mut compiler = protox::Compiler::new(["."])?;
    compiler.include_imports(true).include_source_info(true).open_files(FILES)?;

    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), compiler.encode_file_descriptor_set())?;
    let set = compiler.file_descriptor_set();
    // Without `build_transport(false)` each client gets an associated function `connect`, which collides with the RPC
    // `Connect`. Clients are made with `new(channel)`.
    tonic_prost_build::configure()
        .build_transport(false)
        .bytes(".moorline.v1")
        .compile_fds(set)?;
    Ok(())
}
