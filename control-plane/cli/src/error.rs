//! How a command fails, and with which exit code: 1 for what went wrong, 2 for what was asked wrongly, 3 for what was
//! looked at and is not as it should be.

use std::io;
use std::path::PathBuf;

use crate::client::ClientError;
use crate::context::ContextError;
use crate::demo::DemoError;
use crate::prompt::PromptError;
use crate::provider::ProviderError;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// It was asked wrongly.
    #[error("{0}")]
    Usage(String),
    /// There is no usable context.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// The control plane did not answer as wished.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no password.
    #[error(transparent)]
    Prompt(#[from] PromptError),
    /// The identity provider gave no token.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The control plane does not take the login.
    #[error(
        "{0} does not take this login; nothing was kept. Check the token, or ask an admin of the control plane"
    )]
    NotTaken(String),
    /// The login is forgotten here, but not there.
    #[error("the login is forgotten on this machine, but the control plane did not end the session: {0}")]
    StillOpen(#[source] ClientError),
    /// An edited resource was not taken.
    #[error("{source}; your text is in {}", kept.display())]
    NotEdited {
        /// Why.
        source: ClientError,
        /// Where the text is.
        kept: PathBuf,
    },
    /// Resources were refused; each fault stands on its own line.
    #[error("{}{summary}", one_each(faults))]
    Refused {
        /// The faults, each with its place.
        faults: Vec<String>,
        /// What follows from them.
        summary: String,
    },
    /// What was looked at is not as it should be.
    #[error("{0}")]
    NotAsItShould(String),
    /// The demo ended otherwise than it was meant to.
    #[error(transparent)]
    Demo(#[from] DemoError),
    /// The output cannot be written.
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
}

impl CliError {
    /// The process's exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::NotAsItShould(_) => 3,
            _ => 1,
        }
    }

    /// Whether the reader of our output went away, as `head` does when it has enough.
    pub fn is_closed_pipe(&self) -> bool {
        match self {
            Self::Output(error) => error.kind() == io::ErrorKind::BrokenPipe,
            Self::Demo(error) => error.is_closed_pipe(),
            _ => false,
        }
    }
}

fn one_each(faults: &[String]) -> String {
    faults.iter().map(|fault| format!("{fault}\nerror: ")).collect()
}
