//! The gate of a route: which versions of a stream's schema pass, and what happens before one that breaks the rule.
//!
//! Before all that a frame must be one that the policies let stand where the sink does.
//!
//! What a route has taken is kept with its cursor. The first version that it meets of a source's stream is taken as it
//! is; each later one is held against the one taken last. A version that was taken passes for good, so that frames of
//! old and new versions may come in turns.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use towpath_catalog::AcceptedSchema;
use towpath_log::deliveries::{Deliveries, Taken};
use towpath_log::{LogError, RegionLog};
use towpath_record::{
    CastPlan, FrameHeader, FrameKind, SchemaHash, SealedFrame, SourceId, StreamName, StreamSchema,
    compatibility,
};
use towpath_resource::route::{OnBreaking, SchemaRule};
use towpath_session::CastOrder;
use towpath_session::limits::MAX_CASTS;

use super::border::{Checkpoint, Forbidden};
use super::route::RoutePlan;

/// Versions that are remembered of one source's stream. One that returns after so many others is judged anew.
const MOST_TAKEN: usize = 256;

/// What a route has taken, by source and stream.
type Streams = BTreeMap<SourceId, BTreeMap<StreamName, Vec<SchemaHash>>>;

/// Decides for one route which frames pass.
pub(crate) struct Gate {
    log: RegionLog,
    store: Deliveries,
    plan: RoutePlan,
    taken: Streams,
    casts: Vec<CastOrder>,
    checkpoint: Checkpoint,
}

/// What comes before a frame that may not pass as it is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Turn {
    /// The route is bound anew, so that the sink's agent casts the frame's rows.
    Cast,
    /// The route stops until an admin acts.
    Hold(Hold),
    /// The route stops until the policies change.
    Forbid(Arc<Forbidden>),
}

/// Before which version of what a route stops.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Hold {
    /// The source.
    pub source: SourceId,
    /// The stream.
    pub stream: StreamName,
    /// The version that breaks.
    pub version: u32,
    /// Its schema.
    pub schema: SchemaHash,
    /// The version that was taken last.
    pub taken: u32,
    /// What breaks.
    pub reason: String,
}

/// A frame cannot be judged.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GateError {
    /// The log does not know a schema.
    #[error("schema {0} is not in the region log")]
    UnknownSchema(SchemaHash),
    /// What was taken cannot be kept.
    #[error(transparent)]
    Store(#[from] LogError),
}

/// What the rule says of a new version.
#[derive(Debug, PartialEq)]
enum Ruling {
    Take,
    Cast,
    Hold(String),
}

impl Gate {
    /// The gate of a route, with what it has taken in this replay.
    pub(crate) fn open(log: RegionLog, store: Deliveries, plan: RoutePlan, checkpoint: Checkpoint) -> Self {
        let mut taken = Streams::new();
        for (source, stream, was) in store.taken(plan.id) {
            if was.replay == plan.replay {
                taken.entry(source).or_default().insert(stream, was.schemas);
            }
        }
        Self { log, store, plan, taken, casts: Vec::new(), checkpoint }
    }

    /// What the sink's agent shall cast.
    pub(crate) fn casts(&self) -> &[CastOrder] {
        &self.casts
    }

    /// Whether a frame passes; what comes before it otherwise. Blocks on the disk when its schema is new.
    pub(crate) fn judge(&mut self, frame: &SealedFrame) -> Result<Option<Turn>, GateError> {
        if let Err(forbidden) = self.checkpoint.judge(frame) {
            return Ok(Some(Turn::Forbid(forbidden)));
        }
        let header = frame.header();
        match header.kind {
            FrameKind::Records => self.judge_records(header),
            FrameKind::Replay => self.judge_replay(header),
            FrameKind::DeadLetters | FrameKind::Progress => Ok(None),
        }
    }

    /// Waits until what was forbidden may be judged anew.
    pub(crate) async fn policies_changed(&self) {
        self.checkpoint.policies_changed().await;
    }

    fn judge_records(&mut self, header: &FrameHeader) -> Result<Option<Turn>, GateError> {
        let (source, stream, schema) = (header.lane.source, &header.stream, header.schema);
        let taken = self.taken_of(source, stream);
        if taken.contains(&schema) || self.is_cast(source, stream, schema) {
            return Ok(None);
        }
        let Some(last) = taken.last().copied() else { return self.take(source, stream, schema) };
        match self.ruling(source, stream, last, schema)? {
            Ruling::Take => self.take(source, stream, schema),
            Ruling::Cast => self.cast(source, stream, schema, last),
            Ruling::Hold(reason) => {
                let number = |schema| self.log.schema_version(source, stream, schema).unwrap_or_default();
                Ok(Some(Turn::Hold(Hold {
                    source,
                    stream: stream.clone(),
                    version: number(schema),
                    schema,
                    taken: number(last),
                    reason,
                })))
            }
        }
    }

    /// A dead letter that an admin sends again passes, since its version was let through once; but one that did not fit
    /// is cast as before, unless its version was accepted since.
    fn judge_replay(&mut self, header: &FrameHeader) -> Result<Option<Turn>, GateError> {
        let (lane, stream, schema) = (header.lane.source, &header.stream, header.schema);
        if self.is_cast(lane, stream, schema) {
            return Ok(None);
        }
        let known = |source: &SourceId| self.log.schema_version(*source, stream, schema).is_some();
        let sources: Vec<_> = self.taken.keys().copied().filter(known).collect();
        if sources.iter().any(|source| self.taken_of(*source, stream).contains(&schema)) {
            return Ok(None);
        }
        for source in sources {
            let Some(last) = self.taken_of(source, stream).last().copied() else { continue };
            if self.ruling(source, stream, last, schema)? == Ruling::Cast {
                return self.cast(lane, stream, schema, last);
            }
        }
        Ok(None)
    }

    fn ruling(
        &self,
        source: SourceId,
        stream: &StreamName,
        last: SchemaHash,
        new: SchemaHash,
    ) -> Result<Ruling, GateError> {
        if is_accepted(&self.plan.accepted, source, stream, new) {
            return Ok(Ruling::Take);
        }
        let (old, new) = (self.schema(last)?, self.schema(new)?);
        let ruling = rule(&self.plan.spec.schema, old, new);
        if ruling == Ruling::Cast && self.casts.len() >= MAX_CASTS {
            return Ok(Ruling::Hold(format!("more than {MAX_CASTS} versions would have to be cast")));
        }
        Ok(ruling)
    }

    fn schema(&self, hash: SchemaHash) -> Result<StreamSchema, GateError> {
        self.log.schema(hash).ok_or(GateError::UnknownSchema(hash))
    }

    fn taken_of(&self, source: SourceId, stream: &StreamName) -> &[SchemaHash] {
        self.taken.get(&source).and_then(|streams| streams.get(stream)).map_or(&[], Vec::as_slice)
    }

    fn is_cast(&self, source: SourceId, stream: &StreamName, from: SchemaHash) -> bool {
        self.casts.iter().any(|cast| cast.from == from && cast.source == source && cast.stream == *stream)
    }

    fn take(
        &mut self,
        source: SourceId,
        stream: &StreamName,
        schema: SchemaHash,
    ) -> Result<Option<Turn>, GateError> {
        let schemas = self.taken.entry(source).or_default().entry(stream.clone()).or_default();
        schemas.push(schema);
        if schemas.len() > MOST_TAKEN {
            schemas.remove(0);
        }
        // Where nothing can be held, what was taken is only told; where it can, a power cut must not forget it.
        let durably = self.plan.spec.schema.on_breaking != OnBreaking::NewVersion;
        let taken = Taken { replay: self.plan.replay, schemas: schemas.clone() };
        self.store.put_taken(self.plan.id, source, stream, &taken, durably)?;
        Ok(None)
    }

    fn cast(
        &mut self,
        source: SourceId,
        stream: &StreamName,
        from: SchemaHash,
        to: SchemaHash,
    ) -> Result<Option<Turn>, GateError> {
        let to = self.schema(to)?;
        tracing::info!(route = %self.plan.name, %stream, schema = %from,
            "rows of a schema that breaks the route's rule are cast to the one before");
        self.casts.push(CastOrder { source, stream: stream.clone(), from, to });
        Ok(Some(Turn::Cast))
    }
}

fn is_accepted(
    accepted: &BTreeSet<AcceptedSchema>,
    source: SourceId,
    stream: &StreamName,
    schema: SchemaHash,
) -> bool {
    accepted.iter().any(|it| it.schema == schema && it.source == source && it.stream == *stream)
}

/// What a rule says of a version that follows another.
fn rule(rule: &SchemaRule, old: StreamSchema, new: StreamSchema) -> Ruling {
    let changes = compatibility::compare(&old, &new);
    let breaks: Vec<_> = changes.iter().filter(|change| change.breaks(rule.compatibility)).collect();
    if breaks.is_empty() {
        return Ruling::Take;
    }
    match rule.on_breaking {
        OnBreaking::NewVersion => Ruling::Take,
        OnBreaking::Pause => {
            let said: Vec<_> = breaks.iter().map(ToString::to_string).collect();
            Ruling::Hold(said.join("; "))
        }
        OnBreaking::Coerce => match CastPlan::new(new, old) {
            Ok(_) => Ruling::Cast,
            Err(error) => Ruling::Hold(error.to_string()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use towpath_record::{Column, ColumnType, Compatibility};

    fn schema(column_type: ColumnType, key: &[&str]) -> StreamSchema {
        let columns = vec![Column::nullable("id", ColumnType::Int64), Column::nullable("n", column_type)];
        StreamSchema::new(columns, key.iter().map(ToString::to_string).collect()).unwrap()
    }

    fn ruling(on_breaking: OnBreaking, old: &StreamSchema, new: &StreamSchema) -> Ruling {
        let compatibility = Compatibility::Backward;
        rule(&SchemaRule { compatibility, on_breaking }, old.clone(), new.clone())
    }

    #[test]
    fn a_version_that_breaks_is_taken_held_or_cast_as_the_route_says() {
        let (old, wider) = (schema(ColumnType::Int32, &[]), schema(ColumnType::Int64, &[]));
        let text = schema(ColumnType::String, &[]);
        for policy in [OnBreaking::NewVersion, OnBreaking::Pause, OnBreaking::Coerce] {
            assert_eq!(ruling(policy, &old, &wider), Ruling::Take, "what is compatible never breaks");
        }
        assert_eq!(ruling(OnBreaking::NewVersion, &old, &text), Ruling::Take);
        let said = "column `n` was retyped from int32 to string".to_owned();
        assert_eq!(ruling(OnBreaking::Pause, &old, &text), Ruling::Hold(said));
        assert_eq!(ruling(OnBreaking::Coerce, &old, &text), Ruling::Cast);
    }

    #[test]
    fn rows_with_another_key_are_held_and_not_cast() {
        let (old, new) = (schema(ColumnType::Int32, &["id"]), schema(ColumnType::Int32, &["id", "n"]));
        let Ruling::Hold(reason) = ruling(OnBreaking::Coerce, &old, &new) else { panic!("it is not held") };
        assert!(reason.contains("the key was `id`"), "{reason}");
    }
}
