//! `towpath diff`: what applying would change, field by field.

use std::collections::BTreeMap;
use std::io::Write;

use serde::Serialize;
use serde_json::Value;
use towpath_resource::api::ApplyOutcome;

use super::apply;
use crate::args::DiffArgs;
use crate::client::Client;
use crate::error::CliError;
use crate::files::{self, Found};
use crate::human::harmless;
use crate::output::{self, Tone};

/// What would become of a resource.
#[derive(Serialize)]
struct Difference {
    subject: String,
    outcome: ApplyOutcome,
    fields: Vec<FieldDifference>,
}

/// What would become of a field.
#[derive(Serialize, PartialEq, Eq, Debug)]
struct FieldDifference {
    field: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<Value>,
}

pub(super) async fn run(
    args: &DiffArgs,
    client: impl FnOnce() -> Result<Client, CliError>,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let found = files::read(&args.files, &mut std::io::stdin().lock())?;
    let client = client()?;
    // The control plane knows best what it would take, and what of it is new.
    let report = apply::send(&client, &found, true).await?;
    apply::refused(&found, &report)?;
    let mut differences = Vec::new();
    for (found, result) in found.iter().zip(&report.results) {
        if result.outcome != ApplyOutcome::Unchanged {
            differences.push(difference(&client, found, result.outcome).await?);
        }
    }
    let named = |difference: &Difference| difference.subject.replacen(' ', "/", 1);
    output::list(args.output, &differences, named, out, |out| {
        differences.iter().try_for_each(|one| show(one, out))
    })?;
    if differences.is_empty() {
        return Ok(());
    }
    Err(CliError::NotAsItShould(format!("{} of {} resources would change", differences.len(), found.len())))
}

async fn difference(client: &Client, found: &Found, outcome: ApplyOutcome) -> Result<Difference, CliError> {
    let (kind, name) = found.target();
    let before = match client.show(kind, &name).await {
        Ok(before) => fields(&before),
        Err(error) if error.is_not_found() => BTreeMap::new(),
        Err(error) => return Err(error.into()),
    };
    let fields = compare(&before, &fields(&found.to_json()));
    Ok(Difference { subject: found.subject().to_owned(), outcome, fields })
}

/// What an admin says of a resource, by the path of each field.
fn fields(resource: &Value) -> BTreeMap<String, Value> {
    let mut fields = BTreeMap::new();
    for (path, pointer) in [("metadata.labels", "/metadata/labels"), ("spec", "/spec")] {
        if let Some(value) = resource.pointer(pointer) {
            flatten(path, value, &mut fields);
        }
    }
    fields
}

fn flatten(path: &str, value: &Value, fields: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                flatten(&format!("{path}.{name}"), member, fields);
            }
        }
        other => drop(fields.insert(path.to_owned(), other.clone())),
    }
}

fn compare(before: &BTreeMap<String, Value>, after: &BTreeMap<String, Value>) -> Vec<FieldDifference> {
    let gone = before.iter().filter(|(field, _)| !after.contains_key(*field));
    let gone = gone.map(|(field, from)| (field, Some(from), None));
    let new = after.iter().map(|(field, to)| (field, before.get(field), Some(to)));
    let mut all: Vec<_> = gone.chain(new).filter(|(_, from, to)| from != to).collect();
    all.sort_by_key(|(field, ..)| *field);
    let owned = |(field, from, to): (&String, Option<&Value>, Option<&Value>)| FieldDifference {
        field: field.clone(),
        from: from.cloned(),
        to: to.cloned(),
    };
    all.into_iter().map(owned).collect()
}

fn show(difference: &Difference, out: &mut dyn Write) -> std::io::Result<()> {
    let Difference { subject, outcome, fields } = difference;
    writeln!(out, "{subject} would be {}", outcome.as_str())?;
    for FieldDifference { field, from, to } in fields {
        if let Some(from) = from {
            writeln!(out, "{}", Tone::Bad.paint(&harmless(&format!("  - {field}: {from}"))))?;
        }
        if let Some(to) = to {
            writeln!(out, "{}", Tone::Good.paint(&harmless(&format!("  + {field}: {to}"))))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_field_that_differs_is_named_with_both_values_and_no_other() {
        let before = json!({ "metadata": { "name": "a", "generation": 3, "labels": { "tier": "test" } },
            "spec": { "retry": { "first": "10s", "max": "5m" }, "streams": ["a", "b"], "old": 1 },
            "status": { "condition": "running" } });
        let after = json!({ "metadata": { "name": "a" },
            "spec": { "retry": { "first": "20s", "max": "5m" }, "streams": ["a"] } });
        let differences = compare(&fields(&before), &fields(&after));
        let named: Vec<_> = differences.iter().map(|one| one.field.as_str()).collect();
        assert_eq!(named, ["metadata.labels.tier", "spec.old", "spec.retry.first", "spec.streams"]);
        assert_eq!((&differences[2].from, &differences[2].to), (&Some(json!("10s")), &Some(json!("20s"))));
        assert_eq!(differences[0].to, None);
    }
}
