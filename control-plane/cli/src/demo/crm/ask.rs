//! Runs one of PostgreSQL's programs to its end.

use std::io;
use std::pin::pin;
use std::process::{Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

/// How long a program may take: it has little to do, but the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// It cannot be run.
    #[error("{program} cannot be run: {source}")]
    Run {
        /// The program.
        program: &'static str,
        /// Why.
        source: io::Error,
    },
    /// It failed.
    #[error("{program}: {status}: {said}")]
    Failed {
        /// The program.
        program: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// What it said.
        said: String,
    },
    /// It took too long.
    #[error("{program} took longer than {} s", PATIENCE.as_secs())]
    Late {
        /// The program.
        program: &'static str,
    },
}

/// Runs a program and says what it answered. If the answer is not waited for, the program ends at once, with what it
/// started itself: `initdb` does its work through others.
pub(super) async fn ask(program: &'static str, command: Command, input: &str) -> Result<String, AskError> {
    let cannot = |source| AskError::Run { program, source };
    let Output { status, stdout, stderr } = match timeout(PATIENCE, run(command, input)).await {
        Ok(ended) => ended.map_err(cannot)?,
        Err(_) => return Err(AskError::Late { program }),
    };
    if status.success() {
        return Ok(String::from_utf8_lossy(&stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&stderr);
    // The first line has the reason; hints and what was cleaned up follow it.
    let said = said.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().to_owned();
    Err(AskError::Failed { program, status, said })
}

async fn run(command: Command, input: &str) -> io::Result<Output> {
    let mut command = tokio::process::Command::from(command);
    command.process_group(0).kill_on_drop(true);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let stdin = child.stdin.take();
    let write = async {
        if let Some(mut stdin) = stdin {
            // A program that ended before it read everything says why itself.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
    };
    let mut end = pin!(child.wait_with_output());
    // Dropped before the program's own handle is: its id cannot be a stranger's yet.
    let mut group = Group(id);
    let (ended, ()) = tokio::join!(&mut end, write);
    group.0 = None;
    ended
}

/// The processes of a program that nobody has waited for. Dropped means killed.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // All of them may have ended by now, which is as well.
            let _ = rustix::process::kill_process_group(leader, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::super::processes::command;
    use super::*;

    fn shell(script: &str) -> Command {
        let mut shell = command(Path::new("/bin/sh"));
        shell.args(["-c", script]);
        shell
    }

    #[tokio::test]
    async fn a_program_is_given_its_input_and_answers() {
        assert_eq!(ask("cat", shell("cat"), "one\ntwo").await.unwrap(), "one\ntwo");
    }

    #[tokio::test]
    async fn a_program_that_fails_is_told_with_the_first_line_of_what_it_said() {
        let script = "echo >&2; echo 'ERROR:  no room' >&2; echo 'HINT:  make room' >&2; exit 3";
        let error = ask("psql", shell(script), &"much\n".repeat(100_000)).await.unwrap_err();
        assert_eq!(error.to_string(), "psql: exit status: 3: ERROR:  no room");
    }

    #[tokio::test]
    async fn a_program_that_is_not_waited_for_ends_with_what_it_started() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("id");
        let script = format!("sleep 60 & echo $! > {0}.part; mv {0}.part {0}; wait", file.display());
        let started = async {
            while !file.exists() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            ended = ask("shell", shell(&script), "") => panic!("{ended:?}"),
            () = started => {}
        }
        let id = std::fs::read_to_string(&file).unwrap().trim().to_owned();
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        // Whoever adopts orphans may take a moment to bury it; a zombie runs no more.
        let runs = || match std::fs::read_to_string(format!("/proc/{id}/stat")) {
            Ok(stat) => !stat.contains(") Z "),
            Err(_) => false,
        };
        while runs() {
            assert!(std::time::Instant::now() < deadline, "process {id} still runs");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
