//! The importers that come with each system, on the same rows.

use std::process::Command;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::future::LocalBoxFuture;
use towpath_adapter_conformance::servers::PostgresServer;
use towpath_tests::process::Launch;
use towpath_tests::usage::Usage;

use crate::files::Staged;
use crate::measure::{Spent, Subject, Trial};

const LIMIT: Duration = Duration::from_secs(900);
const COLUMNS: &str = "seq bigint, order_no text, customer_no bigint, sku text, quantity integer, \
                       price double precision, state text, ordered_at text, paid text, note text";
const PG_COLUMNS: &str = "seq bigint, order_no text, customer_no bigint, sku text, quantity integer, \
                          price double precision, state text, ordered_at timestamptz, paid boolean, note text";

/// `sqlite3 .import` into a table of the same columns, durable like ours.
pub(crate) struct SqliteImport(pub(crate) Staged);

impl Subject for SqliteImport {
    fn name(&self) -> String {
        "sqlite3 .import".to_owned()
    }

    fn trial(&mut self, run: usize) -> LocalBoxFuture<'_, Result<Trial>> {
        Box::pin(async move {
            let (file, bulk) = self.0.large(0)?;
            let database = self.0.folder().join(format!("import-{run}.db"));
            let create =
                format!("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE bench ({COLUMNS});");
            let import = format!(".import --csv --skip 1 {} bench", file.display());
            let launch = Launch::new("sqlite3", "sqlite3", self.0.folder()).arguments([
                database.as_os_str(),
                create.as_ref(),
                import.as_ref(),
            ]);
            timed("sqlite3", &launch, bulk.bytes, bulk.rows)
                .inspect(|_| drop(std::fs::remove_file(&database)))
        })
    }
}

/// `psql \copy` into a table of the same columns.
pub(crate) struct PsqlCopy {
    pub(crate) staged: Staged,
    pub(crate) server: Rc<PostgresServer>,
}

impl Subject for PsqlCopy {
    fn name(&self) -> String {
        "psql \\copy".to_owned()
    }

    fn trial(&mut self, run: usize) -> LocalBoxFuture<'_, Result<Trial>> {
        Box::pin(async move {
            let (file, bulk) = self.staged.large(0)?;
            let url = self.server.url("postgres");
            let psql = |name: &str, command: String| {
                Launch::new(name, "psql", self.staged.folder())
                    .arguments([url.as_str(), "-q", "-v", "ON_ERROR_STOP=1", "-c"])
                    .arguments([command])
            };
            let table = format!("copy_{run}");
            psql("psql-create", format!("CREATE TABLE {table} ({PG_COLUMNS})")).run(LIMIT)?;
            let copy = format!("\\copy {table} from '{}' with (format csv, header true)", file.display());
            let trial = timed("psql", &psql("psql", copy), bulk.bytes, bulk.rows);
            psql("psql-drop", format!("DROP TABLE {table}")).run(LIMIT)?;
            trial
        })
    }
}

/// pyarrow, which reads the CSV file and writes it as Parquet.
pub(crate) struct Pyarrow {
    staged: Staged,
}

const PYARROW: &str = "
import sys, pyarrow.csv, pyarrow.parquet
writer = None
for batch in pyarrow.csv.open_csv(sys.argv[1]):
    if writer is None:
        writer = pyarrow.parquet.ParquetWriter(sys.argv[2], batch.schema, compression='zstd')
    writer.write_batch(batch)
writer.close()
";

impl Pyarrow {
    /// pyarrow, if this machine has it.
    pub(crate) fn find(staged: Staged) -> Option<Self> {
        let imports = Command::new("python3").args(["-c", "import pyarrow.csv, pyarrow.parquet"]).output();
        imports.is_ok_and(|output| output.status.success()).then_some(Self { staged })
    }
}

impl Subject for Pyarrow {
    fn name(&self) -> String {
        "pyarrow, CSV to Parquet".to_owned()
    }

    fn trial(&mut self, run: usize) -> LocalBoxFuture<'_, Result<Trial>> {
        Box::pin(async move {
            let (file, bulk) = self.staged.large(0)?;
            let out = self.staged.folder().join(format!("pyarrow-{run}.parquet"));
            let launch = Launch::new("pyarrow", "python3", self.staged.folder()).arguments([
                std::ffi::OsStr::new("-c"),
                PYARROW.as_ref(),
                file.as_os_str(),
                out.as_os_str(),
            ]);
            timed("python3", &launch, bulk.bytes, bulk.rows).inspect(|_| drop(std::fs::remove_file(&out)))
        })
    }
}

fn timed(process: &str, launch: &Launch, bytes: u64, rows: u64) -> Result<Trial> {
    let started = Instant::now();
    let usage = launch.run(LIMIT)?;
    let spent = vec![Spent::between(process, Usage::default(), usage)];
    Ok(Trial::new(started.elapsed(), bytes, rows, spent))
}
