//! Questions: what the control plane asks of the systems behind this agent, beside the flow of records.

use tokio::sync::{mpsc, oneshot};
use towpath_adapter_api::{
    AdapterError, ErrorKind, Finding, Reading, Registry, TableReader, Verdict, WhichRows,
};
use towpath_proto::ids;
use towpath_proto::link::{self, answer, list_rows, question};
use towpath_record::{SinkId, SourceId, StreamName, StreamSchema};
use towpath_resource::desired::DesiredSource;

use super::reconcile::Reconciler;
use super::secrets;
use crate::data::capture::ResendOrder;
use crate::data::minimise;
use crate::data::table::{self, Keys, Pace};
use crate::link::{Asked, Reply};
use crate::log_ring::LogRing;

/// Most rows that are sent once more by one order: they are read by one statement and held in memory.
const MOST_RESENT: usize = 256;

/// Answers a question in a task of its own, which ends early when nobody waits for the answer any more.
pub(crate) fn answer(reconciler: &Reconciler, registry: &Registry, log: &LogRing, asked: Asked) {
    let reply = asked.reply();
    if let question::Kind::ReadLog(link::ReadLog { after, limit }) = asked.kind() {
        let page = log.page(Some(after.as_str()).filter(|after| !after.is_empty()), *limit);
        let page = serde_json::to_vec(&page).expect("lines are always JSON").into();
        return reply.last(answer::Kind::LogLines(link::LogLines { page }));
    }
    let prepared = prepare(reconciler, registry, asked.kind());
    tokio::spawn(async move {
        let work = async {
            let answered = match prepared {
                Ok(work) => work.run(&reply).await,
                Err(error) => Err(error),
            };
            if let Err(error) = answered {
                reply.refuse(error.to_string(), error.kind.reaction().1);
            }
        };
        tokio::select! {
            () = work => {}
            () = asked.over() => {}
        }
    });
}

/// Something that answers a question.
enum Work {
    Check(towpath_adapter_api::Checking),
    Digest { reader: Box<dyn TableReader>, reading: Reading, pace: Pace },
    List { reader: Box<dyn TableReader>, reading: Reading, pace: Pace, keys: Keys, buckets: Option<Vec<u32>> },
    Resend { order: ResendOrder, outcome: Outcome, lane: mpsc::Sender<ResendOrder> },
}

type Outcome = oneshot::Receiver<Result<crate::data::capture::Resent, AdapterError>>;

fn prepare(
    reconciler: &Reconciler,
    registry: &Registry,
    kind: &question::Kind,
) -> Result<Work, AdapterError> {
    match kind {
        question::Kind::CheckSource(asked) => {
            let (source, _) = source(reconciler, &asked.source)?;
            let check =
                registry.check(source.adapter.as_str(), &source.name, &secrets::resolve(&source.config)?)?;
            let none = || {
                let message = format!("the adapter {} knows of nothing to check", source.adapter);
                AdapterError::new(ErrorKind::Config, source.name.as_str(), message)
            };
            check.map(Work::Check).ok_or_else(none)
        }
        question::Kind::DigestTable(asked) => {
            let (reader, reading) = table(reconciler, registry, asked.table.as_ref(), WhichRows::All)?;
            Ok(Work::Digest { reader, reading, pace: Pace::new(asked.rows_per_second) })
        }
        question::Kind::ListRows(asked) => list(reconciler, registry, asked),
        question::Kind::ResendRows(asked) => resend(reconciler, registry, asked),
        // Needs nothing that runs here, and was answered at once.
        question::Kind::ReadLog(_) => Err(unreadable(&"a log is no system")),
    }
}

fn list(reconciler: &Reconciler, registry: &Registry, asked: &link::ListRows) -> Result<Work, AdapterError> {
    let (reader, mut reading) = table(reconciler, registry, asked.table.as_ref(), WhichRows::All)?;
    let keys = key_of(&reading.schema, &reading.stream)?;
    let buckets = match &asked.which {
        Some(list_rows::Which::Buckets(buckets)) => {
            let mut buckets = buckets.bucket.clone();
            buckets.sort_unstable();
            Some(buckets)
        }
        Some(list_rows::Which::Keys(wanted)) => {
            reading.rows = WhichRows::Keys(keys.batch(&wanted.key).map_err(|error| unreadable(&error))?);
            None
        }
        None => return Err(unreadable(&"it does not say which rows")),
    };
    Ok(Work::List { reader, reading, pace: Pace::new(asked.rows_per_second), keys, buckets })
}

fn resend(
    reconciler: &Reconciler,
    registry: &Registry,
    asked: &link::ResendRows,
) -> Result<Work, AdapterError> {
    let (source, lane) = source(reconciler, &asked.source)?;
    let reader = source_reader(registry, source)?;
    let (stream, schema) = (stream(&asked.stream)?, schema(&asked.schema)?);
    minimise::check_reading(source, &stream, &schema)?;
    let texts = asked.keys.as_ref().map(|keys| keys.key.clone()).unwrap_or_default();
    if texts.len() > MOST_RESENT {
        return Err(unreadable(&format!("{} rows at a time; {MOST_RESENT} may be", texts.len())));
    }
    let keys = key_of(&schema, &stream)?;
    let rows = WhichRows::Keys(keys.batch(&texts).map_err(|error| unreadable(&error))?);
    let (done, outcome) = oneshot::channel();
    let order = ResendOrder {
        reader,
        reading: Reading { owner: source.name.clone(), stream, schema, rows },
        keys,
        texts,
        done,
    };
    Ok(Work::Resend { order, outcome, lane: lane.clone() })
}

impl Work {
    async fn run(self, reply: &Reply) -> Result<(), AdapterError> {
        match self {
            Self::Check(check) => {
                let findings: Vec<_> = check.await?.into_iter().map(finding).collect();
                let findings = serde_json::to_vec(&findings).expect("findings are always JSON").into();
                reply.last(answer::Kind::Findings(link::Findings { findings }));
            }
            Self::Digest { reader, reading, pace } => {
                let keys = Keys::of(&reading.schema);
                let digest = table::digest(reader, reading, pace, keys.as_ref()).await?;
                reply.last(answer::Kind::TableDigest(digest));
            }
            Self::List { reader, reading, pace, keys, buckets } => {
                table::list(reader, reading, pace, &keys, buckets.as_deref(), reply).await?;
            }
            Self::Resend { order, outcome, lane } => {
                let name = order.reading.stream.clone();
                let stopped = || {
                    let message = "its source was stopped before the rows were in the spool";
                    AdapterError::new(ErrorKind::Unavailable, name.as_str(), message)
                };
                lane.send(order).await.map_err(|_| stopped())?;
                let resent = outcome.await.map_err(|_| stopped())??;
                reply.last(answer::Kind::Resent(link::Resent {
                    present: resent.present,
                    deleted: resent.deleted,
                    overtaken: resent.overtaken,
                }));
            }
        }
        Ok(())
    }
}

/// What an adapter found, as admins are told.
pub(crate) fn finding(finding: Finding) -> towpath_resource::api::Finding {
    use towpath_resource::api::Verdict as Told;
    towpath_resource::api::Finding {
        subject: finding.subject,
        verdict: match finding.verdict {
            Verdict::Good => Told::Good,
            Verdict::Warning => Told::Warning,
            Verdict::Failed => Told::Failed,
        },
        found: finding.found,
        remedy: finding.remedy,
    }
}

/// What reads a table of a source or a sink of this agent.
fn table(
    reconciler: &Reconciler,
    registry: &Registry,
    table: Option<&link::Table>,
    rows: WhichRows,
) -> Result<(Box<dyn TableReader>, Reading), AdapterError> {
    let table = table.ok_or_else(|| unreadable(&"it names no table"))?;
    let (stream, schema) = (stream(&table.stream)?, schema(&table.schema)?);
    let (owner, reader) = match &table.system {
        Some(link::table::System::Source(id)) => {
            let (source, _) = source(reconciler, id)?;
            minimise::check_reading(source, &stream, &schema)?;
            (source.name.clone(), source_reader(registry, source)?)
        }
        Some(link::table::System::Sink(id)) => {
            let id = ids::id("sink", id, SinkId::from_bytes).map_err(|error| unreadable(&error))?;
            let sink = reconciler.sink(id).ok_or_else(|| not_here("sink", &id))?;
            let config = secrets::resolve(&sink.config)?;
            (sink.name.clone(), registry.sink_reader(sink.adapter.as_str(), &config)?)
        }
        None => return Err(unreadable(&"it names neither source nor sink")),
    };
    Ok((reader, Reading { owner, stream, schema, rows }))
}

fn source<'a>(
    reconciler: &'a Reconciler,
    id: &[u8],
) -> Result<(&'a DesiredSource, &'a mpsc::Sender<ResendOrder>), AdapterError> {
    let id = ids::id("source", id, SourceId::from_bytes).map_err(|error| unreadable(&error))?;
    reconciler.source(id).ok_or_else(|| not_here("source", &id))
}

fn source_reader(registry: &Registry, source: &DesiredSource) -> Result<Box<dyn TableReader>, AdapterError> {
    registry.source_reader(source.adapter.as_str(), &secrets::resolve(&source.config)?)
}

fn key_of(schema: &StreamSchema, stream: &StreamName) -> Result<Keys, AdapterError> {
    let none =
        || AdapterError::new(ErrorKind::Config, stream.as_str(), "its rows have no key to tell them apart");
    Keys::of(schema).ok_or_else(none)
}

fn stream(name: &str) -> Result<StreamName, AdapterError> {
    StreamName::new(name).map_err(|error| unreadable(&error))
}

fn schema(canonical: &[u8]) -> Result<StreamSchema, AdapterError> {
    StreamSchema::from_canonical(canonical).map_err(|error| unreadable(&error))
}

fn unreadable(error: &dyn std::fmt::Display) -> AdapterError {
    AdapterError::new(ErrorKind::Config, "question", format!("it cannot be read: {error}"))
}

fn not_here(kind: &str, id: &dyn std::fmt::Display) -> AdapterError {
    let message = "it does not run on this agent; its resource may just have been changed";
    AdapterError::new(ErrorKind::Unavailable, format!("{kind} {id}"), message)
}
