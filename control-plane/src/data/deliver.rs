//! Deliver: one task per route binds it on the session of its sink's agent, feeds it from the log, and moves its
//! cursor when the sink has made things durable.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};
use towpath_log::RegionLog;
use towpath_log::deliveries::{Cursor, Deliveries};
use towpath_record::{LogId, LogOffset};
use towpath_resource::route::OnReject;
use towpath_session::Rejections;

use super::border::{Checkpoint, Forbidden};
use super::breaker::{Breaker, Policy, State};
use super::gate::{Gate, GateError, Hold, Turn};
use super::letters;
use super::route::{Found, RouteError, RoutePlan, RouteReader};
use super::sessions::{BindingEvent, OpenSession, Sessions};
use crate::control::policies::InForce;

/// A cursor is written at most this often; the sink's own checkpoint is what counts after a crash.
const CURSOR_EVERY: Duration = Duration::from_secs(1);

/// How a route goes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct RouteStatus {
    /// One word.
    pub phase: Phase,
    /// Where it durably stands.
    pub cursor: Cursor,
    /// When the oldest frame that waits for the sink was sealed, in microseconds since 1970-01-01 UTC.
    pub oldest_us: Option<i64>,
    /// The breaker's state.
    pub breaker: State,
    /// Failures in a row.
    pub failures: u32,
    /// When the next try is made, while it waits.
    pub next_try_at: Option<jiff::Timestamp>,
    /// The last failure, if the last try failed.
    pub error: Option<String>,
    /// What could not be delivered because it is lost.
    pub lost: Option<String>,
    /// The version of a schema before which it stopped.
    pub held: Option<Hold>,
    /// Why the frame before which it stopped may not stand where the sink does.
    pub forbidden: Option<Arc<Forbidden>>,
}

/// What a route is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It waits for the sink's agent.
    #[default]
    AwaitingAgent,
    /// It waits for the sink to open.
    Opening,
    /// It delivers.
    Delivering,
    /// It waits before the next try.
    Backoff,
    /// It rests, as an admin wishes.
    Paused,
    /// The sink refuses a row, and an admin wished that delivery stops then.
    Stopped,
    /// The next frame's schema breaks the route's rule, and an admin wished that delivery stops then; or the policies
    /// forbid that it goes there.
    Held,
}

/// What a route's task works with.
#[derive(Clone)]
pub(crate) struct Delivery {
    pub log: RegionLog,
    pub deliveries: Deliveries,
    pub sessions: Sessions,
    pub in_force: InForce,
}

/// Why a binding is over.
enum End {
    /// The link was lost; try on the next.
    Lost,
    /// The sink failed.
    Failed(String),
    /// The sink refuses a row, and the route shall stop before it.
    Refused(String),
    /// The next frame may not pass as it is: it is cast from now on, or an admin acts.
    Turned,
    /// The log was closed.
    Stopping,
}

/// Runs a route until its task is cancelled.
pub(crate) async fn run(delivery: Delivery, plan: RoutePlan, status: Arc<Mutex<RouteStatus>>) {
    let breaker = Breaker::new(Policy {
        first_pause: plan.spec.retry.first.0,
        longest_pause: plan.spec.retry.max.0,
        failures: plan.spec.breaker.failures,
        open_for: plan.spec.breaker.pause.0,
    });
    let gate = Gate::open(
        delivery.log.clone(),
        delivery.deliveries.clone(),
        plan.clone(),
        Checkpoint::before_sink(
            delivery.in_force.clone(),
            delivery.log.clone(),
            plan.region.clone(),
            plan.spec.purpose.clone(),
        ),
    );
    let written = Instant::now();
    let mut route = Route { delivery, plan, status, breaker, written, reader: None, gate, turn: None };
    loop {
        let end = match route.next_session().await {
            Some(session) => route.serve(session).await,
            None => return,
        };
        match end {
            End::Lost => {}
            End::Stopping => return,
            End::Turned => route.await_turn().await,
            End::Refused(error) => {
                tracing::error!(route = %route.plan.name, %error, "delivery stops before a row that the sink refuses");
                let next = route.breaker.failed(Instant::now(), error);
                route.publish(Phase::Stopped);
                tokio::time::sleep_until(next.into()).await;
            }
            End::Failed(error) => {
                tracing::warn!(route = %route.plan.name, %error, "delivery failed; trying again");
                let next = route.breaker.failed(Instant::now(), error);
                route.publish(Phase::Backoff);
                tokio::time::sleep_until(next.into()).await;
            }
        }
    }
}

struct Route {
    delivery: Delivery,
    plan: RoutePlan,
    status: Arc<Mutex<RouteStatus>>,
    breaker: Breaker,
    written: Instant,
    reader: Option<RouteReader>,
    gate: Gate,
    /// What stands before the frame that was found last, if it may not pass as it is.
    turn: Option<Turn>,
}

impl Route {
    /// Waits until what was kept back may be judged again.
    async fn await_turn(&mut self) {
        let name = &self.plan.name;
        match &self.turn {
            Some(Turn::Hold(hold)) => {
                tracing::warn!(route = %name, stream = %hold.stream, version = hold.version,
                    reason = %hold.reason, "delivery stops before a schema that breaks the route's rule");
                self.publish(Phase::Held);
                // An admin who acts changes the plan, and with it the task.
                std::future::pending::<()>().await;
            }
            Some(Turn::Forbid(forbidden)) => {
                tracing::warn!(route = %name, reason = %forbidden,
                    "delivery stops before a frame that the policies forbid there");
                self.publish(Phase::Held);
                self.gate.policies_changed().await;
            }
            // The new binding casts it.
            Some(Turn::Cast) | None => {}
        }
        self.turn = None;
    }

    /// Waits until the sink's agent is here.
    async fn next_session(&mut self) -> Option<OpenSession> {
        if self.plan.spec.paused {
            self.publish(Phase::Paused);
            return std::future::pending().await;
        }
        self.publish(Phase::AwaitingAgent);
        let mut sessions: watch::Receiver<_> = self.delivery.sessions.watch(self.plan.sink_agent);
        let open = sessions.wait_for(Option::is_some).await.ok()?;
        open.clone()
    }

    async fn serve(&mut self, session: OpenSession) -> End {
        self.publish(Phase::Opening);
        let (events, mut happened) = mpsc::unbounded_channel();
        let Some(binding) = self.bind(&session, events).await else {
            return End::Failed("the agent has as many routes as one agent may have".to_owned());
        };
        let end = self.pump(&session, binding, &mut happened).await;
        session.bindings.remove(binding);
        session
            .handle
            .request(move |machine, now| machine.unbind_route(now, binding, "the route starts anew"));
        self.store_cursor();
        end
    }

    async fn bind(&self, session: &OpenSession, events: mpsc::UnboundedSender<BindingEvent>) -> Option<u32> {
        let (answer, answered) = oneshot::channel();
        let (route, replay, sink) = (self.plan.id, self.plan.replay, self.plan.sink);
        let (log, bindings) = (self.delivery.log.id(), session.bindings.clone());
        let casts = self.gate.casts().to_vec();
        session.handle.request(move |machine, now| {
            let binding = machine.bind_route(now, route, replay, sink, log, &casts);
            if let Some(binding) = binding {
                // On the session's own task, so that no event of the binding can come before.
                bindings.add(binding, events);
            }
            let _ = answer.send(binding);
        });
        answered.await.ok().flatten()
    }

    async fn pump(
        &mut self,
        session: &OpenSession,
        binding: u32,
        happened: &mut mpsc::UnboundedReceiver<BindingEvent>,
    ) -> End {
        let mut wanted = false;
        loop {
            if self.turn.is_some() && self.reader.as_ref().is_some_and(RouteReader::is_settled) {
                return End::Turned;
            }
            let readable = wanted && self.turn.is_none() && self.reader.is_some();
            tokio::select! {
                biased;
                () = session.handle.closed() => return End::Lost,
                event = happened.recv() => match event {
                    None => return End::Lost,
                    Some(BindingEvent::Wanted) => wanted = true,
                    Some(BindingEvent::Ready(checkpoint)) => match self.resume(checkpoint).await {
                        Ok(()) => self.publish(Phase::Delivering),
                        Err(error) => return End::Failed(error.to_string()),
                    },
                    Some(BindingEvent::Delivered(offset)) => self.delivered(offset),
                    Some(BindingEvent::Rejected(rejections)) => {
                        if let Err(end) = self.reject(session, rejections).await {
                            return end;
                        }
                    }
                    Some(BindingEvent::Refused { reason, remedy }) if remedy.is_empty() => {
                        return End::Failed(reason);
                    }
                    Some(BindingEvent::Refused { reason, remedy }) => {
                        return End::Failed(format!("{reason}: {remedy}"));
                    }
                },
                found = next_frame(&mut self.reader), if readable => match found {
                    Ok(Some(entry)) => {
                        match self.judge(&entry) {
                            Ok(None) => {}
                            Ok(Some(turn)) => {
                                self.turn = Some(turn);
                                continue;
                            }
                            Err(error) => return End::Failed(error.to_string()),
                        }
                        wanted = false;
                        self.publish(Phase::Delivering);
                        session.handle.request(move |machine, now| {
                            machine.handle_delivery(now, binding, entry.offset, entry.frame);
                        });
                    }
                    Ok(None) => return End::Stopping,
                    Err(error) => return End::Failed(error.to_string()),
                },
            }
        }
    }

    /// Whether a frame may pass as it is; what comes before it otherwise.
    fn judge(&mut self, entry: &towpath_log::Entry) -> Result<Option<Turn>, GateError> {
        let header = entry.frame.header();
        let turn = tokio::task::block_in_place(|| self.gate.judge(&entry.frame))?;
        if let (None, Some(reader)) = (&turn, &mut self.reader) {
            reader.handed_out(header);
        }
        Ok(turn)
    }

    /// The sink is open: goes on where it stands.
    async fn resume(&mut self, checkpoint: Option<(LogId, LogOffset)>) -> Result<(), RouteError> {
        // The frame that was kept back is read again, and judged again.
        self.turn = None;
        let (log, plan) = (self.delivery.log.clone(), self.plan.clone());
        let cursor = self.delivery.deliveries.cursor(plan.id);
        let opened = tokio::task::spawn_blocking(move || {
            let mut reader = RouteReader::open(&log, plan, cursor)?;
            // From a place that this log does not know everything is offered again, and the sink's agent passes over
            // what it has: the log was restored from an older copy, or is another one.
            let place = |(id, offset)| log.place_of(id, offset).unwrap_or_default();
            reader.resume(&log, checkpoint.map(place))?;
            Ok::<_, RouteError>(reader)
        });
        self.reader = Some(opened.await.map_err(|_| RouteError::Stopping)??);
        Ok(())
    }

    fn delivered(&mut self, offset: LogOffset) {
        let Some(reader) = &mut self.reader else { return };
        self.breaker.succeeded();
        if reader.delivered(offset) && self.written.elapsed() >= CURSOR_EVERY {
            self.store_cursor();
        }
        self.publish(Phase::Delivering);
    }

    async fn reject(&self, session: &OpenSession, rejections: Rejections) -> Result<(), End> {
        if self.plan.spec.on_reject == OnReject::Stop {
            let reason = rejections.rows.first().map_or("", |(_, reason)| reason);
            return Err(End::Refused(format!(
                "the sink refuses a row of frame {}: {reason}",
                rejections.offset
            )));
        }
        let (binding, offset, more) = (rejections.binding, rejections.offset, rejections.more);
        let (log, store, plan) =
            (self.delivery.log.clone(), self.delivery.deliveries.clone(), self.plan.clone());
        let kept = tokio::task::spawn_blocking(move || letters::keep(&log, &store, &plan, &rejections));
        kept.await.map_err(|_| End::Stopping)?.map_err(|error| End::Failed(error.to_string()))?;
        if !more {
            session
                .handle
                .request(move |machine, now| machine.handle_rejections_stored(now, binding, offset));
        }
        Ok(())
    }

    fn store_cursor(&mut self) {
        self.written = Instant::now();
        if let Some(reader) = &self.reader
            && let Err(error) = self.delivery.deliveries.put_cursor(self.plan.id, reader.cursor())
        {
            tracing::warn!(route = %self.plan.name, %error, "the route's cursor was not stored; the sink knows it");
        }
    }

    fn publish(&self, phase: Phase) {
        let mut status = self.status.lock();
        (status.held, status.forbidden) = match &self.turn {
            Some(Turn::Hold(hold)) => (Some(hold.clone()), None),
            Some(Turn::Forbid(forbidden)) => (None, Some(forbidden.clone())),
            Some(Turn::Cast) | None => (None, None),
        };
        status.phase = if status.held.is_some() || status.forbidden.is_some() { Phase::Held } else { phase };
        status.breaker = self.breaker.state(Instant::now());
        status.failures = self.breaker.failures();
        status.next_try_at = self
            .breaker
            .next_try()
            .map(|at| jiff::Timestamp::now() + at.saturating_duration_since(Instant::now()));
        status.error = self.breaker.last_error().map(str::to_owned);
        match &self.reader {
            Some(reader) => {
                status.cursor = reader.cursor().clone();
                status.oldest_us = reader.oldest_in_flight_us();
                status.lost.clone_from(&reader.lost);
            }
            None => {
                if let Some(cursor) = self.delivery.deliveries.cursor(self.plan.id) {
                    status.cursor = cursor;
                }
            }
        }
    }
}

/// The next frame of the route, however long it takes to come; `None` when the log was closed. Safe to cancel: the
/// reader is taken out only while a thread reads, and that is waited for.
async fn next_frame(reader: &mut Option<RouteReader>) -> Result<Option<towpath_log::Entry>, RouteError> {
    loop {
        let Some(open) = reader.as_mut() else { return Ok(None) };
        match tokio::task::block_in_place(|| open.next())? {
            Found::Frame(entry) => return Ok(Some(entry)),
            Found::NotYet => tokio::task::yield_now().await,
            Found::End => {
                open.delivered(LogOffset(0));
                if !open.wait().await {
                    return Ok(None);
                }
            }
        }
    }
}
