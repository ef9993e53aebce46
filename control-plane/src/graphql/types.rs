//! GraphQL types from JSON Schemas: what is answered as objects, what is taken as input objects.
//!
//! The type of an object within another is called after both: the field `on_error` of an object `Way` has the type
//! `WayOnError`. So a new field has its type, and nobody names it.

use std::collections::BTreeMap;

use async_graphql::Value as Given;
use async_graphql::dynamic::{
    Enum, EnumItem, Field, FieldFuture, FieldValue, InputObject, InputValue, Object, Scalar, SchemaBuilder,
    Type, TypeRef,
};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::shape::{JSON, LONG, Shape};

/// The types that were made so far.
#[derive(Default)]
pub(super) struct Types {
    made: Vec<Type>,
    /// What each is made of.
    known: BTreeMap<String, Value>,
    /// Names that two different types would have.
    clashes: Vec<String>,
}

/// A type in which something is answered.
#[derive(Clone, Debug)]
pub(super) struct Answers {
    /// The type, null included.
    pub(super) of: TypeRef,
    /// Whether it is told as it is, so that no parts of it are selected.
    pub(super) is_leaf: bool,
}

impl Answers {
    /// Any JSON.
    pub(super) fn json() -> Self {
        Self { of: TypeRef::named(JSON), is_leaf: true }
    }

    /// A list of any JSON.
    pub(super) fn jsons() -> Self {
        Self { of: TypeRef::named_nn_list(JSON), is_leaf: true }
    }

    /// A text.
    pub(super) fn text() -> Self {
        Self { of: TypeRef::named(TypeRef::STRING), is_leaf: true }
    }

    /// That it was done: `true`.
    pub(super) fn done() -> Self {
        Self { of: TypeRef::named(TypeRef::BOOLEAN), is_leaf: true }
    }

    /// An object of a type that was added by hand.
    pub(super) fn object(name: impl Into<String>) -> Self {
        Self { of: TypeRef::named(name.into()), is_leaf: false }
    }
}

impl Types {
    /// The type in which a type of ours is answered.
    pub(super) fn answer<T: JsonSchema>(&mut self) -> Answers {
        let schema = schema_of::<T>(SchemaSettings::draft2020_12().for_serialize());
        self.answer_of(&T::schema_name(), &schema)
    }

    /// A list of such.
    pub(super) fn answers<T: JsonSchema>(&mut self) -> Answers {
        let Answers { of, is_leaf } = self.answer::<T>();
        Answers { of: TypeRef::List(Box::new(not_null(of))), is_leaf }
    }

    /// The type in which values of this schema are answered. `name` is what its object is called.
    pub(super) fn answer_of(&mut self, name: &str, schema: &Value) -> Answers {
        Answers { of: self.output(name, schema), is_leaf: Shape::of(schema).is_leaf() }
    }

    /// The type in which a type of ours is taken.
    pub(super) fn order<T: JsonSchema>(&mut self) -> TypeRef {
        let schema = schema_of::<T>(SchemaSettings::draft2020_12());
        not_null(self.input(&T::schema_name(), &schema))
    }

    /// The type in which values of this schema are taken, null included.
    pub(super) fn input(&mut self, name: &str, schema: &Value) -> TypeRef {
        match Shape::of(schema) {
            Shape::Object(fields, required) => {
                let called = format!("{name}Input");
                if self.is_new(&called, schema) {
                    let mut object = described(InputObject::new(&called), schema, InputObject::description);
                    for (field, schema) in fields {
                        let inner = self.input(&inner_name(name, field), schema);
                        let inner = if required.contains(field.as_str()) { not_null(inner) } else { inner };
                        object = object.field(described(
                            InputValue::new(field, inner),
                            schema,
                            InputValue::description,
                        ));
                    }
                    self.made.push(object.into());
                }
                TypeRef::named(called)
            }
            Shape::List(items) => TypeRef::List(Box::new(not_null(self.input(name, items)))),
            leaf => self.leaf(name, schema, &leaf),
        }
    }

    fn output(&mut self, name: &str, schema: &Value) -> TypeRef {
        match Shape::of(schema) {
            Shape::Object(fields, required) => {
                if self.is_new(name, schema) {
                    let mut object = described(Object::new(name), schema, Object::description);
                    for (field, schema) in fields {
                        let Answers { of, is_leaf } = self.answer_of(&inner_name(name, field), schema);
                        let of = if required.contains(field.as_str()) { not_null(of) } else { of };
                        object =
                            object.field(described(member(field, of, is_leaf), schema, Field::description));
                    }
                    self.made.push(object.into());
                }
                TypeRef::named(name.to_owned())
            }
            Shape::List(items) => TypeRef::List(Box::new(not_null(self.output(name, items)))),
            leaf => self.leaf(name, schema, &leaf),
        }
    }

    fn leaf(&mut self, name: &str, schema: &Value, shape: &Shape<'_>) -> TypeRef {
        match shape {
            Shape::Words(words) => {
                if self.is_new(name, schema) {
                    let items = words.iter().map(|(word, about)| match about {
                        Some(about) => EnumItem::new(*word).description(*about),
                        None => EnumItem::new(*word),
                    });
                    let made = Enum::new(name).items(items);
                    self.made.push(described(made, schema, Enum::description).into());
                }
                TypeRef::named(name.to_owned())
            }
            Shape::Scalar(scalar) => TypeRef::named(*scalar),
            Shape::Object(..) | Shape::List(_) => TypeRef::named(JSON),
        }
    }

    /// Whether a type of this name is still to be made. What it is made of must be the same each time.
    fn is_new(&mut self, name: &str, schema: &Value) -> bool {
        if let Some(known) = self.known.get(name) {
            if known != schema {
                self.clashes.push(name.to_owned());
            }
            return false;
        }
        self.known.insert(name.to_owned(), schema.clone()).is_none()
    }

    /// A type that is put together by hand, once.
    pub(super) fn add(&mut self, object: Object) {
        if self.is_new(object.type_name(), &Value::Null) {
            self.made.push(object.into());
        }
    }

    /// The schema of what an input object is made of.
    #[cfg(test)]
    pub(super) fn known(&self, name: &str) -> Option<&Value> {
        self.known.get(name)
    }

    /// Hands all types to the schema, with the scalars they need; or the names that two would have.
    pub(super) fn register(self, schema: SchemaBuilder) -> Result<SchemaBuilder, Vec<String>> {
        if !self.clashes.is_empty() {
            return Err(self.clashes);
        }
        let json = Scalar::new(JSON).description("Any JSON.");
        let long = Scalar::new(LONG).description("An integer of up to 64 bits.");
        let long = long.validator(|value| matches!(value, Given::Number(n) if n.is_i64() || n.is_u64()));
        let schema = schema.register(json).register(long);
        Ok(self.made.into_iter().fold(schema, SchemaBuilder::register))
    }
}

/// The JSON Schema of a type, complete in itself.
fn schema_of<T: JsonSchema>(settings: SchemaSettings) -> Value {
    let settings = settings.with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

/// Null taken away from a type.
pub(super) fn not_null(of: TypeRef) -> TypeRef {
    if matches!(of, TypeRef::NonNull(_)) { of } else { TypeRef::NonNull(Box::new(of)) }
}

/// A field that is a member of the JSON object it stands in.
pub(super) fn member(name: &str, of: TypeRef, is_leaf: bool) -> Field {
    let key = name.to_owned();
    Field::new(name, of, move |ctx| {
        let parent = ctx.parent_value.downcast_ref::<Value>();
        FieldFuture::Value(parent.and_then(|parent| told(parent.get(&key)?, is_leaf)))
    })
}

/// A part of an answer. Objects are borrowed, so that only what is selected is copied.
fn told(value: &Value, is_leaf: bool) -> Option<FieldValue<'_>> {
    match value {
        Value::Null => None,
        leaf if is_leaf => Given::from_json(leaf.clone()).ok().map(FieldValue::value),
        Value::Array(items) => {
            Some(FieldValue::list(items.iter().map(|item| told(item, false).unwrap_or(FieldValue::NULL))))
        }
        object => Some(FieldValue::borrowed_any(object)),
    }
}

/// A whole answer.
pub(super) fn answered(value: Value, is_leaf: bool) -> Option<FieldValue<'static>> {
    match value {
        Value::Null => None,
        leaf if is_leaf => Given::from_json(leaf).ok().map(FieldValue::value),
        Value::Array(items) => Some(FieldValue::list(items.into_iter().map(FieldValue::owned_any))),
        object => Some(FieldValue::owned_any(object)),
    }
}

fn described<T>(made: T, schema: &Value, describe: impl FnOnce(T, String) -> T) -> T {
    match schema["description"].as_str() {
        Some(about) => describe(made, about.to_owned()),
        None => made,
    }
}

fn inner_name(outer: &str, field: &str) -> String {
    let words = field.split('_').map(|word| {
        let (first, rest) = word.split_at_checked(1).unwrap_or((word, ""));
        first.to_ascii_uppercase() + rest
    });
    outer.to_owned() + &words.collect::<String>()
}
