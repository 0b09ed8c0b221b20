//! The gRPC contract of Moorline.
//!
//! Everything here is generated from the files in `proto/moorline/v1`, which are the place to read: each message and field
//! says there what it means, its unit and who sets it.

/// Package `moorline.v1`.
#[allow(missing_docs, clippy::all)]
pub mod v1 {
    tonic::include_proto!("moorline.v1");
}

/// The encoded `FileDescriptorSet` of the package with comments, for server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
