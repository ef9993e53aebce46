//! Secrets are references in resources, resolved only here, in the agent that uses them.
//!
//! `${env:NAME}` stands for an environment variable, `${file:/path}` for the content of a file without its last
//! line break. `$${` stands for a literal `${`.

use serde_json::Value;
use towpath_adapter_api::{AdapterError, ErrorKind};
use towpath_resource::SecretReference;

/// Replaces every reference in the strings of a configuration.
pub(crate) fn resolve(config: &Value) -> Result<Value, AdapterError> {
    Ok(match config {
        Value::String(text) => Value::String(resolve_text(text)?),
        Value::Array(items) => Value::Array(items.iter().map(resolve).collect::<Result<_, _>>()?),
        Value::Object(members) => {
            let resolved = members.iter().map(|(key, value)| Ok((key.clone(), resolve(value)?)));
            Value::Object(resolved.collect::<Result<_, AdapterError>>()?)
        }
        other => other.clone(),
    })
}

fn resolve_text(text: &str) -> Result<String, AdapterError> {
    let mut resolved = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            resolved.push_str(&rest[..at - 1]);
            resolved.push_str("${");
            rest = &rest[at + 2..];
            continue;
        }
        resolved.push_str(&rest[..at]);
        let Some(end) = rest[at..].find('}') else {
            return Err(refused(&rest[at..], "it has no closing brace"));
        };
        resolved.push_str(&look_up(&rest[at..=at + end])?);
        rest = &rest[at + end + 1..];
    }
    resolved.push_str(rest);
    Ok(resolved)
}

/// The secret that a reference stands for.
pub(crate) fn look_up(reference: &str) -> Result<String, AdapterError> {
    match reference.parse::<SecretReference>() {
        Ok(SecretReference::Env(name)) => std::env::var(name)
            .map_err(|_| refused(reference, "set this variable in the agent's environment")),
        Ok(SecretReference::File(path)) => std::fs::read_to_string(path)
            .map(|text| text.trim_end_matches(['\r', '\n']).to_owned())
            .map_err(|error| AdapterError::io(format!("secret {reference:?}"), "read the file", error)),
        Err(error) => Err(refused(reference, &error.to_string())),
    }
}

fn refused(reference: &str, remedy: &str) -> AdapterError {
    AdapterError::new(
        ErrorKind::Config,
        format!("secret {reference:?}"),
        format!("cannot be resolved: {remedy}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn references_are_resolved_wherever_they_stand() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("password");
        std::fs::write(&path, "s3cret\n").unwrap();
        let config = json!({ "url": [format!("postgres://u:${{file:{}}}@h", path.display())], "n": 1 });
        assert_eq!(resolve(&config).unwrap(), json!({ "url": ["postgres://u:s3cret@h"], "n": 1 }));
        assert_eq!(resolve(&json!("cost: $${x}")).unwrap(), json!("cost: ${x}"));
    }

    #[test]
    fn what_cannot_be_resolved_names_the_reference_and_the_remedy() {
        let said = |text: &str| resolve(&json!(text)).unwrap_err().to_string();
        assert!(said("${env:TOWPATH_SURELY_UNSET}").contains("set this variable"));
        assert!(said("${vault:x}").contains("${env:NAME}"));
        assert!(said("${env:X").contains("no closing brace"));
    }
}
