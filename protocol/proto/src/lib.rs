//! What travels on a link, how a machine enrols, and what admins can ask by gRPC: messages generated from the .proto
//! files, how those of the link are framed on the control stream, and the layout of the data streams beside it. Nothing
//! here does I/O.

pub mod enrol;
pub mod admin;
pub mod link;
pub mod ids;
pub mod control;
pub mod stream;
