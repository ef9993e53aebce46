//! The admins' command line: a client of the control-plane API.

fn main() {}
