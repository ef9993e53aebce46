//! Other programs, run so that one sees which and why.

use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// A program to run in the workspace's root, without standard input.
pub(crate) fn command(root: &Path, program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root).args(args).stdin(Stdio::null());
    command
}

/// Says what is run, runs it, and fails if it fails.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let line = announce(command);
    let status = command.status().with_context(|| format!("cannot start `{line}`"))?;
    check(&line, status)
}

/// As [`run`], but gives up after `limit`.
pub(crate) fn run_within(command: &mut Command, limit: Duration) -> Result<()> {
    let line = announce(command);
    let mut child = command.spawn().with_context(|| format!("cannot start `{line}`"))?;
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return check(&line, status);
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            bail!("`{line}` was not done after {} s", limit.as_secs());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Whether the program can be run and succeeds. What it prints is not shown.
pub(crate) fn succeeds(program: &str, args: &[&str]) -> bool {
    let quiet = Command::new(program).args(args).stdin(Stdio::null()).output();
    quiet.is_ok_and(|output| output.status.success())
}

fn announce(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let line = words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
    println!("→ {line}");
    line
}

fn check(line: &str, status: ExitStatus) -> Result<()> {
    if status.success() { Ok(()) } else { bail!("`{line}` failed: {status}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_fails_or_is_late_or_is_missing_is_named() {
        let here = Path::new(".");
        run(&mut command(here, "true", &[])).unwrap();
        let failed = run(&mut command(here, "sh", &["-c", "exit 3"])).unwrap_err();
        assert!(failed.to_string().contains("`sh -c exit 3` failed"), "{failed}");
        let late = run_within(&mut command(here, "sleep", &["30"]), Duration::from_millis(200)).unwrap_err();
        assert!(late.to_string().contains("not done"), "{late}");
        assert!(run(&mut command(here, "no-such-program", &[])).is_err());
    }
}
