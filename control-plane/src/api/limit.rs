//! How many things are asked for: what the OpenAPI document says of the argument, and what is taken.

use serde_json::{Value, json};

use crate::service::Refusal;

/// The argument `limit` of an endpoint.
#[derive(Clone, Copy)]
pub(super) struct Limit {
    /// How many come if nobody says.
    pub(super) default: usize,
    /// The most that may be asked for.
    pub(super) most: usize,
}

impl Limit {
    /// Its JSON Schema.
    pub(super) fn schema(self) -> Value {
        json!({ "type": "integer", "minimum": 1, "maximum": self.most, "default": self.default })
    }

    /// The number that was asked for.
    ///
    /// # Errors
    /// It is none or too many.
    pub(super) fn of(self, asked: Option<usize>) -> Result<usize, Refusal> {
        let asked = asked.unwrap_or(self.default);
        if (1..=self.most).contains(&asked) {
            return Ok(asked);
        }
        Err(Refusal::invalid_argument("limit", format!("is {asked}; it may be 1 to {}", self.most)))
    }
}
