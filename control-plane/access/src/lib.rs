//! Who may do what.
//!
//! A request is made by a [`Principal`]: someone who is known, with the grants that role bindings and keys give. Whether
//! it may do something is decided in one place, [`Principal::decide`], and denied unless a grant allows it.

mod grant;
mod target;
mod principal;

pub use grant::{Grant, grants_of};
pub use principal::{Denied, Principal};
pub use target::Target;
