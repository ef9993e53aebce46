//! Streams, and their records.

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use towpath_access::Target;
use towpath_record::StreamName;
use towpath_resource::api::{StreamRecord, StreamStatus};
use towpath_resource::{Object, Permission, StartFrom, nearest};

use super::plane::{PlaneError, Snapshot, StreamFlow, TailOrder};
use super::{Asker, Refusal, Service};

/// Records that are sent when nobody says how many, and more are not awaited.
const DEFAULT_LIMIT: usize = 100;

/// Which records of a stream are asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Reading {
    /// Where to begin. Default: `latest` if more is awaited, else `earliest`.
    pub from: Option<StartFrom>,
    /// Most records. Default: none if more is awaited, else 100.
    pub limit: Option<usize>,
    /// Whether to wait for more at the end.
    pub follow: bool,
}

impl Service {
    /// The streams of the logs that the asker may see, what feeds them and where they go.
    pub fn streams(&self, asker: &Asker) -> Vec<StreamStatus> {
        let (catalog, snapshot) = (self.catalog(), self.plane().snapshot());
        let seen = |(name, _): &(&StreamName, &StreamFlow)| {
            asker.may(Permission::read(Object::Stream), &Target::stream(name))
        };
        let status = |(name, flow): (&StreamName, &StreamFlow)| StreamStatus {
            name: name.clone(),
            records: flow.records,
            bytes: flow.bytes,
            dead_letters: flow.dead_letters,
            last_captured_at: flow.last_captured_at,
            sources: flow
                .sources
                .iter()
                .filter_map(|id| catalog.source(*id))
                .map(|s| s.name().clone())
                .collect(),
            routes: catalog
                .routes
                .values()
                .filter(|r| r.spec.takes(name))
                .map(|r| r.name().clone())
                .collect(),
        };
        snapshot.streams.iter().filter(seen).map(status).collect()
    }

    /// Reads a stream in the order of the log. Dropping the answer ends the work.
    ///
    /// # Errors
    /// There is no such stream, too many are being read, or its records are not the asker's to read.
    pub async fn read_stream(
        &self,
        asker: &Asker,
        stream: &str,
        reading: Reading,
    ) -> Result<BoxStream<'static, Result<StreamRecord, PlaneError>>, Refusal> {
        let stream = StreamName::new(stream).map_err(|error| Refusal::invalid(error.to_string()))?;
        asker.require(Permission::read(Object::Record), &Target::stream(&stream))?;
        check_known(&stream, &self.plane().snapshot(), reading.follow)?;
        let Reading { from, limit, follow } = reading;
        let from = from.unwrap_or(if follow { StartFrom::Latest } else { StartFrom::Earliest });
        let limit = limit.unwrap_or(if follow { usize::MAX } else { DEFAULT_LIMIT });
        let permit = self.0.tails.clone().try_acquire_owned().map_err(|_| {
            Refusal::TooMany(
                "too many streams are being read; end one, for example a forgotten `towpath tail`".to_owned(),
            )
        })?;
        let records = self.plane().tail(TailOrder { stream, from, follow }).await?;
        let held_while_read = move |record| {
            let _ = &permit;
            record
        };
        Ok(records.take(limit).map(held_while_read).boxed())
    }
}

/// Whether the stream exists. One that is only awaited need not exist yet.
fn check_known(stream: &StreamName, snapshot: &Snapshot, awaited: bool) -> Result<(), Refusal> {
    if awaited || snapshot.streams.contains_key(stream) {
        return Ok(());
    }
    let near = nearest(stream.as_str(), snapshot.streams.keys().map(StreamName::as_str));
    let hint = near.map_or_else(
        || "; `towpath get streams` lists those there are".to_owned(),
        |near| format!("; did you mean `{near}`?"),
    );
    Err(Refusal::NotFound(format!("there is no stream `{stream}`{hint}")))
}
