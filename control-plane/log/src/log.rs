//! The log as its users see it: a handle to the writing thread, and readers.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::{Mutex, RwLock};
use tokio::sync::{mpsc, oneshot, watch};
use towpath_record::{
    LaneId, Link, LogId, LogOffset, Mark, RegionName, SchemaHash, SealedFrame, SourceId, StreamName,
    StreamSchema, dead_letter,
};
use towpath_segment::{Config, DiskStorage, LogView, LostRange, Recovery, SegmentLog, private};

use crate::book::Book;
use crate::chain::LaneState;
use crate::error::{AppendError, LogError, ReadError};
use crate::reader::LogReader;
use crate::retention::{Retained, Retention};
use crate::schemas::SchemaVersions;
use crate::stats::{SourceTotals, Totals};
use crate::terms::Terms;
use crate::writer::{Command, Outcome, Shared, Writer};

/// Commands that wait for the writing thread; more callers wait.
const QUEUE: usize = 64;

/// How a log is kept.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// The region whose log this is.
    pub region: RegionName,
    /// Size at which a segment is sealed and another begun, in bytes.
    pub segment_bytes: u64,
}

/// What an opening found.
#[derive(Debug)]
pub struct Recovered {
    /// What was wrong with the segments.
    pub segments: Recovery,
    /// How many frames were read again to bring the book up to date.
    pub frames_read: u64,
}

/// How large a log is.
#[derive(Clone, Debug)]
pub struct LogStatus {
    /// The oldest offset that can be read.
    pub first: LogOffset,
    /// The offset that the next frame gets.
    pub next: LogOffset,
    /// Bytes on disk.
    pub bytes: u64,
    /// Totals of every stream since the log was created.
    pub totals: Totals,
    /// Totals of every source since the log was opened.
    pub by_source: BTreeMap<SourceId, SourceTotals>,
    /// Frames that agents have proved to be lost, since the log was opened.
    pub lost_frames: u64,
}

/// A region's log. Cheap to clone; the last clone to go closes it.
#[derive(Clone)]
pub struct RegionLog(Arc<Inner>);

struct Inner {
    terms: Terms,
    region: RegionName,
    commands: Option<mpsc::Sender<Command>>,
    shared: Arc<RwLock<Shared>>,
    head: watch::Receiver<LogOffset>,
    view: LogView<DiskStorage>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl RegionLog {
    /// Opens the log in `dir`, or creates it there.
    ///
    /// # Errors
    /// Another process has it, it is another region's, or the disk refuses. Damaged segments are no error: they
    /// are set aside and reported.
    pub fn open(dir: &Path, config: &LogConfig) -> Result<(Self, Recovered), LogError> {
        private::create_dir(dir).map_err(|source| LogError::Io {
            path: dir.to_owned(),
            doing: "create the directory",
            source,
        })?;
        let mut terms = Terms::read(dir, &config.region)?;
        let book = Book::open(&dir.join("book"))?;
        let segments = Config { segment_bytes: config.segment_bytes, ..Config::default() };
        let (mut log, mut recovery) = SegmentLog::open(DiskStorage, &dir.join("frames"), segments)?;
        let checkpoint = book.checkpoint()?;
        if let Some(lost) = leave_out(&mut log, checkpoint)? {
            recovery.lost.push(lost);
        }
        terms.begin(LogOffset(log.next_index()))?;
        let mut shared = Shared {
            lost_frames: 0,
            lanes: book.lanes()?,
            totals: book.totals()?,
            trimmed: Totals(book.trimmed()?.totals),
            by_source: BTreeMap::new(),
            dead_letters: book.dead_letters()?,
            schemas: book.schemas()?,
            versions: book.versions()?,
            new_versions: Vec::new(),
        };
        shared.schemas.insert(dead_letter::schema().hash(), dead_letter::schema().clone());
        let frames_read = catch_up(&mut shared, &log, checkpoint)?;
        let (head_sender, head) = watch::channel(LogOffset(log.next_index()));
        let (commands, receiver) = mpsc::channel(QUEUE);
        let shared = Arc::new(RwLock::new(shared));
        let view = log.view().clone();
        let writer = Writer {
            log,
            book,
            shared: shared.clone(),
            head: head_sender,
            bytes_since_checkpoint: 0,
            full: false,
        };
        let thread = std::thread::Builder::new()
            .name(format!("log-{}", config.region))
            .spawn(move || writer.run(receiver))
            .map_err(|source| LogError::Io {
                path: dir.to_owned(),
                doing: "start the log's thread",
                source,
            })?;
        let inner = Inner {
            terms,
            region: config.region.clone(),
            commands: Some(commands),
            shared,
            head,
            view,
            thread: Mutex::new(Some(thread)),
        };
        Ok((Self(Arc::new(inner)), Recovered { segments: recovery, frames_read }))
    }

    /// The log's identity since it was opened.
    pub fn id(&self) -> LogId {
        self.0.terms.id()
    }

    /// How far someone who stood at `offset` of the log of this identity has come in the log as it is. None when
    /// the identity is of another log, or of a time that this one has lost.
    pub fn place_of(&self, id: LogId, offset: LogOffset) -> Option<LogOffset> {
        self.0.terms.place_of(id, offset)
    }

    /// The region whose log this is.
    pub fn region(&self) -> &RegionName {
        &self.0.region
    }

    /// Offers frames, in the order of their lanes. Returns what became of each once everything accepted is durable.
    ///
    /// # Errors
    /// Nothing of the offer was stored, as far as the caller may assume; offering it again is safe.
    pub async fn append(&self, frames: Vec<SealedFrame>) -> Result<Vec<Outcome>, AppendError> {
        let (answer, answered) = oneshot::channel();
        self.send(Command::Append { frames, answer }).await.map_err(|_| AppendError::Closed)?;
        answered.await.map_err(|_| AppendError::Closed)?
    }

    /// Leaves out the offsets before this one, if the log has not come that far: someone knows of frames there that the
    /// log lost or, restored from an older copy, never had. New frames must not take their offsets, because whoever has
    /// passed them would not see the new ones. Readers find them lost.
    ///
    /// # Errors
    /// The disk refuses.
    pub async fn skip_to(&self, next: LogOffset) -> Result<(), LogError> {
        let (answer, answered) = oneshot::channel();
        self.send(Command::SkipTo { next, answer }).await?;
        answered.await.map_err(|_| LogError::Closed)?
    }

    /// Where a lane stands.
    pub fn lane(&self, lane: &LaneId) -> LaneState {
        self.0.shared.read().lanes.get(lane).cloned().unwrap_or_default()
    }

    /// Grants a new epoch, higher than any before it and than `above`; frames of older ones are fenced from now on.
    ///
    /// # Errors
    /// The grant could not be made durable.
    pub async fn grant_epoch(&self, lane: LaneId, above: u64) -> Result<LaneState, LogError> {
        let (answer, answered) = oneshot::channel();
        self.send(Command::Grant { lane, above, answer }).await?;
        answered.await.map_err(|_| LogError::Closed)?
    }

    /// Lets a lane go on behind `last`, a frame that the log no longer holds, though it did: its agent has forgotten it,
    /// which it does only after an acknowledgement. What is missing is reported, and no route ever gets it; but
    /// numbers are not given twice, so that a sink still knows each frame that it has.
    ///
    /// # Errors
    /// It could not be made durable.
    pub async fn go_on_behind(&self, lane: LaneId, epoch: u64, last: Link) -> Result<LaneState, LogError> {
        let (answer, answered) = oneshot::channel();
        self.send(Command::GoOnBehind { lane, epoch, last, answer }).await?;
        answered.await.map_err(|_| LogError::Closed)?
    }

    /// Every mark that the lane's frames ever carried, oldest first; a mark may stand twice. Reads the whole
    /// retained log.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn lane_marks(&self, lane: &LaneId) -> Result<Vec<Mark>, LogError> {
        let (log, of) = (self.clone(), lane.clone());
        let scan = tokio::task::spawn_blocking(move || log.scan_marks(&of));
        // What retention removes during the scan is in the book before it is gone from the log: ask the book last.
        let retained = scan.await.map_err(|_| LogError::Closed)??;
        let (answer, answered) = oneshot::channel();
        self.send(Command::Marks { lane: lane.clone(), answer }).await?;
        let mut marks = answered.await.map_err(|_| LogError::Closed)??;
        marks.extend(retained);
        Ok(marks)
    }

    fn scan_marks(&self, lane: &LaneId) -> Result<Vec<Mark>, LogError> {
        let mut reader = self.reader(LogOffset(self.0.view.first_index()));
        let mut marks = Vec::new();
        loop {
            match reader.next_now() {
                Ok(Some(entry)) if entry.frame.header().lane == *lane => {
                    marks.extend(entry.frame.header().marks.iter().cloned());
                }
                Ok(Some(_)) | Err(ReadError::Lost { .. } | ReadError::Frame { .. }) => {}
                Ok(None) => return Ok(marks),
                Err(ReadError::Retained { first, .. }) => reader.seek(first),
                Err(ReadError::Disk(fault)) => return Err(LogError::Read(fault.into())),
            }
        }
    }

    /// Stores a schema, so that frames may name it.
    ///
    /// # Errors
    /// It could not be made durable.
    pub async fn put_schema(&self, schema: StreamSchema) -> Result<(), LogError> {
        if self.0.shared.read().schemas.contains_key(&schema.hash()) {
            return Ok(());
        }
        let (answer, answered) = oneshot::channel();
        self.send(Command::PutSchema { schema, answer }).await?;
        answered.await.map_err(|_| LogError::Closed)?
    }

    /// A schema that frames of this log name.
    pub fn schema(&self, hash: SchemaHash) -> Option<StreamSchema> {
        self.0.shared.read().schemas.get(&hash).cloned()
    }

    /// The versions of every stream's schema.
    pub fn schema_versions(&self) -> SchemaVersions {
        self.0.shared.read().versions.clone()
    }

    /// The number that a schema has among the versions of a source's stream.
    pub fn schema_version(&self, source: SourceId, stream: &StreamName, schema: SchemaHash) -> Option<u32> {
        let shared = self.0.shared.read();
        let found = shared.versions.of(source, stream).iter().find(|version| version.schema == schema);
        found.map(|version| version.version)
    }

    /// How many versions of schemas there are in all.
    pub fn count_schema_versions(&self) -> usize {
        self.0.shared.read().versions.count()
    }

    /// Reads on from this offset.
    pub fn reader(&self, from: LogOffset) -> LogReader {
        LogReader::new(self.0.view.reader(from.0), self.0.head.clone())
    }

    /// The first offset that was appended at or after this time, in microseconds since 1970-01-01 UTC.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn offset_at(&self, time_us: i64) -> Result<LogOffset, ReadError> {
        let segments = self.0.view.segments();
        let later = segments.partition_point(|segment| segment.created_us.cast_signed() <= time_us);
        let start =
            segments.get(later.saturating_sub(1)).map_or(self.0.view.first_index(), |s| s.first_index);
        let mut reader = self.reader(LogOffset(start));
        loop {
            match reader.next_now() {
                Ok(Some(entry)) if entry.appended_us >= time_us => return Ok(entry.offset),
                Ok(Some(_)) | Err(ReadError::Lost { .. } | ReadError::Frame { .. }) => {}
                Ok(None) => return Ok(reader.position()),
                Err(ReadError::Retained { first, .. }) => reader.seek(first),
                Err(other) => return Err(other),
            }
        }
    }

    /// Removes what retention no longer keeps. `pinned` is the oldest offset that a route still needs.
    ///
    /// # Errors
    /// The disk refuses; what was removed until then stays removed.
    pub async fn retain(
        &self,
        retention: Retention,
        now_us: i64,
        pinned: Option<LogOffset>,
    ) -> Result<Retained, LogError> {
        let (answer, answered) = oneshot::channel();
        self.send(Command::Retain { retention, now_us, pinned, answer }).await?;
        answered.await.map_err(|_| LogError::Closed)?
    }

    /// How large the log is.
    pub fn status(&self) -> LogStatus {
        let shared = self.0.shared.read();
        LogStatus {
            first: LogOffset(self.0.view.first_index()),
            next: *self.0.head.borrow(),
            bytes: self.0.view.bytes(),
            totals: shared.totals.clone(),
            by_source: shared.by_source.clone(),
            lost_frames: shared.lost_frames,
        }
    }

    /// Totals of what retention has removed: where a reader from the oldest offset begins to count.
    pub fn trimmed_totals(&self) -> Totals {
        self.0.shared.read().trimmed.clone()
    }

    /// Up to `limit` retained frames of dead letters that are wanted, newest first.
    pub fn dead_letter_frames(&self, wanted: impl Fn(&StreamName) -> bool, limit: usize) -> Vec<LogOffset> {
        let (shared, first) = (self.0.shared.read(), LogOffset(self.0.view.first_index()));
        let retained = shared.dead_letters.range(first..).rev();
        retained.filter(|(_, stream)| wanted(stream)).map(|(offset, _)| *offset).take(limit).collect()
    }

    /// Every lane that ever had a frame or an epoch.
    pub fn lanes(&self) -> BTreeMap<LaneId, LaneState> {
        self.0.shared.read().lanes.clone()
    }

    async fn send(&self, command: Command) -> Result<(), LogError> {
        let commands = self.0.commands.as_ref().ok_or(LogError::Closed)?;
        commands.send(command).await.map_err(|_| LogError::Closed)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.commands = None;
        if let Some(thread) = self.thread.lock().take() {
            // A writer that panicked has said so; what it had acknowledged is durable.
            drop(thread.join());
        }
    }
}

/// Leaves out the offsets that the book knows to have been given and the log has lost.
fn leave_out(log: &mut SegmentLog<DiskStorage>, known: LogOffset) -> Result<Option<LostRange>, LogError> {
    let next = log.next_index();
    if next >= known.0 {
        return Ok(None);
    }
    log.advance_to(known.0)?;
    let lost = LostRange {
        from: next,
        to: known.0,
        file: log.view().dir().to_owned(),
        offset: None,
        reason: "the book knows of frames that the log no longer holds".to_owned(),
    };
    tracing::error!(%lost, "frames of the region log are lost");
    Ok(Some(lost))
}

/// Reads the frames after the book's checkpoint.
fn catch_up(shared: &mut Shared, log: &SegmentLog<DiskStorage>, from: LogOffset) -> Result<u64, LogError> {
    let (_sender, head) = watch::channel(LogOffset(log.next_index()));
    let mut reader = LogReader::new(log.reader(from.0.max(log.first_index())), head);
    let mut frames = 0;
    loop {
        match reader.next_now() {
            Ok(Some(entry)) => {
                shared.note(entry.offset, entry.appended_us, &entry.frame);
                frames += 1;
            }
            Ok(None) => return Ok(frames),
            Err(error @ (ReadError::Lost { .. } | ReadError::Frame { .. })) => {
                tracing::error!(%error, "frames of the region log are damaged; the rest is served");
            }
            Err(ReadError::Retained { first, .. }) => reader.seek(first),
            Err(ReadError::Disk(fault)) => return Err(LogError::Read(fault.into())),
        }
    }
}
