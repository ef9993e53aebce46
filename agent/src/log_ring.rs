//! The newest lines of this agent's log, for admins who ask for them over the link. They are held in memory alone: a
//! bounded number of lines of bounded length, of level info and above. Secrets are never logged, so there are none here.

use std::collections::VecDeque;
use std::fmt::{self, Write};
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::Mutex;
use towpath_resource::api::{LogLevel, LogLine, LogPage, MOST_LOG_LINES};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Longest line that is kept, in bytes. Longer ones are cut.
const LONGEST_LINE: usize = 2 << 10;

/// Most bytes of all lines together.
const MOST_BYTES: usize = 1 << 20;

/// The newest lines of a log. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LogRing(Arc<Mutex<Kept>>);

#[derive(Debug)]
struct Kept {
    /// Tells the lines of this process from those of one before.
    run: u32,
    /// The number of the oldest line that is kept.
    first: u64,
    lines: VecDeque<LogLine>,
    bytes: usize,
}

impl LogRing {
    /// A ring without lines. It is filled as a layer of the log.
    pub fn new() -> Self {
        let kept = Kept { run: fastrand::u32(..), first: 0, lines: VecDeque::new(), bytes: 0 };
        Self(Arc::new(Mutex::new(kept)))
    }

    fn push(&self, line: LogLine) {
        let mut kept = self.0.lock();
        kept.bytes += line.message.len();
        kept.lines.push_back(line);
        while kept.lines.len() > MOST_LOG_LINES as usize || kept.bytes > MOST_BYTES {
            let Some(gone) = kept.lines.pop_front() else { return };
            kept.bytes -= gone.message.len();
            kept.first += 1;
        }
    }

    /// The lines that follow a cursor, or the newest. A cursor of a process before this one is behind everything.
    pub(crate) fn page(&self, after: Option<&str>, limit: u32) -> LogPage {
        let kept = self.0.lock();
        let (limit, end) = (u64::from(limit), kept.first + kept.lines.len() as u64);
        let known = after.and_then(|cursor| cursor.split_once('-'));
        let known = known.filter(|(run, _)| **run == format!("{:08x}", kept.run));
        let (from, missed) = match (after, known.and_then(|(_, next)| next.parse::<u64>().ok())) {
            (_, Some(next)) => (next.clamp(kept.first, end), kept.first.saturating_sub(next)),
            (Some(_), None) => (kept.first, kept.first),
            (None, None) => (end.saturating_sub(limit).max(kept.first), 0),
        };
        let to = end.min(from.saturating_add(limit));
        // Both are within what is kept, which is far less than `usize` holds.
        let (skip, take) = ((from - kept.first) as usize, (to - from) as usize);
        LogPage {
            lines: kept.lines.iter().skip(skip).take(take).cloned().collect(),
            cursor: format!("{:08x}-{to}", kept.run),
            missed,
        }
    }
}

impl Default for LogRing {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Subscriber> Layer<S> for LogRing {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let level = match *event.metadata().level() {
            Level::ERROR => LogLevel::Error,
            Level::WARN => LogLevel::Warn,
            Level::INFO => LogLevel::Info,
            _ => return,
        };
        let mut text = Text::default();
        event.record(&mut text);
        self.push(LogLine { at: Timestamp::now(), level, message: text.into_line() });
    }
}

/// The message of an event and its fields behind it: `the link was lost retry_in=1s`.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Text {
    fn into_line(self) -> String {
        let mut line = self.message + &self.fields;
        if line.len() > LONGEST_LINE {
            let mut end = LONGEST_LINE;
            while !line.is_char_boundary(end) {
                end -= 1;
            }
            line.truncate(end);
            line.push('…');
        }
        line
    }
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string cannot fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    fn with_lines(numbers: std::ops::Range<u32>) -> LogRing {
        let ring = LogRing::new();
        let message =
            |n: u32| LogLine { at: Timestamp::UNIX_EPOCH, level: LogLevel::Info, message: n.to_string() };
        numbers.for_each(|n| ring.push(message(n)));
        ring
    }

    fn said(page: &LogPage) -> Vec<&str> {
        page.lines.iter().map(|line| line.message.as_str()).collect()
    }

    #[test]
    fn the_newest_lines_come_first_asked_and_then_those_that_follow() {
        let ring = with_lines(0..5);
        let page = ring.page(None, 2);
        assert_eq!(said(&page), ["3", "4"]);
        assert_eq!(said(&ring.page(Some(&page.cursor), 10)), Vec::<&str>::new());
        let message = "5".to_owned();
        ring.push(LogLine { at: Timestamp::UNIX_EPOCH, level: LogLevel::Warn, message });
        let next = ring.page(Some(&page.cursor), 10);
        assert_eq!((said(&next), next.missed), (vec!["5"], 0));
    }

    #[test]
    fn old_lines_make_room_and_are_counted_as_missed() {
        let ring = with_lines(0..1);
        let cursor = ring.page(None, 10).cursor;
        let more = MOST_LOG_LINES + 10;
        for n in 1..=more {
            ring.push(LogLine { at: Timestamp::UNIX_EPOCH, level: LogLevel::Info, message: n.to_string() });
        }
        let page = ring.page(Some(&cursor), 1);
        assert_eq!((said(&page), page.missed), (vec!["11"], 10));
        assert_eq!(ring.0.lock().lines.len(), MOST_LOG_LINES as usize);
    }

    #[test]
    fn long_lines_take_bounded_memory() {
        let ring = LogRing::new();
        let long = "é".repeat(LONGEST_LINE);
        for _ in 0..1_000 {
            let text = Text { message: long.clone(), fields: String::new() };
            ring.push(LogLine {
                at: Timestamp::UNIX_EPOCH,
                level: LogLevel::Info,
                message: text.into_line(),
            });
        }
        let kept = ring.0.lock();
        assert!(kept.bytes <= MOST_BYTES && kept.bytes > MOST_BYTES / 2, "{}", kept.bytes);
        assert_eq!(kept.bytes, kept.lines.iter().map(|line| line.message.len()).sum::<usize>());
    }

    #[test]
    fn a_cursor_of_a_process_before_is_behind_everything() {
        let (before, now) = (with_lines(0..9), with_lines(0..3));
        let page = now.page(Some(&before.page(None, 1).cursor), 10);
        assert_eq!((said(&page), page.missed), (vec!["0", "1", "2"], 0));
        assert_eq!(said(&now.page(Some("nonsense"), 10)).len(), 3);
    }

    #[test]
    fn what_is_logged_is_kept_with_its_fields_from_info_on() {
        let ring = LogRing::new();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(ring.clone()), || {
            tracing::info!(agent = %"plant-1", tries = 3, "starts");
            tracing::debug!("a detail");
            tracing::error!("stops");
        });
        let page = ring.page(None, 10);
        assert_eq!(said(&page), ["starts agent=plant-1 tries=3", "stops"]);
        assert_eq!(page.lines[1].level, LogLevel::Error);
    }
}
