//! Tables read as they are now, beside the flow of records: summed up, listed, and sent again.

mod digest;
mod key;
mod pace;
mod rows;

pub(crate) use digest::digest;
pub(crate) use key::Keys;
pub(crate) use pace::Pace;
pub(crate) use rows::{collect, list};
