//! Secrets that a command is given: from the terminal, a file or the standard input, and never as an argument, which
//! lists of processes show.

use std::io::Read;
use std::path::Path;

use crate::error::CliError;
use crate::prompt;

/// The password of a user: from the terminal if there is no file, from the standard input if the file is `-`.
pub(super) fn password(user: &str, file: Option<&Path>) -> Result<String, CliError> {
    match file {
        None => prompt::secret(&format!("password of {user}: ")).map_err(CliError::Prompt),
        Some(path) if path.as_os_str() == "-" => from_stdin("password"),
        Some(path) => {
            let text = std::fs::read_to_string(path);
            let text = text.map_err(|source| CliError::Read { path: path.to_owned(), source })?;
            Ok(text.trim_end_matches(['\r', '\n']).to_owned())
        }
    }
}

/// What the standard input holds.
pub(super) fn from_stdin(what: &str) -> Result<String, CliError> {
    let mut text = String::new();
    let read = std::io::stdin().lock().read_to_string(&mut text);
    read.map_err(|source| CliError::Read { path: "standard input".into(), source })?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err(CliError::Usage(format!("the standard input holds no {what}"))),
        text => Ok(text.to_owned()),
    }
}
