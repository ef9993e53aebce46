//! Tables: which match, what the user may do with them, how their rows are told apart, and whether they are published.

use std::collections::BTreeSet;

use tokio_postgres::{Client, Row};
use towpath_adapter_api::Finding;

use super::{listed, texts};
use crate::error::PostgresError;
use crate::source::config::{SourceConfig, Wanted};
use crate::table::quoted;

/// The publication of a source, if there is one.
pub(super) struct Publications {
    names: Vec<String>,
    /// The tables that one of them holds, `schema.table` each.
    tables: BTreeSet<String>,
    /// Those of them that leave out a kind of change.
    partial: Vec<String>,
    /// Those of them that tell the changes of a partition under its own name.
    by_partition: Vec<String>,
}

/// A table that matches.
struct Table {
    name: String,
    place: String,
    schema: String,
    is_partitioned: bool,
    is_logged: bool,
    identity: u8,
    has_key: bool,
    may_use_schema: bool,
    may_select: bool,
    hides_rows: bool,
    is_own: bool,
    /// Whether there are values that are stored apart from their rows.
    has_values_apart: bool,
}

impl Publications {
    pub(super) async fn of(client: &Client, config: &SourceConfig) -> Result<Self, PostgresError> {
        let failed = || PostgresError::server("look at the publications");
        let name = &config.publication;
        let sql = "SELECT pubname::text, pubinsert AND pubupdate AND pubdelete AND pubtruncate, pubviaroot \
             FROM pg_publication WHERE pubname = $1";
        let rows = client.query(sql, &[name]).await.map_err(failed())?;
        let unless = |place: usize| {
            let chosen = rows.iter().filter(|row| !row.get::<_, bool>(place));
            chosen.map(|row| row.get(0)).collect::<Vec<String>>()
        };
        let (names, partial, by_partition) = (texts(&rows), unless(1), unless(2));
        let sql = "SELECT schemaname || '.' || tablename FROM pg_publication_tables WHERE pubname = $1";
        let tables = texts(&client.query(sql, &[name]).await.map_err(failed())?).into_iter().collect();
        Ok(Self { names, tables, partial, by_partition })
    }
}

/// The wanted tables, and everything that is wrong with one of them.
pub(super) async fn look(
    client: &Client,
    config: &SourceConfig,
    wanted: &Wanted,
    publications: &Publications,
) -> Result<Vec<Finding>, PostgresError> {
    let tables = Table::wanted(client, wanted).await?;
    let mut findings = vec![match tables.len() {
        0 => Finding::failed("tables", "no table matches `tables` and not `exclude`; correct the patterns"),
        count => Finding::good("tables", format!("{count} match")),
    }];
    let user: String = client
        .query_one("SELECT current_user::text", &[])
        .await
        .map_err(PostgresError::server("ask for the user"))?
        .get(0);
    let user = quoted(&user);
    findings.extend(unusable_schemas(&tables, &user));
    findings.extend(tables.iter().flat_map(|table| table.rights_found(&user)));
    findings.extend(tables.iter().filter_map(|table| table.identity_found(publications)));
    findings.extend(tables.iter().filter_map(Table::logging_found));
    findings.extend(values_apart_found(&tables));
    findings.extend(publication_found(client, config, &tables, publications, &user).await?);
    Ok(findings)
}

impl Table {
    async fn wanted(client: &Client, wanted: &Wanted) -> Result<Vec<Self>, PostgresError> {
        const SQL: &str = "SELECT n.nspname::text, c.relname::text, c.relkind = 'p', c.relpersistence = 'p', \
             c.relreplident, EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary), \
             has_schema_privilege(n.oid, 'USAGE'), has_table_privilege(c.oid, 'SELECT'), \
             row_security_active(c.oid), pg_has_role(c.relowner, 'USAGE'), \
             coalesce(pg_relation_size(nullif(c.reltoastrelid, 0)), 0) > 0 \
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND NOT c.relispartition \
             AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' ORDER BY 1, 2";
        let rows = client.query(SQL, &[]).await.map_err(PostgresError::server("list the tables"))?;
        Ok(rows.iter().map(Self::of).filter(|table| wanted.has(&table.name)).collect())
    }

    fn of(row: &Row) -> Self {
        let (schema, table): (String, String) = (row.get(0), row.get(1));
        Self {
            name: format!("{schema}.{table}"),
            place: format!("{}.{}", quoted(&schema), quoted(&table)),
            schema,
            is_partitioned: row.get(2),
            is_logged: row.get(3),
            identity: row.get::<_, i8>(4).cast_unsigned(),
            has_key: row.get(5),
            may_use_schema: row.get(6),
            may_select: row.get(7),
            hides_rows: row.get(8),
            is_own: row.get(9),
            has_values_apart: row.get(10),
        }
    }

    /// What keeps the user from copying it.
    fn rights_found(&self, user: &str) -> Vec<Finding> {
        let mut findings = Vec::new();
        if !self.may_select {
            let found = Finding::failed(format!("right to read {}", self.name), "the user may not SELECT it");
            findings.push(found.mended_by(format!("GRANT SELECT ON {} TO {user};", self.place)));
        }
        if self.hides_rows {
            let found = "a policy of row security would hide rows from the copy, which therefore fails";
            let found = Finding::failed(format!("row security of {}", self.name), found);
            findings.push(found.mended_by(format!("ALTER ROLE {user} BYPASSRLS;")));
        }
        findings
    }

    fn is_identified(&self) -> bool {
        matches!(self.identity, b'f' | b'i') || (self.identity == b'd' && self.has_key)
    }

    /// A table whose rows cannot be told apart: not to be published, and if it is, in the way of who writes to it.
    fn identity_found(&self, publications: &Publications) -> Option<Finding> {
        if self.is_identified() {
            return None;
        }
        let subject = format!("replica identity of {}", self.name);
        let finding = match publications.tables.contains(&self.name) {
            true => Finding::failed(
                subject,
                "the table is published and has neither a primary key nor another identity: the server refuses every \
                 UPDATE and DELETE of it",
            ),
            false => Finding::warning(
                subject,
                "the table has neither a primary key nor another identity; a publication that the source makes leaves it \
                 out",
            ),
        };
        Some(
            finding.mended_by(format!(
                "ALTER TABLE {} REPLICA IDENTITY FULL; -- or add a primary key",
                self.place
            )),
        )
    }

    fn logging_found(&self) -> Option<Finding> {
        let found = "the table is unlogged: its changes are in no log and cannot be followed";
        let mended = format!("ALTER TABLE {} SET LOGGED;", self.place);
        (!self.is_logged).then(|| Finding::warning(format!("log of {}", self.name), found).mended_by(mended))
    }
}

fn unusable_schemas(tables: &[Table], user: &str) -> Vec<Finding> {
    let closed: BTreeSet<_> =
        tables.iter().filter(|table| !table.may_use_schema).map(|table| &table.schema).collect();
    let found = |schema: &&String| {
        let found = Finding::failed(format!("right to use schema {schema}"), "the user does not have it");
        found.mended_by(format!("GRANT USAGE ON SCHEMA {} TO {user};", quoted(schema)))
    };
    closed.iter().map(found).collect()
}

/// Tables of which an update does not tell everything.
fn values_apart_found(tables: &[Table]) -> Option<Finding> {
    let apart: Vec<_> = tables.iter().filter(|t| t.has_values_apart && t.identity != b'f').collect();
    if apart.is_empty() {
        return None;
    }
    let names: Vec<_> = apart.iter().map(|table| table.name.clone()).collect();
    let found = format!(
        "{} have values that the server stores apart and does not send again when they did not change; `_unchanged` names \
         them, and sinks keep what they have",
        listed(&names)
    );
    let sql: Vec<_> =
        apart.iter().map(|table| format!("ALTER TABLE {} REPLICA IDENTITY FULL;", table.place)).collect();
    Some(
        Finding::warning("long values", found)
            .mended_by(format!("{} -- to have them sent always", sql.join(" "))),
    )
}

async fn publication_found(
    client: &Client,
    config: &SourceConfig,
    tables: &[Table],
    publications: &Publications,
    user: &str,
) -> Result<Vec<Finding>, PostgresError> {
    let publishable: Vec<_> = tables.iter().filter(|t| t.is_identified() && t.is_logged).collect();
    if publications.names.is_empty() {
        return Ok(vec![missing(client, config, &publishable, user).await?]);
    }
    let mut findings = Vec::new();
    let names = listed(&publications.names);
    let first = quoted(&publications.names[0]);
    let left_out: Vec<_> = publishable.iter().filter(|t| !publications.holds(t)).collect();
    findings.push(match left_out.is_empty() {
        true => Finding::good(format!("publication {names}"), "every table that matches is published"),
        false => {
            let names_out: Vec<_> = left_out.iter().map(|table| table.name.clone()).collect();
            let places: Vec<_> = left_out.iter().map(|table| &*table.place).collect();
            Finding::warning(
                format!("publication {names}"),
                format!("{} match and are not published, so they are not read", listed(&names_out)),
            )
            .mended_by(format!("ALTER PUBLICATION {first} ADD TABLE {};", places.join(", ")))
        }
    });
    for name in &publications.partial {
        let found =
            "it leaves out inserts, updates, deletes or truncates; copies will differ from their tables";
        let mended =
            format!("ALTER PUBLICATION {} SET (publish = 'insert, update, delete, truncate');", quoted(name));
        findings.push(Finding::warning(format!("changes in publication {name}"), found).mended_by(mended));
    }
    if tables.iter().any(|table| table.is_partitioned) {
        for name in &publications.by_partition {
            let found = "it tells changes of a partitioned table under the names of its partitions";
            let mended =
                format!("ALTER PUBLICATION {} SET (publish_via_partition_root = true);", quoted(name));
            findings
                .push(Finding::warning(format!("partitions in publication {name}"), found).mended_by(mended));
        }
    }
    Ok(findings)
}

impl Publications {
    fn holds(&self, table: &Table) -> bool {
        // Under the names of its partitions a divided table is published too.
        self.tables.contains(&table.name) || (table.is_partitioned && !self.by_partition.is_empty())
    }
}

async fn missing(
    client: &Client,
    config: &SourceConfig,
    tables: &[&Table],
    user: &str,
) -> Result<Finding, PostgresError> {
    let name = config.publication.as_deref().unwrap_or_default();
    let subject = format!("publication {name}");
    let places: Vec<_> = tables.iter().map(|table| &*table.place).collect();
    let sql = format!(
        "CREATE PUBLICATION {} FOR TABLE {} WITH (publish_via_partition_root = true);",
        quoted(name),
        places.join(", ")
    );
    let sql = |found: Finding| if places.is_empty() { found } else { found.mended_by(sql) };
    let row = client.query_one("SELECT has_database_privilege(current_database(), 'CREATE')", &[]).await;
    let may_create: bool = row.map_err(PostgresError::server("look at the user's rights"))?.get(0);
    let foreign: Vec<_> =
        tables.iter().filter(|table| !table.is_own).map(|table| table.name.clone()).collect();
    Ok(match (config.create, may_create, foreign.is_empty()) {
        (true, true, true) => {
            Finding::good(subject, "it is not there; the source makes it when it starts first")
        }
        (true, true, false) => sql(Finding::failed(
            subject,
            format!(
                "it is not there, and user {user} cannot make it, as it does not own {}",
                listed(&foreign)
            ),
        )),
        (true, false, _) => sql(Finding::failed(
            subject,
            format!("it is not there, and user {user} may not create one in this database"),
        )),
        (false, ..) => sql(Finding::failed(subject, "it is not there, and `create` is false")),
    })
}
