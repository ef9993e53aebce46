//! What the API sees of the data path.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{Array, RecordBatch};
use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use jiff::Timestamp;
use serde_json::{Map, Value};
use towpath_log::deliveries::{Letter as RouteLetter, LetterState};
use towpath_log::{Entry, LogReader, LogStatus, ReadError, RegionLog};
use towpath_record::schema::{OP_COLUMN, TS_COLUMN, TX_COLUMN};
use towpath_record::{AgentId, FrameKind, LogOffset, Op, RouteId, SourceId, StreamName};
use towpath_resource::StartFrom;
use towpath_resource::api::fleet::{BreakerState, Lag};
use towpath_resource::api::{CompareLine, CompareOrder, Finding, LogPage, StreamRecord};
use towpath_resource::observed::Trouble;

use super::border::Checkpoint;
use super::breaker::State;
use super::deliver::{Phase, RouteStatus};
use super::letters::{self, LettersError};
use super::route::RoutePlan;
use super::rows;
use crate::cell::Cell;
use crate::service::plane::{
    AgentPresence, Letter, LetterOrder, LogFlow, Plane, PlaneError, RouteFlow, RouteHold, SchemaVersion,
    Snapshot, SourceFlow, StreamFlow, StreamVersions, TailOrder,
};

/// A source's dead letters are named by the frame and the row: `l<offset>-<row>`.
const SOURCE_LETTER: char = 'l';

/// Copies how everything goes now.
fn look(cell: &Cell) -> Snapshot {
    let status = cell.log().status();
    let log = LogFlow {
        first_offset: status.first,
        next_offset: status.next,
        disk_bytes: status.bytes,
        max_bytes: Some(cell.max_log_bytes()),
        records: status.totals.0.values().map(|totals| totals.records).sum(),
        bytes: status.totals.0.values().map(|totals| totals.bytes).sum(),
        lost_frames: status.lost_frames,
        schema_versions: cell.log().count_schema_versions() as u64,
        trouble: cell.log_trouble().or_else(|| frames_lost(status.lost_frames)),
    };
    Snapshot {
        agents: cell.sightings().all().into_iter().map(|(id, seen)| (id, presence(seen))).collect(),
        sources: sources(cell, &status),
        routes: cell
            .route_statuses()
            .into_iter()
            .map(|(plan, route)| {
                let letters = cell.deliveries().open_letters(plan.id);
                (plan.id, route_flow(&plan, &route, &status, letters))
            })
            .collect(),
        streams: streams(&status),
        logs: BTreeMap::from([(cell.log().region().clone(), log)]),
    }
}

#[async_trait]
impl Plane for Cell {
    fn snapshot(&self) -> Arc<Snapshot> {
        self.glance().or_look(|| look(self))
    }

    fn ready(&self) -> Result<(), String> {
        self.log_trouble().map_or(Ok(()), |trouble| Err(trouble.message))
    }

    async fn tail(
        &self,
        order: TailOrder,
    ) -> Result<BoxStream<'static, Result<StreamRecord, PlaneError>>, PlaneError> {
        let log = self.log().clone();
        let from = match order.from {
            StartFrom::Earliest => log.status().first,
            StartFrom::Latest => log.status().next,
            StartFrom::Offset(offset) => offset,
            StartFrom::Time(time) => log
                .offset_at(time.as_microsecond())
                .map_err(|error| PlaneError::Unavailable(error.to_string()))?,
        };
        let tail = Tail { reader: log.reader(from), until: log.status().next, log, order };
        let frames =
            stream::unfold(tail, |mut tail| async move { tail.next().await.map(|rows| (rows, tail)) });
        Ok(frames.flat_map(stream::iter).boxed())
    }

    async fn agent_log(
        &self,
        agent: AgentId,
        after: Option<String>,
        limit: u32,
    ) -> Result<LogPage, PlaneError> {
        self.read_log(agent, after, limit).await
    }

    async fn check_source(&self, source: SourceId) -> Result<Vec<Finding>, PlaneError> {
        self.check_system(source).await
    }

    async fn compare(
        &self,
        route: RouteId,
        order: CompareOrder,
    ) -> Result<BoxStream<'static, CompareLine>, PlaneError> {
        self.compare_route(route, order).await
    }

    fn schemas(&self) -> Vec<StreamVersions> {
        let (log, all) = (self.log(), self.log().schema_versions());
        let versions = |versions: &[towpath_log::SchemaVersion]| {
            let known = versions.iter().filter_map(|version| {
                Some(SchemaVersion {
                    version: version.version,
                    schema: log.schema(version.schema)?,
                    first_offset: version.first,
                    first_us: version.first_us,
                })
            });
            known.collect()
        };
        let streams = all.iter().map(|(source, stream, found)| StreamVersions {
            source,
            stream: stream.clone(),
            versions: versions(found),
        });
        streams.collect()
    }

    async fn letters(&self, order: LetterOrder) -> Result<Vec<Letter>, PlaneError> {
        let cell = self.clone();
        blocking(move || {
            let of_stream = |stream: &StreamName| order.stream.as_ref().is_none_or(|wanted| wanted == stream);
            let kept = cell.deliveries().letters(
                |letter| order.route.is_none_or(|route| route == letter.route) && of_stream(&letter.stream),
                order.limit,
            );
            let mut letters: Vec<_> = kept.into_iter().map(of_route).collect();
            if order.route.is_none() {
                for offset in cell.log().dead_letter_frames(of_stream, order.limit) {
                    letters.extend(of_source(cell.log(), offset)?);
                }
            }
            letters.sort_by_key(|letter| std::cmp::Reverse(letter.refused_at));
            letters.truncate(order.limit);
            Ok(letters)
        })
        .await
    }

    async fn letter(&self, id: &str) -> Result<Letter, PlaneError> {
        let missing = || PlaneError::NotFound(format!("there is no dead letter `{id}`"));
        let Some((offset, row)) = source_letter(id) else {
            return self.deliveries().letter(id).map(of_route).ok_or_else(missing);
        };
        let (cell, row) = (self.clone(), row as usize);
        let found = blocking(move || of_source(cell.log(), offset)).await?;
        found.into_iter().nth(row).ok_or_else(missing)
    }

    async fn replay_letter(&self, id: &str) -> Result<Letter, PlaneError> {
        if source_letter(id).is_some() {
            return Err(PlaneError::Conflict(
                "this input never became a record: correct it at its source and let the source read it again, for a \
                 file by dropping the corrected rows as a new file"
                    .to_owned(),
            ));
        }
        let letter = self.deliveries().letter(id);
        let letter = letter.ok_or_else(|| PlaneError::NotFound(format!("there is no dead letter `{id}`")))?;
        if matches!(letter.state, LetterState::Replayed { .. }) {
            return Err(PlaneError::Conflict(format!("dead letter `{id}` was sent again already")));
        }
        let checkpoint = Checkpoint::before_log(self.in_force().clone(), self.log().clone());
        let replayed = letters::replay(self.log(), self.deliveries(), checkpoint, letter).await;
        replayed.map_err(|error| match &error {
            LettersError::Forbidden(forbidden) => {
                PlaneError::Conflict(format!("{error}; {}", forbidden.remedy))
            }
            _ => PlaneError::Unavailable(error.to_string()),
        })?;
        self.letter(id).await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PlaneError> + Send + 'static,
) -> Result<T, PlaneError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| PlaneError::Unavailable("the control plane is stopping".to_owned()))?
}

fn presence(seen: crate::control::observed::Seen) -> AgentPresence {
    AgentPresence {
        connected_since: seen.since.filter(|_| seen.linked),
        address: seen.address.map(|address| address.to_string()),
        observed: seen.observed_at.map(|at| (at, seen.observed)),
    }
}

fn frames_lost(frames: u64) -> Option<Trouble> {
    (frames > 0).then(|| Trouble {
        message: format!("the region's log has lost {frames} frames that it had acknowledged"),
        remedy:
            "what no route had delivered of them is only at the sources; the service's log names the lanes"
                .to_owned(),
        since: None,
    })
}

fn route_flow(plan: &RoutePlan, route: &RouteStatus, log: &LogStatus, dead_letters: u64) -> RouteFlow {
    let (records, bytes) = plan.sum(&log.totals);
    let lag_records = records.saturating_sub(route.cursor.records);
    let mine = log.totals.0.iter().filter(|(stream, _)| plan.spec.takes(stream));
    let newest = mine.map(|(_, totals)| totals.last_captured_us).max();
    let oldest = route
        .oldest_us
        .or(newest)
        .filter(|_| lag_records > 0)
        .and_then(|us| Timestamp::from_microsecond(us).ok());
    let seconds = oldest.map_or(0.0, |oldest| Timestamp::now().duration_since(oldest).as_secs_f64().max(0.0));
    let message = route.error.clone().or_else(|| route.lost.clone());
    let failed = message.map(|message| Trouble { message, remedy: String::new(), since: None });
    let forbidden = route.forbidden.as_ref().map(|forbidden| Trouble {
        message: format!("route {} stopped before a frame that may not go there: {forbidden}", plan.name),
        remedy: forbidden.remedy.clone(),
        since: None,
    });
    RouteFlow {
        records: route.cursor.records,
        bytes: route.cursor.bytes,
        lag: Lag { records: lag_records, bytes: bytes.saturating_sub(route.cursor.bytes), seconds },
        breaker: match route.breaker {
            State::Closed => BreakerState::Closed,
            State::Open => BreakerState::Open,
            State::HalfOpen => BreakerState::HalfOpen,
        },
        failures: route.failures,
        next_try_at: route.next_try_at,
        stopped: route.phase == Phase::Stopped || forbidden.is_some(),
        trouble: forbidden.or(failed),
        dead_letters,
        held: route.held.as_ref().map(|hold| RouteHold {
            source: hold.source,
            stream: hold.stream.clone(),
            version: hold.version,
            schema: hold.schema,
            taken: hold.taken,
            reason: hold.reason.clone(),
        }),
    }
}

/// What came of each source, and what was refused of it.
fn sources(cell: &Cell, log: &LogStatus) -> BTreeMap<SourceId, SourceFlow> {
    let flow = |(id, totals): (&SourceId, &towpath_log::SourceTotals)| {
        (*id, SourceFlow { records: totals.records, bytes: totals.bytes, ..SourceFlow::default() })
    };
    let mut flows: BTreeMap<_, _> = log.by_source.iter().map(flow).collect();
    for (id, refused) in cell.refusals() {
        let flow = flows.entry(id).or_default();
        (flow.refused_frames, flow.trouble) = (refused.frames, refused.trouble);
    }
    flows
}

fn streams(log: &LogStatus) -> BTreeMap<StreamName, StreamFlow> {
    let flow = |(stream, totals): (&StreamName, &towpath_log::StreamTotals)| {
        let feeding = log.by_source.iter().filter(|(_, source)| source.streams.contains(stream));
        let flow = StreamFlow {
            records: totals.records,
            bytes: totals.bytes,
            dead_letters: totals.dead_letters,
            last_captured_at: Timestamp::from_microsecond(totals.last_captured_us).ok(),
            sources: feeding.map(|(id, _)| *id).collect(),
        };
        (stream.clone(), flow)
    };
    log.totals.0.iter().map(flow).collect()
}

/// A stream's records on their way to an admin.
struct Tail {
    log: RegionLog,
    reader: LogReader,
    /// Where the log ended when it was asked for.
    until: LogOffset,
    order: TailOrder,
}

impl Tail {
    /// The records of the next frame of the stream; `None` at the end.
    async fn next(&mut self) -> Option<Vec<Result<StreamRecord, PlaneError>>> {
        loop {
            if !self.order.follow && self.reader.position() >= self.until {
                return None;
            }
            match tokio::task::block_in_place(|| self.reader.next_now()) {
                Ok(Some(entry)) if self.is_wanted(&entry) => {
                    let records = tokio::task::block_in_place(|| records(&self.log, &entry));
                    return Some(match records {
                        Ok(records) => records.into_iter().map(Ok).collect(),
                        Err(error) => vec![Err(PlaneError::Unavailable(error.to_string()))],
                    });
                }
                Ok(Some(_)) => tokio::task::yield_now().await,
                Ok(None) => {
                    if !self.reader.wait().await {
                        return None;
                    }
                }
                Err(ReadError::Retained { first, .. }) => self.reader.seek(first),
                Err(error) => return Some(vec![Err(PlaneError::Unavailable(error.to_string()))]),
            }
        }
    }

    fn is_wanted(&self, entry: &Entry) -> bool {
        let header = entry.frame.header();
        header.kind == FrameKind::Records && header.stream == self.order.stream
    }
}

fn records(log: &RegionLog, entry: &Entry) -> Result<Vec<StreamRecord>, rows::RowsError> {
    let batch = rows::batch(log, &entry.frame)?;
    let rows = rows::to_json(&batch)?;
    let record = |(row, value): (usize, Value)| {
        let Value::Object(mut record) = value else { return None };
        let code =
            record.remove(OP_COLUMN).and_then(|code| code.as_u64()).and_then(|code| u8::try_from(code).ok());
        record.remove(TS_COLUMN);
        Some(StreamRecord {
            offset: entry.offset,
            row: u32::try_from(row).unwrap_or(u32::MAX),
            op: code.and_then(Op::from_code).map_or("unknown", Op::as_str).to_owned(),
            at: committed_at(&batch, row),
            tx: record.remove(TX_COLUMN).and_then(|tx| tx.as_str().map(str::to_owned)),
            record,
        })
    };
    Ok(rows.into_iter().enumerate().filter_map(record).collect())
}

fn committed_at(batch: &RecordBatch, row: usize) -> Timestamp {
    use arrow_array::cast::AsArray;
    use arrow_array::types::TimestampMicrosecondType;
    let times = batch.column_by_name(TS_COLUMN).and_then(|column| {
        column.as_primitive_opt::<TimestampMicrosecondType>().filter(|times| row < times.len())
    });
    times
        .and_then(|times| Timestamp::from_microsecond(times.value(row)).ok())
        .unwrap_or(Timestamp::UNIX_EPOCH)
}

fn source_letter(id: &str) -> Option<(LogOffset, u32)> {
    let (offset, row) = id.strip_prefix(SOURCE_LETTER)?.split_once('-')?;
    Some((LogOffset(offset.parse().ok()?), row.parse().ok()?))
}

fn of_route(letter: RouteLetter) -> Letter {
    Letter {
        id: letter.id,
        stream: letter.stream,
        source: letter.lane.source,
        route: Some(letter.route),
        resource: format!("frame {}", letter.offset),
        line: u64::from(letter.row) + 1,
        column: None,
        reason: letter.reason,
        refused_at: Timestamp::from_microsecond(letter.refused_at_us).unwrap_or(Timestamp::UNIX_EPOCH),
        replayed: letter.state != LetterState::Open,
        record: Some(letter.record),
        raw: None,
        raw_truncated: false,
    }
}

/// The dead letters of one frame. A frame that retention has removed meanwhile has none.
fn of_source(log: &RegionLog, offset: LogOffset) -> Result<Vec<Letter>, PlaneError> {
    let entry = match log.reader(offset).next_now() {
        Ok(entry) => entry.filter(|entry| entry.offset == offset),
        Err(ReadError::Retained { .. }) => None,
        Err(error) => return Err(PlaneError::Unavailable(error.to_string())),
    };
    let Some(Entry { frame, .. }) = entry.filter(|entry| entry.frame.header().kind == FrameKind::DeadLetters)
    else {
        return Ok(Vec::new());
    };
    let batch = rows::batch(log, &frame).map_err(|error| PlaneError::Unavailable(error.to_string()))?;
    let parsed = rows::to_json(&batch).map_err(|error| PlaneError::Unavailable(error.to_string()))?;
    let letter = |(row, value): (usize, Value)| {
        let Value::Object(fields) = value else { return None };
        Some(Letter {
            id: format!("{SOURCE_LETTER}{offset}-{row}"),
            stream: frame.header().stream.clone(),
            source: frame.header().lane.source,
            route: None,
            resource: text(&fields, "resource").unwrap_or_default(),
            line: fields.get("line").and_then(Value::as_u64).unwrap_or(0),
            column: text(&fields, "column"),
            reason: text(&fields, "reason").unwrap_or_default(),
            refused_at: committed_at(&batch, row),
            replayed: false,
            record: None,
            raw: text(&fields, "raw").and_then(|raw| hex::decode(raw).ok()),
            raw_truncated: fields.get("raw_truncated").and_then(Value::as_bool).unwrap_or(false),
        })
    };
    Ok(parsed.into_iter().enumerate().filter_map(letter).collect())
}

fn text(fields: &Map<String, Value>, name: &str) -> Option<String> {
    fields.get(name).and_then(Value::as_str).map(str::to_owned)
}
