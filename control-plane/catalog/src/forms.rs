//! The forms in which events were ever written, and how an old form is led to the present one.
//!
//! An event is written in the form of its day and never again: its bytes are hashed. A record says with its member `v`
//! in which version of its event's form it is; without one, it is the first. When a form changes, its new version is
//! written from then on, and an [`Upcast`] from the old one is added here. Reading applies them one after the other, on
//! JSON, until there is none left, and only then takes the result for an [`Event`]. So the code knows one form of each
//! event, and every event that was ever written can be read.
//!
//! `tests/golden` holds every form as it was written. A form that changes without a version does not pass its test.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::event::Event;

/// Leads one version of an event's form to the next. The event's name may change too.
struct Upcast {
    /// The event and the version that it takes.
    from: (&'static str, u32),
    /// The event and the version that it makes.
    to: (&'static str, u32),
    /// Changes the members; `event` and `v` are set by the caller.
    change: fn(&mut Map<String, Value>),
}

/// Every step from one form to the next.
const UPCASTS: &[Upcast] = &[];

/// The members that say which form it is.
#[derive(Deserialize)]
struct Form<'a> {
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(default = "first")]
    v: u32,
}

fn first() -> u32 {
    1
}

/// The event in its present form, JSON.
pub(crate) fn write(event: &Event) -> Vec<u8> {
    let json = serde_json::to_vec(event).expect("an event is always JSON");
    let form: Form<'_> = serde_json::from_slice(&json).expect("an event says which it is");
    match present(UPCASTS, &form.event) {
        1 => json,
        version => [format!("{{\"v\":{version},").as_bytes(), &json[1..]].concat(),
    }
}

/// Reads an event in whichever form it was written.
///
/// # Errors
/// It is no event, or a later version wrote it.
pub(crate) fn read(json: &[u8]) -> Result<Event, serde_json::Error> {
    let form: Form<'_> = serde_json::from_slice(json)?;
    if step(UPCASTS, &form.event, form.v).is_none() {
        check_known(UPCASTS, &form.event, form.v)?;
        return serde_json::from_slice(json);
    }
    serde_json::from_value(Value::Object(upcast(UPCASTS, serde_json::from_slice(json)?)?))
}

/// How many steps between forms there are.
pub(crate) fn steps() -> usize {
    UPCASTS.len()
}

fn upcast(steps: &[Upcast], mut event: Map<String, Value>) -> Result<Map<String, Value>, serde_json::Error> {
    loop {
        let name = event.get("event").and_then(Value::as_str).unwrap_or_default().to_owned();
        let version = event.get("v").and_then(Value::as_u64).and_then(|v| u32::try_from(v).ok());
        let version = version.unwrap_or_else(first);
        let Some(step) = step(steps, &name, version) else {
            check_known(steps, &name, version)?;
            event.shift_remove("v");
            return Ok(event);
        };
        (step.change)(&mut event);
        event.insert("event".to_owned(), step.to.0.into());
        event.insert("v".to_owned(), step.to.1.into());
    }
}

fn step<'a>(steps: &'a [Upcast], event: &str, version: u32) -> Option<&'a Upcast> {
    steps.iter().find(|step| step.from == (event, version))
}

/// The version in which an event is written today.
fn present(steps: &[Upcast], event: &str) -> u32 {
    steps.iter().filter(|step| step.to.0 == event).map(|step| step.to.1).max().unwrap_or_else(first)
}

fn check_known(steps: &[Upcast], event: &str, version: u32) -> Result<(), serde_json::Error> {
    let present = present(steps, event);
    if version == present {
        return Ok(());
    }
    let message = format!(
        "`{event}` is written in version {version} of its form, and this release reads up to {present}"
    );
    Err(serde::de::Error::custom(message))
}

#[cfg(test)]
mod tests;
