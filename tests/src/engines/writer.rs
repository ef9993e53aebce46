//! An application that writes at random: transactions of all kinds, some undone, some that change the tables.

use std::time::Duration;

use anyhow::Result;

use super::rows::{self, Kind, Shape};
use super::{Address, Connection, Dialect};

/// How long to wait before a server that is gone is tried again.
const RECONNECT: Duration = Duration::from_millis(100);
/// Rows with identities from 1 to about here come and go.
const SHARED_IDS: u32 = 1_500;
/// From here on, an identity is given once.
const FIRST_OWN_ID: u32 = 2_000;
/// Columns that are added and dropped are few at a time.
const MOST_EXTRAS: usize = 3;

/// The tables that it writes, with their keys.
const TABLES: [(&str, &[&str]); 2] = [("orders", &["id"]), ("parts", &["code", "rev"])];
const KINDS: &[(&str, Kind)] = &[("paid", Kind::Flag), ("placed", Kind::Moment)];

/// What was done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Transactions that were committed or undone.
    pub transactions: u64,
    /// Changes of the tables' shape.
    pub reshaped: u64,
    /// Transactions of which it is not known what became of them.
    pub unknown: u64,
}

/// The application.
pub struct Writer {
    address: Address,
    rng: fastrand::Rng,
    next_id: u32,
    next_extra: u32,
    connection: Option<Connection>,
    /// What was done so far.
    pub tally: Tally,
}

impl Writer {
    /// An application that has created its tables.
    ///
    /// # Errors
    /// The server refuses them.
    pub async fn create(address: Address, seed: u64) -> Result<Self> {
        let (text, moment) = (address.dialect().text(), address.dialect().moment());
        let mut connection = address.connect().await?;
        for statement in [
            format!(
                "CREATE TABLE orders (id bigint NOT NULL PRIMARY KEY, n int NOT NULL, customer varchar(60), \
                 note {text}, picture {text}, amount decimal(12,2), placed {moment}, paid boolean)"
            ),
            "CREATE TABLE parts (code varchar(20) NOT NULL, rev int NOT NULL, name varchar(200), \
             PRIMARY KEY (code, rev))"
                .to_owned(),
        ] {
            connection.execute(&statement).await?;
        }
        if address.dialect() == Dialect::Postgres {
            // What does not fit into a row is kept beside it, uncompressed, and is not sent when it does not change.
            connection.execute("ALTER TABLE orders ALTER COLUMN picture SET STORAGE EXTERNAL").await?;
        }
        let rng = fastrand::Rng::with_seed(seed);
        let (next_id, next_extra) = (FIRST_OWN_ID, 0);
        Ok(Self { address, rng, next_id, next_extra, connection: Some(connection), tally: Tally::default() })
    }

    /// Writes so many transactions. A server that is gone is waited for.
    ///
    /// # Errors
    /// The server refuses what it should not.
    pub async fn write(&mut self, transactions: u32) -> Result<()> {
        for _ in 0..transactions {
            let Some(mut connection) = self.connect().await else { continue };
            match self.transact(&mut connection).await {
                Ok(()) => {
                    self.tally.transactions += 1;
                    self.connection = Some(connection);
                }
                Err(error) if is_refusal(&error) => return Err(error),
                // The server is gone, and nobody knows whether it has committed.
                Err(_) => self.tally.unknown += 1,
            }
            tokio::time::sleep(Duration::from_millis(self.rng.u64(0..20))).await;
        }
        Ok(())
    }

    /// Adds a row to each table: a column that was added comes to those who follow with the next row only.
    ///
    /// # Errors
    /// The server refuses it or is gone.
    pub async fn touch(&self) -> Result<()> {
        let mut connection = self.address.connect().await?;
        for statement in [
            "INSERT INTO orders (id, n) SELECT least(coalesce(min(id), 0), 0) - 1, 0 FROM orders",
            "INSERT INTO parts (code, rev) SELECT 'touched', coalesce(max(rev), 0) + 1 FROM parts",
        ] {
            connection.execute(statement).await?;
        }
        Ok(())
    }

    /// Each table with the shape that it has now.
    ///
    /// # Errors
    /// The server cannot be asked.
    pub async fn shapes(&self) -> Result<Vec<(&'static str, Shape)>> {
        let mut connection = self.address.connect().await?;
        let mut shapes = Vec::new();
        for (table, key) in TABLES {
            shapes.push((table, rows::shape(&mut connection, table, key, KINDS).await?));
        }
        Ok(shapes)
    }

    async fn connect(&mut self) -> Option<Connection> {
        if let Some(connection) = self.connection.take() {
            return Some(connection);
        }
        tokio::time::sleep(RECONNECT).await;
        self.address.connect().await.ok()
    }

    async fn transact(&mut self, connection: &mut Connection) -> Result<()> {
        if self.rng.u8(0..40) == 0 {
            self.tally.reshaped += 1;
            return self.reshape(connection).await;
        }
        let extras = extras(connection).await?;
        connection.execute("START TRANSACTION").await?;
        for _ in 0..self.rng.u32(1..6) {
            let statement = self.statement(&extras);
            connection.execute(&statement).await?;
            if self.rng.u8(0..10) == 0 {
                connection.execute("SAVEPOINT s").await?;
                let undone = self.statement(&extras);
                connection.execute(&undone).await?;
                connection.execute("ROLLBACK TO SAVEPOINT s").await?;
            }
        }
        let end = if self.rng.u8(0..8) == 0 { "ROLLBACK" } else { "COMMIT" };
        connection.execute(end).await
    }

    fn statement(&mut self, extras: &[String]) -> String {
        let (id, many) = (self.rng.u32(1..SHARED_IDS), self.rng.u32(1..30));
        let through = id + many;
        match self.rng.u8(0..13) {
            0..=3 => self.insert_orders(id, many),
            4 => format!(
                "UPDATE orders SET n = n + 1, amount = amount + 0.01 WHERE id BETWEEN {id} AND {through}"
            ),
            5 => format!("UPDATE orders SET note = '{}' WHERE id = {id}", self.word()),
            6 => format!("UPDATE orders SET picture = '{}' WHERE id = {id}", self.picture()),
            7 => format!("DELETE FROM orders WHERE id BETWEEN {id} AND {through}"),
            8 => {
                self.next_id += 1;
                format!("UPDATE orders SET id = {} WHERE id = {id}", self.next_id)
            }
            9 if !extras.is_empty() => {
                let extra = &extras[self.rng.usize(0..extras.len())];
                format!("UPDATE orders SET {extra} = '{}' WHERE id BETWEEN {id} AND {through}", self.word())
            }
            9 | 10 => self.insert_parts(),
            11 => format!("UPDATE parts SET name = '{}' WHERE rev = {}", self.word(), self.rng.u32(0..20)),
            _ => format!("DELETE FROM parts WHERE rev = {}", self.rng.u32(0..20)),
        }
    }

    fn insert_orders(&mut self, id: u32, many: u32) -> String {
        let rows: Vec<_> = (id..id + many).map(|id| self.order(id)).collect();
        self.insert("orders (id, n, customer, note, picture, amount, placed, paid)", &rows)
    }

    fn order(&mut self, id: u32) -> String {
        let picture =
            if self.rng.u8(0..20) == 0 { format!("'{}'", self.picture()) } else { "NULL".to_owned() };
        let (day, second, micros) = (self.rng.u8(1..29), self.rng.u8(0..60), self.rng.u32(0..1_000_000));
        format!(
            "({id}, {}, '{}', NULL, {picture}, {}.{:02}, '2026-02-{day:02} 12:34:{second:02}.{micros:06}', {})",
            self.rng.i32(-1_000..1_000),
            self.word(),
            self.rng.i32(-100_000..100_000),
            self.rng.u8(0..100),
            self.rng.bool(),
        )
    }

    fn insert_parts(&mut self) -> String {
        let rows: Vec<_> = (0..self.rng.u32(1..20))
            .map(|_| format!("('{}', {}, '{}')", self.rng.u32(0..50), self.rng.u32(0..20), self.word()))
            .collect();
        self.insert("parts (code, rev, name)", &rows)
    }

    /// Rows that are there already stay as they are.
    fn insert(&self, into: &str, rows: &[String]) -> String {
        match self.address.dialect() {
            Dialect::Postgres => {
                format!("INSERT INTO {into} VALUES {} ON CONFLICT DO NOTHING", rows.join(", "))
            }
            Dialect::MariaDb => format!("INSERT IGNORE INTO {into} VALUES {}", rows.join(", ")),
        }
    }

    async fn reshape(&mut self, connection: &mut Connection) -> Result<()> {
        let extras = extras(connection).await?;
        let statement = match self.rng.u8(0..10) {
            0..=4 if extras.len() < MOST_EXTRAS => {
                self.next_extra += 1;
                format!("ALTER TABLE orders ADD COLUMN extra{} varchar(80)", self.next_extra)
            }
            5..=7 if !extras.is_empty() => {
                format!("ALTER TABLE orders DROP COLUMN {}", extras[self.rng.usize(0..extras.len())])
            }
            8 => match self.address.dialect() {
                Dialect::Postgres => "ALTER TABLE orders ALTER COLUMN n TYPE bigint".to_owned(),
                Dialect::MariaDb => "ALTER TABLE orders MODIFY COLUMN n bigint NOT NULL".to_owned(),
            },
            _ => "TRUNCATE TABLE parts".to_owned(),
        };
        connection.execute(&statement).await
    }

    fn word(&mut self) -> String {
        let words = ["Zoë", "naïve", "O''Brien", "x", "", "日本語", "tab\tbed", "line\nbreak"];
        format!("{} {}", words[self.rng.usize(0..words.len())], self.rng.u16(..))
    }

    /// Text that does not fit into a page and cannot be made shorter.
    fn picture(&mut self) -> String {
        (0..self.rng.usize(3_000..12_000)).map(|_| self.rng.alphanumeric()).collect()
    }
}

async fn extras(connection: &mut Connection) -> Result<Vec<String>> {
    let shape = rows::shape(connection, "orders", &["id"], KINDS).await?;
    Ok(shape.columns.into_iter().map(|(name, _)| name).filter(|name| name.starts_with("extra")).collect())
}

/// Whether the server has answered, and with a refusal that is no consequence of its end.
fn is_refusal(error: &anyhow::Error) -> bool {
    if let Some(error) = error.downcast_ref::<tokio_postgres::Error>() {
        // Class 57: the server is being shut down or is starting.
        return error.code().is_some_and(|code| !code.code().starts_with("57"));
    }
    match error.downcast_ref::<mysql_async::Error>() {
        // 1053: the server is being shut down.
        Some(mysql_async::Error::Server(error)) => error.code != 1_053,
        _ => false,
    }
}
