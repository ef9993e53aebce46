//! A cell: one region's log, the agents that are linked to it, and the routes that it delivers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio_util::task::AbortOnDropHandle;
use towpath_catalog::{Actor, Catalog, Denial, State};
use towpath_log::RegionLog;
use towpath_log::deliveries::Deliveries;
use towpath_proto::link::{GoodbyeCode, LaneFault};
use towpath_record::{AgentId, LogOffset, RegionName, RouteId, SealedFrame, SourceId};
use towpath_resource::observed::Trouble;
use towpath_resource::{AgentSpec, Resource, RouteSpec};
use towpath_session::{CellEvent, LaneOpening};

use crate::control::desired;
use crate::control::enrol::CertificateIssuer;
use crate::control::identity::PeerIdentity;
use crate::control::ledger::CatalogLedger;
use crate::control::observed::Sightings;
use crate::control::policies::InForce;
use crate::control::turned_away;
use crate::control::verifier::{Revocations, Revoked};
use crate::data::border::{Checkpoint, Forbidden};
use crate::data::deliver::{self, Delivery, RouteStatus};
use crate::data::glance::Glance;
use crate::data::ingest::{Customs, Ingest};
use crate::data::questions::Questions;
use crate::data::refusals::{Refusals, Refused};
use crate::data::route::RoutePlan;
use crate::data::sessions::{BindingEvent, Bindings, OpenSession, Sessions};
use crate::link::endpoint::Reception;
use crate::link::{Owner, SessionHandle};

/// A cell. Cheap to clone.
#[derive(Clone)]
pub struct Cell(Arc<Inner>);

struct Inner {
    catalog: Arc<Catalog>,
    log: RegionLog,
    deliveries: Deliveries,
    issuer: CertificateIssuer<CatalogLedger>,
    revocations: Revocations,
    sightings: Sightings,
    sessions: Sessions,
    routes: Mutex<BTreeMap<RouteId, RunningRoute>>,
    max_log_bytes: u64,
    log_trouble: Mutex<Option<Trouble>>,
    glance: Glance,
    in_force: InForce,
    refusals: Arc<Refusals>,
}

struct RunningRoute {
    plan: RoutePlan,
    status: Arc<Mutex<RouteStatus>>,
    _task: AbortOnDropHandle<()>,
}

impl Cell {
    /// A cell over these parts.
    pub fn new(
        catalog: Arc<Catalog>,
        log: RegionLog,
        deliveries: Deliveries,
        issuer: CertificateIssuer<CatalogLedger>,
        revocations: Revocations,
        max_log_bytes: u64,
    ) -> Self {
        Self(Arc::new(Inner {
            in_force: InForce::new(catalog.clone()),
            refusals: Arc::default(),
            catalog,
            log,
            deliveries,
            issuer,
            revocations,
            sightings: Sightings::default(),
            sessions: Sessions::default(),
            routes: Mutex::default(),
            max_log_bytes,
            log_trouble: Mutex::default(),
            glance: Glance::default(),
        }))
    }

    /// The catalog.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.0.catalog
    }

    /// The region's log.
    pub fn log(&self) -> &RegionLog {
        &self.0.log
    }

    /// Cursors and dead letters.
    pub fn deliveries(&self) -> &Deliveries {
        &self.0.deliveries
    }

    /// What agents said of themselves.
    pub fn sightings(&self) -> &Sightings {
        &self.0.sightings
    }

    /// The last look at how everything goes.
    pub(crate) fn glance(&self) -> &Glance {
        &self.0.glance
    }

    /// The agents that are here.
    pub(crate) fn sessions(&self) -> &Sessions {
        &self.0.sessions
    }

    /// The policies in force.
    pub(crate) fn in_force(&self) -> &InForce {
        &self.0.in_force
    }

    /// What the border refused, by source.
    pub(crate) fn refusals(&self) -> BTreeMap<SourceId, Refused> {
        self.0.refusals.all(self.0.in_force.now().edits)
    }

    /// How each route goes.
    pub(crate) fn route_statuses(&self) -> Vec<(RoutePlan, RouteStatus)> {
        let routes = self.0.routes.lock();
        routes.values().map(|running| (running.plan.clone(), running.status.lock().clone())).collect()
    }

    /// Bytes that the log may take.
    pub(crate) fn max_log_bytes(&self) -> u64 {
        self.0.max_log_bytes
    }

    /// Why the log takes no frames, when it does not.
    pub(crate) fn log_trouble(&self) -> Option<Trouble> {
        self.0.log_trouble.lock().clone()
    }

    /// Notes why the log takes no frames, or that it does again.
    pub(crate) fn note_log_trouble(&self, trouble: Option<Trouble>) {
        *self.0.log_trouble.lock() = trouble;
    }

    /// The oldest offset that a route has not delivered.
    pub fn needed(&self) -> Option<LogOffset> {
        let routes = self.0.routes.lock();
        routes.values().map(|running| running.status.lock().cursor.offset.next()).min()
    }

    /// What an agent's frames must pass.
    fn customs(&self, agent: AgentId, address: SocketAddr) -> Customs {
        let catalog = self.0.catalog.clone();
        let report = move |source: SourceId, forbidden: &Forbidden| {
            let state = catalog.state();
            tracing::warn!(%agent, %source, reason = %forbidden, "a frame that the policies forbid is refused");
            let name =
                state.source(source).map_or_else(|| source.to_string(), |source| source.name().to_string());
            let on = Some(format!("{}, from source {name}", forbidden.on));
            let denial = Denial { lacking: "conformity with policy".to_owned(), on };
            let actor = actor_of(&state, agent);
            turned_away::note(&catalog, actor, turned_away::over_link(address), denial);
        };
        Customs {
            checkpoint: Checkpoint::before_log(self.0.in_force.clone(), self.0.log.clone()),
            refusals: self.0.refusals.clone(),
            report: Box::new(report),
        }
    }

    /// Makes routes and trust follow the catalog, for ever.
    pub async fn follow_catalog(&self) {
        let mut states = self.0.catalog.subscribe();
        let mut before = None;
        loop {
            let state = states.borrow_and_update().clone();
            // Most changes concern neither, and must not cost a look at all that there is.
            if before.as_deref().is_none_or(|before| revokes_more(before, &state)) {
                self.revoke(&state);
            }
            if before.as_deref().is_none_or(|before| leads_elsewhere(before, &state)) {
                self.change_routes(&state);
            }
            before = Some(state);
            if states.changed().await.is_err() {
                return;
            }
        }
    }

    fn revoke(&self, state: &State) {
        let agents = state.revoked.keys().copied().collect();
        self.0.revocations.replace(Revoked { agents, ..Revoked::default() });
        state.revoked.keys().for_each(|agent| self.0.sessions.revoke(*agent));
    }

    fn change_routes(&self, state: &State) {
        let plans = plans(state);
        let mut routes = self.0.routes.lock();
        routes.retain(|id, running| {
            plans.get(id) == Some(&running.plan) || {
                if !plans.contains_key(id)
                    && state.route(*id).is_none()
                    && let Err(error) = self.0.deliveries.forget(*id)
                {
                    tracing::warn!(route = %running.plan.name, %error, "a deleted route was not forgotten");
                }
                false
            }
        });
        for (id, plan) in plans {
            routes.entry(id).or_insert_with(|| {
                let status = Arc::<Mutex<RouteStatus>>::default();
                let delivery = Delivery {
                    log: self.0.log.clone(),
                    deliveries: self.0.deliveries.clone(),
                    sessions: self.0.sessions.clone(),
                    in_force: self.0.in_force.clone(),
                };
                let task = tokio::spawn(deliver::run(delivery, plan.clone(), status.clone()));
                RunningRoute { plan, status, _task: AbortOnDropHandle::new(task) }
            });
        }
    }
}

/// Who an agent is to the audit trail.
fn actor_of(state: &State, agent: AgentId) -> Actor {
    let known = state.agent(agent).map(|known| known.name().clone());
    known.map_or(Actor::Stranger, |name| Actor::Agent { agent, name })
}

/// Whether agents were revoked between two states. None is ever trusted again.
fn revokes_more(before: &State, now: &State) -> bool {
    before.revoked.size() != now.revoked.size()
}

/// Whether something changed between two states that a route's plan is made of.
fn leads_elsewhere(before: &State, now: &State) -> bool {
    before.routes.edits() != now.routes.edits()
        || before.sinks.edits() != now.sinks.edits()
        || before.agents.edits() != now.agents.edits()
        || before.sites.edits() != now.sites.edits()
        || before.replays != now.replays
        || before.accepted_schemas != now.accepted_schemas
}

/// The region that an agent stands in.
fn region_of(state: &State, agent: &Resource<AgentSpec>) -> RegionName {
    state.sites.get(&agent.spec.site).map_or_else(RegionName::main, |site| site.spec.region.clone())
}

/// The routes that lead to a sink of an agent that is there.
fn plans(state: &State) -> BTreeMap<RouteId, RoutePlan> {
    let plan = |route: &Resource<RouteSpec>| {
        let sink = state.sinks.get(&route.spec.sink)?;
        let agent = state.agents.get(&sink.spec.agent)?;
        let replay = state.replay_count(route.id);
        Some((
            route.id,
            RoutePlan {
                id: route.id,
                name: route.name().clone(),
                spec: route.spec.clone(),
                sink: sink.id,
                sink_agent: agent.id,
                region: region_of(state, agent),
                replay,
                start: state.start_of(route),
                accepted: state.accepted_schemas.get(&route.id).cloned().unwrap_or_default(),
            },
        ))
    };
    state.routes.values().filter_map(plan).collect()
}

impl Reception for Cell {
    fn receive(&self, peer: PeerIdentity, address: SocketAddr, session: SessionHandle) -> Box<dyn Owner> {
        let (bindings, questions) = (Bindings::default(), Questions::default());
        let customs = self.customs(peer.agent, address);
        let ingest = Ingest::new(self.0.log.clone(), session.clone(), customs);
        Box::new(AgentSessionOwner {
            cell: self.clone(),
            peer,
            address,
            session,
            bindings,
            questions,
            ingest,
        })
    }

    fn turned_away(&self, address: SocketAddr) {
        let origin = turned_away::over_link(address);
        turned_away::note(&self.0.catalog, Actor::Stranger, origin, turned_away::unknown(None));
    }
}

/// What one agent's session means to the cell.
struct AgentSessionOwner {
    cell: Cell,
    peer: PeerIdentity,
    address: SocketAddr,
    session: SessionHandle,
    bindings: Bindings,
    questions: Questions,
    ingest: Ingest,
}

impl AgentSessionOwner {
    fn agent(&self) -> AgentId {
        self.peer.agent
    }

    fn greeted(&self, applied: u64) {
        let (agent, state) = (self.agent(), self.cell.0.catalog.state());
        if !state.admits(agent) {
            self.note_denial(&state, turned_away::unknown(Some(format!("agent {agent}"))));
            return self.session.request(|machine, now| {
                machine.goodbye(
                    now,
                    GoodbyeCode::Revoked,
                    "the agent is not known here",
                    "enrol the agent anew",
                );
            });
        }
        let generation = state.desired_generation(agent);
        self.session.request(move |machine, now| machine.welcome(now, generation));
        let open = OpenSession {
            handle: self.session.clone(),
            bindings: self.bindings.clone(),
            questions: self.questions.clone(),
        };
        self.cell.0.sessions.begin(agent, open);
        // A revocation that came since the first look found no session to end.
        if !self.cell.0.catalog.state().admits(agent) {
            return self.cell.0.sessions.revoke(agent);
        }
        self.cell.0.sightings.change(agent, |seen| {
            (seen.linked, seen.address, seen.since) = (true, Some(self.address), Some(Timestamp::now()));
        });
        tracing::info!(%agent, address = %self.address, session = %self.session.id(), "an agent is linked");
        let catalog = self.cell.0.catalog.subscribe();
        tokio::spawn(desired::follow(catalog, agent, self.session.clone(), applied));
    }

    /// An agent may only speak for the sources that are assigned to it, and into the log of its region.
    fn open_lane(&self, asked: LaneOpening) {
        let state = self.cell.0.catalog.state();
        let assigned = state.source(asked.lane.source).is_some_and(|source| {
            state.agent(self.agent()).is_some_and(|agent| *agent.name() == source.spec.agent)
        });
        let refusal = if !assigned {
            Some(format!("source {} is not assigned to this agent", asked.lane.source))
        } else if asked.lane.region != *self.cell.0.log.region() {
            Some(format!("the log of region {} is not kept here", asked.lane.region))
        } else {
            None
        };
        let Some(reason) = refusal else { return self.ingest.open(asked) };
        let source = state.source(asked.lane.source).map(|source| source.name().to_string());
        let on = source.unwrap_or_else(|| asked.lane.source.to_string());
        let denial = Denial { lacking: "assignment".to_owned(), on: Some(format!("source {on}")) };
        self.note_denial(&state, denial);
        self.session.request(move |machine, now| {
            let remedy = "assign the source to this agent, or stop the agent's stale copy";
            machine.refuse_lane(now, asked.opening, LaneFault::NotAssigned, &reason, remedy);
        });
    }

    /// Records what the agent was denied.
    fn note_denial(&self, state: &State, denial: Denial) {
        let actor = actor_of(state, self.agent());
        turned_away::note(&self.cell.0.catalog, actor, turned_away::over_link(self.address), denial);
    }

    fn renew(&self, csr_der: bytes::Bytes) {
        let (issuer, peer, session) = (self.cell.0.issuer.clone(), self.peer.clone(), self.session.clone());
        tokio::spawn(async move {
            let issued = issuer.renew(&peer, &csr_der).await;
            let chain =
                issued.map(|certificate| issuer.chain(&certificate)).map_err(|error| error.to_string());
            let chain = chain.map(|chain| chain.into_iter().map(|der| der.to_vec().into()).collect());
            session.request(move |machine, now| machine.renewed(now, chain));
        });
    }

    fn observed(&self, status: &[u8]) {
        match serde_json::from_slice(status) {
            Ok(observed) => self.cell.0.sightings.change(self.agent(), |seen| {
                (seen.observed, seen.observed_at) = (observed, Some(Timestamp::now()));
            }),
            Err(error) => tracing::warn!(agent = %self.agent(), %error, "an agent's status cannot be read"),
        }
    }

    /// Notes in the audit trail that two use one identity.
    fn doubled(&self) {
        let (agent, state) = (self.agent(), self.cell.0.catalog.state());
        let Some(name) = state.agent(agent).map(|agent| agent.name().clone()) else { return };
        let other = self.cell.0.sightings.address(agent).map(|address| address.ip().to_canonical());
        let other = other.map_or_else(String::new, |other| format!(", which {other} uses too"));
        let denial =
            Denial { lacking: "an identity of its own".to_owned(), on: Some(format!("agent {name}{other}")) };
        self.note_denial(&state, denial);
    }

    fn closed(&self, closed: &towpath_session::Closed) {
        let agent = self.agent();
        self.questions.end();
        tracing::info!(%agent, session = %self.session.id(), %closed, "an agent's link is over");
        self.cell.0.sessions.end(agent, self.session.id());
        if self.cell.0.sessions.get(agent).is_none() {
            self.cell.0.sightings.change(agent, |seen| {
                (seen.linked, seen.since) = (false, Some(Timestamp::now()));
            });
        }
    }
}

impl Owner for AgentSessionOwner {
    fn handle(&mut self, event: CellEvent<SealedFrame>) {
        match event {
            CellEvent::Greeted(hello) => self.greeted(hello.applied_generation),
            CellEvent::LaneRequested(asked) => self.open_lane(asked),
            CellEvent::MarksWanted { opening, lane, after } => self.ingest.marks(opening, lane, after),
            CellEvent::LaneClosed { .. } => {}
            CellEvent::SchemaOffered { hash, canonical } => self.ingest.schema(hash, &canonical),
            CellEvent::Append { opening, frame } => self.ingest.append(opening, frame),
            CellEvent::RouteReady { binding, checkpoint } => {
                self.bindings.tell(binding, BindingEvent::Ready(checkpoint));
            }
            CellEvent::RouteRefused { binding, reason, remedy } => {
                self.bindings.tell(binding, BindingEvent::Refused { reason, remedy });
            }
            CellEvent::DeliveryWanted { binding } => self.bindings.tell(binding, BindingEvent::Wanted),
            CellEvent::SchemaWanted { hash } => {
                let canonical = self.cell.0.log.schema(hash).map(|schema| schema.canonical().clone());
                let bindings = self.bindings.clone();
                self.session.request(move |machine, now| {
                    for ended in machine.handle_schema(now, hash, canonical) {
                        let reason = format!("schema {hash} is not in the region log");
                        bindings.tell(ended, BindingEvent::Refused { reason, remedy: String::new() });
                    }
                });
            }
            CellEvent::Delivered { binding, offset } => {
                self.bindings.tell(binding, BindingEvent::Delivered(offset));
            }
            CellEvent::Rejected(rejections) => {
                self.bindings.tell(rejections.binding, BindingEvent::Rejected(rejections));
            }
            CellEvent::Observed { status, .. } => self.observed(&status),
            CellEvent::Answered { question, more, kind } => self.questions.answered(question, more, kind),
            CellEvent::RenewalWanted { csr_der } => self.renew(csr_der),
            CellEvent::Closed(closed) => self.closed(&closed),
        }
    }

    fn parted(&mut self, code: GoodbyeCode, received: bool) {
        // An agent that begins anew has left its older session, where nobody receives anything. Whoever receives this
        // goodbye is another that uses the same identity.
        if code == GoodbyeCode::Superseded && received {
            self.doubled();
        }
    }
}

#[cfg(test)]
mod tests;
