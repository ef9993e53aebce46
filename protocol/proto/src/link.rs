//! The messages of the link, version 1. See `proto/towpath/link/v1/link.proto`.

pub use v1::*;

#[allow(missing_docs, unused_qualifications, clippy::all)]
mod v1 {
    tonic::include_proto!("towpath.link.v1");
}

macro_rules! envelopes {
    ($($envelope:ident, $module:ident: $($kind:ident($message:ident)),+;)*) => {$($(
        impl From<$message> for $envelope {
            fn from(message: $message) -> Self {
                Self { kind: Some($module::Kind::$kind(message)) }
            }
        }
    )+)*};
}

envelopes! {
    AgentMessage, agent_message:
        Hello(Hello), OpenLane(OpenLane), CloseLane(CloseLane), Schema(Schema), Heartbeat(Heartbeat),
        RouteReady(RouteReady), RouteRefused(RouteRefused), RouteCredit(RouteCredit), Delivered(Delivered),
        Rejected(Rejected), Observed(Observed), Renew(Renew), Goodbye(Goodbye),
        Answer(Answer);
    CellMessage, cell_message:
        Welcome(Welcome), LaneOpened(LaneOpened), LaneMarks(LaneMarks), LaneRefused(LaneRefused), Ack(Ack),
        Schema(Schema), Heartbeat(Heartbeat), Desired(Desired), BindRoute(BindRoute),
        UnbindRoute(UnbindRoute), RejectionsStored(RejectionsStored), Renewed(Renewed), Goodbye(Goodbye),
        Question(Question), Dismiss(Dismiss);
}
