//! The laws of every adapter's registration.

use anyhow::{Context, bail, ensure};
use serde_json::{Map, Value, json};
use towpath_adapter_api::{AdapterError, ErrorKind, Registry};

/// Checks what every adapter says of its configuration: a JSON Schema that describes each property and allows
/// no other, and a refusal of unknown keys that names the nearest known one.
///
/// # Errors
/// The first adapter and rule that fail.
pub fn registry_suite(registry: &Registry) -> anyhow::Result<()> {
    let mut kinds = Vec::new();
    for adapter in registry.iter() {
        let kind = adapter.kind;
        ensure!(!kinds.contains(&kind), "the kind `{kind}` is registered twice");
        ensure!(adapter.source.is_some() || adapter.sink.is_some(), "`{kind}` is neither source nor sink");
        kinds.push(kind);
        if let Some(source) = adapter.source {
            let refuse = |config: &Value| (source.build)(config).err();
            check((source.config_schema)(), &refuse).with_context(|| format!("source `{kind}`"))?;
        }
        if let Some(sink) = adapter.sink {
            let refuse = |config: &Value| (sink.build)(config).err();
            check((sink.config_schema)(), &refuse).with_context(|| format!("sink `{kind}`"))?;
        }
    }
    Ok(())
}

fn check(schema: Value, refuse: &dyn Fn(&Value) -> Option<AdapterError>) -> anyhow::Result<()> {
    check_described(&schema, "configuration")?;
    let properties = schema["properties"].as_object().context("the configuration has no properties")?;
    for key in properties.keys().filter(|key| key.len() > 3) {
        let misspelt = format!("{}x", &key[..key.len() - 1]);
        ensure!(!properties.contains_key(&misspelt), "`{misspelt}` was meant to be unknown");
        let config = Value::Object(Map::from_iter([(misspelt.clone(), json!("any"))]));
        let Some(error) = refuse(&config) else { bail!("the unknown key `{misspelt}` is accepted") };
        ensure!(error.kind == ErrorKind::Config, "an unknown key is refused as {:?}", error.kind);
        let said = error.to_string();
        let nearest = said.rfind(&format!("`{key}`"));
        ensure!(
            said.contains(&misspelt) && nearest.is_some(),
            "the refusal of `{misspelt}` does not name `{key}`: {said}"
        );
    }
    Ok(())
}

/// Checks an object schema and every one inside it.
fn check_described(schema: &Value, path: &str) -> anyhow::Result<()> {
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        let closed = schema.get("additionalProperties") == Some(&Value::Bool(false));
        ensure!(closed, "{path} allows unknown keys");
        let text = |schema: &Value| schema.get("description")?.as_str().map(str::trim).map(str::to_owned);
        for (name, property) in properties {
            // The one key of a choice is described by the choice.
            let choice = || text(schema).filter(|_| properties.len() == 1);
            let described = text(property).or_else(choice).is_some_and(|text| !text.is_empty());
            ensure!(described, "{path}.{name} is not described");
        }
    }
    let children = match schema {
        Value::Object(members) => members.iter().map(|(name, child)| (name.clone(), child)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(i, child)| (i.to_string(), child)).collect(),
        _ => Vec::new(),
    };
    children.into_iter().try_for_each(|(name, child)| check_described(child, &format!("{path}.{name}")))
}
