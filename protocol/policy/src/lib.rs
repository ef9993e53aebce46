//! What may stand where: pure decisions of the policies that admins wrote.
//!
//! ```text
//!   field ─ classify ─▶ classes ─ decide(place) ─▶ treatment, with the reason ─ shape ─▶ the schema that may stand there
//!                                                                             └ border ▶ what does not keep to it
//! ```
//!
//! The agent that reads a source decides by it before anything is written, the region's log checks by it what comes in,
//! and a plan shows by it what would happen. All three call the same functions, so they cannot disagree. This crate has
//! no clock, no runtime and no I/O.

mod filter;
mod rulebook;
mod classify;
mod decide;
mod shape;
mod border;
mod explain;

pub use border::{Breach, check_border};
pub use classify::Classified;
pub use decide::{Decision, Place, Reason};
pub use explain::{Considered, Origin, Standing};
pub use filter::{Filter, FilterFault};
pub use rulebook::{NamedPolicy, Rulebook, RulebookError};
pub use shape::{FieldPlan, Shape, ShapeFault, is_of_change, type_after};
