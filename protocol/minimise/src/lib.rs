//! Changes rows as the policies decide, where data is born and before any of it is written.
//!
//! ```text
//!   rows of a source ─ filter ─▶ rows that may pass ─ change, column by column ─▶ rows that may be written
//!                        └ a row that leaves becomes a deletion of its key
//! ```
//!
//! What is decided comes from `towpath-policy`; this crate does it. All of it is a function of the rows, the policies and
//! the keys, so a source that reads something twice gives the same bytes twice. `docs/policies.md` describes every
//! treatment exactly. This crate has no clock, no runtime and no I/O: keys come through [`Keys`].

mod key;
mod held;
mod cache;
mod minimiser;
mod plan;
mod blank;
mod filter;
mod change;
mod dead_letter;

pub use change::{NotReversible, Tokeniser};
pub use held::{Held, HeldReason};
pub use key::{Key, KeyError, KeyFault, Keys};
pub use minimiser::Minimiser;
