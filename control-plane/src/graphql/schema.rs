//! The schema: every operation, and the types it speaks.

use std::sync::LazyLock;

use async_graphql::dynamic::{Object, Schema, SchemaBuilder, SchemaError, Subscription};

use super::limits::{MOST_NESTING, Prices};
use super::operation::{AnyField, Operation, Root};
use super::types::Types;
use super::{access, feeds, flow, kinds, trail};

/// How many directives a field may have.
const MOST_DIRECTIVES: usize = 8;

/// The schema, and what is known of its operations.
pub(super) struct Whole {
    pub(super) schema: Schema,
    pub(super) prices: Prices,
}

/// The schema, made once.
pub(super) static WHOLE: LazyLock<Whole> =
    LazyLock::new(|| build().expect("the resource model can be told in GraphQL"));

/// Why there is no schema.
#[derive(Debug, thiserror::Error)]
pub(super) enum BuildError {
    /// Two different types would have one name.
    #[error("two different types would be called {}", .0.join(", "))]
    Clashes(Vec<String>),
    /// A type is not valid.
    #[error(transparent)]
    Schema(#[from] SchemaError),
}

/// Every operation, topic by topic.
pub(super) fn operations(types: &mut Types) -> Vec<Operation> {
    let topics = [
        kinds::operations(types),
        flow::operations(types),
        access::operations(types),
        trail::operations(types),
        feeds::operations(types),
    ];
    topics.into_iter().flatten().collect()
}

/// Builds the schema.
///
/// # Errors
/// Two types have one name, or one is not valid.
pub(super) fn build() -> Result<Whole, BuildError> {
    let mut types = Types::default();
    let operations = operations(&mut types);
    let prices = operations.iter().map(|one| ((one.root, one.name.clone()), one.items)).collect();
    let object = |root: Root| Object::new(root.as_str());
    let mut query = object(Root::Query).description("What can be looked at.");
    let mut mutation = object(Root::Mutation).description("What can be changed or set going.");
    let mut subscription =
        Subscription::new(Root::Subscription.as_str()).description("What can be followed.");
    for operation in operations {
        let root = operation.root;
        match (operation.into_field(), root) {
            (AnyField::Once(field), Root::Mutation) => mutation = mutation.field(field),
            (AnyField::Once(field), _) => query = query.field(field),
            (AnyField::Again(field), _) => subscription = subscription.field(field),
        }
    }
    let [query_type, mutation_type, subscription_type] =
        [Root::Query, Root::Mutation, Root::Subscription].map(Root::as_str);
    let schema: SchemaBuilder = Schema::build(query_type, Some(mutation_type), Some(subscription_type));
    let schema = types.register(schema).map_err(BuildError::Clashes)?;
    let schema = schema
        .register(query)
        .register(mutation)
        .register(subscription)
        .limit_directives(MOST_DIRECTIVES)
        .limit_recursive_depth(MOST_NESTING)
        .finish()?;
    Ok(Whole { schema, prices })
}
