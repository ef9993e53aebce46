//! Routes: bound to an agent's sink, their frames delivered, what comes back.

use std::time::Instant;

use bytes::Bytes;
use towpath_proto::ids;
use towpath_proto::link::{
    BindRoute, Cast, Delivered, GoodbyeCode, Rejected, RejectionsStored, RouteCredit, RouteReady,
    RouteRefused, Schema, UnbindRoute,
};
use towpath_record::{LogId, LogOffset, RouteId, SchemaHash, SinkId};

use super::event::{CastOrder, CellEvent, CellTransmit, Rejections};
use super::{CellSession, Phase};
use crate::closing::shortened;
use crate::frame::{Delivery, Frame};
use crate::limits::{MAX_CASTS, MAX_ROUTES};
use crate::outlet::{Next, Outlet};
use crate::violation::Violation;

pub(super) struct Route<F> {
    /// Absent until the sink is open.
    outlet: Option<Outlet<Delivery<F>>>,
}

impl<F: Frame> CellSession<F> {
    /// Asks the agent to take a route's frames to a sink, casting some before. Returns the binding's number; none when the session is
    /// not open or has as many routes as it may have.
    pub fn bind_route(
        &mut self,
        now: Instant,
        route: RouteId,
        replay: u64,
        sink: SinkId,
        log: LogId,
        casts: &[CastOrder],
    ) -> Option<u32> {
        if self.phase != Phase::Open || self.routes.len() >= MAX_ROUTES || casts.len() > MAX_CASTS {
            return None;
        }
        let casts = casts.iter().map(|order| self.say_cast(now, order)).collect();
        self.last_binding += 1;
        let binding = self.last_binding;
        self.routes.insert(binding, Route { outlet: None });
        let [route, sink, log] =
            [route.as_bytes(), sink.as_bytes(), log.as_bytes()].map(|id| ids::to_bytes(id));
        self.send(now, BindRoute { binding, route, replay, sink, log, casts });
        Some(binding)
    }

    /// Says the schema that is cast to, since no frame does, and returns the cast as it is said after it.
    fn say_cast(&mut self, now: Instant, order: &CastOrder) -> Cast {
        let hash = order.to.hash();
        if !self.offers.is_said(hash) {
            self.offers.say(hash);
            let canonical = order.to.canonical().clone();
            self.send(now, Schema { hash: ids::to_bytes(&hash.0), canonical });
        }
        Cast {
            source: ids::to_bytes(order.source.as_bytes()),
            stream: order.stream.as_str().to_owned(),
            from: ids::to_bytes(&order.from.0),
            to: ids::to_bytes(&hash.0),
        }
    }

    /// The agent needs no more frames of a binding.
    pub fn unbind_route(&mut self, now: Instant, binding: u32, reason: &str) {
        if self.end_route(binding) {
            self.send(now, UnbindRoute { binding, reason: shortened(reason) });
        }
    }

    /// The frame that [`CellEvent::DeliveryWanted`] asked for.
    pub fn handle_delivery(&mut self, now: Instant, binding: u32, offset: LogOffset, frame: F) {
        if let Some(outlet) = self.outlet(binding) {
            outlet.hold(Delivery { offset, frame });
            self.pump(now, binding);
        }
    }

    /// The transport has taken the oldest delivery that it was given for this binding.
    pub fn handle_written(&mut self, now: Instant, binding: u32) {
        if let Some(outlet) = self.outlet(binding) {
            outlet.note_written();
            self.pump(now, binding);
        }
    }

    /// The schema that [`CellEvent::SchemaWanted`] asked for; absent when it is not known, which ends the
    /// bindings whose next frame needs it. Returns those.
    pub fn handle_schema(&mut self, now: Instant, hash: SchemaHash, canonical: Option<Bytes>) -> Vec<u32> {
        if let Some(canonical) = canonical {
            if self.offers.say(hash) {
                self.send(now, Schema { hash: ids::to_bytes(&hash.0), canonical });
            }
            let all: Vec<_> = self.routes.keys().copied().collect();
            all.into_iter().for_each(|binding| self.pump(now, binding));
            return Vec::new();
        }
        self.offers.forget(hash);
        let needs = |route: &Route<F>| {
            let head = route.outlet.as_ref().and_then(Outlet::first_held);
            head.is_some_and(|delivery| delivery.schema() == hash)
        };
        let ended: Vec<_> =
            self.routes.iter().filter(|(_, route)| needs(route)).map(|(binding, _)| *binding).collect();
        let reason = format!("schema {hash} is not known to the control plane");
        ended.iter().for_each(|binding| self.unbind_route(now, *binding, &reason));
        ended
    }

    /// The rows rejected at this offset are durable as dead letters.
    pub fn handle_rejections_stored(&mut self, now: Instant, binding: u32, offset: LogOffset) {
        if self.routes.contains_key(&binding) {
            self.send(now, RejectionsStored { binding, offset: offset.0 });
        }
    }

    pub(super) fn on_route_ready(&mut self, now: Instant, ready: RouteReady) -> Result<(), Violation> {
        self.check_binding(ready.binding)?;
        let checkpoint = ready
            .checkpoint
            .map(|at| Ok((ids::id("log", &at.log, LogId::from_bytes)?, LogOffset(at.offset))))
            .transpose()
            .map_err(|fault| Violation::Field { message: "RouteReady", fault })?;
        let binding = ready.binding;
        let Some(route) = self.routes.get_mut(&binding) else { return Ok(()) };
        if route.outlet.is_some() {
            return Err(Violation::Unexpected { message: "RouteReady", when: "a second time" });
        }
        route.outlet = Some(Outlet::new(ready.window_bytes));
        self.events.push_back(CellEvent::RouteReady { binding, checkpoint });
        self.pump(now, binding);
        Ok(())
    }

    pub(super) fn on_route_refused(&mut self, refused: RouteRefused) -> Result<(), Violation> {
        self.check_binding(refused.binding)?;
        if self.end_route(refused.binding) {
            let RouteRefused { binding, reason, remedy } = refused;
            self.events.push_back(CellEvent::RouteRefused { binding, reason, remedy });
        }
        Ok(())
    }

    pub(super) fn on_route_credit(&mut self, now: Instant, credit: &RouteCredit) -> Result<(), Violation> {
        self.check_binding(credit.binding)?;
        let (binding, given) = (credit.binding, credit.bytes);
        let Some(outlet) = self.outlet(binding) else { return Ok(()) };
        let used = outlet.in_flight();
        if !outlet.give_back(given) {
            return Err(Violation::OverCredit { binding, given, used });
        }
        self.pump(now, binding);
        Ok(())
    }

    pub(super) fn on_delivered(&mut self, delivered: &Delivered) -> Result<(), Violation> {
        self.check_binding(delivered.binding)?;
        if self.routes.contains_key(&delivered.binding) {
            let (binding, offset) = (delivered.binding, LogOffset(delivered.offset));
            self.events.push_back(CellEvent::Delivered { binding, offset });
        }
        Ok(())
    }

    pub(super) fn on_rejected(&mut self, rejected: Rejected) -> Result<(), Violation> {
        self.check_binding(rejected.binding)?;
        let lane = ids::lane(&rejected.source, &rejected.region)
            .map_err(|fault| Violation::Field { message: "Rejected", fault })?;
        if self.routes.contains_key(&rejected.binding) {
            self.events.push_back(CellEvent::Rejected(Rejections {
                binding: rejected.binding,
                offset: LogOffset(rejected.offset),
                lane,
                link: rejected.link.unwrap_or_default().into(),
                rows: rejected.rows.into_iter().map(|row| (row.row, row.reason)).collect(),
                more: rejected.more,
            }));
        }
        Ok(())
    }

    /// Moves what can move: frames to the transport, requests for more to the owner.
    fn pump(&mut self, now: Instant, binding: u32) {
        let Some(outlet) = self.routes.get_mut(&binding).and_then(|route| route.outlet.as_mut()) else {
            return;
        };
        loop {
            match outlet.next(|hash| self.offers.is_said(hash)) {
                Next::Ship(Delivery { offset, frame }) => {
                    self.transmits.push_back(CellTransmit::Delivery { binding, offset, frame });
                }
                Next::NeedsSchema(hash) => {
                    if self.offers.want(hash) {
                        self.events.push_back(CellEvent::SchemaWanted { hash });
                    }
                    break;
                }
                Next::Blocked | Next::Nothing => break,
            }
        }
        if outlet.wants_frame() {
            outlet.note_fetching();
            self.events.push_back(CellEvent::DeliveryWanted { binding });
        }
        if self.offers.is_full() {
            self.close_by_us(now, GoodbyeCode::Unavailable, "too many schemas were said on one link", "");
        }
    }

    fn end_route(&mut self, binding: u32) -> bool {
        let ended = self.routes.remove(&binding).is_some();
        if ended {
            self.transmits.push_back(CellTransmit::EndRoute { binding });
        }
        ended
    }

    fn outlet(&mut self, binding: u32) -> Option<&mut Outlet<Delivery<F>>> {
        self.routes.get_mut(&binding)?.outlet.as_mut()
    }

    fn check_binding(&self, binding: u32) -> Result<(), Violation> {
        let known = binding <= self.last_binding;
        if known { Ok(()) } else { Err(Violation::Unknown { what: "binding", number: binding }) }
    }
}
