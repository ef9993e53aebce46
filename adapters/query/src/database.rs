//! What a database must do to be a source of queries: say how it spells names and parameters, run a statement, and give
//! its rows as values.

use std::time::Duration;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use towpath_adapter_api::{AdapterError, Stopped};
use towpath_record::ColumnType;

use crate::value::{Row, Value};

/// A database that runs queries.
///
/// The core promises that at most one statement is under way for each query, and that a [`PageOutput`] whose
/// receiver is gone means that nobody wants the rest.
#[async_trait]
pub trait QueryDatabase: Send + Sync + Sized + 'static {
    /// What an admin says about how it is reached. Secrets in it show themselves to nobody.
    type Connection: DeserializeOwned + JsonSchema + Clone + Send + Sync;

    /// A database that is reached in this way; connects to nothing yet. The database is given `timeout` for the
    /// next rows of a statement.
    ///
    /// # Errors
    /// The configuration cannot work.
    fn new(connection: Self::Connection, timeout: Duration) -> Result<Self, AdapterError>;

    /// Its name for messages: no user, no secret.
    fn address(&self) -> String;

    /// How it spells what a statement is made of.
    fn dialect(&self) -> Dialect;

    /// Runs a statement on a connection of its own and sends its rows in the order in which they come, in pages of
    /// at most [`Statement::page`], the first of them also if it has no rows. Returns when all were sent, when nobody
    /// wants more, or after a page where it would rather be asked again than keep a statement open.
    ///
    /// # Errors
    /// The database cannot be reached, or refuses the statement.
    async fn read(&self, statement: Statement, output: PageOutput) -> Result<End, AdapterError>;
}

/// How a database spells what a statement is made of.
#[derive(Clone, Copy, Debug)]
pub struct Dialect {
    /// What a name is put between; the second one is doubled inside.
    pub quotes: (char, char),
    /// How values get into a statement.
    pub values: Values,
}

/// How values get into a statement.
#[derive(Clone, Copy, Debug)]
pub enum Values {
    /// As `?`, in order. Each mention counts.
    QuestionMarks,
    /// As a literal, which this spells so that the database compares it exactly, and that nothing in it has a meaning
    /// beyond it.
    Literals(fn(&Value) -> String),
}

/// A statement to run.
#[derive(Clone, PartialEq, Debug)]
pub struct Statement {
    /// The text.
    pub sql: String,
    /// The values of its parameters.
    pub parameters: Vec<Value>,
    /// The columns whose values become parameters of later statements.
    pub compared: Vec<String>,
    /// How much a page has at most.
    pub page: PageSize,
}

/// How much a page has at most.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PageSize {
    /// Rows.
    pub rows: usize,
    /// Bytes, but for a single row that is larger.
    pub bytes: usize,
}

/// A column of an answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shape {
    /// Its name.
    pub name: String,
    /// What its values are.
    pub column_type: ColumnType,
}

/// Some rows of an answer.
#[derive(Clone, PartialEq, Debug)]
pub struct Page {
    /// The columns; the same for each page of an answer.
    pub columns: Vec<Shape>,
    /// The rows, each with a value for each column: of its type, `Null` or `Misfit`.
    pub rows: Vec<Row>,
}

/// How an answer ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// There are no more rows.
    Complete,
    /// There may be more; they are asked for again, behind the last row that was sent.
    MayHaveMore,
}

/// Where pages go. Full means wait.
#[derive(Clone, Debug)]
pub struct PageOutput(mpsc::Sender<Page>);

impl PageOutput {
    /// A channel in which one page waits.
    pub fn channel() -> (Self, mpsc::Receiver<Page>) {
        let (sender, receiver) = mpsc::channel(1);
        (Self(sender), receiver)
    }

    /// Hands over a page.
    ///
    /// # Errors
    /// [`Stopped`] when nobody wants the rest.
    pub async fn send(&self, page: Page) -> Result<(), Stopped> {
        self.0.send(page).await.map_err(|_| Stopped)
    }

    /// The same from a thread that may block.
    ///
    /// # Errors
    /// [`Stopped`] when nobody wants the rest.
    pub fn send_blocking(&self, page: Page) -> Result<(), Stopped> {
        self.0.blocking_send(page).map_err(|_| Stopped)
    }

    /// Returns when nobody wants the rest.
    pub async fn abandoned(&self) {
        self.0.closed().await;
    }
}

/// Gathers rows into pages.
#[derive(Debug)]
pub struct Pager {
    columns: Vec<Shape>,
    size: PageSize,
    rows: Vec<Row>,
    bytes: usize,
}

impl Pager {
    /// An empty page of these columns.
    pub fn new(columns: Vec<Shape>, size: PageSize) -> Self {
        Self { columns, size, rows: Vec::new(), bytes: 0 }
    }

    /// Adds a row; gives the page when it is full.
    pub fn push(&mut self, row: Row) -> Option<Page> {
        self.bytes += row.iter().map(Value::weight).sum::<usize>();
        self.rows.push(row);
        let full = self.rows.len() >= self.size.rows || self.bytes >= self.size.bytes;
        full.then(|| self.take())
    }

    /// The page as it is.
    pub fn take(&mut self) -> Page {
        self.bytes = 0;
        Page { columns: self.columns.clone(), rows: std::mem::take(&mut self.rows) }
    }
}
