//! All lanes of an agent: opened together, bounded together.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use towpath_record::{LaneId, SealedFrame};
use towpath_segment::batch::Limits;
use towpath_segment::{
    DiskStorage, GroupCommit, GroupCommitConfig, LogView, OnTrouble, ReadError, Recovery, SegmentLog, Storage,
};

use crate::budget::Budget;
use crate::config::SpoolConfig;
use crate::error::{Damage, SpoolError};
use crate::lane::{FrameSummary, IN_FLIGHT_BYTES, LaneQueue, LaneStats, Numbers, State};
use crate::ledger::Ledger;
use crate::reader::not_a_frame;

/// The lanes of an agent.
#[derive(Debug)]
pub struct Spool<S: Storage = DiskStorage> {
    storage: S,
    dir: PathBuf,
    config: SpoolConfig,
    budget: Arc<Budget<S>>,
    lanes: Mutex<HashMap<LaneId, LaneQueue<S>>>,
}

/// What opening a lane found, where it was not all well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneRecovery {
    /// The lane.
    pub lane: LaneId,
    /// What was lost. The lane then takes no frames until it is reset.
    pub damage: Option<Damage>,
    /// What the log's recovery did, such as cutting a torn end off.
    pub recovery: Recovery,
}

impl Spool {
    /// Opens every lane in `dir`, which is created if it is not there. The list names the lanes in which the recovery
    /// had something to do.
    ///
    /// # Errors
    /// Another process has the spool, a newer release wrote it, or the disk refuses. Damage is no error.
    pub fn open(dir: &Path, config: SpoolConfig) -> Result<(Self, Vec<LaneRecovery>), SpoolError> {
        let prepare = |cause| SpoolError::Prepare { dir: dir.to_owned(), cause: Arc::new(cause) };
        DiskStorage.create_dir(dir).map_err(prepare)?;
        let names = lane_names(dir).map_err(prepare)?;
        Self::open_on(DiskStorage, dir, &names, config)
    }

    /// Removes a lane that nobody uses any more, with everything that it holds.
    ///
    /// # Errors
    /// Its directory cannot be opened or removed.
    pub async fn remove_lane(&self, lane: &LaneId) -> Result<(), SpoolError> {
        let queue = self.lane(lane)?;
        queue.reset().await?;
        self.lanes.lock().remove(lane);
        drop(queue);
        let dir = self.dir.join(lane.to_string());
        std::fs::remove_dir_all(&dir).map_err(|cause| SpoolError::Remove { dir, cause: Arc::new(cause) })
    }
}

impl<S: Storage> Spool<S> {
    /// Opens these lanes of a spool on any storage.
    ///
    /// # Errors
    /// As [`Spool::open`].
    pub fn open_on(
        storage: S,
        dir: &Path,
        lanes: &[LaneId],
        config: SpoolConfig,
    ) -> Result<(Self, Vec<LaneRecovery>), SpoolError> {
        let budget = Arc::new(Budget::new(storage.clone(), dir.to_owned(), config));
        let spool = Self { storage, dir: dir.to_owned(), config, budget, lanes: Mutex::default() };
        let mut recoveries = Vec::new();
        for lane in lanes {
            let (_, recovery) = spool.open_lane(lane)?;
            if recovery.damage.is_some() || !recovery.recovery.is_clean() {
                recoveries.push(recovery);
            }
        }
        Ok((spool, recoveries))
    }

    /// The queue of a lane, created if it is new.
    ///
    /// # Errors
    /// Its directory cannot be opened.
    pub fn lane(&self, lane: &LaneId) -> Result<LaneQueue<S>, SpoolError> {
        Ok(self.open_lane(lane)?.0)
    }

    /// All lanes, in no particular order.
    pub fn lanes(&self) -> Vec<LaneQueue<S>> {
        self.lanes.lock().values().cloned().collect()
    }

    /// Bytes of frames that all lanes hold.
    pub fn held_bytes(&self) -> u64 {
        self.budget.held_bytes()
    }

    /// How each lane does.
    pub fn stats(&self) -> Vec<LaneStats> {
        self.lanes().iter().map(LaneQueue::stats).collect()
    }

    fn open_lane(&self, lane: &LaneId) -> Result<(LaneQueue<S>, LaneRecovery), SpoolError> {
        let mut lanes = self.lanes.lock();
        if let Some(queue) = lanes.get(lane) {
            let nothing = LaneRecovery { lane: lane.clone(), damage: None, recovery: Recovery::default() };
            return Ok((queue.clone(), nothing));
        }
        let dir = self.dir.join(lane.to_string());
        let opened = SegmentLog::open(self.storage.clone(), &dir, self.config.log());
        let (log, recovery) = opened.map_err(|cause| SpoolError::Open { dir, cause })?;
        let (state, damage) = survey(&log, &recovery, self.config.accounting_bytes());
        self.budget.take_existing(state.ledger.held());
        let config = GroupCommitConfig {
            limits: Limits { batch_bytes: IN_FLIGHT_BYTES / 2, ..Limits::default() },
            on_trouble: OnTrouble::Wait,
        };
        let commit = GroupCommit::start("spool", log, config)
            .map_err(|cause| SpoolError::Thread { lane: lane.clone(), cause: Arc::new(cause) })?;
        let queue = LaneQueue::new(lane.clone(), commit, state, self.budget.clone());
        lanes.insert(lane.clone(), queue.clone());
        Ok((queue, LaneRecovery { lane: lane.clone(), damage, recovery }))
    }
}

/// The lanes that have a directory here. Others' directories are left alone.
pub(crate) fn lane_names(dir: &Path) -> std::io::Result<Vec<LaneId>> {
    let mut lanes = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir()
            && let Some(lane) = entry.file_name().to_str().and_then(parse_lane)
        {
            lanes.push(lane);
        }
    }
    lanes.sort();
    Ok(lanes)
}

fn parse_lane(name: &str) -> Option<LaneId> {
    let (source, region) = name.split_once('@')?;
    Some(LaneId { source: source.parse().ok()?, region: region.parse().ok()? })
}

/// Finds where a lane stands from its oldest and newest frame.
fn survey<S: Storage>(log: &SegmentLog<S>, recovery: &Recovery, spacing: u64) -> (State, Option<Damage>) {
    let (first, next) = (log.first_index(), log.next_index());
    let mut ledger = Ledger::new(first, spacing);
    for segment in log.segments() {
        let headers =
            segment.next_index.saturating_sub(segment.first_index) * towpath_segment::RECORD_HEADER_BYTES;
        let frames = segment.bytes.saturating_sub(towpath_segment::SEGMENT_HEADER_BYTES + headers);
        ledger.note(segment.next_index, frames);
    }
    if first == next {
        return (State::new(None, None, next, ledger), None);
    }
    let oldest = read_one(log.view(), first);
    let newest = read_one(log.view(), next - 1);
    let tail = match (&oldest, &newest) {
        (Ok(frame), _) => Some(Numbers { seq: frame.header().seq, index: first }),
        (_, Ok(frame)) => {
            Some(Numbers { seq: frame.header().seq.saturating_sub(next - 1 - first), index: first })
        }
        _ => None,
    };
    let damage = recovery.lost.first().map(|lost| Damage {
        lost: tail.map(|tail| tail.seq + (lost.from - first)..tail.seq + (lost.to - first)),
        reason: lost.to_string(),
    });
    let unreadable = oldest.as_ref().err().or(newest.as_ref().err());
    let damage = damage.or_else(|| unreadable.map(|reason| Damage { lost: None, reason: reason.clone() }));
    let mut state = State::new(tail, newest.ok().as_ref().map(FrameSummary::of), next, ledger);
    state.damage.clone_from(&damage);
    (state, damage)
}

fn read_one<S: Storage>(log: &LogView<S>, index: u64) -> Result<SealedFrame, String> {
    match log.get(index) {
        Ok(Some(payload)) => {
            SealedFrame::parse(Bytes::from(payload)).map_err(|error| not_a_frame(index, &error))
        }
        Ok(None) => Err(format!("record {index} is not there")),
        Err(ReadError::Storage(fault)) => Err(format!("{fault}: {}", fault.cause)),
        Err(error) => Err(error.to_string()),
    }
}
