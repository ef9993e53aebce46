//! Gathers small emissions into parcels that are worth a frame. Pure: time comes in as an argument.

use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use towpath_adapter_api::{Emission, Rows};
use towpath_record::dead_letter::{self, DeadLetter};
use towpath_record::limits::MAX_FRAME_MARKS;
use towpath_record::{FrameKind, Mark, Position, StreamName, StreamSchema};

/// When a parcel is full.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Most rows in a parcel.
    pub rows: usize,
    /// Most bytes of Arrow memory in a parcel.
    pub bytes: usize,
    /// How long after a parcel one leaves that is not full. After a longer rest it leaves at once.
    pub linger: Duration,
}

/// Marks may take half of the header, which counts its length in 16 bits.
const MARK_BYTES_IN_PARCEL: usize = 32 << 10;

/// The content of one frame.
#[derive(Debug)]
pub(crate) struct Parcel {
    pub stream: StreamName,
    pub kind: FrameKind,
    pub schema: StreamSchema,
    pub batches: Vec<RecordBatch>,
    pub position: Position,
    pub marks: Vec<Mark>,
    pub transaction_continues: bool,
}

/// Collects emissions until they make a parcel.
pub(crate) struct Batcher {
    limits: Limits,
    open: Option<Open>,
    /// Before this no parcel leaves that is not full.
    rests_until: Option<Instant>,
}

struct Open {
    stream: StreamName,
    rows: OpenRows,
    row_count: usize,
    byte_count: usize,
    position: Position,
    marks: Vec<Mark>,
    mark_bytes: usize,
    transaction_continues: bool,
}

enum OpenRows {
    Records(StreamSchema, Vec<RecordBatch>),
    DeadLetters(Vec<DeadLetter>),
    Progress,
}

impl Batcher {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, open: None, rests_until: None }
    }

    /// Takes an emission in. Returns the parcels that it completes, in order: the one it does not fit into, and
    /// the one it fills.
    pub(crate) fn push(&mut self, now: Instant, now_us: i64, emission: Emission) -> Vec<Parcel> {
        let mut complete = Vec::new();
        if self.open.as_ref().is_some_and(|open| !open.takes(&emission, &self.limits)) {
            complete.extend(self.close(now, now_us));
        }
        match &mut self.open {
            Some(open) => open.add(emission),
            None => self.open = Some(Open::new(emission)),
        }
        if self.open.as_ref().is_some_and(|open| open.is_full(&self.limits)) {
            complete.extend(self.close(now, now_us));
        }
        complete
    }

    /// Whether the open parcel may leave though it is not full.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.open.is_some() && self.rests_until.is_none_or(|until| until <= now)
    }

    /// When it may leave, if it waits.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.rests_until.filter(|_| self.open.is_some())
    }

    /// Closes the open parcel, if there is one. `now_us` stamps dead letters.
    pub(crate) fn close(&mut self, now: Instant, now_us: i64) -> Option<Parcel> {
        let open = self.open.take()?;
        self.rests_until = Some(now + self.limits.linger);
        Some(open.into_parcel(now_us))
    }
}

impl Open {
    fn new(emission: Emission) -> Self {
        let mut open = Self {
            stream: emission.stream.clone(),
            rows: match &emission.rows {
                Rows::Records { schema, .. } => OpenRows::Records(schema.clone(), Vec::new()),
                Rows::DeadLetters(_) => OpenRows::DeadLetters(Vec::new()),
                Rows::Progress => OpenRows::Progress,
            },
            row_count: 0,
            byte_count: 0,
            position: Position::default(),
            marks: Vec::new(),
            mark_bytes: 0,
            transaction_continues: false,
        };
        open.add(emission);
        open
    }

    /// A parcel holds one kind of rows in one schema; progress may follow anything, for it only moves the position.
    fn takes(&self, emission: &Emission, limits: &Limits) -> bool {
        let fits = self.row_count + rows_of(emission) <= limits.rows
            && self.byte_count + bytes_of(emission) <= limits.bytes
            && self.marks.len() + emission.marks.len() <= MAX_FRAME_MARKS
            && self.mark_bytes + mark_bytes_of(emission) <= MARK_BYTES_IN_PARCEL;
        let same = match (&self.rows, &emission.rows) {
            (_, Rows::Progress) => true,
            (OpenRows::Records(schema, _), Rows::Records { schema: other, .. }) => {
                schema == other && self.stream == emission.stream
            }
            (OpenRows::DeadLetters(_), Rows::DeadLetters(_)) => self.stream == emission.stream,
            _ => false,
        };
        fits && same
    }

    fn add(&mut self, emission: Emission) {
        self.row_count += rows_of(&emission);
        self.byte_count += bytes_of(&emission);
        self.mark_bytes += mark_bytes_of(&emission);
        match (&mut self.rows, emission.rows) {
            (OpenRows::Records(_, batches), Rows::Records { batch, .. }) => batches.push(batch),
            (OpenRows::DeadLetters(letters), Rows::DeadLetters(more)) => letters.extend(more),
            (_, Rows::Progress) => {}
            _ => unreachable!("`takes` lets only rows of the same kind in"),
        }
        self.position = emission.position;
        self.marks.extend(emission.marks);
        self.transaction_continues = emission.transaction_continues;
    }

    fn is_full(&self, limits: &Limits) -> bool {
        self.row_count >= limits.rows || self.byte_count >= limits.bytes
    }

    fn into_parcel(self, now_us: i64) -> Parcel {
        let letters = dead_letter::schema();
        let (kind, schema, batches) = match self.rows {
            OpenRows::Records(schema, batches) => (FrameKind::Records, schema, batches),
            OpenRows::DeadLetters(rows) => {
                (FrameKind::DeadLetters, letters.clone(), vec![dead_letter::to_batch(&rows, now_us)])
            }
            OpenRows::Progress => (FrameKind::Progress, letters.clone(), Vec::new()),
        };
        Parcel {
            stream: self.stream,
            kind,
            schema,
            batches,
            position: self.position,
            marks: self.marks,
            transaction_continues: self.transaction_continues,
        }
    }
}

fn rows_of(emission: &Emission) -> usize {
    match &emission.rows {
        Rows::Records { batch, .. } => batch.num_rows(),
        Rows::DeadLetters(letters) => letters.len(),
        Rows::Progress => 0,
    }
}

fn bytes_of(emission: &Emission) -> usize {
    match &emission.rows {
        Rows::Records { batch, .. } => batch.get_array_memory_size(),
        Rows::DeadLetters(letters) => letters.iter().map(|l| l.raw.len() + l.reason.len() + 64).sum(),
        Rows::Progress => 0,
    }
}

fn mark_bytes_of(emission: &Emission) -> usize {
    emission.marks.iter().map(|mark| mark.0.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn limits() -> Limits {
        Limits { rows: 10, bytes: 1 << 20, linger: Duration::from_millis(20) }
    }

    fn letters(stream: &str, count: usize, position: &str) -> Emission {
        let letter = DeadLetter {
            resource: "f".into(),
            line: 1,
            column: None,
            reason: "r".into(),
            raw: vec![b'x'; 10],
            raw_truncated: false,
        };
        Emission {
            stream: StreamName::new(stream).unwrap(),
            rows: Rows::DeadLetters(vec![letter; count]),
            position: Position(Bytes::copy_from_slice(position.as_bytes())),
            marks: vec![Mark(Bytes::copy_from_slice(position.as_bytes()))],
            transaction_continues: false,
        }
    }

    fn shape(parcels: &[Parcel]) -> Vec<(String, usize, String, usize)> {
        let text = |position: &Position| String::from_utf8(position.0.to_vec()).unwrap();
        parcels
            .iter()
            .map(|p| {
                (
                    p.stream.to_string(),
                    p.batches.iter().map(RecordBatch::num_rows).sum(),
                    text(&p.position),
                    p.marks.len(),
                )
            })
            .collect()
    }

    #[test]
    fn small_emissions_of_one_stream_share_a_parcel_whose_position_is_the_last() {
        let (now, mut batcher) = (Instant::now(), Batcher::new(limits()));
        assert!(batcher.push(now, 0, letters("a", 2, "p1")).is_empty());
        assert!(batcher.push(now, 0, letters("a", 3, "p2")).is_empty());
        let parcel = batcher.close(now, 0).unwrap();
        assert_eq!(shape(&[parcel]), [("a".into(), 5, "p2".into(), 2)]);
        assert!(batcher.close(now, 0).is_none());
    }

    #[test]
    fn what_comes_after_a_rest_leaves_at_once_and_what_follows_it_is_gathered() {
        let (now, mut batcher) = (Instant::now(), Batcher::new(limits()));
        assert!(batcher.push(now, 0, letters("a", 1, "p1")).is_empty());
        assert!(batcher.is_due(now));
        batcher.close(now, 0).unwrap();
        assert!(!batcher.is_due(now + limits().linger), "there is nothing to leave");
        assert_eq!(batcher.deadline(), None);
        let soon = now + limits().linger / 2;
        assert!(batcher.push(soon, 0, letters("a", 1, "p2")).is_empty());
        assert!(!batcher.is_due(soon));
        assert_eq!(batcher.deadline(), Some(now + limits().linger));
        assert!(batcher.is_due(now + limits().linger));
    }

    #[test]
    fn a_parcel_closes_when_it_is_full_and_before_another_stream() {
        let (now, mut batcher) = (Instant::now(), Batcher::new(limits()));
        assert!(batcher.push(now, 0, letters("a", 4, "p1")).is_empty());
        assert_eq!(
            shape(&batcher.push(now, 0, letters("b", 10, "p2"))),
            [("a".into(), 4, "p1".into(), 1), ("b".into(), 10, "p2".into(), 1)]
        );
    }

    #[test]
    fn progress_rides_along_with_the_rows_before_it() {
        let (now, mut batcher) = (Instant::now(), Batcher::new(limits()));
        assert!(batcher.push(now, 0, letters("a", 1, "p1")).is_empty());
        let progress = Emission { rows: Rows::Progress, ..letters("z", 0, "p2") };
        assert!(batcher.push(now, 0, progress).is_empty());
        assert_eq!(shape(&[batcher.close(now, 0).unwrap()]), [("a".into(), 1, "p2".into(), 2)]);
    }

    #[test]
    fn rows_never_join_a_parcel_of_progress() {
        let (now, mut batcher) = (Instant::now(), Batcher::new(limits()));
        let progress = Emission { rows: Rows::Progress, ..letters("a", 0, "p1") };
        assert!(batcher.push(now, 0, progress).is_empty());
        assert_eq!(shape(&batcher.push(now, 0, letters("a", 1, "p2"))), [("a".into(), 0, "p1".into(), 1)]);
    }

    #[test]
    fn marks_beyond_the_header_begin_another_parcel() {
        let (now, mut batcher) = (Instant::now(), Batcher::new(Limits { rows: 10_000, ..limits() }));
        let parcels: Vec<_> =
            (0..300).flat_map(|n| batcher.push(now, 0, letters("a", 1, &format!("p{n}")))).collect();
        assert_eq!(shape(&parcels), [("a".into(), 256, "p255".into(), 256)]);
    }
}
