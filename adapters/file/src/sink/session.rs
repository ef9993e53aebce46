//! What an instance does between `open` and its end.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use arrow_array::cast::AsArray;
use arrow_array::types::{TimestampMicrosecondType, UInt8Type};
use arrow_array::{ArrayRef, BooleanArray, RecordBatch, StringArray};
use arrow_schema::{ArrowError, DataType, Field, Schema};
use towpath_adapter_api::{Checkpoint, CommitReason, Delivery, Durability, Rejection, RouteKey};
use towpath_record::schema::{OP_COLUMN, RESERVED_COLUMNS, TX_COLUMN};
use towpath_record::{Op, SchemaHash};

use super::config::{FileSinkConfig, Format};
use super::error::FileSinkError;
use super::part::{Finished, NewPart, Part, cut_to_committed};
use super::partition;
use super::state::{OpenPart, Rename, State, StateFolder};
use super::text::TextFormat;

/// Most files that are written at a time. Beyond it the one untouched for longest is finished.
const OPEN_PARTS: usize = 32;
/// Most memory that unfinished Parquet files hold before they are flushed.
const MEMORY_BYTES: usize = 64 << 20;
/// The folder of all routes' state, below the sink's folder.
const STATE_FOLDERS: &str = ".towpath";

/// An open sink.
pub(crate) struct Session {
    config: FileSinkConfig,
    route: RouteKey,
    folder: StateFolder,
    /// As stored.
    state: State,
    parts: Vec<Part>,
    /// Finished since the last stored state.
    finished: Vec<Finished>,
    /// Whether a part was begun since the last stored state.
    created: bool,
    /// When the first row came that the stored state does not cover.
    oldest: Option<Instant>,
    next_part: u64,
    writes: u64,
}

impl Session {
    /// Takes the route's state folder, finishes or undoes what an earlier instance left, and goes on from
    /// there.
    ///
    /// # Errors
    /// Another instance holds the folder, its state is damaged, or the file system fails.
    pub(crate) fn open(config: FileSinkConfig, route: RouteKey) -> Result<Self, FileSinkError> {
        // What earlier replays committed is durable, and nobody else would finish it.
        for replay in (0..route.replay).rev() {
            let earlier = RouteKey { replay, ..route };
            if state_folder(&config, &earlier).exists() {
                recover(&config, earlier, |_| false)?;
            }
        }
        let form = config.form();
        let (folder, state) = recover(&config, route, |part| part.form == form)?;
        let mut parts = Vec::new();
        if let Some(format) = TextFormat::of(config.format, config.csv.as_ref()) {
            for open in &state.open {
                let path = folder.path.join(&open.name);
                parts.push(Part::resume(path, open, format.clone(), config.compression())?);
            }
        }
        let (next_part, finished) = (state.next_part, Vec::new());
        Ok(Self {
            config,
            route,
            folder,
            state,
            parts,
            finished,
            created: false,
            oldest: None,
            next_part,
            writes: 0,
        })
    }

    /// The checkpoint of the stored state.
    pub(crate) fn checkpoint(&self) -> Option<Checkpoint> {
        self.state.checkpoint()
    }

    /// Adds the rows of a frame to unfinished files.
    ///
    /// # Errors
    /// A file fails or the rows have no form in the format.
    pub(crate) fn apply(&mut self, delivery: &Delivery) -> Result<Vec<Rejection>, FileSinkError> {
        let encode = |error: ArrowError| FileSinkError::Encode {
            path: self.config.path.clone(),
            stream: delivery.stream.to_string(),
            source: Box::new(error),
        };
        let (accepted, rejections) = refuse_removals(&self.config, &delivery.batch).map_err(encode)?;
        if accepted.num_rows() == 0 {
            return Ok(rejections);
        }
        let rows = visible(&self.config, &accepted).map_err(encode)?;
        let times = accepted.column(1).as_primitive::<TimestampMicrosecondType>();
        let split = partition::split(&self.config.name, &delivery.stream, times, rows).map_err(encode)?;
        self.oldest.get_or_insert_with(Instant::now);
        for (folder, rows) in split {
            let at = self.part_for(delivery, folder, &rows)?;
            self.writes += 1;
            self.parts[at].touched = self.writes;
            self.parts[at].write(&rows)?;
        }
        self.bound_memory()?;
        Ok(rejections)
    }

    /// Stores the checkpoint and what it covers, and shows the files that are finished.
    ///
    /// # Errors
    /// The file system fails.
    pub(crate) fn commit(
        &mut self,
        checkpoint: &Checkpoint,
        reason: CommitReason,
    ) -> Result<Durability, FileSinkError> {
        let closing = reason == CommitReason::Closing;
        if self.config.format == Format::Parquet {
            let collected = !(self.parts.is_empty() && self.finished.is_empty());
            if collected && !closing && !self.parquet_is_due() {
                return Ok(Durability::Accepted);
            }
            // The checkpoint covers all of them, so all of them must be readable.
            self.finish_parts(|_| true)?;
        } else {
            self.parts.iter_mut().try_for_each(|part| part.sync().map(drop))?;
            let roll = self.config.roll;
            let due = |part: &Part| {
                closing || part.stored_bytes() >= roll.bytes.0 || part.opened.elapsed() >= roll.every.0
            };
            self.finish_parts(due)?;
        }
        self.store(checkpoint)?;
        Ok(Durability::Durable)
    }

    fn store(&mut self, checkpoint: &Checkpoint) -> Result<(), FileSinkError> {
        let open = self.parts.iter_mut().map(|part| {
            Ok(OpenPart {
                name: name_of(&part.path),
                target: part.target.clone(),
                stream: part.stream.clone(),
                folder: part.folder.clone(),
                form: self.config.form(),
                schema: part.schema,
                committed_bytes: part.sync()?,
            })
        });
        let open = open.collect::<Result<_, _>>()?;
        let renames =
            self.finished.iter().map(|f| Rename { name: name_of(&f.path), target: f.target.clone() });
        let state = State::new(checkpoint, self.next_part, open, renames.collect());
        if std::mem::take(&mut self.created) {
            // The state must not become durable before the names that it speaks of.
            self.folder.sync()?;
        }
        self.folder.store(&state)?;
        self.folder.rename(&self.config.path, &state.renames)?;
        self.state = state;
        self.finished.clear();
        self.oldest = None;
        Ok(())
    }

    /// When the oldest unfinished file is old enough to be shown.
    pub(crate) fn roll_due(&self) -> Option<Instant> {
        let oldest = match self.config.format {
            Format::Parquet => self.oldest,
            _ => self.parts.iter().map(|part| part.opened).min(),
        };
        oldest.map(|oldest| oldest + self.config.roll.every.0)
    }

    fn parquet_is_due(&self) -> bool {
        let bytes: u64 = self.parts.iter().map(Part::stored_bytes).sum();
        let roll = self.config.roll;
        bytes >= roll.bytes.0 || self.oldest.is_some_and(|oldest| oldest.elapsed() >= roll.every.0)
    }

    /// The part that rows of a stream, folder and schema go to, begun where there is none. A part of another
    /// schema is finished first, so that files in order of their names are rows in order.
    fn part_for(
        &mut self,
        delivery: &Delivery,
        folder: String,
        rows: &RecordBatch,
    ) -> Result<usize, FileSinkError> {
        let (stream, schema) = (delivery.stream.as_str(), delivery.schema.hash());
        let same_place = |part: &Part| part.stream == stream && part.folder == folder;
        if let Some(at) = self.parts.iter().position(|part| same_place(part) && part.schema == schema) {
            return Ok(at);
        }
        self.finish_parts(same_place)?;
        if self.parts.len() >= OPEN_PARTS {
            let idle = self.parts.iter().map(|part| part.touched).min();
            self.finish_parts(|part| Some(part.touched) == idle)?;
        }
        let new = self.new_part(stream, folder, schema)?;
        self.parts.push(Part::create(new, &self.config, rows)?);
        self.created = true;
        Ok(self.parts.len() - 1)
    }

    /// Names a part. Numbers rise, so that names sort in the order of rows; the route keeps apart what
    /// several routes write to one folder.
    fn new_part(
        &mut self,
        stream: &str,
        folder: String,
        schema: SchemaHash,
    ) -> Result<NewPart, FileSinkError> {
        loop {
            let number = self.next_part;
            self.next_part += 1;
            let route = self.route.route.to_string();
            let route = route.split('-').next_back().unwrap_or(&route);
            let (replay, suffix) = (self.route.replay, self.config.suffix());
            let target = format!("{folder}/{stream}-{number:010}-{route}.{replay}.{suffix}");
            let seen = self.config.path.join(&target);
            // A number is taken only when an admin removed the state folder and kept the files.
            if !seen.try_exists().map_err(FileSinkError::io(&seen, "look for a file of that name"))? {
                let path = self.folder.path.join(number.to_string());
                return Ok(NewPart { path, target, stream: stream.to_owned(), folder, schema });
            }
        }
    }

    fn finish_parts(&mut self, due: impl Fn(&Part) -> bool) -> Result<(), FileSinkError> {
        let (due, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.parts).into_iter().partition(due);
        self.parts = rest;
        for part in due {
            self.finished.push(part.finish()?);
        }
        Ok(())
    }

    fn bound_memory(&mut self) -> Result<(), FileSinkError> {
        match self.parts.iter().map(Part::memory_bytes).sum::<usize>() {
            held if held > MEMORY_BYTES => self.parts.iter_mut().try_for_each(Part::flush),
            _ => Ok(()),
        }
    }
}

fn state_folder(config: &FileSinkConfig, route: &RouteKey) -> PathBuf {
    config.path.join(STATE_FOLDERS).join(route.to_string())
}

/// Takes a route's folder and carries out what its state decided. Unfinished files that are not `wanted` any
/// more are shown as far as they were committed.
fn recover(
    config: &FileSinkConfig,
    route: RouteKey,
    wanted: impl Fn(&OpenPart) -> bool,
) -> Result<(StateFolder, State), FileSinkError> {
    let folder = StateFolder::hold(state_folder(config, &route), route)?;
    let mut state = folder.load()?;
    folder.rename(&config.path, &state.renames)?;
    folder.remove_uncommitted(&state)?;
    let (open, unwanted): (Vec<_>, Vec<_>) = std::mem::take(&mut state.open).into_iter().partition(wanted);
    state.open = open;
    if !unwanted.is_empty() {
        for part in &unwanted {
            cut_to_committed(&folder.path.join(&part.name), part.committed_bytes)?;
        }
        state.renames =
            unwanted.into_iter().map(|part| Rename { name: part.name, target: part.target }).collect();
        folder.store(&state)?;
        folder.rename(&config.path, &state.renames)?;
    }
    Ok((folder, state))
}

/// Separates the deletes and truncates that a file without metadata cannot tell from inserts.
fn refuse_removals(
    config: &FileSinkConfig,
    batch: &RecordBatch,
) -> Result<(RecordBatch, Vec<Rejection>), ArrowError> {
    let removes = |code: u8| matches!(Op::from_code(code), Some(Op::Delete | Op::Truncate));
    let ops = batch.column(0).as_primitive::<UInt8Type>().values();
    if config.metadata || !ops.iter().any(|code| removes(*code)) {
        return Ok((batch.clone(), Vec::new()));
    }
    let refused = (0u32..).zip(ops).filter(|(_, code)| removes(**code)).map(|(row, _)| Rejection {
        row,
        reason: "a file without metadata cannot say that a row was deleted; set `metadata: true`".to_owned(),
    });
    let kept: BooleanArray = ops.iter().map(|code| Some(!removes(*code))).collect();
    Ok((arrow_select::filter::filter_record_batch(batch, &kept)?, refused.collect()))
}

/// The columns that a file shows: the stream's, after `_op` as a word and `_ts` where metadata is wanted.
fn visible(config: &FileSinkConfig, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let columns: Vec<_> = (RESERVED_COLUMNS..batch.num_columns()).collect();
    if !config.metadata {
        return batch.project(&columns);
    }
    let word = |code: &u8| Op::from_code(*code).map_or("unknown", Op::as_str);
    let ops = batch.column(0).as_primitive::<UInt8Type>().values();
    let ops: ArrayRef = Arc::new(StringArray::from_iter_values(ops.iter().map(word)));
    let mut fields = vec![Arc::new(Field::new(OP_COLUMN, DataType::Utf8, false))];
    fields.extend(
        batch.schema_ref().fields().iter().skip(1).filter(|field| field.name() != TX_COLUMN).cloned(),
    );
    let shown: Vec<_> = [ops, batch.column(1).clone()]
        .into_iter()
        .chain(columns.into_iter().map(|i| batch.column(i).clone()))
        .collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), shown)
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
