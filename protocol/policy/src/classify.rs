//! Which classes a field has.

use std::collections::BTreeSet;

use towpath_record::{Column, StreamName};
use towpath_resource::{Class, Classification};

use crate::rulebook::{Compiled, Rulebook};

/// What is known of a field.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Classified {
    /// Its classes: those that the source gave it, and those of every policy that covers its stream.
    pub classes: BTreeSet<Class>,
    /// Whether anyone said anything of it, be it that it has no class.
    pub known: bool,
}

impl Rulebook {
    /// Which classes a field of this stream has.
    pub fn classify(&self, stream: &StreamName, column: &Column) -> Classified {
        let mut found = Classified::default();
        for class in column.class.iter().flat_map(|classes| classes.split(',')) {
            // A text that is no class says nothing: whoever sends a field may not make it known by it.
            let Ok(class) = Class::new(class.trim()) else { continue };
            found.classes.insert(class);
            found.known = true;
        }
        for policy in self.covering(stream) {
            policy.classify(stream, &column.name, &mut found);
        }
        found
    }
}

impl Compiled {
    fn classify(&self, stream: &StreamName, field: &str, found: &mut Classified) {
        for (_, one) in self.classifications(stream, field) {
            found.classes.extend(one.classes.iter().cloned());
            found.known = true;
        }
    }

    /// What this policy says of a field, each with its number from 1.
    pub(crate) fn classifications<'a>(
        &'a self,
        stream: &'a StreamName,
        field: &'a str,
    ) -> impl Iterator<Item = (usize, &'a Classification)> {
        let all = self.policy.spec.classify.iter().zip(&self.fields).enumerate();
        all.filter_map(move |(n, (one, fields))| {
            let here = one.streams.is_empty() || one.streams.iter().any(|pattern| pattern.matches(stream));
            (here && fields.iter().any(|pattern| pattern.is_match(field))).then_some((n + 1, one))
        })
    }
}

/// The classes as they stand in a column of a schema.
pub(crate) fn as_text(classes: &BTreeSet<Class>) -> Option<String> {
    let words: Vec<_> = classes.iter().map(Class::as_str).collect();
    (!words.is_empty()).then(|| words.join(","))
}
