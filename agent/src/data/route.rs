//! One bound route: opens its sink, lets a worker apply what comes, and says how it goes.

use std::sync::Arc;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use towpath_adapter_api::{AdapterError, ErrorKind, Registry};
use towpath_resource::desired::DesiredSink;
use towpath_resource::observed::Condition;

use super::apply::{Applied, ApplyError, Worker};
use crate::control::secrets;
use crate::control::status::{Board, trouble_of, waiting};
use crate::link::RouteHandle;

/// Takes a route's frames to a sink until the route is unbound, the link is lost, the sink fails, or `stop` is
/// cancelled. The control plane decides about the next try.
pub(crate) async fn run(
    registry: Registry,
    board: Arc<Board>,
    sink: DesiredSink,
    mut route: RouteHandle,
    stop: CancellationToken,
) {
    let id = route.binding().route;
    let ended = tokio::select! {
        ended = apply(&registry, &board, &sink, &mut route) => ended,
        () = stop.cancelled() => Ok(()),
    };
    let error = match ended {
        Ok(()) | Err(ApplyError::Disconnected(_)) => {
            let trouble =
                waiting("waits for the control plane to bind it", "check the link to the control plane");
            return board.route(sink.id, id, |route| {
                route.condition = Condition::Waiting;
                route.trouble = Some(trouble);
            });
        }
        Err(ApplyError::Sink(error)) => error,
        Err(other) => AdapterError::new(ErrorKind::Corrupt, "route", with_causes(&other)),
    };
    let (condition, trouble) = trouble_of(&error);
    tracing::warn!(sink = %sink.name, route = %id, %error, "the sink failed");
    route.reporter().refuse(trouble.message.clone(), trouble.remedy.clone());
    board.route(sink.id, id, |route| {
        route.condition = condition;
        route.trouble = Some(trouble);
    });
}

async fn apply(
    registry: &Registry,
    board: &Arc<Board>,
    sink: &DesiredSink,
    route: &mut RouteHandle,
) -> Result<(), ApplyError> {
    let config = secrets::resolve(&sink.config)?;
    let adapter = registry.sink(sink.adapter.as_str(), &config)?;
    board.guarantee(sink.id, adapter.guarantee());
    let (id, sink_id, count) = (route.binding().route, sink.id, board.clone());
    let on_durable = move |applied: Applied| {
        count.route(sink_id, id, |route| {
            route.condition = Condition::Running;
            route.trouble = None;
            route.records += applied.records;
            route.bytes += applied.bytes;
            route.rejected += applied.rejected;
            route.last_commit_at = Some(Timestamp::now());
        });
    };
    let worker = Worker::open(adapter, route, on_durable).await?;
    board.route(sink.id, id, |route| {
        route.condition = Condition::Running;
        route.trouble = None;
    });
    worker.run(route).await
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        text = format!("{text}: {deeper}");
        cause = deeper.source();
    }
    text
}
