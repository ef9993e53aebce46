//! What admins can do, version 1, as gRPC services. See `proto/towpath/admin/v1`.

pub use v1::*;

/// The encoded descriptors of these services and of what they refer to, for reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/towpath.admin.v1.bin"));

#[allow(missing_docs, unused_qualifications, clippy::all)]
mod v1 {
    tonic::include_proto!("towpath.admin.v1");
}
