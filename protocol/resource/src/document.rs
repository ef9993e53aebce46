//! Reads YAML (of which JSON is a part): several documents in one text, each fault with its line and column.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::{Location, Spanned};

use crate::fault::{Fault, Place};
use crate::manifest::AnyManifest;
use crate::read;

/// How deep a document may nest. Parsing takes a part of the stack for each level, more of it than levels are worth.
const MOST_NESTED: usize = 32;

/// One document of a text.
#[derive(Debug)]
pub struct Document {
    /// Where it begins.
    pub place: Place,
    /// What it says it is, as in `source erp-files`, as far as that can be told.
    pub subject: String,
    /// The manifest, or everything that is wrong with it.
    pub manifest: Result<AnyManifest, Vec<Fault>>,
    places: BTreeMap<String, Place>,
}

impl Document {
    /// Where a field stands or, if it is missing, what it is missing in.
    pub fn locate(&self, path: &str) -> Place {
        nearest_place(&self.places, path).unwrap_or(self.place)
    }
}

/// The text is not YAML.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {}, column {}: not readable as YAML: {message}", place.line, place.column)]
pub struct SyntaxError {
    /// Where.
    pub place: Place,
    /// What is wrong there.
    pub message: String,
}

/// Reads every document of a text. Empty documents are passed over.
///
/// # Errors
/// The text is not YAML. A document that is YAML but no valid manifest is not an error here: its faults are in it.
pub fn parse_documents(text: &str) -> Result<Vec<Document>, SyntaxError> {
    let options = serde_saphyr::options! {
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        with_snippet: false,
        budget: serde_saphyr::budget! {
            max_depth: MOST_NESTED,
            flow_nesting_limit: MOST_NESTED,
        },
    };
    let trees: Vec<Spanned<Tree>> =
        serde_saphyr::from_multiple_with_options(text, options).map_err(|error| {
            let place = error.location().map_or(Place { line: 1, column: 1 }, place);
            SyntaxError { place, message: without_place(&error.to_string()) }
        })?;
    Ok(trees.into_iter().map(document).collect())
}

fn document(tree: Spanned<Tree>) -> Document {
    let start = place(tree.referenced);
    let mut places = BTreeMap::new();
    let value = flatten(tree.value, "", &mut places);
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or("?").to_owned();
    let kind = text(value.get("kind"));
    let kind = kind.parse::<crate::Kind>().map_or(kind, |known| known.to_string());
    let name = text(value.get("metadata").and_then(|metadata| metadata.get("name")));
    let place_of = |path: &str| Some(nearest_place(&places, path).unwrap_or(start));
    let manifest = read::manifest(&value).map_err(|faults| faults.into_vec(place_of));
    Document { place: start, subject: format!("{kind} {name}"), manifest, places }
}

/// The place of the field or, when it is missing, of what it is missing in.
fn nearest_place(places: &BTreeMap<String, Place>, path: &str) -> Option<Place> {
    let mut path = path;
    loop {
        if let Some(place) = places.get(path) {
            return Some(*place);
        }
        path = &path[..path.rfind(['.', '['])?];
    }
}

/// YAML as it stands in the text.
enum Tree {
    Leaf(Value),
    Items(Vec<Spanned<Self>>),
    Members(Vec<(Spanned<String>, Spanned<Self>)>),
}

fn flatten(tree: Tree, path: &str, places: &mut BTreeMap<String, Place>) -> Value {
    match tree {
        Tree::Leaf(value) => value,
        Tree::Items(items) => {
            let flat = items.into_iter().enumerate().map(|(n, item)| {
                let path = format!("{path}[{n}]");
                places.insert(path.clone(), place(item.referenced));
                flatten(item.value, &path, places)
            });
            Value::Array(flat.collect())
        }
        Tree::Members(members) => {
            let flat = members.into_iter().map(|(key, member)| {
                let path = if path.is_empty() { key.value.clone() } else { format!("{path}.{}", key.value) };
                places.insert(path.clone(), place(key.referenced));
                (key.value, flatten(member.value, &path, places))
            });
            Value::Object(flat.collect::<Map<_, _>>())
        }
    }
}

fn place(location: Location) -> Place {
    Place { line: location.line().max(1), column: location.column().max(1) }
}

/// The message without the place that the parser appends: ours stands in front.
fn without_place(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    let stem = line.split(" at line ").next().unwrap_or(line);
    stem.trim_end_matches([':', ' ']).to_owned()
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Leaf(Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Leaf(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Leaf(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
        Ok(Tree::Leaf(Number::from_f64(value).map_or(Value::Null, Value::Number)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Leaf(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Leaf(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Tree, E> {
        Ok(Tree::Leaf(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        Tree::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Tree, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Tree::Items(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Tree, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = access.next_entry()? {
            members.push(member);
        }
        Ok(Tree::Members(members))
    }
}
