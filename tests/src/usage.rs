//! What a process has used, as the kernel counts it.

use std::time::Duration;

use anyhow::{Context, Result};

/// Processor time and memory of one process.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Usage {
    /// User and system time of all its threads.
    pub cpu: Duration,
    /// The most memory it ever held resident, in bytes.
    pub peak_rss: u64,
    /// The memory it holds resident now, in bytes.
    pub rss: u64,
    /// What of that is its own, and not pages of its executable, which the kernel can drop and read again.
    pub anonymous: u64,
}

impl Usage {
    /// The usage of a process. One that has ended and was not yet waited for still tells its processor time.
    ///
    /// # Errors
    /// There is no such process.
    pub fn of(pid: u32) -> Result<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))
            .with_context(|| format!("process {pid} is gone"))?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        Ok(Self {
            cpu: cpu_time(&stat).with_context(|| format!("/proc/{pid}/stat is not readable: {stat}"))?,
            peak_rss: kibibytes(&status, "VmHWM:"),
            rss: kibibytes(&status, "VmRSS:"),
            anonymous: kibibytes(&status, "RssAnon:"),
        })
    }

    /// Makes the kernel forget the peak of a process, so that the next one is of what comes now.
    ///
    /// # Errors
    /// There is no such process, or it is not ours.
    pub fn forget_peak(pid: u32) -> Result<()> {
        let file = format!("/proc/{pid}/clear_refs");
        std::fs::write(&file, "5").with_context(|| format!("cannot write {file}"))
    }

    /// The later of two readings of one process. The memory of an ended process reads as nothing, so peaks are kept.
    #[must_use]
    pub fn after(self, earlier: Self) -> Self {
        Self { cpu: self.cpu.max(earlier.cpu), peak_rss: self.peak_rss.max(earlier.peak_rss), ..self }
    }

    /// Processor time since an earlier reading of the same process.
    #[must_use]
    pub fn cpu_since(self, earlier: Self) -> Duration {
        self.cpu.saturating_sub(earlier.cpu)
    }
}

/// `utime` and `stime` are fields 14 and 15; the command in field 2 may hold anything, so counting starts after it.
fn cpu_time(stat: &str) -> Option<Duration> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_secs_f64((user + system) as f64 / rustix::param::clock_ticks_per_second() as f64))
}

fn kibibytes(status: &str, key: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let number = line.and_then(|rest| rest.split_ascii_whitespace().next()?.parse::<u64>().ok());
    number.unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_used_time_and_memory() {
        let (first, spin) = (Usage::of(std::process::id()).unwrap(), std::time::Instant::now());
        let mut usage = first;
        while usage.cpu_since(first) < Duration::from_millis(20) && spin.elapsed() < Duration::from_secs(30) {
            usage = Usage::of(std::process::id()).unwrap();
        }
        assert!(usage.cpu_since(first) >= Duration::from_millis(20), "{usage:?}");
        assert!(usage.peak_rss >= usage.rss && usage.rss > 1 << 18, "{usage:?}");
        assert!(usage.anonymous > 0 && usage.anonymous < usage.rss, "{usage:?}");
    }

    #[test]
    fn a_command_with_spaces_and_brackets_does_not_shift_the_fields() {
        let stat = "7 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 200 100 0 0";
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        assert_eq!(cpu_time(stat).unwrap(), Duration::from_secs_f64(300.0 / ticks));
    }
}
