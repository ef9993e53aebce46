//! What travels on a link, and how a machine enrols: messages generated from the .proto files, how they are
//! framed on the control stream, and the layout of the data streams beside it. Nothing here does I/O.

pub mod enrol;
pub mod link;
pub mod ids;
pub mod control;
pub mod stream;
