//! Changes a part of a resource: JSON merge patch, RFC 7396.

use serde_json::{Map, Value};
use towpath_catalog::{ApplyError, Expected, Terms};
use towpath_resource::{AnyManifest, Kind, Object, Permission, manifest_from_json};

use super::resources::{Put, refuse_other_subject};
use super::{Asker, Refusal, Service};

/// How often a patch that names no state of the resource is tried again after another change came between.
const TRIES: usize = 16;

impl Service {
    /// Changes what the patch names of a resource, and leaves the rest. The result is checked as any other manifest.
    /// Whoever expects nothing of what is there gets the patch laid over whatever there is.
    ///
    /// # Errors
    /// The resource is not there, was changed meanwhile, is not valid with the patch, or is not the asker's to change.
    pub async fn patch(
        &self,
        asker: &Asker,
        kind: Kind,
        name: &str,
        patch: &Value,
        terms: &Terms,
    ) -> Result<Put, Refusal> {
        let write = Permission::write(Object::Resource(kind));
        let mut tries = TRIES;
        loop {
            tries -= 1;
            let state = self.catalog();
            let before = self.require(asker, &state, write, kind, name)?;
            let manifest = patched(&before.manifest(), patch)?;
            refuse_other_subject(&manifest, kind, name)?;
            self.check_allowed(asker, &state, &manifest)?;
            let meant_for = match &terms.expected {
                Expected::Anything | Expected::Present => Expected::OneOf(vec![before.generation()]),
                named => named.clone(),
            };
            let again = meant_for != terms.expected && tries > 0;
            let on = Terms { expected: meant_for, dry_run: terms.dry_run };
            let cause = asker.cause.clone();
            let done = self
                .command(move |catalog| match catalog.apply_on(&on, manifest, &cause) {
                    Err(ApplyError::Stale(_)) if again => Ok(None),
                    other => other.map(Some).map_err(Refusal::from),
                })
                .await?;
            if let Some(applied) = done {
                return Ok(self.put_answer(applied));
            }
        }
    }
}

/// The manifest with the patch laid over it.
fn patched(manifest: &AnyManifest, patch: &Value) -> Result<AnyManifest, Refusal> {
    if !patch.is_object() {
        return Err(Refusal::invalid("the patch must be a JSON object with the fields to change"));
    }
    let mut document = serde_json::to_value(manifest).expect("a manifest is always JSON");
    merge(&mut document, patch);
    manifest_from_json(&document).map_err(|faults| {
        let listed: Vec<_> = faults.iter().map(ToString::to_string).collect();
        let detail = format!("{} would not be valid: {}", manifest.subject(), listed.join("; "));
        Refusal::Invalid { detail, faults }
    })
}

/// RFC 7396, section 2: a member of the patch replaces the same member, `null` takes it out, and objects are merged
/// member by member.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(members) = target else { unreachable!("it was made an object") };
    for (name, change) in changes {
        if change.is_null() {
            members.shift_remove(name);
        } else {
            merge(members.entry(name.as_str()).or_insert(Value::Null), change);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The test cases of RFC 7396, appendix A.
    #[test]
    fn patches_are_merged_as_the_rfc_shows() {
        let cases = [
            (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b", "b":"c"})),
            (json!({"a":"b"}), json!({"a":null}), json!({})),
            (json!({"a":"b", "b":"c"}), json!({"a":null}), json!({"b":"c"})),
            (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"c"}), json!({"a":["b"]}), json!({"a":["b"]})),
            (json!({"a":{"b":"c"}}), json!({"a":{"b":"d","c":null}}), json!({"a":{"b":"d"}})),
            (json!({"a":[{"b":"c"}]}), json!({"a":[1]}), json!({"a":[1]})),
            (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
            (json!({"a":"b"}), json!(["c"]), json!(["c"])),
            (json!({"a":"foo"}), json!(null), json!(null)),
            (json!({"a":"foo"}), json!("bar"), json!("bar")),
            (json!({"e":null}), json!({"a":1}), json!({"e":null, "a":1})),
            (json!([1, 2]), json!({"a":"b","c":null}), json!({"a":"b"})),
            (json!({}), json!({"a":{"bb":{"ccc":null}}}), json!({"a":{"bb":{}}})),
        ];
        for (mut target, patch, expected) in cases {
            merge(&mut target, &patch);
            assert_eq!(target, expected, "{patch}");
        }
    }
}
