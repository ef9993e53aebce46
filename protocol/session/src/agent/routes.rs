//! Routes: bound to a sink, delivered, given back, settled.

use std::time::Instant;

use towpath_proto::link::{
    BindRoute, Checkpoint, Delivered, Rejected, RejectedRow, RejectionsStored, RouteCredit, RouteReady,
    RouteRefused, Schema, UnbindRoute,
};
use towpath_proto::{ids, link};
use towpath_record::{LaneId, Link, LogId, LogOffset, RouteId, SinkId, SourceId};

use super::event::{AgentEvent, AgentTransmit, Cast, RouteBinding};
use super::{AgentSession, AgentTimer};
use crate::closing::shortened;
use crate::frame::{Delivery, Frame};
use crate::inlet::{Inlet, Next};
use crate::limits::{MAX_CASTS, MAX_ROUTES, REJECTIONS_CHUNK_BYTES, SCHEMA_HEARTBEATS};
use crate::schemas::Known;
use crate::violation::Violation;

pub(super) struct Route<F> {
    log: LogId,
    /// Absent until the sink is open.
    inlet: Option<Inlet<Delivery<F>>>,
    last: LogOffset,
    /// What was consumed and not yet said.
    credit: u64,
    /// What is durable in the sink and not yet said.
    delivered: Option<LogOffset>,
}

impl<F: Frame> AgentSession<F> {
    /// The sink of a binding is open and durably holds everything up to `checkpoint`, a place in a log.
    pub fn route_ready(&mut self, now: Instant, binding: u32, checkpoint: Option<(LogId, LogOffset)>) {
        let window_bytes = self.config.route_window_bytes;
        let Some(route) = self.routes.get_mut(&binding) else { return };
        route.inlet = Some(Inlet::new(window_bytes));
        // Offsets of another log say nothing of this one.
        let here = checkpoint.filter(|(log, _)| *log == route.log);
        route.last = here.map_or(LogOffset::default(), |(_, offset)| offset);
        let checkpoint = checkpoint
            .map(|(log, offset)| Checkpoint { log: ids::to_bytes(log.as_bytes()), offset: offset.0 });
        self.send(now, RouteReady { binding, checkpoint, window_bytes });
    }

    /// The sink of a binding cannot be used, or no longer. The binding is over.
    pub fn route_refused(&mut self, now: Instant, binding: u32, reason: &str, remedy: &str) {
        if self.end_route(binding) {
            let (reason, remedy) = (shortened(reason), shortened(remedy));
            self.send(now, RouteRefused { binding, reason, remedy });
        }
    }

    /// A frame came on the stream of a binding.
    pub fn handle_delivery(&mut self, now: Instant, binding: u32, offset: LogOffset, frame: F) {
        self.note_heard(now);
        if let Err(violation) = self.try_delivery(now, binding, offset, frame) {
            self.violated(now, &violation);
        }
    }

    /// The sink is done with frames of this cost, durably or not: as much may come again.
    pub fn consumed(&mut self, now: Instant, binding: u32, cost: u64) {
        let Some(route) = self.routes.get_mut(&binding) else { return };
        if let Some(inlet) = &mut route.inlet {
            inlet.settle(cost);
            route.credit += cost;
            self.report_soon(now, binding);
        }
    }

    /// Everything of a binding up to this offset is durable in the sink.
    pub fn delivered(&mut self, now: Instant, binding: u32, offset: LogOffset) {
        let Some(route) = self.routes.get_mut(&binding) else { return };
        route.delivered = route.delivered.max(Some(offset));
        self.report_soon(now, binding);
    }

    /// The sink refuses rows of the frame at this offset for good. [`AgentEvent::RejectionsStored`] answers.
    pub fn reject(
        &mut self,
        now: Instant,
        binding: u32,
        offset: LogOffset,
        lane: &LaneId,
        link: Link,
        rows: Vec<(u32, String)>,
    ) {
        if !self.routes.contains_key(&binding) {
            return;
        }
        let message = |rows, more| Rejected {
            binding,
            offset: offset.0,
            source: ids::to_bytes(lane.source.as_bytes()),
            region: lane.region.as_str().to_owned(),
            link: Some(link.into()),
            rows,
            more,
        };
        let (mut chunk, mut bytes) = (Vec::new(), 0);
        for (row, reason) in rows {
            let reason = shortened(&reason);
            bytes += reason.len() + 16;
            if bytes > REJECTIONS_CHUNK_BYTES {
                bytes = reason.len() + 16;
                self.send(now, message(std::mem::take(&mut chunk), true));
            }
            chunk.push(RejectedRow { row, reason });
        }
        self.send(now, message(chunk, false));
    }

    pub(super) fn on_bind_route(&mut self, bind: &BindRoute) -> Result<(), Violation> {
        let field = |fault| Violation::Field { message: "BindRoute", fault };
        let binding = RouteBinding {
            binding: bind.binding,
            route: ids::id("route", &bind.route, RouteId::from_bytes).map_err(field)?,
            replay: bind.replay,
            sink: ids::id("sink", &bind.sink, SinkId::from_bytes).map_err(field)?,
            log: ids::id("log", &bind.log, LogId::from_bytes).map_err(field)?,
        };
        if bind.binding <= self.last_binding {
            return Err(Violation::Reused { what: "binding", number: bind.binding });
        }
        if self.routes.len() >= MAX_ROUTES {
            return Err(Violation::TooMany { what: "routes", limit: MAX_ROUTES });
        }
        if bind.casts.len() > MAX_CASTS {
            return Err(Violation::TooMany { what: "casts of a route", limit: MAX_CASTS });
        }
        let casts = bind.casts.iter().map(|cast| self.read_cast(cast)).collect::<Result<_, _>>()?;
        self.last_binding = bind.binding;
        let last = LogOffset::default();
        let route = Route { log: binding.log, inlet: None, last, credit: 0, delivered: None };
        self.routes.insert(bind.binding, route);
        self.events.push_back(AgentEvent::RouteBound { binding, casts });
        Ok(())
    }

    fn read_cast(&self, cast: &link::Cast) -> Result<Cast, Violation> {
        let field = |fault| Violation::Field { message: "BindRoute", fault };
        let to = ids::schema_hash(&cast.to).map_err(field)?;
        if self.learned.is_new(to) {
            return Err(Violation::SchemaMissing(to));
        }
        Ok(Cast {
            source: ids::id("source", &cast.source, SourceId::from_bytes).map_err(field)?,
            stream: ids::stream(&cast.stream).map_err(field)?,
            from: ids::schema_hash(&cast.from).map_err(field)?,
            to,
        })
    }

    pub(super) fn on_unbind_route(&mut self, unbind: UnbindRoute) -> Result<(), Violation> {
        self.check_binding(unbind.binding)?;
        if self.end_route(unbind.binding) {
            let UnbindRoute { binding, reason } = unbind;
            self.events.push_back(AgentEvent::RouteUnbound { binding, reason });
        }
        Ok(())
    }

    pub(super) fn on_rejections_stored(&mut self, stored: RejectionsStored) -> Result<(), Violation> {
        self.check_binding(stored.binding)?;
        if self.routes.contains_key(&stored.binding) {
            let (binding, offset) = (stored.binding, LogOffset(stored.offset));
            self.events.push_back(AgentEvent::RejectionsStored { binding, offset });
        }
        Ok(())
    }

    pub(super) fn on_schema(&mut self, now: Instant, schema: Schema) -> Result<(), Violation> {
        let hash =
            ids::schema_hash(&schema.hash).map_err(|fault| Violation::Field { message: "Schema", fault })?;
        if self.learned.is_new(hash) {
            if self.learned.is_full() {
                return Err(Violation::TooMany { what: "schemas", limit: crate::limits::MAX_SCHEMAS });
            }
            self.timers.stop(&AgentTimer::SchemaMissing(hash));
            self.learned.set(hash, Known::Usable);
            self.events.push_back(AgentEvent::SchemaLearned { hash, canonical: schema.canonical });
            let all: Vec<_> = self.routes.keys().copied().collect();
            all.into_iter().for_each(|binding| self.pass_deliveries(now, binding));
        }
        Ok(())
    }

    fn try_delivery(
        &mut self,
        now: Instant,
        binding: u32,
        offset: LogOffset,
        frame: F,
    ) -> Result<(), Violation> {
        self.check_binding(binding)?;
        let Some(route) = self.routes.get_mut(&binding) else { return Ok(()) };
        let Some(inlet) = &mut route.inlet else {
            return Err(Violation::Unexpected { message: "a delivery", when: "before the route was ready" });
        };
        if offset <= route.last {
            return Err(Violation::DeliveryOrder { binding, last: route.last, found: offset });
        }
        route.last = offset;
        let window = inlet.window();
        inlet.accept(Delivery { offset, frame }).map_err(|found| Violation::OverWindow {
            what: "binding",
            number: binding,
            window,
            found,
        })?;
        self.pass_deliveries(now, binding);
        Ok(())
    }

    /// Passes on the deliveries whose schema was said.
    fn pass_deliveries(&mut self, now: Instant, binding: u32) {
        let silence = self.heartbeat * SCHEMA_HEARTBEATS;
        let Some(inlet) = self.routes.get_mut(&binding).and_then(|route| route.inlet.as_mut()) else {
            return;
        };
        loop {
            match inlet.next(|hash| self.learned.get(hash)) {
                Next::Pass(Delivery { offset, frame }) => {
                    self.events.push_back(AgentEvent::Delivery { binding, offset, frame });
                }
                Next::NeedsSchema(hash) => {
                    let reason = AgentTimer::SchemaMissing(hash);
                    if !self.timers.is_set(&reason) {
                        self.timers.set(reason, now + silence);
                    }
                    return;
                }
                Next::Refused { .. } | Next::Nothing => return,
            }
        }
    }

    fn report_soon(&mut self, now: Instant, binding: u32) {
        self.reports.insert(binding);
        self.note_said(now);
    }

    /// Turns what gathered on a route since the last time into messages.
    pub(super) fn report_route(&mut self, binding: u32) {
        let Some(route) = self.routes.get_mut(&binding) else { return };
        let bytes = std::mem::take(&mut route.credit);
        let delivered = route.delivered.take();
        if bytes > 0 {
            self.transmits.push_back(AgentTransmit::Message(RouteCredit { binding, bytes }.into()));
        }
        if let Some(LogOffset(offset)) = delivered {
            self.transmits.push_back(AgentTransmit::Message(Delivered { binding, offset }.into()));
        }
    }

    fn end_route(&mut self, binding: u32) -> bool {
        // What the sink made durable until now is worth saying still.
        self.report_route(binding);
        let ended = self.routes.remove(&binding).is_some();
        if ended {
            self.transmits.push_back(AgentTransmit::EndRoute { binding });
        }
        ended
    }

    fn check_binding(&self, binding: u32) -> Result<(), Violation> {
        let known = binding <= self.last_binding;
        if known { Ok(()) } else { Err(Violation::Unknown { what: "binding", number: binding }) }
    }
}
