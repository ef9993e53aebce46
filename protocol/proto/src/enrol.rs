//! Enrolment, version 1, as a gRPC service. See `proto/towpath/enrol/v1/enrol.proto`.

pub use v1::*;

#[allow(missing_docs, unused_qualifications, clippy::all)]
mod v1 {
    tonic::include_proto!("towpath.enrol.v1");
}
