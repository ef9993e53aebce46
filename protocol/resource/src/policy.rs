//! Policies: what may be stored and sent where, and what becomes of what may not.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use towpath_record::{RegionName, ResourceName, StreamName};

use crate::class::{Class, ClassPattern};
use crate::fault::Faults;
use crate::hint::Purpose;
use crate::id::PolicyId;
use crate::kind::Kind;
use crate::pattern::StreamPattern;
use crate::site::{LONGEST_DESCRIPTION, check_description};
use crate::spec::{Reference, Spec};
use crate::treatment::{Encrypt, Treatment};

const MOST_ENTRIES: usize = 500;
const LONGEST_FILTER: usize = 4_096;
/// `GET /v1/policies/explain` is something else than a policy.
const NO_NAME: &str = "explain";
/// Longest purpose, in bytes.
pub(crate) const LONGEST_PURPOSE: usize = 80;

/// What may be stored and sent where, for the streams it covers. The agent that reads a source applies it before
/// anything is written or sent; the region's log refuses what does not keep to it; a plan shows it before it runs.
///
/// A field has the classes that are given to it here or by the source. For each class the most special rule counts: one
/// that names the stream, then the class, then the region, then the purpose more closely; of equals the stricter. A
/// class for which there is no rule is blocked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Policy")]
pub struct PolicySpec {
    /// The streams it covers, by name or pattern.
    #[schemars(length(min = 1, max = MOST_ENTRIES))]
    pub streams: Vec<StreamPattern>,
    /// What becomes of a field to which no class was given, and which was not declared to have none. Default: `hold`.
    #[serde(default)]
    pub on_new_field: OnNewField,
    /// Which fields have which classes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MOST_ENTRIES))]
    pub classify: Vec<Classification>,
    /// What becomes of which classes.
    #[schemars(length(max = MOST_ENTRIES))]
    pub rules: Vec<Rule>,
    /// The rows that pass, as an expression of the Common Expression Language over `row`, such as
    /// `row.country in ["DE", "FR"]`. It sees rows as the source gave them. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = LONGEST_FILTER))]
    pub filter: Option<String>,
    /// What people should know of it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = LONGEST_DESCRIPTION))]
    pub description: String,
}

impl PolicySpec {
    /// Whether the policy is for this stream.
    pub fn covers(&self, stream: &StreamName) -> bool {
        self.streams.iter().any(|pattern| pattern.matches(stream))
    }
}

/// What becomes of a field that nobody knows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnNewField {
    /// It passes.
    Allow,
    /// It is left out.
    Drop,
    /// The source waits until an admin says what it is. Nothing is lost meanwhile that the source retains.
    #[default]
    Hold,
}

/// Which fields have which classes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Classification {
    /// The fields, by name; `*` stands for any characters. Letter case does not count.
    #[schemars(length(min = 1), inner(length(min = 1)))]
    pub fields: Vec<String>,
    /// Their classes. None declares that they need no protection.
    pub classes: Vec<Class>,
    /// The streams in which they have them. Default: all that the policy covers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub streams: Vec<StreamPattern>,
}

/// What becomes of which classes, and where.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The classes it is for.
    #[schemars(length(min = 1))]
    pub classes: Vec<ClassPattern>,
    /// The streams it is for. Default: all that the policy covers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub streams: Vec<StreamPattern>,
    /// The regions it is for: where a log or a sink stands. Default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<RegionName>,
    /// The purposes it is for, as routes declare them. Default: all, and what has none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<Purpose>")]
    pub purposes: Vec<String>,
    /// What becomes of them.
    pub then: Treatment,
}

impl Spec for PolicySpec {
    type Id = PolicyId;
    const KIND: Kind = Kind::Policy;
    const COLUMNS: &'static [(&'static str, &'static str)] = &[
        ("streams", "/spec/streams"),
        ("on new field", "/spec/on_new_field"),
        ("filter", "/spec/filter"),
        ("description", "/spec/description"),
    ];
    const EXAMPLE: &'static str = r#"apiVersion: towpath/v1
kind: Policy
metadata: {name: customers}
spec:
  streams: [crm.**]
  on_new_field: hold
  classify:
    - {fields: [email, "*_mail"], classes: [pii.email]}
    - {fields: [id, created_at, status], classes: []}
  rules:
    - {classes: ["pii.*"], regions: [main], then: allow}
    - {classes: [pii.email], then: {mask: domain}}
    - {classes: ["*"], then: drop}
"#;

    fn check(&self, faults: &mut Faults) {
        faults.require(!self.streams.is_empty(), "spec.streams", || {
            "names no stream; `**` stands for all".to_owned()
        });
        let lists = [
            ("spec.streams", self.streams.len()),
            ("spec.classify", self.classify.len()),
            ("spec.rules", self.rules.len()),
        ];
        for (path, entries) in lists {
            faults.require(entries <= MOST_ENTRIES, path, || {
                format!("has {entries} entries; at most {MOST_ENTRIES} are allowed")
            });
        }
        for (n, one) in self.classify.iter().enumerate() {
            let path = format!("spec.classify[{n}].fields");
            faults.require(!one.fields.is_empty() && !one.fields.iter().any(String::is_empty), &path, || {
                "names no field".to_owned()
            });
        }
        for (n, rule) in self.rules.iter().enumerate() {
            faults.require(!rule.classes.is_empty(), &format!("spec.rules[{n}].classes"), || {
                "names no class; `*` stands for all".to_owned()
            });
            for purpose in &rule.purposes {
                check_purpose(purpose, &format!("spec.rules[{n}].purposes"), faults);
            }
            rule.then.check(&format!("spec.rules[{n}].then"), faults);
        }
        if let Some(filter) = &self.filter {
            faults.require((1..=LONGEST_FILTER).contains(&filter.len()), "spec.filter", || {
                format!("has {} bytes; it may have 1 to {LONGEST_FILTER}", filter.len())
            });
        }
        check_description(&self.description, faults);
    }

    fn check_name(name: &ResourceName, faults: &mut Faults) {
        faults.require(name.as_str() != NO_NAME, "metadata.name", || {
            format!("cannot be `{NO_NAME}`, which is an address of the API; choose another")
        });
    }

    fn references(&self) -> Vec<Reference> {
        let readers = self.rules.iter().filter_map(|rule| match &rule.then {
            Treatment::Encrypt(Encrypt { to }) => Some(to),
            _ => None,
        });
        let reference =
            |name: &ResourceName| Reference { path: "spec.rules", kind: Kind::Agent, name: name.clone() };
        readers.map(reference).collect()
    }
}

/// Whether a text can be a purpose: one word.
pub fn is_purpose(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-');
    (1..=LONGEST_PURPOSE).contains(&text.len()) && text.bytes().all(allowed)
}

/// What is said of a text that is none.
pub fn no_purpose(text: &str) -> String {
    format!("`{text}` is no purpose: write 1 to {LONGEST_PURPOSE} lower-case letters, digits, `_` and `-`")
}

/// Notes that a purpose is not one word.
pub(crate) fn check_purpose(purpose: &str, path: &str, faults: &mut Faults) {
    faults.require(is_purpose(purpose), path, || no_purpose(purpose));
}

#[cfg(test)]
mod tests {
    use crate::parse_documents;

    /// The fields at fault of a policy of this name with one rule.
    fn faults(name: &str, rule: &str) -> Vec<String> {
        let text = format!(
            "{{apiVersion: towpath/v1, kind: Policy, metadata: {{name: {name}}}, spec: {{streams: ['**'], rules: [{{classes: ['*'], {rule}}}]}}}}"
        );
        let read = parse_documents(&text).unwrap().remove(0).manifest;
        read.err().unwrap_or_default().into_iter().map(|fault| fault.path).collect()
    }

    #[test]
    fn what_a_policy_may_not_say_is_named() {
        assert_eq!(faults("customers", "purposes: [ad-words], then: drop"), Vec::<String>::new());
        assert_eq!(faults("customers", "purposes: [Ad words], then: drop"), ["spec.rules[0].purposes"]);
        assert_eq!(faults("customers", "then: {hash: {key: 00ff}}"), ["spec.rules[0].then.hash.key"]);
        assert_eq!(faults("customers", "then: {bucket: {width: 0}}"), ["spec.rules[0].then.bucket.width"]);
        assert_eq!(faults("explain", "then: drop"), ["metadata.name"]);
    }
}
