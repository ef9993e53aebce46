//! Removes old segments, and carries into the book what must outlive them.

use std::time::Duration;

use towpath_record::LogOffset;
use towpath_segment::SegmentInfo;

use crate::book::Trimmed;
use crate::error::LogError;
use crate::reader::entry;
use crate::stats::Totals;
use crate::writer::Writer;

/// How much of the log is kept. Whole segments are removed; the one that grows stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Frames older than this may go. `None` keeps them for ever.
    pub age: Option<Duration>,
    /// Oldest frames go when the log is larger than this, in bytes. `None` sets no limit.
    pub bytes: Option<u64>,
    /// Whether frames go even if a route has not delivered them. If not, a log at its limit takes no more frames.
    pub drop_undelivered: bool,
}

/// What retention did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retained {
    /// How many segments were removed.
    pub segments: u64,
    /// How many bytes were freed.
    pub bytes: u64,
    /// Whether the log is at its limit and may not remove what a route still needs.
    pub full: bool,
}

/// Enforces retention. Frames at or after `pinned` are needed by a route.
pub(crate) fn enforce(
    writer: &mut Writer,
    retention: &Retention,
    now_us: i64,
    pinned: Option<LogOffset>,
) -> Result<Retained, LogError> {
    let mut done = Retained::default();
    let mut bytes = writer.log.bytes();
    let segments = writer.log.segments();
    for (segment, next) in segments.iter().zip(segments.iter().skip(1)) {
        let too_old = retention.age.is_some_and(|age| is_older(next, now_us, age));
        let too_large = retention.bytes.is_some_and(|limit| bytes > limit);
        if !too_old && !too_large {
            break;
        }
        let needed =
            pinned.is_some_and(|pinned| pinned.0 < segment.next_index) && !retention.drop_undelivered;
        if needed {
            done.full = too_large;
            break;
        }
        if done.segments == 0 {
            writer.checkpoint()?;
        }
        carry(writer, segment)?;
        writer.log.trim_before(segment.next_index)?;
        bytes -= segment.bytes.min(bytes);
        done.segments += 1;
        done.bytes += segment.bytes;
    }
    writer.full = done.full;
    Ok(done)
}

/// Everything in a segment was appended before its successor was begun.
fn is_older(successor: &SegmentInfo, now_us: i64, age: Duration) -> bool {
    let age_us = i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
    now_us.saturating_sub(successor.created_us.cast_signed()) > age_us
}

/// Takes over the marks and totals of a segment that is about to go. Doing it twice does no harm.
fn carry(writer: &mut Writer, segment: &SegmentInfo) -> Result<(), LogError> {
    let trimmed = writer.book.trimmed()?;
    let mut totals = Totals(trimmed.totals);
    let mut reader = writer.log.reader(segment.first_index);
    while reader.position() < segment.next_index {
        match reader.next() {
            Ok(Some(record)) => {
                let Ok(entry) = entry(record.index, record.payload) else { continue };
                writer.book.carry_marks(entry.offset, entry.frame.header())?;
                if entry.offset >= trimmed.before {
                    totals.count(entry.frame.header(), entry.frame.bytes().len());
                }
            }
            Ok(None) => break,
            Err(towpath_segment::error::ReadError::Lost(lost)) => {
                tracing::warn!(%lost, "frames that were lost go out of retention");
            }
            Err(other) => return Err(other.into()),
        }
    }
    let before = trimmed.before.max(LogOffset(segment.next_index));
    writer.book.put_trimmed(&Trimmed { before, totals: totals.0.clone() })?;
    writer.book.sync()?;
    writer.shared.write().trimmed = totals;
    Ok(())
}
