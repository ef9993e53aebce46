//! The sink: one transaction from the first row after a commit to the next commit.
//!
//! Rows go in ranges, each behind a savepoint. A range that PostgreSQL refuses is rolled back and halved
//! until the rows that it refuses stand alone.

use std::collections::HashMap;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt8Type;
use arrow_array::{Array, RecordBatch};
use async_trait::async_trait;
use tokio_postgres::{Client, Statement};
use towpath_adapter_api::{
    AdapterError, Checkpoint, CommitReason, Delivery, Durability, Guarantee, Rejection, RouteKey, Sink,
};
use towpath_record::schema::RESERVED_COLUMNS;
use towpath_record::unchanged::{self, Settled};
use towpath_record::{Op, SchemaHash, StreamName};

use crate::config::Config;
use crate::encode::EncodedRows;
use crate::error::PostgresError;
use crate::plan::Plan;
use crate::table::{Keyed, Stage, Target, is_keyed};
use crate::unchanged::{grouped, resolve};
use crate::{client, copy, position};

/// Writes a route's rows into tables of one PostgreSQL schema.
pub struct PostgresSink {
    config: Config,
    /// Absent before `open`, after an error or a cut call, and during a call.
    session: Option<Session>,
}

/// An open connection and what is known of its database. Dropping it rolls back.
struct Session {
    config: Config,
    client: Client,
    route: RouteKey,
    /// The checkpoint as this instance last read or wrote it.
    committed: Option<Checkpoint>,
    in_transaction: bool,
    /// Tables made ready by this instance, whose transaction or an earlier one holds them.
    targets: HashMap<(StreamName, SchemaHash), Target>,
}

/// The rows of a frame in binary form.
struct Frame {
    ops: Vec<Option<Op>>,
    rows: EncodedRows,
    /// In upsert mode.
    keys: Option<EncodedRows>,
    /// For each row the columns that it leaves as they are; empty if no row does.
    unchanged: Vec<Vec<usize>>,
}

impl PostgresSink {
    /// A sink that connects to nothing yet.
    pub fn new(config: Config) -> Self {
        Self { config, session: None }
    }

    fn take(&mut self) -> Result<Session, AdapterError> {
        self.session.take().ok_or_else(|| PostgresError::NotOpen.at(&self.config.address()))
    }
}

#[async_trait]
impl Sink for PostgresSink {
    fn guarantee(&self) -> Guarantee {
        Guarantee::ExactlyOnce
    }

    async fn open(&mut self, route: &RouteKey) -> Result<Option<Checkpoint>, AdapterError> {
        let opened = Session::open(self.config.clone(), *route).await;
        let session = opened.map_err(|error| error.at(&self.config.address()))?;
        let checkpoint = session.committed.clone();
        self.session = Some(session);
        Ok(checkpoint)
    }

    async fn apply(&mut self, delivery: &Delivery) -> Result<Vec<Rejection>, AdapterError> {
        let mut session = self.take()?;
        let applied = session.apply(delivery).await;
        let rejections = applied.map_err(|error| error.at(&self.config.address()))?;
        self.session = Some(session);
        Ok(rejections)
    }

    async fn commit(&mut self, checkpoint: &Checkpoint, _: CommitReason) -> Result<Durability, AdapterError> {
        let mut session = self.take()?;
        session.commit(checkpoint).await.map_err(|error| error.at(&self.config.address()))?;
        self.session = Some(session);
        Ok(Durability::Durable)
    }
}

impl Session {
    async fn open(config: Config, route: RouteKey) -> Result<Self, PostgresError> {
        let client = client::connect(&config.server()).await?;
        position::create(&client, &config).await?;
        let committed = position::read(&client, &config, &route).await?;
        Ok(Self { config, client, route, committed, in_transaction: false, targets: HashMap::new() })
    }

    /// Begins a transaction unless one is open. An earlier instance of this route may have been cut off in
    /// the middle of its commit, and the server may finish it after this one was opened; waiting for its lock
    /// and comparing the checkpoint shows it.
    async fn begin(&mut self) -> Result<(), PostgresError> {
        if self.in_transaction {
            return Ok(());
        }
        self.run("BEGIN", "begin a transaction").await?;
        position::lock(&self.client, &self.config, &self.route).await?;
        if position::read(&self.client, &self.config, &self.route).await? != self.committed {
            return Err(PostgresError::Fenced { route: self.route });
        }
        self.in_transaction = true;
        Ok(())
    }

    async fn commit(&mut self, checkpoint: &Checkpoint) -> Result<(), PostgresError> {
        self.begin().await?;
        position::write(&self.client, &self.config, &self.route, checkpoint).await?;
        self.run("COMMIT", "commit").await?;
        self.in_transaction = false;
        self.committed = Some(checkpoint.clone());
        Ok(())
    }

    async fn apply(&mut self, delivery: &Delivery) -> Result<Vec<Rejection>, PostgresError> {
        // Only a sink that replaces rows can leave a value as it is; one that adds rows keeps what the source told.
        let settled = match is_keyed(&self.config, &delivery.schema) {
            Ok(true) => unchanged::settle(&delivery.schema, &delivery.batch),
            _ => None,
        };
        match settled {
            Some(Settled { schema, batch, unchanged }) => {
                self.apply_settled(&Delivery { schema, batch, ..delivery.clone() }, unchanged).await
            }
            None => self.apply_settled(delivery, Vec::new()).await,
        }
    }

    async fn apply_settled(
        &mut self,
        delivery: &Delivery,
        mut unchanged: Vec<Vec<usize>>,
    ) -> Result<Vec<Rejection>, PostgresError> {
        self.begin().await?;
        let id = (delivery.stream.clone(), delivery.schema.hash());
        if !self.targets.contains_key(&id) {
            let (table, number) = (self.config.table_of(&delivery.stream), self.targets.len());
            let target = Target::prepare(&self.client, &self.config, table, &delivery.schema, number).await?;
            self.targets.insert(id.clone(), target);
        }
        let target = &self.targets[&id];
        let batch = match &target.keyed {
            Some(keyed) => {
                resolve(&delivery.batch, &keyed.key, &mut unchanged).map_err(PostgresError::Encode)?
            }
            None => delivery.batch.clone(),
        };
        let frame = Frame::encode(&batch, target.keyed.as_ref(), unchanged).map_err(PostgresError::Encode)?;
        let (accepted, mut rejections) = frame.sort_out(delivery.batch.num_rows());
        self.write(target, &frame, &accepted, &mut rejections).await?;
        rejections.sort_by_key(|rejection| rejection.row);
        Ok(rejections)
    }

    /// Writes rows, halving what PostgreSQL refuses.
    async fn write(
        &self,
        target: &Target,
        frame: &Frame,
        accepted: &[usize],
        rejections: &mut Vec<Rejection>,
    ) -> Result<(), PostgresError> {
        // The last is the next: rows are written in order.
        let mut ranges = vec![accepted];
        while let Some(rows) = ranges.pop() {
            if rows.is_empty() {
                continue;
            }
            self.run("SAVEPOINT towpath", "set a savepoint").await?;
            let Err(error) = self.write_range(target, frame, rows).await else {
                self.run("RELEASE SAVEPOINT towpath", "release a savepoint").await?;
                continue;
            };
            let Some(reason) = error.refusal() else { return Err(error) };
            self.run("ROLLBACK TO SAVEPOINT towpath; RELEASE SAVEPOINT towpath", "roll back to a savepoint")
                .await?;
            match rows {
                [row] => rejections.push(rejection(*row, reason)),
                _ => {
                    let (first, second) = rows.split_at(rows.len() / 2);
                    ranges.extend([second, first]);
                }
            }
        }
        Ok(())
    }

    async fn write_range(&self, target: &Target, frame: &Frame, rows: &[usize]) -> Result<(), PostgresError> {
        let (Some(keyed), Some(keys)) = (&target.keyed, &frame.keys) else {
            return self.insert(target, &frame.rows, rows).await;
        };
        let plan = Plan::of(rows.iter().filter_map(|&row| {
            // A truncate has no key, and the rows that lack one they need were sorted out.
            Some((row, frame.ops[row]?, keys.row(row).unwrap_or_default()))
        }));
        if plan.truncate {
            self.execute(&keyed.delete_all, target).await?;
        }
        if !plan.deletes.is_empty() {
            self.copy(&keyed.copy_keys, target, keys, &plan.deletes).await?;
            self.execute(&keyed.delete, target).await?;
            self.clear(target).await?;
        }
        for (kept, rows) in grouped(&plan.writes, &frame.unchanged) {
            match keyed.update_but_for(kept) {
                _ if kept.is_empty() => self.insert(target, &frame.rows, &rows).await?,
                Some(update) => self.update(target, frame, &rows, &update).await?,
                None => {}
            }
        }
        Ok(())
    }

    /// Writes rows that leave some values as they are.
    async fn update(
        &self,
        target: &Target,
        frame: &Frame,
        rows: &[usize],
        update: &str,
    ) -> Result<(), PostgresError> {
        self.copy(&target.copy, target, &frame.rows, rows).await?;
        let doing = || PostgresError::server(format!("write rows to table {}", target.table));
        let found = self.client.execute(update, &[]).await.map_err(doing())?;
        self.clear(target).await?;
        match usize::try_from(found) == Ok(rows.len()) {
            true => Ok(()),
            false => Err(PostgresError::NothingToKeep { table: target.table.clone() }),
        }
    }

    async fn insert(
        &self,
        target: &Target,
        encoded: &EncodedRows,
        rows: &[usize],
    ) -> Result<(), PostgresError> {
        self.copy(&target.copy, target, encoded, rows).await?;
        if let Some(Stage { insert, .. }) = &target.stage {
            self.execute(insert, target).await?;
            self.clear(target).await?;
        }
        Ok(())
    }

    async fn clear(&self, target: &Target) -> Result<(), PostgresError> {
        match &target.stage {
            Some(stage) => self.execute(&stage.clear, target).await,
            None => Ok(()),
        }
    }

    async fn copy(
        &self,
        statement: &Statement,
        target: &Target,
        encoded: &EncodedRows,
        rows: &[usize],
    ) -> Result<(), PostgresError> {
        let copied = copy::send(&self.client, statement, encoded, rows).await;
        copied.map_err(PostgresError::server(format!("copy rows for table {}", target.table)))
    }

    async fn execute(&self, statement: &Statement, target: &Target) -> Result<(), PostgresError> {
        let written = self.client.execute(statement, &[]).await;
        written.map(drop).map_err(PostgresError::server(format!("write rows to table {}", target.table)))
    }

    async fn run(&self, sql: &str, doing: &str) -> Result<(), PostgresError> {
        self.client.batch_execute(sql).await.map_err(PostgresError::server(doing))
    }
}

impl Frame {
    fn encode(
        batch: &RecordBatch,
        keyed: Option<&Keyed>,
        unchanged: Vec<Vec<usize>>,
    ) -> Result<Self, arrow_schema::ArrowError> {
        let columns: Vec<_> = (RESERVED_COLUMNS..batch.num_columns()).collect();
        let keys = keyed.map(|keyed| {
            let key: Vec<_> = keyed.key.iter().map(|column| column + RESERVED_COLUMNS).collect();
            let encoded = EncodedRows::new(batch, &key);
            encoded.map(|encoded| {
                encoded.refusing_nulls(|row| key.iter().any(|i| batch.column(*i).is_null(row)))
            })
        });
        let ops = batch.column(0).as_primitive::<UInt8Type>().values();
        Ok(Self {
            ops: ops.iter().map(|code| Op::from_code(*code)).collect(),
            rows: EncodedRows::new(batch, &columns)?,
            keys: keys.transpose()?,
            unchanged,
        })
    }

    /// The rows to be written, and those that never can be.
    fn sort_out(&self, rows: usize) -> (Vec<usize>, Vec<Rejection>) {
        let (mut accepted, mut rejections) = (Vec::with_capacity(rows), Vec::new());
        for row in 0..rows {
            match self.fault(row) {
                None => accepted.push(row),
                Some(reason) => rejections.push(rejection(row, reason)),
            }
        }
        (accepted, rejections)
    }

    fn fault(&self, row: usize) -> Option<String> {
        let encoded = |rows: &EncodedRows| rows.row(row).err().cloned();
        match (self.ops[row], &self.keys) {
            (None, _) => Some("the row's operation is not known here; upgrade the agent".to_owned()),
            (Some(Op::Truncate), Some(_)) => None,
            (Some(Op::Delete), Some(keys)) => encoded(keys),
            (Some(Op::Delete | Op::Truncate), None) => Some(
                "mode `append` takes no deletes and no truncates; use mode `upsert` on a stream with a key"
                    .to_owned(),
            ),
            (Some(Op::Create | Op::Update | Op::Read), keys) => {
                keys.as_ref().and_then(encoded).or_else(|| encoded(&self.rows))
            }
        }
    }
}

fn rejection(row: usize, reason: String) -> Rejection {
    Rejection { row: u32::try_from(row).expect("a frame has at most 2^20 rows"), reason }
}
