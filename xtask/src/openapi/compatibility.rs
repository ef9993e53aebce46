//! Whether programs written for one OpenAPI document go on working with another. Pure.
//!
//! What a client sends may be widened and what it gets may be extended, never the reverse. So the rules depend on which
//! way a schema is read: in requests nothing may become required, narrower or unknown; in answers nothing that was
//! promised may go, and no value may come that was not announced, except in lists of words that the policy leaves open.

mod pattern;

use std::collections::BTreeSet;

use serde_json::Value;

/// Which way a body goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    Request,
    Answer,
}

/// Deeper schemas refer to themselves.
const DEEPEST: usize = 24;
const METHODS: [&str; 5] = ["get", "put", "post", "delete", "patch"];

/// What of the old document a client could rely on and the new one breaks. Empty if nothing.
pub(crate) fn breaks(old: &Value, new: &Value) -> Vec<String> {
    let mut check = Check { old, new, found: Vec::new(), seen: BTreeSet::new() };
    for (path, operations) in members(&old["paths"]) {
        let now = &new["paths"][path];
        if now.is_null() {
            check.found.push(format!("{path} is gone"));
            continue;
        }
        for method in METHODS.into_iter().filter(|method| operations.get(method).is_some()) {
            let place = format!("{} {path}", method.to_ascii_uppercase());
            match now.get(method) {
                Some(now) => check.operation(&place, &operations[method], now),
                None => check.found.push(format!("{place} is gone")),
            }
        }
    }
    check.found
}

struct Check<'a> {
    old: &'a Value,
    new: &'a Value,
    found: Vec<String>,
    /// Pairs of named schemas that were compared: what refers to itself is compared once.
    seen: BTreeSet<(bool, String, String)>,
}

impl<'a> Check<'a> {
    fn operation(&mut self, place: &str, old: &'a Value, new: &'a Value) {
        if old["operationId"] != new["operationId"] {
            self.found.push(format!(
                "{place}: its operationId was {}, now {}",
                old["operationId"], new["operationId"]
            ));
        }
        self.parameters(place, old, new);
        self.request(place, old, new);
        for (status, answer) in members(&old["responses"]) {
            // A refusal is a problem document whatever its status, and which ones come is no promise.
            if !status.starts_with('2') {
                continue;
            }
            let Some(now) = new["responses"].get(status) else {
                self.found.push(format!("{place}: status {status} is gone"));
                continue;
            };
            self.contents(&format!("{place}: answer {status}"), Way::Answer, answer, now);
            for (header, _) in members(&answer["headers"]) {
                if now["headers"].get(header).is_none() {
                    self.found.push(format!("{place}: answer {status}: header {header} is gone"));
                }
            }
        }
    }

    fn parameters(&mut self, place: &str, old: &'a Value, new: &'a Value) {
        let same = |one: &Value, other: &Value| one["name"] == other["name"] && one["in"] == other["in"];
        let (before, now) = (items(&old["parameters"]), items(&new["parameters"]));
        for parameter in before.clone() {
            let name = parameter["name"].as_str().unwrap_or_default();
            let what = format!("{place}: parameter {name}");
            match now.clone().find(|one| same(one, parameter)) {
                Some(one) => {
                    if one["required"] == true && parameter["required"] != true {
                        self.found.push(format!("{what} is required now"));
                    }
                    self.schema(&what, Way::Request, &parameter["schema"], &one["schema"], 0);
                }
                None => self.found.push(format!("{what} is gone")),
            }
        }
        for added in
            now.filter(|one| one["required"] == true && !before.clone().any(|other| same(one, other)))
        {
            self.found.push(format!("{place}: parameter {} is new and required", added["name"]));
        }
    }

    fn request(&mut self, place: &str, old: &'a Value, new: &'a Value) {
        match (old.get("requestBody"), new.get("requestBody")) {
            (None, Some(body)) if body["required"] == true => {
                self.found.push(format!("{place}: a body is required now"));
            }
            (Some(_), None) => self.found.push(format!("{place}: its body is gone")),
            (Some(before), Some(now)) => {
                if now["required"] == true && before["required"] != true {
                    self.found.push(format!("{place}: its body is required now"));
                }
                self.contents(&format!("{place}: body"), Way::Request, before, now);
            }
            _ => {}
        }
    }

    fn contents(&mut self, place: &str, way: Way, old: &'a Value, new: &'a Value) {
        for (kind, content) in members(&old["content"]) {
            match new["content"].get(kind) {
                Some(now) => {
                    self.schema(&format!("{place} ({kind})"), way, &content["schema"], &now["schema"], 0);
                }
                None => self.found.push(format!("{place}: {kind} is gone")),
            }
        }
    }

    fn schema(&mut self, place: &str, way: Way, old: &'a Value, new: &'a Value, depth: usize) {
        if depth > DEEPEST {
            return;
        }
        if let (Some(before), Some(now)) = (old["$ref"].as_str(), new["$ref"].as_str())
            && !self.seen.insert((way == Way::Request, before.to_owned(), now.to_owned()))
        {
            return;
        }
        let (old, new) = (resolved(self.old, old), resolved(self.new, new));
        if old == new && self.old == self.new {
            return;
        }
        self.types(place, way, old, new);
        self.words(place, way, old, new);
        self.limits(place, way, old, new);
        self.properties(place, way, old, new, depth);
        if old.get("items").is_some() && new.get("items").is_some() {
            self.schema(&format!("{place}[]"), way, &old["items"], &new["items"], depth + 1);
        }
        for list in ["oneOf", "anyOf"] {
            self.alternatives(
                place,
                way,
                items(&old[list]).collect(),
                items(&new[list]).collect(),
                depth + 1,
            );
        }
    }

    /// The types of JSON values: a request may not lose one, an answer may not gain one.
    fn types(&mut self, place: &str, way: Way, old: &Value, new: &Value) {
        let (before, now) = (types(old), types(new));
        let wrong = match way {
            // What says nothing of its type takes any.
            Way::Request => !now.is_empty() && (before.is_empty() || !now.is_superset(&before)),
            Way::Answer => !before.is_empty() && (now.is_empty() || !before.is_superset(&now)),
        };
        if wrong {
            self.found.push(format!("{place}: its type was {before:?}, now {now:?}"));
        }
    }

    /// Lists of words: what was taken must be taken. Words that are new in answers are announced by the policy.
    fn words(&mut self, place: &str, way: Way, old: &Value, new: &Value) {
        let (before, now) = (words(old), words(new));
        if way == Way::Request && !now.is_empty() && (before.is_empty() || !now.is_superset(&before)) {
            let lost: Vec<_> = before.difference(&now).collect();
            self.found.push(format!("{place}: it takes {lost:?} no more"));
        }
    }

    /// Bounds of what is sent may only be widened.
    fn limits(&mut self, place: &str, way: Way, old: &Value, new: &Value) {
        if way == Way::Answer {
            return;
        }
        let bounds = [
            ("minimum", true),
            ("minLength", true),
            ("minItems", true),
            ("maximum", false),
            ("maxLength", false),
            ("maxItems", false),
        ];
        for (bound, lower) in bounds {
            let Some(now) = new[bound].as_f64() else { continue };
            let narrower =
                old[bound].as_f64().is_none_or(|before| if lower { now > before } else { now < before });
            if narrower {
                self.found.push(format!("{place}: its {bound} was {}, now {now}", old[bound]));
            }
        }
        let wider = |now: &str| old["pattern"].as_str().is_some_and(|before| pattern::is_wider(before, now));
        if new["pattern"].as_str().is_some_and(|now| !wider(now)) {
            self.found.push(format!("{place}: its pattern was {}, now {}", old["pattern"], new["pattern"]));
        }
    }

    fn properties(&mut self, place: &str, way: Way, old: &'a Value, new: &'a Value, depth: usize) {
        let (required_before, required_now) = (required(old), required(new));
        for (name, before) in members(&old["properties"]) {
            let what = format!("{place}.{name}");
            let Some(now) = new["properties"].get(name) else {
                self.found.push(format!("{what} is gone"));
                continue;
            };
            if way == Way::Answer
                && required_before.contains(name.as_str())
                && !required_now.contains(name.as_str())
            {
                self.found.push(format!("{what} was always there and need not be now"));
            }
            self.schema(&what, way, before, now, depth + 1);
        }
        if way == Way::Request {
            for name in required_now.difference(&required_before) {
                self.found.push(format!("{place}.{name} is required now"));
            }
            if new["additionalProperties"] == false
                && old["additionalProperties"] != false
                && types(old).contains("object")
            {
                self.found.push(format!("{place}: it takes no other members any more"));
            }
        }
    }

    /// Alternatives are told apart by what they are as a whole: each that was taken must still be there, or one that
    /// takes all that it took.
    fn alternatives(
        &mut self,
        place: &str,
        way: Way,
        old: Vec<&'a Value>,
        new: Vec<&'a Value>,
        depth: usize,
    ) {
        if old.is_empty() && new.is_empty() {
            return;
        }
        let (from, to) = match way {
            Way::Request => (old, new),
            Way::Answer => (new, old),
        };
        for (n, one) in from.iter().enumerate() {
            let fits = |other: &&Value| {
                let (before, now) = if way == Way::Request { (*one, *other) } else { (*other, *one) };
                let mut inner =
                    Check { old: self.old, new: self.new, found: Vec::new(), seen: self.seen.clone() };
                inner.schema(place, way, before, now, depth);
                inner.found.is_empty()
            };
            if !to.iter().any(fits) {
                let verb = if way == Way::Request { "is not taken any more" } else { "was not announced" };
                self.found.push(format!("{place}: alternative {n} {verb}"));
            }
        }
    }
}

/// What a schema says, where it refers to a named one.
fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    let mut here = schema;
    for _ in 0..DEEPEST {
        let Some(pointer) = here["$ref"].as_str().and_then(|reference| reference.strip_prefix('#')) else {
            break;
        };
        let Some(named) = document.pointer(pointer) else { break };
        here = named;
    }
    here
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> + Clone {
    value.as_array().into_iter().flatten()
}

fn types(schema: &Value) -> BTreeSet<&str> {
    match &schema["type"] {
        Value::String(one) => BTreeSet::from([one.as_str()]),
        many => items(many).filter_map(Value::as_str).collect(),
    }
}

fn words(schema: &Value) -> BTreeSet<String> {
    let constant = schema.get("const").into_iter();
    items(&schema["enum"]).chain(constant).map(Value::to_string).collect()
}

fn required(schema: &Value) -> BTreeSet<&str> {
    items(&schema["required"]).filter_map(Value::as_str).collect()
}

#[cfg(test)]
mod tests;
