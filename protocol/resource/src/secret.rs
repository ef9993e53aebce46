//! Secrets stay with the agent: a configuration names them and never contains them.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;

use crate::fault::Faults;
use crate::hint::SECRET;

/// A key with one of these endings holds a secret.
const SECRET_ENDINGS: [&str; 8] =
    ["password", "passwd", "passphrase", "secret", "token", "api_key", "access_key", "private_key"];

/// Where a secret stands. Whoever uses it reads it there, on its own machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SecretReference {
    /// In an environment variable: `${env:NAME}`.
    Env(String),
    /// In a file, without its last line break: `${file:/path}`.
    File(PathBuf),
}

/// A text that refers to no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a reference is ${{env:NAME}} or ${{file:/path}}")]
pub struct NoReference;

impl FromStr for SecretReference {
    type Err = NoReference;

    fn from_str(text: &str) -> Result<Self, NoReference> {
        let inner = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).ok_or(NoReference)?;
        match inner.split_once(':') {
            Some(("env", name)) if !name.is_empty() => Ok(Self::Env(name.to_owned())),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            _ => Err(NoReference),
        }
    }
}

impl fmt::Display for SecretReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "${{env:{name}}}"),
            Self::File(path) => write!(f, "${{file:{}}}", path.display()),
        }
    }
}

impl JsonSchema for SecretReference {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "SecretReference".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": r"^\$\{(env|file):[\s\S]+\}$",
            "examples": ["${env:NAME}", "${file:/path}"],
            SECRET: true,
        })
    }
}

/// Notes every place where a secret is written out instead of being referred to.
pub(crate) fn refuse_written_secrets(config: &Value, path: &str, faults: &mut Faults) {
    match config {
        Value::Object(members) => {
            for (key, value) in members {
                let path = format!("{path}.{key}");
                match value {
                    Value::String(text) if is_secret(key) && !text.is_empty() && !is_reference(text) => {
                        faults.add(path, remedy("a secret is written out"));
                    }
                    other => refuse_written_secrets(other, &path, faults),
                }
            }
        }
        Value::Array(items) => {
            for (n, item) in items.iter().enumerate() {
                refuse_written_secrets(item, &format!("{path}[{n}]"), faults);
            }
        }
        Value::String(text) if has_password(text) => {
            faults.add(path, remedy("the address contains a password that is written out"));
        }
        _ => {}
    }
}

/// Notes a secret that is not a reference. It is resolved by the control plane or the agent, as `by` says.
pub(crate) fn check_reference(text: &str, path: &str, by: &str, faults: &mut Faults) {
    faults.require(text.parse::<SecretReference>().is_ok(), path, || {
        format!("must be ${{env:NAME}} or ${{file:/path}}, which the {by} resolves on its machine")
    });
}

fn remedy(found: &str) -> String {
    format!(
        "{found}; write ${{env:NAME}} or ${{file:/path}} instead, which the agent resolves on its machine"
    )
}

fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase().replace('-', "_");
    SECRET_ENDINGS.iter().any(|ending| key.ends_with(ending))
}

fn is_reference(text: &str) -> bool {
    text.parse::<SecretReference>().is_ok()
}

/// Whether the text is an address such as `postgres://user:password@host`.
fn has_password(text: &str) -> bool {
    let Some((_, rest)) = text.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // A file reference has slashes of its own.
    let authority = if rest.contains("${") { rest } else { authority };
    let Some((user, _)) = authority.rsplit_once('@') else { return false };
    user.split_once(':').is_some_and(|(_, password)| !password.is_empty() && !is_reference(password))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refused(config: &Value) -> Vec<String> {
        let mut faults = Faults::default();
        refuse_written_secrets(config, "spec.config", &mut faults);
        faults.into_vec(|_| None).into_iter().map(|fault| fault.path).collect()
    }

    #[test]
    fn a_secret_that_is_written_out_is_refused_wherever_it_stands() {
        assert_eq!(refused(&json!({"password": "hunter2"})), ["spec.config.password"]);
        assert_eq!(
            refused(&json!({"auth": [{"client-secret": "x"}]})),
            ["spec.config.auth[0].client-secret"]
        );
        assert_eq!(refused(&json!({"url": "postgres://me:hunter2@db/erp"})), ["spec.config.url"]);
    }

    #[test]
    fn a_reference_reads_back_as_it_was_written() {
        for text in ["${env:NAME}", "${file:/run/secrets/x}"] {
            assert_eq!(text.parse::<SecretReference>().unwrap().to_string(), text);
        }
        for text in ["", "hunter2", "${env:}", "${vault:x}", "${env:A", "x${env:A}"] {
            assert_eq!(text.parse::<SecretReference>(), Err(NoReference), "{text}");
        }
    }

    #[test]
    fn a_reference_to_a_secret_is_taken() {
        let good = json!({
            "password": "${env:ERP_PASSWORD}",
            "url": "postgres://me:${file:/run/secrets/db}@db/erp",
            "plain": "postgres://me@db/erp?x=a:b@c",
            "token": "",
            "tokens_per_line": 4
        });
        assert_eq!(refused(&good), Vec::<String>::new());
    }
}
