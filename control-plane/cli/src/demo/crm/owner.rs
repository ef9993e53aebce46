//! Whom the server runs as. PostgreSQL refuses to run as root; under root it runs as the user whom its package made.

use std::io;
use std::path::Path;
use std::process::Command;

use super::super::processes::command;

const USER: &str = "postgres";

/// Whom the server runs as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Owner {
    /// Whoever runs the demo.
    Ourselves,
    /// The user of PostgreSQL's package.
    Package,
}

impl Owner {
    /// Who it must be for the user that runs the demo.
    pub(super) fn for_this_user() -> Self {
        if rustix::process::geteuid().is_root() { Self::Package } else { Self::Ourselves }
    }

    /// A program of the server.
    pub(super) fn command(self, program: &Path) -> Command {
        match self {
            Self::Ourselves => command(program),
            Self::Package => {
                let mut command = command(Path::new("setpriv"));
                let user = [format!("--reuid={USER}"), format!("--regid={USER}")];
                command.args(user).args(["--clear-groups", "--"]).arg(program);
                // The folder that the demo was called in may be closed to that user.
                command.current_dir("/");
                command
            }
        }
    }

    /// Gives a folder and what is in it to that user.
    pub(super) fn give(self, folder: &Path) -> io::Result<()> {
        if self == Self::Ourselves {
            return Ok(());
        }
        let given = command(Path::new("chown")).arg("-R").arg(format!("{USER}:")).arg(folder).output()?;
        if given.status.success() {
            return Ok(());
        }
        Err(io::Error::other(String::from_utf8_lossy(&given.stderr).trim().to_owned()))
    }
}
