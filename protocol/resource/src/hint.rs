//! What the JSON Schema says of a field beyond its form, for consoles and tools: which kind a name is of, and that a text is
//! a reference to a secret.

use std::borrow::Cow;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use towpath_record::ResourceName;

use crate::policy::LONGEST_PURPOSE;
use crate::spec::Spec;

/// The member of a schema that names the kind of the resource that a field names.
pub const REFERENCE: &str = "x-reference";
/// The member of a schema that says that a field leads to a secret.
pub const SECRET: &str = "x-secret";

/// As what the schema shows a field that names a resource of the kind of `S`.
pub struct NameOf<S>(PhantomData<S>);

impl<S: Spec> JsonSchema for NameOf<S> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("{}Name", S::KIND.as_str()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = ResourceName::json_schema(generator);
        schema.remove("examples");
        schema.insert(REFERENCE.to_owned(), S::KIND.as_str().into());
        schema
    }
}

/// As what the schema shows a purpose.
pub struct Purpose;

impl JsonSchema for Purpose {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Purpose".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[a-z0-9_-]+$",
            "maxLength": LONGEST_PURPOSE,
            "examples": ["analytics"],
        })
    }
}
