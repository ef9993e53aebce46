//! Secrets stay with the agent: a configuration names them and never contains them.

use serde_json::Value;

use crate::fault::Faults;

/// A key with one of these endings holds a secret.
const SECRET_ENDINGS: [&str; 8] =
    ["password", "passwd", "passphrase", "secret", "token", "api_key", "access_key", "private_key"];

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

/// Notes a secret that is not a reference.
pub(crate) fn check_reference(text: &str, path: &str, faults: &mut Faults) {
    faults.require(is_reference(text), path, || {
        "must be ${env:NAME} or ${file:/path}, which the control plane resolves on its machine".to_owned()
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
    text.starts_with("${") && text.ends_with('}')
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
