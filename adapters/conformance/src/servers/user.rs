//! The user that a server runs as: database servers refuse to run as root.

use std::path::Path;
use std::process::Command;

use anyhow::ensure;

/// The user that a server's package made for it, which counts where the tests run as root.
#[derive(Clone, Copy)]
pub(super) struct ServerUser(pub(super) &'static str);

impl ServerUser {
    /// A command that runs a program of the server.
    pub(super) fn command(self, program: &Path) -> Command {
        if !is_root() {
            return Command::new(program);
        }
        let mut command = Command::new("setpriv");
        let name = self.0;
        command.args([&format!("--reuid={name}"), &format!("--regid={name}"), "--clear-groups", "--"]);
        command.arg(program);
        // The folder that the tests run in may be closed to that user.
        command.current_dir("/");
        command
    }

    /// Gives a folder to the server.
    pub(super) fn own(self, folder: &Path) -> anyhow::Result<()> {
        if !is_root() {
            return Ok(());
        }
        let name = self.0;
        let given = Command::new("chown").arg("-R").arg(format!("{name}:{name}")).arg(folder).status()?;
        ensure!(given.success(), "the folder {} cannot be given to the user {name}", folder.display());
        Ok(())
    }
}

#[cfg(unix)]
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    // A new file belongs to the effective user.
    tempfile::tempfile().and_then(|file| file.metadata()).is_ok_and(|metadata| metadata.uid() == 0)
}

#[cfg(not(unix))]
fn is_root() -> bool {
    false
}

/// Keys must be readable by the server alone.
pub(super) fn write_private(path: &Path, content: &str) -> anyhow::Result<()> {
    std::fs::write(path, content)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    }
    Ok(())
}
