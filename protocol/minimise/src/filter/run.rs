//! Runs filters over rows, one row after the other.

use std::sync::{Arc, LazyLock};

use cel::common::types::CelBool;
use cel::{Context, Env, ExecutionError, Value};
use towpath_policy::Filter;
use towpath_record::ResourceName;

use super::row::{NOT_SENT, Rows};
use crate::held::HeldReason;

/// The functions of CEL's standard, made once: there are some hundreds.
static STANDARD: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

/// Filters over the rows of a batch.
pub(super) struct Run<'a> {
    filters: &'a [(ResourceName, Arc<Filter>)],
    rows: &'a Rows<'a>,
    context: Context<'a, 'a>,
}

impl<'a> Run<'a> {
    pub(super) fn new(filters: &'a [(ResourceName, Arc<Filter>)], rows: &'a Rows<'a>) -> Self {
        let mut context = Context::with_env(STANDARD.clone());
        context.set_variable_resolver(rows);
        Self { filters, rows, context }
    }

    /// Whether the row is there and every filter lets it through.
    pub(super) fn passes(&self, row: usize) -> Result<bool, HeldReason> {
        if !self.rows.look_at(row) {
            return Ok(false);
        }
        for (policy, filter) in self.filters {
            let result = Value::resolve_val(filter.program().expression(), &self.context);
            let fault = match result {
                Ok(value) => match value.downcast_ref::<CelBool>() {
                    Some(passes) if *passes.inner() => continue,
                    Some(_) => return Ok(false),
                    None => format!(
                        "it gives a {}, neither true nor false; compare it with something",
                        value.get_type().name()
                    ),
                },
                Err(error) => told(&error),
            };
            let fields = filter.mentions().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            return Err(HeldReason::Filter { policy: policy.clone(), fields, fault });
        }
        Ok(true)
    }
}

/// What may be told of an error. Most of them quote the values that they are about, so they are not told as they are.
fn told(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchOverload(overload) => {
            let types = overload.argument_types().join(", ");
            format!(
                "`{}` is not defined for ({types}); if a value may be absent, ask first: `row.NAME != null && …`",
                overload.function().trim_matches('_')
            )
        }
        ExecutionError::FunctionError { function, message } if function == NOT_SENT => format!(
            "the source did not send `{message}`, because it did not change; let the source tell the row before a change, \
             or let the filter read another field"
        ),
        ExecutionError::UndeclaredReference(name) => {
            format!("it uses `{name}`, which the Common Expression Language does not have")
        }
        ExecutionError::NoSuchKey(_) => {
            "it asks for a member that is not there; ask first with `has(…)`".to_owned()
        }
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
            "it divides by zero; ask first whether the divisor is zero".to_owned()
        }
        ExecutionError::Overflow(..) => "a number becomes too large; use `double(…)`".to_owned(),
        ExecutionError::IndexOutOfBounds(_) => {
            "it asks for an item that is not there; ask first with `size(…)`".to_owned()
        }
        _ => "it cannot be evaluated; try it out on rows of the source".to_owned(),
    }
}
