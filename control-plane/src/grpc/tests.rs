//! The promises of the gRPC services, call by call, over a data path that says what the test wants.

mod caller;
mod doors;
mod resources;
mod flow;
mod identity;
mod audit;
mod parity;
