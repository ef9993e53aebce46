//! An operation: a field of the queries, mutations or subscriptions, with what it needs and how much it may answer.
//!
//! All of them are in one list, from which the schema, the prices and the page of permissions are made. None can be in it
//! without saying what it needs.

use std::sync::Arc;

use async_graphql::dynamic::{
    Field, FieldFuture, InputValue, ResolverContext, SubscriptionField, SubscriptionFieldFuture, TypeRef,
};
use async_graphql::{Error, PathSegment, ServerError};
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::call::Call;
use super::error::told;
use super::types::{Answers, Types, answered};
use crate::service::{Need, Refusal};

/// What is told, as it happens.
pub(super) type Flow = BoxStream<'static, Result<Value, Refusal>>;

type Once = Arc<dyn Fn(Call) -> BoxFuture<'static, Result<Value, Refusal>> + Send + Sync>;
type Again = Arc<dyn Fn(Call) -> BoxFuture<'static, Result<Flow, Refusal>> + Send + Sync>;

/// Where an operation stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) enum Root {
    /// It looks.
    Query,
    /// It changes or sets going.
    Mutation,
    /// It follows.
    Subscription,
}

impl Root {
    /// The type whose field it is.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Query => "Query",
            Self::Mutation => "Mutation",
            Self::Subscription => "Subscription",
        }
    }
}

/// How many items an operation may answer, for the price of what is selected of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Items {
    /// So many.
    Some(u64),
    /// As many as an argument says.
    Asked {
        /// The argument.
        argument: &'static str,
        /// How many if it is not given.
        usually: u64,
        /// At most so many.
        most: u64,
    },
}

/// What a list counts whose length nobody says beforehand.
const LISTED: Items = Items::Some(100);

/// An operation.
pub(crate) struct Operation {
    /// Where it stands.
    pub(crate) root: Root,
    /// Its name, unique there.
    pub(crate) name: String,
    /// What it needs.
    pub(crate) need: Need,
    /// How much it may answer.
    pub(super) items: Items,
    pub(super) arguments: Vec<Argument>,
    pub(super) about: String,
    pub(super) answers: Answers,
    act: Act,
}

/// An argument of an operation.
pub(super) struct Argument {
    pub(super) name: String,
    pub(super) of: TypeRef,
    about: String,
}

impl From<Argument> for InputValue {
    fn from(argument: Argument) -> Self {
        Self::new(argument.name, argument.of).description(argument.about)
    }
}

enum Act {
    Once(Once),
    Again(Again),
}

impl Operation {
    /// An operation that is answered once. Whoever asks must have what it needs, on something at least.
    pub(super) fn once<T: Serialize, F>(
        root: Root,
        name: impl Into<String>,
        about: impl Into<String>,
        need: impl Into<Need>,
        answers: Answers,
        act: impl Fn(Call) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<T, Refusal>> + Send + 'static,
    {
        let act = move |call| act(call).map(|answered| answered.map(|answered| json(&answered))).boxed();
        Self::new(root, name.into(), about.into(), need.into(), answers, Act::Once(Arc::new(act)))
    }

    /// An operation that looks.
    pub(super) fn query<T: Serialize, F>(
        name: impl Into<String>,
        about: impl Into<String>,
        need: impl Into<Need>,
        answers: Answers,
        act: impl Fn(Call) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<T, Refusal>> + Send + 'static,
    {
        Self::once(Root::Query, name, about, need, answers, act)
    }

    /// An operation that changes something or sets it going.
    pub(super) fn mutation<T: Serialize, F>(
        name: impl Into<String>,
        about: impl Into<String>,
        need: impl Into<Need>,
        answers: Answers,
        act: impl Fn(Call) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<T, Refusal>> + Send + 'static,
    {
        Self::once(Root::Mutation, name, about, need, answers, act)
    }

    /// An operation that is answered again and again.
    pub(super) fn subscription<F>(
        name: impl Into<String>,
        about: impl Into<String>,
        need: impl Into<Need>,
        answers: Answers,
        act: impl Fn(Call) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Flow, Refusal>> + Send + 'static,
    {
        let act = move |call| act(call).boxed();
        let act = Act::Again(Arc::new(act));
        Self::new(Root::Subscription, name.into(), about.into(), need.into(), answers, act)
    }

    fn new(root: Root, name: String, about: String, need: Need, answers: Answers, act: Act) -> Self {
        let items = if matches!(answers.of, TypeRef::List(_)) { LISTED } else { Items::Some(1) };
        Self { root, name, need, items, arguments: Vec::new(), about, answers, act }
    }

    /// Takes an argument of this type.
    pub(super) fn argument(mut self, name: &str, of: TypeRef, about: impl Into<String>) -> Self {
        self.arguments.push(Argument { name: name.to_owned(), of, about: about.into() });
        self
    }

    /// Takes a text that must be given.
    pub(super) fn text(self, name: &str, about: &str) -> Self {
        self.argument(name, TypeRef::named_nn(TypeRef::STRING), about)
    }

    /// Takes a text that may be given.
    pub(super) fn maybe_text(self, name: &str, about: &str) -> Self {
        self.argument(name, TypeRef::named(TypeRef::STRING), about)
    }

    /// Takes an order of this type as `order`.
    pub(super) fn takes<T: JsonSchema>(self, types: &mut Types) -> Self {
        let order = types.order::<T>();
        self.argument("order", order, "What is ordered.")
    }

    /// Answers as many items as an argument says.
    pub(super) fn pages(mut self, argument: &'static str, usually: usize, most: usize) -> Self {
        self.items = Items::Asked { argument, usually: usually as u64, most: most as u64 };
        let about = format!("At most so many, up to {most}. Default: {usually}.");
        self.argument(argument, TypeRef::named(TypeRef::INT), about)
    }

    /// As a field of the queries or mutations, or of the subscriptions.
    pub(super) fn into_field(self) -> AnyField {
        let Self { name, about, need, arguments, answers: Answers { of, is_leaf }, act, .. } = self;
        let arguments = arguments.into_iter().map(InputValue::from);
        match act {
            Act::Once(act) => {
                let field = Field::new(name, of, move |ctx| {
                    let (call, act) = (Call::of(&ctx), act.clone());
                    FieldFuture::new(async move {
                        let call = call?;
                        let by = call.asker().clone();
                        match call.admitted(need, &*act).await {
                            Ok(done) => Ok(answered(done, is_leaf)),
                            Err(refusal) => {
                                ctx.add_error(error_at(&ctx, told(refusal, &by)));
                                Ok(None)
                            }
                        }
                    })
                });
                AnyField::Once(arguments.fold(field.description(about), Field::argument))
            }
            Act::Again(act) => {
                let field = SubscriptionField::new(name, of, move |ctx| {
                    let (call, act) = (Call::of(&ctx), act.clone());
                    SubscriptionFieldFuture::new(async move {
                        let call = call?;
                        let by = call.asker().clone();
                        let flow = call.admitted(need, &*act).await;
                        let flow = flow.map_err(|refusal| told(refusal, &by))?;
                        Ok(flow.map(move |item| {
                            let item = item.map_err(|refusal| told(refusal, &by))?;
                            Ok(answered(item, is_leaf).unwrap_or(async_graphql::dynamic::FieldValue::NULL))
                        }))
                    })
                });
                AnyField::Again(arguments.fold(field.description(about), SubscriptionField::argument))
            }
        }
    }
}

/// An error of an operation, with the place in the answer where something is missing.
fn error_at(ctx: &ResolverContext<'_>, error: Error) -> ServerError {
    let place = PathSegment::Field(ctx.item.node.response_key().node.to_string());
    ServerError { path: vec![place], ..error.into_server_error(ctx.item.pos) }
}

/// A field of the schema's roots.
pub(super) enum AnyField {
    /// That is answered once.
    Once(Field),
    /// That is answered again and again.
    Again(SubscriptionField),
}

/// What is answered, as JSON.
pub(super) fn json(answered: &impl Serialize) -> Value {
    serde_json::to_value(answered).expect("what is answered is always JSON")
}
