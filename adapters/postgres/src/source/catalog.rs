//! What the server knows: its tables, their keys and types.

use std::collections::HashMap;
use std::sync::Arc;

use tokio_postgres::Client;

use super::config::{NumericMode, SourceConfig};
use super::kind::Kind;
use super::message::{Relation, RelationColumn};
use super::snapshot::Snapshot;
use super::table::{ColumnKind, IDENTITY_FULL, Table};
use crate::client;
use crate::error::PostgresError;

/// Settings of a session that reads:
/// * Values are printed exactly and in one form, as in replication.
/// * A policy that would hide rows is an error and not a gap.
const SETTINGS: &str = "\
    SET datestyle = 'ISO'; SET intervalstyle = 'postgres'; SET timezone = 'UTC'; SET extra_float_digits = 1; \
    SET bytea_output = 'hex'; SET search_path = ''; SET row_security = off; \
    SET idle_in_transaction_session_timeout = 0; SET statement_timeout = 0";

/// The oldest version that is read, and those that can do more.
const OLDEST: i32 = 130_000;
const STREAMS_IN_PROGRESS: i32 = 140_000;
const PUBLISHES_COLUMNS: i32 = 150_000;

/// A session at the server, and what it has told.
pub(crate) struct Catalog {
    pub(crate) client: Arc<Client>,
    version: i32,
    numeric: NumericMode,
    kinds: HashMap<u32, TypeFacts>,
}

#[derive(Clone, Copy)]
struct TypeFacts {
    /// The type under a domain, and its modifier there.
    base: u32,
    modifier: Option<i32>,
    may_be_apart: bool,
}

/// A table that is copied.
pub(crate) struct Copied {
    pub(crate) relation: Relation,
    pub(crate) key: KeyOrder,
    /// The file that it is kept in; 0 if it has none of its own.
    pub(crate) file: u32,
    /// Whether it is divided into others, which are then copied with it.
    pub(crate) partitioned: bool,
    /// The condition that the publication sets.
    pub(crate) filter: Option<String>,
}

/// The key of a table as its index orders it.
#[derive(Clone, Default)]
pub(crate) struct KeyOrder {
    pub(crate) names: Vec<String>,
    /// The type and the collation of each column, as SQL spells them after a literal.
    pub(crate) casts: Vec<String>,
}

impl Catalog {
    /// Opens a session.
    ///
    /// # Errors
    /// The server cannot be reached, refuses the login or is too old.
    pub(crate) async fn open(config: &SourceConfig) -> Result<Self, PostgresError> {
        let client = Arc::new(client::connect(&config.server()).await?);
        client.batch_execute(SETTINGS).await.map_err(PostgresError::server("set up the session"))?;
        let version = client.query_one("SELECT current_setting('server_version_num')::int", &[]).await;
        let version: i32 = version.map_err(PostgresError::server("ask for the server's version"))?.get(0);
        if version < OLDEST {
            let message =
                format!("the server has version {}; version 13 or later is needed", version / 10_000);
            return Err(PostgresError::unready(towpath_adapter_api::ErrorKind::Config, message));
        }
        Ok(Self { client, version, numeric: config.numeric, kinds: HashMap::new() })
    }

    /// Whether the server sends large transactions before they are committed.
    pub(crate) fn streams_in_progress(&self) -> bool {
        self.version >= STREAMS_IN_PROGRESS
    }

    /// The snapshot that a statement sees now.
    pub(crate) async fn snapshot(&self) -> Result<Snapshot, PostgresError> {
        let row = self.client.query_one("SELECT pg_current_snapshot()::text", &[]).await;
        let row = row.map_err(PostgresError::server("ask for the running transactions"))?;
        Snapshot::parse(row.get(0)).ok_or(PostgresError::Damaged("the server's snapshot cannot be read"))
    }

    /// The tables of a publication, `schema.table` each.
    pub(crate) async fn published(&self, publication: &str) -> Result<Vec<String>, PostgresError> {
        published(&self.client, publication).await
    }

    /// What must be known to copy a table of a publication; `None` if it is gone.
    pub(crate) async fn copied(
        &mut self,
        publication: &str,
        table: &str,
    ) -> Result<Option<Copied>, PostgresError> {
        let lists = match self.version >= PUBLISHES_COLUMNS {
            true => "p.attnames::text[], p.rowfilter",
            false => "NULL::text[], NULL::text",
        };
        let sql = format!(
            "SELECT c.oid, n.nspname::text, c.relname::text, c.relreplident, c.relkind = 'p', \
             coalesce(pg_relation_filenode(c.oid), 0::oid), {lists} \
             FROM pg_publication_tables p JOIN pg_namespace n ON n.nspname = p.schemaname \
             JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename \
             WHERE p.pubname = $1 AND p.schemaname || '.' || p.tablename = $2"
        );
        let doing = || PostgresError::server(format!("look at table {table}"));
        let Some(row) = self.client.query_opt(&sql, &[&publication, &table]).await.map_err(doing())? else {
            return Ok(None);
        };
        let (oid, identity): (u32, i8) = (row.get(0), row.get(3));
        let identity = identity.cast_unsigned();
        let key = self.key_order(oid).await?;
        let published: Option<Vec<String>> = row.get(6);
        let mut columns = self.columns(oid).await?;
        columns.retain(|c| published.as_ref().is_none_or(|names| names.contains(&c.name)));
        for RelationColumn { name, identifies, .. } in &mut columns {
            *identifies = identity == IDENTITY_FULL || (identity != b'n' && key.names.contains(name));
        }
        let relation = Relation { oid, schema: row.get(1), name: row.get(2), identity, columns };
        Ok(Some(Copied { relation, key, partitioned: row.get(4), file: row.get(5), filter: row.get(7) }))
    }

    /// The columns of a table, generated ones left out. None of them is said to be of the identity.
    pub(crate) async fn columns(&self, table: u32) -> Result<Vec<RelationColumn>, PostgresError> {
        const SQL: &str = "SELECT attname::text, atttypid, atttypmod FROM pg_attribute \
             WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum";
        let rows = self.client.query(SQL, &[&table]).await;
        let rows = rows.map_err(PostgresError::server("list a table's columns"))?;
        let column = |row: &tokio_postgres::Row| RelationColumn {
            name: row.get(0),
            identifies: false,
            type_oid: row.get(1),
            modifier: row.get(2),
        };
        Ok(rows.iter().map(column).collect())
    }

    /// Some columns of a table, in their order, as a key by which rows are looked for; those that it has.
    pub(crate) async fn casts(&self, table: u32, names: &[String]) -> Result<KeyOrder, PostgresError> {
        const SQL: &str = "SELECT a.attname::text, format_type(a.atttypid, a.atttypmod) \
             FROM unnest($2::text[]) WITH ORDINALITY n (name, place) \
             JOIN pg_attribute a ON a.attrelid = $1 AND a.attname = n.name AND NOT a.attisdropped ORDER BY n.place";
        let rows = self.client.query(SQL, &[&table, &names]).await;
        Ok(key_order(&rows.map_err(PostgresError::server("look for a table's key"))?))
    }

    /// The condition that a publication sets for a table.
    pub(crate) async fn filter(
        &self,
        publication: &str,
        schema: &str,
        table: &str,
    ) -> Result<Option<String>, PostgresError> {
        if self.version < PUBLISHES_COLUMNS {
            return Ok(None);
        }
        const SQL: &str = "SELECT rowfilter FROM pg_publication_tables \
             WHERE pubname = $1 AND schemaname = $2 AND tablename = $3";
        let row = self.client.query_opt(SQL, &[&publication, &schema, &table]).await;
        let row = row.map_err(PostgresError::server("look at the publication"))?;
        Ok(row.and_then(|row| row.get(0)))
    }

    /// The columns of the primary key, or of the index that is the replica identity, in the order of the index.
    pub(crate) async fn key_order(&self, table: u32) -> Result<KeyOrder, PostgresError> {
        const SQL: &str = "SELECT a.attname::text, format_type(a.atttypid, a.atttypmod) || coalesce( \
             ' COLLATE ' || quote_ident(n.nspname) || '.' || quote_ident(l.collname), '') \
             FROM pg_class c JOIN pg_index i ON i.indrelid = c.oid \
             CROSS JOIN unnest(i.indkey) WITH ORDINALITY k (attnum, place) \
             JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum \
             LEFT JOIN pg_collation l ON l.oid = a.attcollation LEFT JOIN pg_namespace n ON n.oid = l.collnamespace \
             WHERE c.oid = $1 AND k.place <= i.indnkeyatts \
             AND CASE WHEN c.relreplident = 'i' THEN i.indisreplident ELSE i.indisprimary END ORDER BY k.place";
        let rows = self.client.query(SQL, &[&table]).await;
        Ok(key_order(&rows.map_err(PostgresError::server("look for a table's key"))?))
    }

    /// The stream of a table, as the server or the stream of changes describes it.
    ///
    /// # Errors
    /// The server fails, or the table cannot be a stream.
    pub(crate) async fn table(
        &mut self,
        relation: &Relation,
        config: &SourceConfig,
    ) -> Result<Table, PostgresError> {
        let mut kinds = Vec::with_capacity(relation.columns.len());
        for column in &relation.columns {
            kinds.push(self.kind(column.type_oid, column.modifier).await?);
        }
        let key = self.key_order(relation.oid).await?;
        Table::new(relation, &kinds, &key.names, config)
    }

    /// What values of a type are read as.
    pub(crate) async fn kind(&mut self, type_oid: u32, modifier: i32) -> Result<ColumnKind, PostgresError> {
        let facts = self.facts(type_oid).await?;
        let kind = Kind::of(facts.base, facts.modifier.unwrap_or(modifier), self.numeric);
        Ok(ColumnKind { kind, may_be_apart: facts.may_be_apart })
    }

    /// What a type comes to under its domains. A type that is gone is read as text.
    async fn facts(&mut self, type_oid: u32) -> Result<TypeFacts, PostgresError> {
        const SQL: &str = "SELECT typtype = 'd', typbasetype, typtypmod, typlen FROM pg_type WHERE oid = $1";
        if let Some(facts) = self.kinds.get(&type_oid) {
            return Ok(*facts);
        }
        let mut facts = TypeFacts { base: type_oid, modifier: None, may_be_apart: true };
        loop {
            let row = self.client.query_opt(SQL, &[&facts.base]).await;
            let Some(row) = row.map_err(PostgresError::server("look for a type"))? else { break };
            let (is_domain, length): (bool, i16) = (row.get(0), row.get(3));
            if !is_domain {
                facts.may_be_apart = length < 0;
                break;
            }
            facts.base = row.get(1);
            facts.modifier = Some(row.get(2));
        }
        self.kinds.insert(type_oid, facts);
        Ok(facts)
    }
}

/// The tables of a publication, `schema.table` each.
pub(crate) async fn published(client: &Client, publication: &str) -> Result<Vec<String>, PostgresError> {
    let sql = "SELECT schemaname || '.' || tablename FROM pg_publication_tables WHERE pubname = $1";
    let rows = client.query(sql, &[&publication]).await;
    let rows = rows.map_err(PostgresError::server("list the publication's tables"))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Names and what SQL spells after a literal of each.
fn key_order(rows: &[tokio_postgres::Row]) -> KeyOrder {
    KeyOrder {
        names: rows.iter().map(|row| row.get(0)).collect(),
        casts: rows.iter().map(|row| row.get(1)).collect(),
    }
}

/// A text as an SQL literal.
pub(crate) fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

impl KeyOrder {
    /// A key as an SQL row that compares as the table's index does.
    pub(crate) fn row<T: AsRef<str>>(&self, key: &[T]) -> String {
        let values =
            key.iter().zip(&self.casts).map(|(text, cast)| format!("{}::{cast}", literal(text.as_ref())));
        format!("({})", values.collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_compared_as_its_type_and_collation_say() {
        let casts = vec!["bigint".to_owned(), "text COLLATE pg_catalog.\"C\"".to_owned()];
        let order = KeyOrder { names: vec!["a".to_owned(), "b".to_owned()], casts };
        assert_eq!(order.row(&["7", "o'\\x"]), r#"(E'7'::bigint, E'o''\\x'::text COLLATE pg_catalog."C")"#);
    }
}
