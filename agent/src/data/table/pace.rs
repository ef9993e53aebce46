//! How fast a table is read, so that the system behind it has time for its own work.

use std::time::{Duration, Instant};

/// Holds a reading to a number of rows in a second.
pub(crate) struct Pace {
    rows_per_second: Option<f64>,
    began: Instant,
    rows: u64,
}

impl Pace {
    /// At most so many rows in a second; 0 for no limit.
    pub(crate) fn new(rows_per_second: u32) -> Self {
        let limit = (rows_per_second > 0).then(|| f64::from(rows_per_second));
        Self { rows_per_second: limit, began: Instant::now(), rows: 0 }
    }

    /// Waits until so many more rows may have been read.
    pub(crate) async fn keep(&mut self, rows: usize) {
        tokio::time::sleep(self.wait(rows, Instant::now())).await;
    }

    fn wait(&mut self, rows: usize, now: Instant) -> Duration {
        self.rows += rows as u64;
        let Some(limit) = self.rows_per_second else { return Duration::ZERO };
        let due = self.began + Duration::from_secs_f64(self.rows as f64 / limit);
        due.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_take_as_long_as_the_limit_says() {
        let mut pace = Pace::new(1_000);
        let began = pace.began;
        assert_eq!(pace.wait(500, began), Duration::from_millis(500));
        assert_eq!(pace.wait(500, began + Duration::from_millis(400)), Duration::from_millis(600));
        assert_eq!(pace.wait(10, began + Duration::from_secs(60)), Duration::ZERO);
    }

    #[test]
    fn without_a_limit_nothing_waits() {
        let mut pace = Pace::new(0);
        assert_eq!(pace.wait(usize::MAX >> 16, Instant::now()), Duration::ZERO);
    }
}
