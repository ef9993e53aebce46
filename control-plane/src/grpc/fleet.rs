//! How the fleet goes, and what happened.

use std::time::Duration;

use async_trait::async_trait;
use prost_types::Struct;
use tonic::{Request, Response, Status};
use towpath_proto::admin::events_server::Events;
use towpath_proto::admin::fleet_server::Fleet;
use towpath_proto::admin::{FollowEventsRequest, GetStatusRequest, ListEventsRequest, WatchStatusRequest};

use super::Admin;
use super::answer::{Messages, answer, asked, carried, listed};

const DEFAULT_PULSE_SECONDS: u32 = 2;
const DEFAULT_LIMIT: usize = 100;

#[async_trait]
impl Fleet for Admin {
    type WatchStatusStream = Messages<Struct>;

    async fn get_status(&self, request: Request<GetStatusRequest>) -> Result<Response<Struct>, Status> {
        let (admission, _) = asked(request)?;
        answer(Ok(self.0.status(&admission.asker)))
    }

    async fn watch_status(
        &self,
        request: Request<WatchStatusRequest>,
    ) -> Result<Response<Self::WatchStatusStream>, Status> {
        let (admission, WatchStatusRequest { every_seconds }) = asked(request)?;
        let seconds = if every_seconds == 0 { DEFAULT_PULSE_SECONDS } else { every_seconds };
        let pulse = self.0.follow_status(&admission.asker, Duration::from_secs(seconds.into()));
        self.flowing(admission, pulse, |status| carried(&status))
    }
}

#[async_trait]
impl Events for Admin {
    type ListStream = Messages<Struct>;
    type FollowStream = Messages<Struct>;

    async fn list(&self, request: Request<ListEventsRequest>) -> Result<Response<Self::ListStream>, Status> {
        let (admission, ListEventsRequest { after, limit }) = asked(request)?;
        let limit = if limit == 0 { DEFAULT_LIMIT } else { limit as usize };
        listed(self.0.events(&admission.asker, after, limit).await)
    }

    async fn follow(
        &self,
        request: Request<FollowEventsRequest>,
    ) -> Result<Response<Self::FollowStream>, Status> {
        let (admission, FollowEventsRequest { after }) = asked(request)?;
        let events = self.0.follow_events(&admission.asker, after);
        self.flowing(admission, events, |(_, event)| carried(&event))
    }
}
