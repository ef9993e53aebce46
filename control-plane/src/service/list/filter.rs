//! Which resources a list shows: terms joined by commas, all of which must hold.
//!
//! ```text
//! filter = term *( "," term )
//! term   = field ( "=" / "!=" ) value / [ "!" ] "labels." KEY
//! field  = "name" / "labels." KEY / "spec." PATH / "status." PATH
//! value  = *( any character but "," ) / DQUOTE *( any character, with \" for a quote and \\ for a backslash ) DQUOTE
//! ```
//!
//! A value is compared with the field as JSON writes it, without the quotes of a text; in a list, one item that is equal
//! is enough. A field that is not there equals nothing, so `=` never holds for it and `!=` always does. A label alone asks
//! that there is one, whatever its value.

use std::str::FromStr;

use serde::Serialize;
use serde_json::Value;
use towpath_resource::{Fault, Kind, Resource, Spec};

use super::field::{Field, holds};
use crate::service::Refusal;

/// Longest filter, in bytes.
const LONGEST: usize = 2048;
/// Most terms of a filter.
const MOST_TERMS: usize = 32;

/// Which resources a list shows. The default shows all.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Filter {
    text: String,
    terms: Vec<Term>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Term {
    field: Field,
    equal: bool,
    /// Nothing: any.
    value: Option<String>,
}

/// A text that is no filter: what is wrong, term by term from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterError(pub Vec<(usize, String)>);

impl Filter {
    /// As it was written.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Whether it shows all.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Whether it looks at what is observed.
    pub fn reads_status(&self) -> bool {
        self.terms.iter().any(|term| matches!(term.field, Field::Status(_)))
    }

    /// Whether resources of this kind have the fields it names.
    ///
    /// # Errors
    /// Each term whose field there is not.
    pub fn check(&self, kind: Kind) -> Result<(), FilterError> {
        let faulty =
            self.terms.iter().enumerate().filter_map(|(n, term)| Some((n, term.field.check(kind).err()?)));
        let faulty: Vec<_> = faulty.collect();
        if faulty.is_empty() { Ok(()) } else { Err(FilterError(faulty)) }
    }

    /// Whether it shows this resource. What is observed of it is looked at only if a term asks for it.
    pub fn shows<S: Spec>(&self, resource: &Resource<S>, status: impl Fn() -> Option<Value>) -> bool {
        let (mut spec, mut seen) = (None, None);
        // What costs nothing is looked at first: most resources are passed over by it.
        let at_hand = self.terms.iter().filter(|term| term.field.is_at_hand());
        at_hand.chain(self.terms.iter().filter(|term| !term.field.is_at_hand())).all(|term| {
            let found = match (&term.field, &term.value) {
                (Field::Label(key), None) => resource.metadata.labels.contains_key(key),
                (Field::Label(key), value) => resource.metadata.labels.get(key) == value.as_ref(),
                (Field::Name, Some(value)) => *resource.name().as_str() == **value,
                (Field::Spec(path), Some(value)) => {
                    holds(spec.get_or_insert_with(|| json(&resource.spec)), path, value)
                }
                (Field::Status(path), Some(value)) => {
                    holds(seen.get_or_insert_with(|| status().unwrap_or_default()), path, value)
                }
                // Not read so; see `Term::read`.
                (Field::Name | Field::Spec(_) | Field::Status(_), None) => false,
            };
            found == term.equal
        })
    }
}

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        let whole = |message: String| FilterError(vec![(0, message)]);
        if text.len() > LONGEST {
            return Err(whole(format!("the filter has {} bytes; at most {LONGEST} are allowed", text.len())));
        }
        let parts = split(text);
        if parts.len() > MOST_TERMS {
            return Err(whole(format!(
                "the filter has {} terms; at most {MOST_TERMS} are allowed",
                parts.len()
            )));
        }
        let (mut terms, mut wrong) = (Vec::new(), Vec::new());
        for (n, part) in parts.into_iter().enumerate() {
            match Term::read(part) {
                Ok(term) => terms.push(term),
                Err(message) => wrong.push((n, message)),
            }
        }
        if wrong.is_empty() { Ok(Self { text: text.to_owned(), terms }) } else { Err(FilterError(wrong)) }
    }
}

impl Term {
    fn read(text: &str) -> Result<Self, String> {
        let Some(at) = text.find('=') else { return Self::read_label(text) };
        let (field, value) = (&text[..at], &text[at + 1..]);
        let (field, equal) = field.strip_suffix('!').map_or((field, true), |field| (field, false));
        let value = match value.strip_prefix('"') {
            Some(quoted) => {
                unquoted(quoted).ok_or_else(|| format!("`{value}` does not end with its quote"))?
            }
            None => value.to_owned(),
        };
        Ok(Self { field: Field::read(field.trim())?, equal, value: Some(value) })
    }

    /// A label that is there, or is not.
    fn read_label(text: &str) -> Result<Self, String> {
        let (name, equal) = text.trim().strip_prefix('!').map_or((text.trim(), true), |name| (name, false));
        match Field::read(name) {
            Ok(field @ Field::Label(_)) => Ok(Self { field, equal, value: None }),
            _ => Err(format!(
                "`{text}` compares nothing; write FIELD=VALUE, FIELD!=VALUE, labels.KEY or !labels.KEY"
            )),
        }
    }
}

/// The terms of a filter, cut at the commas outside quotes.
fn split(text: &str) -> Vec<&str> {
    if text.is_empty() {
        return Vec::new();
    }
    let (mut parts, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            // A quote begins a value only where the value begins.
            b'"' if quoted || text[start..at].ends_with('=') => quoted = !quoted,
            b',' if !quoted => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// What stands in quotes, without the first one, if it ends with the other.
fn unquoted(text: &str) -> Option<String> {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars();
    loop {
        match rest.next()? {
            '\\' => plain.push(rest.next()?),
            '"' => return rest.next().is_none().then_some(plain),
            other => plain.push(other),
        }
    }
}

fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).expect("a spec is always JSON")
}

impl From<FilterError> for Refusal {
    fn from(error: FilterError) -> Self {
        let fault =
            |(n, message): (usize, String)| Fault { path: format!("filter[{n}]"), message, place: None };
        let faults: Vec<_> = error.0.into_iter().map(fault).collect();
        let listed: Vec<_> = faults.iter().map(|fault| fault.message.clone()).collect();
        Self::Invalid { detail: format!("the filter is not valid: {}", listed.join("; ")), faults }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(text: &str) -> Vec<(String, bool, String)> {
        let filter: Filter = text.parse().unwrap();
        filter
            .terms
            .into_iter()
            .map(|term| (term.field.to_string(), term.equal, term.value.unwrap_or_default()))
            .collect()
    }

    #[test]
    fn terms_are_cut_at_commas_outside_quotes() {
        assert_eq!(terms(""), []);
        assert_eq!(
            terms(r#"labels.a/b.c=x,spec.agent!=plant-1,name="a,\"b\\",labels.q=a"b"#),
            [
                ("labels.a/b.c".to_owned(), true, "x".to_owned()),
                ("spec.agent".to_owned(), false, "plant-1".to_owned()),
                ("name".to_owned(), true, "a,\"b\\".to_owned()),
                ("labels.q".to_owned(), true, "a\"b".to_owned()),
            ]
        );
        assert_eq!(terms("labels.x="), [("labels.x".to_owned(), true, String::new())]);
    }

    #[test]
    fn a_label_alone_asks_that_it_is_there_or_not() {
        let filter: Filter = "labels.owner, !labels.a/b.c".parse().unwrap();
        let terms: Vec<_> = filter.terms.iter().map(|term| (term.field.to_string(), term.equal)).collect();
        assert_eq!(terms, [("labels.owner".to_owned(), true), ("labels.a/b.c".to_owned(), false)]);
        assert!(filter.terms.iter().all(|term| term.value.is_none()));
        for text in ["spec.agent", "!name", "!labels.", "labels"] {
            assert!(text.parse::<Filter>().is_err(), "{text}");
        }
    }

    #[test]
    fn each_term_that_is_wrong_is_named() {
        let said = "labels.env=a,colour=red,name,name=\"x".parse::<Filter>().unwrap_err();
        assert_eq!(said.0.iter().map(|(n, _)| *n).collect::<Vec<_>>(), [1, 2, 3]);
        assert!(",".parse::<Filter>().is_err());
        assert!("name=a,".repeat(40).parse::<Filter>().is_err());
        assert!(format!("name={}", "x".repeat(3000)).parse::<Filter>().is_err());
    }
}
