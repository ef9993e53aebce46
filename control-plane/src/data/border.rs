//! The border: what the policies in force let a region's log take in, and a sink be given.
//!
//! ```text
//!   agent ─ frame ─▶ checkpoint (the log's region) ─▶ log ─ frame ─▶ checkpoint (the sink's region, a purpose) ─▶ sink
//! ```
//!
//! An agent minimises before anything leaves it. The border trusts none: it looks at the schema that a frame names, in
//! which every field says its classes and what was made of it. A verdict counts for all frames of the stream with that
//! schema until a policy changes, so that a frame costs a look-up. Rows are looked at in dead letters only, which are few:
//! what could not become a record has no fields that could be told apart, so nothing of it may pass.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use towpath_log::RegionLog;
use towpath_policy::{Place, Rulebook, check_border};
use towpath_record::{FrameHeader, FrameKind, RegionName, SchemaHash, SealedFrame, StreamName, dead_letter};

use crate::control::policies::InForce;

/// Verdicts that are remembered. An agent may name as many streams as it likes.
const MOST_VERDICTS: usize = 4_096;

/// Why a frame may not stand at a place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct Forbidden {
    /// What about it, such as a field.
    pub on: String,
    /// Why.
    pub reason: String,
    /// What would help.
    pub remedy: String,
}

/// Judges frames for one place.
pub(crate) struct Checkpoint {
    in_force: InForce,
    log: RegionLog,
    region: RegionName,
    side: Side,
    edits: u64,
    verdicts: BTreeMap<StreamName, BTreeMap<SchemaHash, Verdict>>,
    known: usize,
}

type Verdict = Result<(), Arc<Forbidden>>;

/// Which side of the log a checkpoint is on.
enum Side {
    Log,
    Sink { purpose: Option<String> },
}

impl Checkpoint {
    /// Before a region's log.
    pub(crate) fn before_log(in_force: InForce, log: RegionLog) -> Self {
        let region = log.region().clone();
        Self::new(in_force, log, region, Side::Log)
    }

    /// Between a region's log and a sink, which may stand in another region.
    pub(crate) fn before_sink(
        in_force: InForce,
        log: RegionLog,
        region: RegionName,
        purpose: Option<String>,
    ) -> Self {
        Self::new(in_force, log, region, Side::Sink { purpose })
    }

    fn new(in_force: InForce, log: RegionLog, region: RegionName, side: Side) -> Self {
        Self { in_force, log, region, side, edits: 0, verdicts: BTreeMap::new(), known: 0 }
    }

    /// Whether a frame may stand there. A frame is judged by the policies of this moment.
    pub(crate) fn judge(&mut self, frame: &SealedFrame) -> Verdict {
        let policies = self.in_force.now();
        if self.edits != policies.edits {
            (self.edits, self.known) = (policies.edits, 0);
            self.verdicts.clear();
        }
        let rulebook = policies.rulebook.as_ref().as_ref();
        let rulebook = rulebook.map_err(|error| not_understood(&error.to_string()))?;
        let header = frame.header();
        match header.kind {
            FrameKind::Records | FrameKind::Replay => self.judge_records(rulebook, header),
            FrameKind::DeadLetters if rulebook.covers(&header.stream) => self.judge_letters(frame),
            FrameKind::DeadLetters => Ok(()),
            FrameKind::Progress => no_rows(header),
        }
    }

    /// Waits until the policies are others than those by which the last frame was judged.
    pub(crate) async fn policies_changed(&self) {
        self.in_force.changed(self.edits).await;
    }

    /// How often the policies had been changed by which the last frame was judged.
    pub(crate) fn edits(&self) -> u64 {
        self.edits
    }

    fn judge_records(&mut self, rulebook: &Rulebook, header: &FrameHeader) -> Verdict {
        let (stream, schema) = (&header.stream, header.schema);
        if let Some(verdict) = self.verdicts.get(stream).and_then(|of_stream| of_stream.get(&schema)) {
            return verdict.clone();
        }
        let verdict = self.judge_schema(rulebook, stream, schema);
        if self.known == MOST_VERDICTS {
            self.known = 0;
            self.verdicts.clear();
        }
        self.known += 1;
        self.verdicts.entry(stream.clone()).or_default().insert(schema, verdict.clone());
        verdict
    }

    fn judge_schema(&self, rulebook: &Rulebook, stream: &StreamName, schema: SchemaHash) -> Verdict {
        if !rulebook.covers(stream) {
            return Ok(());
        }
        let Some(known) = self.log.schema(schema) else {
            return Err(Arc::new(Forbidden {
                on: format!("stream {stream}"),
                reason: format!(
                    "schema {schema} of stream {stream} is not known, so no policy can be kept to"
                ),
                remedy: "check the agent's version".to_owned(),
            }));
        };
        check_border(rulebook, stream, &known, self.place()).map_err(|breach| {
            Arc::new(Forbidden {
                on: format!("field {} of stream {stream}", breach.field),
                reason: breach.to_string(),
                remedy: self.remedy(stream, &breach.field),
            })
        })
    }

    fn place(&self) -> Place<'_> {
        let purpose = match &self.side {
            Side::Log => None,
            Side::Sink { purpose } => purpose.as_deref(),
        };
        Place { region: &self.region, purpose }
    }

    fn remedy(&self, stream: &StreamName, field: &str) -> String {
        let (region, explain) = (&self.region, format!("towpath policy explain {stream}.{field}"));
        match &self.side {
            Side::Log => format!(
                "see with `towpath get agents` whether the agent runs its newest generation, and update it if it cannot; what the rules say of the field shows `{explain} --region {region}`"
            ),
            Side::Sink { purpose } => {
                let purpose = purpose.as_ref().map(|purpose| format!(" --purpose {purpose}"));
                format!(
                    "change the policy, or route to a sink in a region where the field may stand; what the rules say of it shows `{explain} --region {region}{}`. What stood in the log before the policy changed is left out only by a replay from a later place, or when retention removes it",
                    purpose.unwrap_or_default()
                )
            }
        }
    }

    /// Dead letters of a stream that policies cover are in their own schema and without the input itself.
    fn judge_letters(&self, frame: &SealedFrame) -> Verdict {
        let stream = &frame.header().stream;
        let forbidden = |reason: String| {
            Arc::new(Forbidden {
                on: format!("dead letters of stream {stream}"),
                reason,
                remedy: "update the agent: one that keeps to policies leaves the input out".to_owned(),
            })
        };
        let batch = frame.decode(dead_letter::schema()).map_err(|error| {
            forbidden(format!(
                "what comes as dead letters of stream {stream} cannot be read as such: {error}"
            ))
        })?;
        let raw = batch.column_by_name(dead_letter::RAW_COLUMN).and_then(|raw| raw.as_binary_opt::<i32>());
        let is_empty = raw.is_some_and(|raw| raw.value_data().is_empty() && raw.null_count() == 0);
        if is_empty {
            return Ok(());
        }
        Err(forbidden(format!(
            "dead letters of stream {stream} come with the input itself, of which no policy can say what it holds"
        )))
    }
}

/// A frame that only says how far its source has come holds nothing else.
fn no_rows(header: &FrameHeader) -> Verdict {
    if header.rows == 0 && header.payload_raw_bytes == 0 {
        return Ok(());
    }
    Err(Arc::new(Forbidden {
        on: format!("stream {}", header.stream),
        reason: "a frame that only says how far its source has come has rows".to_owned(),
        remedy: "check the agent's version".to_owned(),
    }))
}

fn not_understood(error: &str) -> Arc<Forbidden> {
    Arc::new(Forbidden {
        on: "policies".to_owned(),
        reason: format!("the policies in force cannot be understood: {error}"),
        remedy: "correct the policy, or delete it".to_owned(),
    })
}
