//! The disk under the spool: whether it takes what it is given, and keeps it.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use towpath_record::ByteSize;
use towpath_resource::api::Finding;
use towpath_segment::private;

/// The agent leaves this much free by default; with less, sources wait.
const LEAST_FREE_BYTES: u64 = 256 << 20;
/// With less, an outage of the link soon fills it.
const LITTLE_FREE_BYTES: u64 = 1 << 30;

/// A disk that takes longer makes everything slow, for a frame counts only once it is durable.
const SLOW: Duration = Duration::from_millis(200);

/// What is written to see whether it can be.
const PROBE: [u8; 4_096] = [0; 4_096];

pub(super) fn examine(state_dir: &Path, findings: &mut Vec<Finding>) {
    let shown = state_dir.display();
    if !state_dir.is_dir() {
        let remedy = "name the right one with `--state`, or enrol the agent, which makes it";
        return findings.push(Finding::failed("state directory", format!("{shown} is not there"), remedy));
    }
    match write_durably(state_dir) {
        Ok(took) if took > SLOW => {
            let found = format!("{shown} takes {} ms to make a page durable", took.as_millis());
            let remedy = "put the state directory on a faster disk, or see what else keeps this one busy";
            findings.push(Finding::warning("disk", found, remedy));
        }
        Ok(took) => {
            let found = format!("{shown} makes a page durable in {:.1} ms", took.as_secs_f64() * 1_000.0);
            findings.push(Finding::good("disk", found));
        }
        Err(error) => {
            let remedy =
                "run this as the agent's user; see that the disk is not full, mounted read-only or failing";
            return findings.push(Finding::failed(
                "disk",
                format!("{shown} cannot be written: {error}"),
                remedy,
            ));
        }
    }
    if let Ok(fs) = rustix::fs::statvfs(state_dir) {
        findings.push(space(fs.f_bavail.saturating_mul(fs.f_frsize)));
    }
}

/// How long it takes until a page is on the disk.
fn write_durably(dir: &Path) -> io::Result<Duration> {
    let path = dir.join(format!("doctor-{}.probe", std::process::id()));
    let began = Instant::now();
    // Makes file and directory entry durable, as the spool does.
    let written = private::create_file(&path, &PROBE).and_then(|()| private::sync_dir(dir));
    let took = began.elapsed();
    let removed = match fs::remove_file(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    };
    written.and(removed).map(|()| took)
}

fn space(free: u64) -> Finding {
    let (about, found) = ("disk space", format!("{} are free", ByteSize(free >> 20 << 20)));
    let remedy = "free some, or move the state directory to a larger disk: a full spool makes sources wait";
    match free {
        free if free < LEAST_FREE_BYTES => Finding::failed(about, found, remedy),
        free if free < LITTLE_FREE_BYTES => Finding::warning(about, found, remedy),
        _ => Finding::good(about, found),
    }
}

#[cfg(test)]
mod tests {
    use towpath_resource::api::Verdict;

    use super::*;

    #[test]
    fn a_disk_is_tried_and_left_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        write_durably(dir.path()).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        let mut findings = Vec::new();
        examine(&dir.path().join("none"), &mut findings);
        assert!(findings[0].to_string().contains("--state"), "{findings:?}");
    }

    #[test]
    fn a_directory_that_takes_no_files_is_told_with_the_cause() {
        // Nobody may write there, not even root.
        let refused = write_durably(Path::new("/proc")).unwrap_err();
        assert_ne!(refused.to_string(), "");
        let mut findings = Vec::new();
        examine(Path::new("/proc"), &mut findings);
        assert_eq!(findings[0].verdict, Verdict::Failed, "{findings:?}");
    }

    #[test]
    fn little_space_is_a_warning_and_none_a_fault() {
        let verdicts = [0, 512 << 20, 20 << 30].map(|free| space(free).verdict);
        assert_eq!(verdicts, [Verdict::Failed, Verdict::Warning, Verdict::Good]);
    }
}
