//! How the demo fails. As everywhere in the command line, the text names the cause, since the text is all that is shown.

use std::io;
use std::path::PathBuf;

use super::control::ControlError;
use super::crm::CrmError;
use super::fleet::FleetError;
use super::place::PlaceError;
use super::processes::ProcessError;
use super::programs::MissingProgram;
use super::results::ResultsError;

/// Why the demo ended otherwise than it was meant to.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// A program is nowhere to be found.
    #[error(transparent)]
    Program(#[from] MissingProgram),
    /// There is no directory to work in.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The CRM is not as it should be.
    #[error(transparent)]
    Crm(#[from] CrmError),
    /// The fleet did not come up.
    #[error(transparent)]
    Fleet(#[from] FleetError),
    /// A process is not as it should be.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The control plane said no.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The results cannot be read.
    #[error(transparent)]
    Results(#[from] ResultsError),
    /// A file of the sample cannot be dropped.
    #[error("the file {} cannot be dropped; make room on its disk: {source}", path.display())]
    Drop {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The terminal cannot be used.
    #[error("the terminal cannot be written to; --no-screen writes plain lines: {0}")]
    Output(#[from] io::Error),
    /// The reckoning does not come out even.
    #[error("not every row is accounted for; everything is kept in {}, with the processes' logs in logs/", .0.display())]
    NotBalanced(PathBuf),
    /// Somebody ended it before the reckoning.
    #[error("interrupted before every row was accounted for; run it again without interruption")]
    Interrupted,
    /// A helper thread of the demo itself failed.
    #[error("a task of the demo failed: {0}; report it, it is an error in this program")]
    Task(#[from] tokio::task::JoinError),
}

impl DemoError {
    /// Whether the reader of our output went away.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}
