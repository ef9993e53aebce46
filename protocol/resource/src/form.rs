//! How a form asks for a resource: made from the JSON Schema of its kind, so that a console has no list of kinds, fields
//! or words of its own.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::hint::{REFERENCE, SECRET};
use crate::kind::Kind;
use crate::schema;

/// A kind, with all that a console needs to show its resources and to ask for one.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct KindForm {
    /// The kind, as manifests name it.
    pub kind: Kind,
    /// The kind within a sentence, for one resource.
    pub noun: String,
    /// The kind in addresses, for all resources: `/v1/PLURAL`.
    pub plural: String,
    /// What the kind is.
    pub help: String,
    /// What a table of such resources shows beside their names, in order.
    pub columns: Vec<Column>,
    /// What a form asks for, in order: name and labels, then what the resource shall be.
    pub fields: Vec<Field>,
    /// One such resource as an admin writes it, in YAML.
    pub example: String,
    /// The JSON Schema of its manifests, complete in itself.
    pub schema: Value,
}

/// A column of a table of resources.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "FormColumn")]
pub struct Column {
    /// What stands above it.
    pub title: String,
    /// Where its value stands in the resource as JSON (RFC 6901).
    pub pointer: String,
}

/// One thing that a form asks for.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "FormField")]
pub struct Field {
    /// Where it stands in the manifest: `spec.capture.max_rows`; `[]` is any item of a list.
    pub path: String,
    /// Its name, for people.
    pub title: String,
    /// What it is, with its unit and default.
    pub help: String,
    /// In which way it is asked for.
    pub input: Input,
    /// Whether there is no resource without it.
    pub required: bool,
    /// What holds when nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// A value that would do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub example: Option<Value>,
    /// The kind of the resource that it names, to be chosen among those there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Kind>,
    /// Whether it says where a secret is. The secret itself is never asked for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub secret: bool,
    /// What its text looks like, as a regular expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// Its least number, characters or entries, whichever it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<u64>,
    /// Its greatest number, characters or entries, whichever it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u64>,
    /// What can be chosen, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<Choice>,
    /// What a group has, in order; of a list, what each item is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<Self>,
}

/// In which way something is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "FormInput")]
pub enum Input {
    /// A text.
    Text,
    /// A whole number.
    Number,
    /// Yes or no.
    Switch,
    /// One of the choices.
    Choice,
    /// Any number of items, each as the one field says.
    List,
    /// Fields of their own.
    Group,
    /// Names and values that nobody knows beforehand.
    Map,
}

/// One of several things that can be chosen.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "FormChoice")]
pub struct Choice {
    /// Its word in the manifest.
    pub value: String,
    /// The word, for people.
    pub title: String,
    /// What it means.
    pub help: String,
    /// What else it needs, in order. With none, the choice is the word alone; else the word is the name of a group.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<Field>,
}

impl KindForm {
    /// The form of a kind.
    pub fn of(kind: Kind) -> Self {
        let schema = schema::of(kind);
        let column = |(title, pointer): &(&str, &str)| Column {
            title: (*title).to_owned(),
            pointer: (*pointer).to_owned(),
        };
        let parts = ["metadata", "spec"].into_iter();
        Self {
            kind,
            noun: kind.noun().to_owned(),
            plural: kind.plural().to_owned(),
            help: help(&schema),
            columns: kind.columns().iter().map(column).collect(),
            fields: parts.flat_map(|part| fields(&schema["properties"][part], part)).collect(),
            example: kind.example().to_owned(),
            schema,
        }
    }
}

/// What a group asks for, in the order of the type.
fn fields(group: &Value, path: &str) -> Vec<Field> {
    let required = group["required"].as_array();
    let members = group["properties"].as_object().into_iter().flatten();
    members
        .map(|(name, schema)| {
            let required = required.is_some_and(|all| all.iter().any(|one| one == name));
            Field { required, ..field(schema, &format!("{path}.{name}"), title(name)) }
        })
        .collect()
}

fn field(outer: &Value, path: &str, title: String) -> Field {
    let schema = without_none(outer);
    let choices = choices(schema, path);
    let input = if choices.is_empty() { input(schema) } else { Input::Choice };
    let below = match input {
        Input::Group => fields(schema, path),
        Input::List => vec![field(&schema["items"], &format!("{path}[]"), String::new())],
        _ => Vec::new(),
    };
    let number = |names: &[&str]| names.iter().find_map(|name| schema[*name].as_u64());
    let said = |name: &str| schema.get(name).or_else(|| outer.get(name));
    Field {
        path: path.to_owned(),
        title,
        help: if outer["description"].is_string() { help(outer) } else { help(schema) },
        input,
        required: false,
        default: said("default").filter(|value| !value.is_null()).cloned(),
        example: said("examples").and_then(|all| all.get(0)).cloned(),
        reference: schema[REFERENCE].as_str().and_then(|kind| kind.parse().ok()),
        secret: schema[SECRET] == true,
        pattern: schema["pattern"].as_str().map(str::to_owned),
        min: number(&["minimum", "minLength", "minItems"]),
        max: number(&["maximum", "maxLength", "maxItems", "maxProperties"]),
        choices,
        fields: below,
    }
}

fn input(schema: &Value) -> Input {
    // Of a type that may also be nothing, the type.
    let types = schema["type"].as_array().and_then(|all| all.iter().find(|one| *one != "null"));
    match types.unwrap_or(&schema["type"]).as_str() {
        Some("boolean") => Input::Switch,
        Some("integer" | "number") => Input::Number,
        Some("array") => Input::List,
        Some("object") if schema["properties"].is_object() => Input::Group,
        Some("object") => Input::Map,
        _ => Input::Text,
    }
}

/// What the schema is when it is there at all.
fn without_none(schema: &Value) -> &Value {
    let mut either = schema["anyOf"].as_array().into_iter().flatten();
    either.find(|one| one["type"] != "null").unwrap_or(schema)
}

fn choices(schema: &Value, path: &str) -> Vec<Choice> {
    let of = |schema: &Value| {
        if let Some(word) = schema["const"].as_str() {
            return Some(choice(word, help(schema), Vec::new()));
        }
        let (word, inner) = schema["properties"].as_object()?.iter().next()?;
        let path = format!("{path}.{word}");
        let below = match input(inner) {
            Input::Group => fields(inner, &path),
            _ => vec![Field { required: true, ..field(inner, &path, title(word)) }],
        };
        Some(choice(word, help(schema), below))
    };
    let words = schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let words = words.map(|word| choice(word, String::new(), Vec::new()));
    schema["oneOf"].as_array().into_iter().flatten().filter_map(of).chain(words).collect()
}

fn choice(word: &str, help: String, fields: Vec<Field>) -> Choice {
    Choice { value: word.to_owned(), title: title(word), help, fields }
}

/// `max_rows` for people: `Max rows`.
fn title(name: &str) -> String {
    let words = name.replace('_', " ");
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// The description in one line for each paragraph: where a line of source ended says nothing.
fn help(schema: &Value) -> String {
    let text = schema["description"].as_str().unwrap_or_default();
    let paragraphs = text.split("\n\n").map(|paragraph| paragraph.replace('\n', " "));
    paragraphs.collect::<Vec<_>>().join("\n\n")
}
