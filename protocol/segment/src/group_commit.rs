//! Many appenders, one sync: a thread owns the log, writes what is queued, syncs once and tells everyone.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};

use crate::batch::{Batcher, Limits};
use crate::disk::DiskStorage;
use crate::error::AppendError;
use crate::log::SegmentLog;
use crate::storage::Storage;
use crate::view::LogView;

/// How long a stalled thread waits before it tries again, unless it is woken.
const RETRY: Duration = Duration::from_millis(250);

/// What happens to appends while the disk is full or refuses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnTrouble {
    /// The append fails, and with it all that are in the same batch behind it.
    #[default]
    Fail,
    /// Nothing fails: the thread tries again until the disk takes it. [`GroupCommit::stalled`] says why it waits.
    Wait,
}

/// How appends are gathered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GroupCommitConfig {
    /// Queue and batch sizes. The queue is bounded in appends: senders of large records bound their bytes.
    pub limits: Limits,
    /// What happens when the disk refuses.
    pub on_trouble: OnTrouble,
}

/// Called once, when an append is durable or has failed, mostly on the commit thread, which it must not hold up. A panic
/// in it ends that thread, and with it the log's appending side.
pub type Done = Box<dyn FnOnce(Result<u64, AppendError>) + Send>;

type Job<S> = Box<dyn FnOnce(&mut SegmentLog<S>) + Send>;

/// The appending side of a log that a thread owns. Dropping it finishes what was sent.
pub struct GroupCommit<S: Storage = DiskStorage> {
    batcher: Batcher<Command<S>>,
    control: Arc<Control>,
    view: LogView<S>,
    max_record_bytes: usize,
}

enum Command<S: Storage> {
    Append(Append),
    Run(Job<S>),
    Wake,
}

struct Append {
    parts: Vec<Bytes>,
    done: Done,
}

impl AsRef<[Bytes]> for Append {
    fn as_ref(&self) -> &[Bytes] {
        &self.parts
    }
}

#[derive(Debug, Default)]
struct Control {
    trim_before: AtomicU64,
    closing: AtomicBool,
    stalled: Mutex<Option<AppendError>>,
    woken: Condvar,
}

impl<S: Storage> GroupCommit<S> {
    /// Gives the log to a thread of its own, named `name`.
    ///
    /// # Errors
    /// The system gives no more threads.
    pub fn start(name: &str, log: SegmentLog<S>, config: GroupCommitConfig) -> io::Result<Self> {
        let control = Arc::new(Control::default());
        let view = log.view().clone();
        let max_record_bytes = log.config().max_record_bytes;
        let mut committer = Committer { log, control: control.clone(), on_trouble: config.on_trouble };
        let size = |command: &Command<S>| match command {
            Command::Append(append) => append.parts.iter().map(Bytes::len).sum(),
            Command::Run(_) | Command::Wake => 0,
        };
        let batcher = Batcher::start(name, config.limits, size, move |batch| committer.commit(batch))?;
        Ok(Self { batcher, control, view, max_record_bytes })
    }

    /// Queues a record, made of these parts, and waits only while the queue is full. `done` hears of its index once it
    /// is durable. Records become durable in the order in which they were queued.
    pub fn append(&self, parts: Vec<Bytes>, done: Done) {
        let bytes = parts.iter().map(Bytes::len).sum();
        if bytes > self.max_record_bytes {
            return done(Err(AppendError::TooLarge { bytes, limit: self.max_record_bytes }));
        }
        if let Err(Command::Append(append)) = self.batcher.send(Command::Append(Append { parts, done })) {
            (append.done)(Err(AppendError::Closed));
        }
    }

    /// Runs a job on the log, after what was queued before and before what is queued later. False if the thread ended.
    pub fn run(&self, job: impl FnOnce(&mut SegmentLog<S>) + Send + 'static) -> bool {
        self.batcher.send(Command::Run(Box::new(job))).is_ok()
    }

    /// Forgets records before this index, soon. Works also while appends wait for space, which it may give.
    pub fn trim_before(&self, index: u64) {
        self.control.trim_before.fetch_max(index, Ordering::AcqRel);
        self.control.woken.notify_all();
        // A full queue means that the thread is awake and will see the new mark by itself.
        let _ = self.batcher.try_send(Command::Wake);
    }

    /// Why appends wait, if they do.
    pub fn stalled(&self) -> Option<AppendError> {
        self.control.stalled.lock().clone()
    }

    /// A handle for readers.
    pub fn view(&self) -> &LogView<S> {
        &self.view
    }
}

impl<S: Storage> fmt::Debug for GroupCommit<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupCommit").field("dir", &self.view.dir()).finish_non_exhaustive()
    }
}

impl<S: Storage> Drop for GroupCommit<S> {
    fn drop(&mut self) {
        self.control.closing.store(true, Ordering::Release);
        self.control.woken.notify_all();
    }
}

/// The thread's side.
struct Committer<S: Storage> {
    log: SegmentLog<S>,
    control: Arc<Control>,
    on_trouble: OnTrouble,
}

impl<S: Storage> Committer<S> {
    fn commit(&mut self, batch: Vec<Command<S>>) {
        let mut appends = Vec::new();
        for command in batch {
            match command {
                Command::Append(append) => appends.push(append),
                Command::Run(job) => {
                    self.settle(std::mem::take(&mut appends));
                    job(&mut self.log);
                }
                Command::Wake => {}
            }
        }
        self.settle(appends);
        self.trim();
    }

    /// Makes the appends durable, as far as the disk lets us, and tells those who sent them.
    fn settle(&mut self, mut appends: Vec<Append>) {
        while !appends.is_empty() {
            let trouble = self.advance(&mut appends).err();
            let Some(error) = trouble else { continue };
            if self.on_trouble == OnTrouble::Fail || self.control.closing.load(Ordering::Acquire) {
                appends.drain(..).for_each(|append| (append.done)(Err(error.clone())));
                return;
            }
            self.wait_out(error);
        }
        *self.control.stalled.lock() = None;
    }

    /// Writes and syncs what it can and takes that off the list. The error says why the rest was not done.
    fn advance(&mut self, appends: &mut Vec<Append>) -> Result<(), AppendError> {
        if self.log.is_poisoned() {
            self.log.reopen()?;
        }
        let start = self.log.next_index();
        let mut taken = 0;
        let mut result = Ok(());
        while taken < appends.len() && result.is_ok() {
            result = self.log.append_batch(&appends[taken..]).map(|indexes| taken += indexes.count());
        }
        let synced = self.log.sync();
        // Rolling may have made some durable even where the last sync failed.
        let durable = self.log.durable_index().saturating_sub(start);
        let durable = usize::try_from(durable).unwrap_or(usize::MAX).min(taken);
        for (append, index) in appends.drain(..durable).zip(start..) {
            (append.done)(Ok(index));
        }
        result.and(synced.map(drop))
    }

    fn wait_out(&mut self, error: AppendError) {
        tracing::warn!(dir = %self.log.view().dir().display(), %error, "appends wait for the disk");
        let mut stalled = self.control.stalled.lock();
        *stalled = Some(error);
        self.control.woken.wait_for(&mut stalled, RETRY);
        drop(stalled);
        self.trim();
    }

    fn trim(&mut self) {
        let before = self.control.trim_before.load(Ordering::Acquire);
        if before > self.log.first_index()
            && !self.log.is_poisoned()
            && let Err(error) = self.log.trim_before(before)
        {
            // Kept records cost space, not truth; the next trim tries again.
            tracing::warn!(dir = %self.log.view().dir().display(), %error, "old segments were not removed");
        }
    }
}
