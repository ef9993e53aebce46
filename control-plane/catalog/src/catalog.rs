//! The catalog: commands in, events recorded, state shown.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;
use towpath_audit::AuditKey;
use towpath_record::{AgentId, RegionName, ResourceName};
use towpath_resource::{AnyManifest, Kind, SiteSpec, StartFrom, TokenId};
use towpath_segment::{DiskStorage, LogView, LostRange, Storage};
use uuid::Uuid;

use crate::checkpoints::Checkpoints;
use crate::commit::Decided;
use crate::denials::Denials;
use crate::error::{
    ApplyError, CatalogError, DeleteError, EnrolError, OpenError, RetentionError, TargetError,
};
use crate::event::{Actor, Cause, Event, EventKind};
use crate::event_log::{EventLog, EventReadError, EventReader, Step};
use crate::opening::{self, Places};
use crate::plan::{Applied, Enrolled, World};
use crate::projection::Projection;
use crate::secret::SecretHash;
use crate::state::{AcceptedSchema, State};
use crate::terms::{Expected, Terms};

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What the catalog cannot know by itself.
#[derive(Clone)]
pub struct CatalogConfig {
    /// The regions that this installation has cells for.
    pub regions: BTreeSet<RegionName>,
    /// Further regions in which sites may stand whose agents write sinks and read no sources.
    pub sink_regions: BTreeSet<RegionName>,
    /// Tells the time.
    pub clock: Clock,
    /// Signs checkpoints. Without it there are none, and no event is ever removed.
    pub key: Option<Arc<AuditKey>>,
}

/// The catalog. Cheap to share behind an [`Arc`]; every command blocks until its event is durable.
pub struct Catalog<S: Storage = DiskStorage> {
    pub(crate) config: CatalogConfig,
    pub(crate) storage: S,
    pub(crate) places: Places,
    pub(crate) decided: Mutex<Decided>,
    /// Told when it is known what became of a batch of events.
    pub(crate) batch_settled: Condvar,
    pub(crate) writer: Mutex<Writer<S>>,
    pub(crate) shown: watch::Sender<Arc<State>>,
    pub(crate) events: LogView<S>,
    pub(crate) checkpoints: LogView<S>,
    pub(crate) denials: Mutex<Denials>,
}

pub(crate) struct Writer<S: Storage> {
    pub(crate) log: EventLog<S>,
    pub(crate) checkpoints: Checkpoints<S>,
    pub(crate) projection: Projection,
}

/// What opening found.
#[derive(Debug, Clone, Default)]
pub struct Opened {
    /// How many events were replayed: those that the projection did not have.
    pub replayed: u64,
    /// The damaged projection that was put aside.
    pub put_aside: Option<PathBuf>,
    /// Events that are lost for good. What they said must be said again.
    pub lost: Vec<LostRange>,
}

impl Default for CatalogConfig {
    fn default() -> Self {
        Self {
            regions: BTreeSet::from([RegionName::main()]),
            sink_regions: BTreeSet::new(),
            clock: Arc::new(Timestamp::now),
            key: None,
        }
    }
}

impl Catalog {
    /// Opens the catalog in this directory, creating it if it is not there.
    ///
    /// # Errors
    /// The events cannot be opened, or are not the ones that were written.
    pub fn open(dir: &Path, config: CatalogConfig) -> Result<(Self, Opened), OpenError> {
        Self::open_on(DiskStorage, dir, Some(&dir.join("projection")), config)
    }
}

impl<S: Storage> Catalog<S> {
    /// Opens the catalog with its truth in another storage. The projection is on disk, or left out: then every start
    /// replays all events.
    ///
    /// # Errors
    /// As [`Catalog::open`].
    pub fn open_on(
        storage: S,
        dir: &Path,
        projection: Option<&Path>,
        config: CatalogConfig,
    ) -> Result<(Self, Opened), OpenError> {
        let places = Places::of(dir);
        let (mut log, recovery) = EventLog::open(storage.clone(), &places.events)?;
        let key = config.key.as_ref().map(|key| key.public());
        let (checkpoints, _) = Checkpoints::open(storage.clone(), &places.checkpoints, key.as_ref())?;
        let (mut projection, projected, put_aside) = match projection {
            Some(dir) => Projection::open(dir)?,
            None => (Projection::none(), State::default(), None),
        };
        let mut opened = Opened { put_aside, lost: recovery.lost, ..Opened::default() };
        let state = opening::replay(
            &storage,
            &places,
            &mut log,
            &checkpoints,
            projected,
            &mut projection,
            &mut opened,
        )?;
        let (events, signed, state) = (log.view(), checkpoints.view(), Arc::new(state));
        let (decided, (shown, _)) = (Mutex::new(Decided::new(state.clone())), watch::channel(state));
        let writer = Mutex::new(Writer { log, checkpoints, projection });
        Ok((
            Self {
                config,
                storage,
                places,
                decided,
                batch_settled: Condvar::new(),
                writer,
                shown,
                events,
                checkpoints: signed,
                denials: Mutex::default(),
            },
            opened,
        ))
    }

    /// The state as it is now.
    pub fn state(&self) -> Arc<State> {
        self.shown.borrow().clone()
    }

    /// The regions in which sites may stand, in order.
    pub fn regions(&self) -> BTreeSet<RegionName> {
        self.config.regions.union(&self.config.sink_regions).cloned().collect()
    }

    /// Follows the state: each change wakes the receiver.
    pub fn subscribe(&self) -> watch::Receiver<Arc<State>> {
        self.shown.subscribe()
    }

    /// Takes a manifest.
    ///
    /// # Errors
    /// It is not valid, in itself or beside what is there, or the catalog cannot record it.
    pub fn apply(&self, manifest: AnyManifest, cause: &Cause) -> Result<Applied, ApplyError> {
        self.apply_on(&Terms::default(), manifest, cause)
    }

    /// Takes a manifest on these terms.
    ///
    /// # Errors
    /// As [`Catalog::apply`], or the terms do not hold.
    pub fn apply_on(
        &self,
        terms: &Terms,
        manifest: AnyManifest,
        cause: &Cause,
    ) -> Result<Applied, ApplyError> {
        let mut results = self.apply_each(terms, vec![manifest], cause);
        results.pop().expect("there is one result for each manifest")
    }

    /// Takes manifests that may refer to each other, in any order, with one sync for all. Each is taken or refused by
    /// itself; the results are in the order of the manifests. With `dry_run` nothing is recorded.
    pub fn apply_all(
        &self,
        manifests: Vec<AnyManifest>,
        cause: &Cause,
        dry_run: bool,
    ) -> Vec<Result<Applied, ApplyError>> {
        self.apply_each(&Terms::tried(dry_run), manifests, cause)
    }

    fn apply_each(
        &self,
        terms: &Terms,
        manifests: Vec<AnyManifest>,
        cause: &Cause,
    ) -> Vec<Result<Applied, ApplyError>> {
        let mut ordered: Vec<_> = manifests.into_iter().enumerate().collect();
        ordered.sort_by_key(|(_, manifest)| manifest.kind());
        if terms.dry_run {
            // On what is durable, and of no consequence.
            let mut scratch = Decided::new(self.state());
            let tried = self.decide_each(&mut scratch, &terms.expected, ordered, cause);
            return tried.into_iter().map(|(done, _)| done).collect();
        }
        let (done, basis) = {
            let mut decided = self.decided.lock();
            (self.decide_each(&mut decided, &terms.expected, ordered, cause), decided.basis())
        };
        let settled = self.settled(&basis);
        done.into_iter().map(|(done, seq)| settled.covers(seq).map_err(Into::into).and(done)).collect()
    }

    /// Decides on numbered manifests one behind the other. The results are in the order of the numbers, each with the
    /// last event that it rests on.
    fn decide_each(
        &self,
        decided: &mut Decided,
        expected: &Expected,
        manifests: Vec<(usize, AnyManifest)>,
        cause: &Cause,
    ) -> Vec<(Result<Applied, ApplyError>, u64)> {
        let at = (self.config.clock)();
        let decide = |(n, manifest)| {
            let world = World { state: decided.state(), config: &self.config, now: at };
            let done = world.apply_on(expected, manifest).and_then(|(applied, event)| match event {
                Some(kind) => Ok(decided.add(at, cause, kind).map(|()| applied)?),
                None => Ok(applied),
            });
            (n, (done, decided.state().seq))
        };
        let mut results: Vec<_> = manifests.into_iter().map(decide).collect();
        results.sort_by_key(|(n, _)| *n);
        results.into_iter().map(|(_, result)| result).collect()
    }

    /// Deletes a resource that nothing else needs. Deleting an agent revokes it.
    ///
    /// # Errors
    /// It is not there, others refer to it, or the catalog cannot record it.
    pub fn delete(&self, kind: Kind, name: &ResourceName, cause: &Cause) -> Result<(), DeleteError> {
        self.delete_on(&Terms::default(), kind, name, cause)
    }

    /// Deletes a resource on these terms.
    ///
    /// # Errors
    /// As [`Catalog::delete`], or the terms do not hold.
    pub fn delete_on(
        &self,
        terms: &Terms,
        kind: Kind,
        name: &ResourceName,
        cause: &Cause,
    ) -> Result<(), DeleteError> {
        self.command(cause, |world| {
            let event = world.delete_on(&terms.expected, kind, name)?;
            Ok(((), (!terms.dry_run).then_some(event)))
        })
    }

    /// Keeps the hash of a new enrolment token for a site.
    ///
    /// # Errors
    /// The site is not there, or the catalog cannot record it.
    pub fn create_token(
        &self,
        hash: SecretHash,
        site: &str,
        expires_at: Timestamp,
        cause: &Cause,
    ) -> Result<TokenId, TargetError> {
        self.command(cause, |world| {
            let site = world.state.require::<SiteSpec>(site)?.name().clone();
            let id = TokenId::from(Uuid::now_v7());
            Ok((id, Some(EventKind::TokenCreated { id, hash, site, expires_at })))
        })
    }

    /// Takes an enrolment token back. True if it was there and not used.
    ///
    /// # Errors
    /// The catalog cannot record it.
    pub fn revoke_token(&self, id: TokenId, cause: &Cause) -> Result<bool, CatalogError> {
        self.command(cause, |world| {
            let open = world.state.tokens.get(&id).is_some_and(|token| token.used.is_none());
            Ok((open, open.then_some(EventKind::TokenRevoked { id })))
        })
    }

    /// Uses an enrolment token up and makes its agent, in one event: of any number of concurrent uses one succeeds.
    ///
    /// # Errors
    /// The token is unknown, used or expired, the name is taken, or the catalog cannot record it.
    pub fn enrol(
        &self,
        secret: &SecretHash,
        name: &ResourceName,
        version: &str,
    ) -> Result<Enrolled, EnrolError> {
        self.command(&Actor::System.into(), |world| {
            let (enrolled, event) = world.enrol(secret, name.clone(), version.to_owned())?;
            Ok((enrolled, Some(event)))
        })
    }

    /// Records a certificate before it is handed out.
    ///
    /// # Errors
    /// The agent is not there or revoked, or the catalog cannot record it.
    pub fn record_certificate(
        &self,
        agent: AgentId,
        serial: String,
        not_after: Timestamp,
    ) -> Result<(), EnrolError> {
        self.command(&Actor::System.into(), |world| {
            if !world.state.admits(agent) {
                return Err(EnrolError::Revoked { agent });
            }
            Ok(((), Some(EventKind::CertificateIssued { agent, serial, not_after })))
        })
    }

    /// Cuts an agent off for good. Doing it twice is doing it once.
    ///
    /// # Errors
    /// The agent is not there, or the catalog cannot record it.
    pub fn revoke_agent(&self, name: &str, cause: &Cause) -> Result<AgentId, TargetError> {
        self.command(cause, |world| Ok(world.revoke(name)?))
    }

    /// Sends a route back to deliver again from there. Returns how often it was replayed now.
    ///
    /// # Errors
    /// The route is not there, or the catalog cannot record it.
    pub fn replay_route(&self, name: &str, from: StartFrom, cause: &Cause) -> Result<u64, TargetError> {
        self.command(cause, |world| {
            let (replay, event) = world.replay(name, from)?;
            Ok((replay, Some(event)))
        })
    }

    /// Accepts a version of a stream's schema for a route, though it breaks. False if it was accepted before.
    ///
    /// # Errors
    /// The route is not there, or the catalog cannot record it.
    pub fn accept_schema(
        &self,
        route: &str,
        accepted: &AcceptedSchema,
        cause: &Cause,
    ) -> Result<bool, TargetError> {
        self.command(cause, |world| {
            let event = world.accept_schema(route, accepted)?;
            Ok((event.is_some(), event))
        })
    }

    /// Records that a dead letter was sent on its way again.
    ///
    /// # Errors
    /// The catalog cannot record it.
    pub fn record_dead_letter_replay(&self, letter: &str, cause: &Cause) -> Result<(), CatalogError> {
        self.command(cause, |_| Ok(((), Some(EventKind::DeadLetterReplayed { letter: letter.to_owned() }))))
    }

    /// Records the certificate authority, once.
    ///
    /// # Errors
    /// The catalog cannot record it.
    pub fn record_certificate_authority(&self, fingerprint: &str) -> Result<(), CatalogError> {
        self.command(&Actor::System.into(), |world| {
            let known = world.state.ca_fingerprint.as_deref() == Some(fingerprint);
            let fingerprint = fingerprint.to_owned();
            Ok(((), (!known).then_some(EventKind::CertificateAuthorityCreated { fingerprint })))
        })
    }

    /// Events after this number, oldest first, at most `limit`. Lost ones are passed over.
    ///
    /// # Errors
    /// The events cannot be read.
    pub fn events(&self, after: u64, limit: usize) -> Result<Vec<Event>, CatalogError> {
        let mut reader = EventReader::new(&self.events, after.saturating_add(1));
        let mut found = Vec::new();
        while found.len() < limit {
            match reader.next()? {
                Step::Event(linked) => found.push(linked.event),
                Step::Lost(_) => {}
                Step::End => break,
            }
        }
        Ok(found)
    }

    /// Decides, records the event, and only then answers.
    pub(crate) fn command<T, E: From<CatalogError>>(
        &self,
        cause: &Cause,
        decide: impl FnOnce(&World<'_>) -> Result<(T, Option<EventKind>), E>,
    ) -> Result<T, E> {
        let (answer, basis) = {
            let mut decided = self.decided.lock();
            let at = (self.config.clock)();
            let world = World { state: decided.state(), config: &self.config, now: at };
            let answer = decide(&world).and_then(|(answer, event)| match event {
                Some(kind) => Ok(decided.add(at, cause, kind).map(|()| answer)?),
                None => Ok(answer),
            });
            (answer, decided.basis())
        };
        self.settled(&basis).covers(basis.seq())?;
        answer
    }
}

impl From<EventReadError> for OpenError {
    fn from(error: EventReadError) -> Self {
        match error {
            EventReadError::Chain(fault) => Self::Chain(fault),
            EventReadError::Read(error) => Self::Read(error),
        }
    }
}

impl From<EventReadError> for CatalogError {
    fn from(error: EventReadError) -> Self {
        match error {
            EventReadError::Chain(fault) => Self::Chain(fault),
            EventReadError::Read(error) => Self::Read(error),
        }
    }
}

impl From<EventReadError> for RetentionError {
    fn from(error: EventReadError) -> Self {
        Self::Catalog(error.into())
    }
}
