//! Secrets that resources refer to and that the control plane itself needs: read where they are used, kept nowhere.

use std::io;

use towpath_resource::SecretReference;
use zeroize::Zeroizing;

/// A secret cannot be read. The secret itself is in no message.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretError {
    #[error("`{0}` is not ${{env:NAME}} or ${{file:/path}}")]
    Form(String),
    #[error("the secret {0} is not set; set it in the environment of the control plane and start it again")]
    Unset(SecretReference),
    #[error("the secret {reference} cannot be read; see that the control plane's user may read the file")]
    File { reference: SecretReference, source: io::Error },
}

/// Reads a secret on this machine. The last line break of a file does not count.
pub(crate) async fn read(reference: &str) -> Result<Zeroizing<String>, SecretError> {
    let reference = reference.parse().map_err(|_| SecretError::Form(reference.to_owned()))?;
    match &reference {
        SecretReference::Env(name) => {
            std::env::var(name).map(Zeroizing::new).map_err(|_| SecretError::Unset(reference))
        }
        SecretReference::File(path) => match tokio::fs::read_to_string(path).await {
            Ok(text) => Ok(Zeroizing::new(Zeroizing::new(text).trim_end_matches(['\r', '\n']).to_owned())),
            Err(source) => Err(SecretError::File { reference, source }),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_secret_is_the_file_without_its_last_line_break() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        std::fs::write(&path, "s3cret\r\n").unwrap();
        assert_eq!(*read(&format!("${{file:{}}}", path.display())).await.unwrap(), "s3cret");
    }

    #[tokio::test]
    async fn what_cannot_be_read_names_the_reference_and_the_remedy() {
        for (reference, remedy) in [
            ("${env:TOWPATH_SURELY_UNSET}", "set it in the environment"),
            ("${file:/surely/not/there}", "may read the file"),
            ("${vault:x}", "${env:NAME}"),
        ] {
            let said = read(reference).await.unwrap_err().to_string();
            assert!(said.contains(reference) && said.contains(remedy), "{said}");
        }
    }
}
