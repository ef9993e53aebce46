//! Reads a manifest from a tree of values, and finds all its faults, not just the first.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Map, Value};
use serde_path_to_error::{Path, Segment};
use towpath_record::ResourceName;

use crate::fault::{Fault, Faults};
use crate::kind::Kind;
use crate::kind_of;
use crate::manifest::{API_VERSION, AnyManifest, Manifest, Metadata};
use crate::nearest::nearest_in_message;
use crate::spec::Spec;

/// More faults than anyone reads at once.
const MOST_FAULTS: usize = 50;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    #[serde(rename = "apiVersion")]
    api_version: String,
    kind: String,
    metadata: Value,
    #[serde(default)]
    spec: Option<Value>,
    /// What the control plane adds when it shows a resource is not taken back, but no fault either: what `towpath get`
    /// shows can be edited and applied.
    #[serde(default, rename = "status")]
    _status: IgnoredAny,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ShownMetadata {
    name: ResourceName,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default, rename = "id")]
    _id: IgnoredAny,
    #[serde(default, rename = "generation")]
    _generation: IgnoredAny,
    #[serde(default, rename = "created_at")]
    _created_at: IgnoredAny,
    #[serde(default, rename = "updated_at")]
    _updated_at: IgnoredAny,
}

/// Reads a manifest from JSON and checks it in itself.
///
/// # Errors
/// Everything that is wrong with it, by field.
pub fn manifest_from_json(value: &Value) -> Result<AnyManifest, Vec<Fault>> {
    manifest(value).map_err(|faults| faults.into_vec(|_| None))
}

/// Reads a manifest and checks it in itself.
pub(crate) fn manifest(value: &Value) -> Result<AnyManifest, Faults> {
    let mut faults = Faults::default();
    read(value, &mut faults).filter(|_| faults.is_empty()).ok_or(faults)
}

fn read(value: &Value, faults: &mut Faults) -> Option<AnyManifest> {
    let envelope: Envelope = part(value, "", faults)?;
    faults.require(envelope.api_version == API_VERSION, "apiVersion", || {
        format!("is `{}`; this control plane understands `{API_VERSION}`", envelope.api_version)
    });
    let metadata = part::<ShownMetadata>(&envelope.metadata, "metadata", faults)
        .map(|shown| Metadata { name: shown.name, labels: shown.labels });
    let kind = envelope.kind.parse::<Kind>().map_err(|error| faults.add("kind", error.to_string())).ok()?;
    let spec = envelope.spec.unwrap_or_else(|| Value::Object(Map::new()));
    kind_of!(kind, S => finish::<S>(metadata, &spec, faults).map(AnyManifest::from))
}

fn finish<S: Spec>(metadata: Option<Metadata>, spec: &Value, faults: &mut Faults) -> Option<Manifest<S>> {
    let spec = part(spec, "spec", faults)?;
    let manifest = Manifest { metadata: metadata?, spec };
    manifest.check_into(faults);
    Some(manifest)
}

/// Reads one part. Each value at fault is noted and taken out, until what is left can be read or something is missing.
fn part<T: DeserializeOwned>(value: &Value, prefix: &str, faults: &mut Faults) -> Option<T> {
    let mut left = value.clone();
    let mut taken_out = BTreeSet::new();
    while taken_out.len() < MOST_FAULTS {
        let error = match serde_path_to_error::deserialize::<_, T>(&left) {
            Ok(read) if taken_out.is_empty() => return Some(read),
            Ok(_) => return None,
            Err(error) => error,
        };
        let message = error.inner().to_string();
        let segments = segments(error.path(), &message);
        let path = joined(prefix, &segments);
        let consequence_of_another = missing_field(&message).is_some() && taken_out.contains(&path);
        if !consequence_of_another {
            faults.add(path.clone(), reworded(&message));
        }
        match take_out(&mut left, &segments) {
            Some(depth) => taken_out.insert(joined(prefix, &segments[..depth])),
            None => return None,
        };
    }
    None
}

/// The keys that lead to the fault, down to the unknown or missing field itself.
fn segments(path: &Path, message: &str) -> Vec<Step> {
    let mut steps: Vec<_> = path
        .iter()
        .filter_map(|segment| match segment {
            Segment::Map { key } | Segment::Enum { variant: key } => Some(Step::Key(key.clone())),
            Segment::Seq { index } => Some(Step::Index(*index)),
            Segment::Unknown => None,
        })
        .collect();
    if let Some(field) = quoted_after(message, "unknown field `").or_else(|| missing_field(message))
        && !matches!(steps.last(), Some(Step::Key(last)) if last == field)
    {
        steps.push(Step::Key(field.to_owned()));
    }
    steps
}

enum Step {
    Key(String),
    Index(usize),
}

fn joined(prefix: &str, steps: &[Step]) -> String {
    let mut path = prefix.to_owned();
    for step in steps {
        match step {
            Step::Key(key) if path.is_empty() => path.push_str(key),
            Step::Key(key) => path = format!("{path}.{key}"),
            Step::Index(index) => path = format!("{path}[{index}]"),
        }
    }
    path
}

/// Takes out the entry that the path leads to: the innermost one that can go without renumbering others. Says how many
/// steps led to it.
fn take_out(value: &mut Value, steps: &[Step]) -> Option<usize> {
    let mut innermost = None;
    let mut here = &*value;
    for (depth, step) in steps.iter().enumerate() {
        let next = match step {
            Step::Key(key) => here.get(key).inspect(|_| innermost = Some(depth)),
            Step::Index(index) => here.get(index),
        };
        let Some(next) = next else { break };
        here = next;
        if here.is_array() {
            break;
        }
    }
    let depth = innermost?;
    let mut here = value;
    for step in &steps[..depth] {
        here = match step {
            Step::Key(key) => here.get_mut(key)?,
            Step::Index(index) => here.get_mut(index)?,
        };
    }
    let Step::Key(key) = &steps[depth] else { return None };
    here.as_object_mut()?.shift_remove(key)?;
    Some(depth + 1)
}

fn missing_field(message: &str) -> Option<&str> {
    quoted_after(message, "missing field `")
}

fn quoted_after<'a>(message: &'a str, start: &str) -> Option<&'a str> {
    message.strip_prefix(start)?.split('`').next()
}

fn reworded(message: &str) -> String {
    if missing_field(message).is_some() {
        return "is missing".to_owned();
    }
    match nearest_in_message(message) {
        Some(near) => format!("{message}; did you mean `{near}`?"),
        None => message.to_owned(),
    }
}
