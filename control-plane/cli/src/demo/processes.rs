//! The processes that the demo started, and only those: each is signalled by its own handle, and none outlives the
//! demo, however it ends.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

/// How long a process may take to end once it was asked to.
const ENDS_WITHIN: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// So much of its log is told when a process ended badly.
const TOLD_LINES: usize = 15;

/// Settings of this shell that are meant for other instances than the demo's. The log filter is kept.
const OURS: &str = "TOWPATH_";
/// The same for PostgreSQL's programs.
const POSTGRES: &str = "PG";
const LOG_FILTER: &str = "TOWPATH_LOG";

/// Running processes. Dropped means stopped.
#[derive(Debug, Default)]
pub(super) struct Processes(Vec<Process>);

#[derive(Debug)]
struct Process {
    name: &'static str,
    log: PathBuf,
    child: Child,
    /// What asks it to end.
    ended_by: Signal,
}

/// A process is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// It cannot be started.
    #[error("{name} cannot be started from {}; check that the file is complete and may be executed: {source}", program.display())]
    Start {
        /// What it is called.
        name: &'static str,
        /// Its executable.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its log cannot be opened.
    #[error("the log {} cannot be opened: {source}", path.display())]
    Log {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It ended though nobody asked it to.
    #[error("{name} ended with {status}; its log, {}, ends with:\n{tail}", log.display())]
    Ended {
        /// What it is called.
        name: &'static str,
        /// How.
        status: ExitStatus,
        /// Its log.
        log: PathBuf,
        /// The end of it.
        tail: String,
    },
}

impl Processes {
    /// Starts a process that runs until it is stopped. What it says on standard output is not kept: a control plane
    /// shows its admin's token there.
    pub(super) fn start(
        &mut self,
        name: &'static str,
        command: Command,
        log: PathBuf,
    ) -> Result<(), ProcessError> {
        self.start_ended_by(Signal::TERM, name, command, log)
    }

    /// The same with the signal that asks it to end, for a process that takes the usual one otherwise.
    pub(super) fn start_ended_by(
        &mut self,
        ended_by: Signal,
        name: &'static str,
        mut command: Command,
        log: PathBuf,
    ) -> Result<(), ProcessError> {
        let opened = OpenOptions::new().create(true).append(true).open(&log);
        let stderr = opened.map_err(|source| ProcessError::Log { path: log.clone(), source })?;
        let child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr).spawn().map_err(|source| {
                ProcessError::Start { name, program: command.get_program().into(), source }
            })?;
        self.0.push(Process { name, log, child, ended_by });
        Ok(())
    }

    /// Takes over what others started.
    pub(super) fn take_over(&mut self, mut others: Self) {
        self.0.append(&mut others.0);
    }

    /// Checks that all of them run.
    pub(super) fn check(&mut self) -> Result<(), ProcessError> {
        for Process { name, log, child, .. } in &mut self.0 {
            if let Ok(Some(status)) = child.try_wait() {
                let tail = tail(log);
                return Err(ProcessError::Ended { name, status, log: log.clone(), tail });
            }
        }
        Ok(())
    }

    /// Asks all of them to end, and kills what has not ended in time.
    pub(super) fn stop(&mut self) {
        let mut running = std::mem::take(&mut self.0);
        // The id of a process that has ended and was waited for may belong to a stranger by now; that of any other is
        // its own until we wait for it.
        running.retain_mut(Process::is_running);
        for process in &running {
            let _ = rustix::process::kill_process(Pid::from_child(&process.child), process.ended_by);
        }
        let patience = Instant::now() + ENDS_WITHIN;
        while Instant::now() < patience {
            running.retain_mut(Process::is_running);
            if running.is_empty() {
                return;
            }
            std::thread::sleep(LOOK_EVERY);
        }
        for mut process in running {
            let _ = process.child.kill();
            let _ = process.child.wait();
        }
    }
}

impl Process {
    fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A program with the settings of the demo alone. It is in a process group of its own, so that the terminal's ctrl-c
/// reaches the demo only, which then stops it in order.
pub(super) fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if (text.starts_with(OURS) && text != LOG_FILTER) || text.starts_with(POSTGRES) {
            command.env_remove(&name);
        }
    }
    command.process_group(0);
    command
}

fn tail(log: &Path) -> String {
    let text =
        std::fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(TOLD_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(processes: &mut Processes, directory: &Path, script: &str) -> Pid {
        let log = directory.join("shell.log");
        let mut shell = command(Path::new("/bin/sh"));
        shell.args(["-c", script]);
        processes.start("shell", shell, log).unwrap();
        Pid::from_child(&processes.0.last().unwrap().child)
    }

    fn is_running(pid: Pid) -> bool {
        rustix::process::test_kill_process(pid).is_ok()
    }

    #[test]
    fn what_was_started_is_stopped_when_the_demo_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let mut processes = Processes::default();
        let pid = shell(&mut processes, directory.path(), "exec sleep 60");
        assert!(is_running(pid));
        let started = Instant::now();
        drop(processes);
        assert!(!is_running(pid));
        assert!(started.elapsed() < ENDS_WITHIN, "asking was enough");
    }

    #[test]
    fn what_was_started_is_stopped_by_a_panic_too() {
        let directory = tempfile::tempdir().unwrap();
        let mut started = None;
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut processes = Processes::default();
            started = Some(shell(&mut processes, directory.path(), "exec sleep 60"));
            if started.is_some() {
                std::panic::resume_unwind(Box::new("the demo fails"));
            }
        }));
        assert!(panicked.is_err());
        assert!(!is_running(started.unwrap()));
    }

    #[test]
    fn a_process_that_does_not_listen_is_killed() {
        let directory = tempfile::tempdir().unwrap();
        let mut processes = Processes::default();
        let ready = directory.path().join("ready");
        let script = format!("trap '' TERM; : > {}; while :; do sleep 1; done", ready.display());
        let pid = shell(&mut processes, directory.path(), &script);
        while !ready.exists() {
            std::thread::sleep(LOOK_EVERY);
        }
        processes.stop();
        assert!(!is_running(pid));
    }

    #[test]
    fn a_process_that_was_taken_over_is_stopped_by_its_own_signal() {
        let directory = tempfile::tempdir().unwrap();
        let (ready, ended) = (directory.path().join("ready"), directory.path().join("ended"));
        let mut shell = command(Path::new("/bin/sh"));
        let script = "trap '' TERM; trap ': > ended; exit' INT; : > ready; while :; do sleep 0.1; done";
        shell.args(["-c", script]).current_dir(&directory);
        let mut own = Processes::default();
        own.start_ended_by(Signal::INT, "shell", shell, directory.path().join("shell.log")).unwrap();
        let mut processes = Processes::default();
        processes.take_over(own);
        while !ready.exists() {
            processes.check().unwrap();
            std::thread::sleep(LOOK_EVERY);
        }
        processes.stop();
        assert!(ended.exists());
    }

    #[test]
    fn a_process_that_ended_is_told_with_the_end_of_its_log() {
        let directory = tempfile::tempdir().unwrap();
        let mut processes = Processes::default();
        shell(&mut processes, directory.path(), "echo the disk is gone >&2; exit 3");
        let told = loop {
            match processes.check() {
                Ok(()) => std::thread::sleep(LOOK_EVERY),
                Err(error) => break error.to_string(),
            }
        };
        assert!(told.contains("the disk is gone") && told.contains("exit status: 3"), "{told}");
    }
}
