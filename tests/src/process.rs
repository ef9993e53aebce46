//! One process that the harness started, and only that: it is signalled by its own handle.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, WaitIdOptions};

use crate::usage::Usage;

/// How a process is started, as often as wanted.
#[derive(Clone, Debug)]
pub struct Launch {
    /// What it is called in messages and in the name of its log file.
    pub name: String,
    /// The executable.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Environment variables set on top of the harness's own.
    pub environment: Vec<(String, String)>,
    /// Where its output is appended.
    pub log: PathBuf,
}

/// A running process. Dropped means killed.
#[derive(Debug)]
pub struct Process {
    name: String,
    log: PathBuf,
    child: Child,
    last: Usage,
}

impl Launch {
    /// A program whose log lies in `directory`.
    pub fn new(name: impl Into<String>, program: impl Into<PathBuf>, directory: &Path) -> Self {
        let name = name.into();
        let log = directory.join(format!("{name}.log"));
        Self { name, program: program.into(), arguments: Vec::new(), environment: Vec::new(), log }
    }

    /// The same with more arguments.
    #[must_use]
    pub fn arguments<I>(mut self, arguments: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<OsString>,
    {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// The same with an environment variable.
    #[must_use]
    pub fn environment(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.environment.push((key.into(), value.into()));
        self
    }

    /// Starts it.
    ///
    /// # Errors
    /// The program or its log file cannot be opened.
    pub fn start(&self) -> Result<Process> {
        let log = OpenOptions::new().create(true).append(true).open(&self.log);
        let log = log.with_context(|| format!("cannot open the log {}", self.log.display()))?;
        let child = Command::new(&self.program)
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}: {}", self.name, self.program.display()))?;
        Ok(Process { name: self.name.clone(), log: self.log.clone(), child, last: Usage::default() })
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// It cannot be started, ended badly, or took longer than `limit`; then the end of its log is told.
    pub fn run(&self, limit: Duration) -> Result<Usage> {
        let mut process = self.start()?;
        let (status, usage) = process.wait(limit)?;
        if !status.success() {
            bail!("{} ended with {status}\n{}", self.name, process.log_tail(30));
        }
        Ok(usage)
    }
}

impl Process {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// What it has used so far.
    ///
    /// # Errors
    /// It has ended.
    pub fn usage(&mut self) -> Result<Usage> {
        self.last = Usage::of(self.pid())?.after(self.last);
        Ok(self.last)
    }

    /// Begins a new measurement: the peak of its memory is forgotten.
    ///
    /// # Errors
    /// It has ended.
    pub fn usage_from_now(&mut self) -> Result<Usage> {
        Usage::forget_peak(self.pid())?;
        self.last = Usage::default();
        self.usage()
    }

    /// Kills it as `kill -9` does and waits until it is gone.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill().with_context(|| format!("cannot kill {}", self.name))?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to end, and waits until it has.
    ///
    /// # Errors
    /// It did not end within `limit`, or ended badly.
    pub fn terminate(&mut self, limit: Duration) -> Result<Usage> {
        rustix::process::kill_process(self.handle()?, Signal::TERM)?;
        let (status, usage) = self.wait(limit)?;
        if !status.success() {
            bail!("{} was asked to end and ended with {status}\n{}", self.name, self.log_tail(30));
        }
        Ok(usage)
    }

    /// Waits until it ends by itself and tells what it used. Memory is sampled while it runs, since the kernel
    /// forgets that of an ended process.
    ///
    /// # Errors
    /// It did not end within `limit`.
    pub fn wait(&mut self, limit: Duration) -> Result<(ExitStatus, Usage)> {
        let (started, id) = (Instant::now(), self.handle()?);
        let ended = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        loop {
            let over = rustix::process::waitid(rustix::process::WaitId::Pid(id), ended)?.is_some();
            self.usage()?;
            if over {
                return Ok((self.child.wait()?, self.last));
            }
            if started.elapsed() > limit {
                bail!("{} still runs after {limit:?}\n{}", self.name, self.log_tail(30));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The last lines of its log.
    pub fn log_tail(&self, lines: usize) -> String {
        log_tail(&self.name, &self.log, lines)
    }

    fn handle(&self) -> Result<Pid> {
        Pid::from_raw(i32::try_from(self.pid())?).context("process id 0")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The last lines of a log file, under a heading.
pub fn log_tail(name: &str, log: &Path, lines: usize) -> String {
    use std::io::{Read, Seek, SeekFrom};
    const READ_BYTES: u64 = 256 << 10;
    let read = || -> std::io::Result<String> {
        let mut file = File::open(log)?;
        let from = file.metadata()?.len().saturating_sub(READ_BYTES);
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_else(|error| format!("(no log: {error})"));
    let all: Vec<_> = text.lines().collect();
    let tail = all[all.len().saturating_sub(lines)..].join("\n");
    format!("--- {name}: the end of {}\n{tail}", log.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(directory: &Path, script: &str) -> Launch {
        Launch::new("shell", "/bin/sh", directory).arguments(["-c", script])
    }

    #[test]
    fn a_process_that_ends_badly_is_told_with_the_end_of_its_log() {
        let directory = tempfile::tempdir().unwrap();
        let said = shell(directory.path(), "echo the disk is gone >&2; exit 3").run(Duration::from_secs(5));
        let said = said.unwrap_err().to_string();
        assert!(said.contains("the disk is gone") && said.contains('3'), "{said}");
    }

    #[test]
    fn the_time_of_an_ended_process_is_counted_to_its_end() {
        let directory = tempfile::tempdir().unwrap();
        let spin = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
        let usage = shell(directory.path(), spin).run(Duration::from_secs(30)).unwrap();
        assert!(usage.cpu >= Duration::from_millis(20), "{usage:?}");
        assert!(usage.peak_rss > 1 << 18, "{usage:?}");
    }

    #[test]
    fn a_killed_process_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let mut process = shell(directory.path(), "sleep 60").start().unwrap();
        assert!(process.is_running());
        process.kill().unwrap();
        assert!(!process.is_running());
    }
}
