//! Reads a batch of changes, in the order of their ids, and gathers them table by table.

use std::collections::BTreeMap;
use std::fmt::Write;

use rusqlite::types::{ToSql, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row};
use towpath_adapter_api::Rows;
use towpath_record::dead_letter::DeadLetter;
use towpath_record::{Op, StreamName};

use crate::error::SqliteError;
use crate::source::config::SourceConfig;
use crate::source::install::{Begin, Installed, Names, Version};
use crate::source::position::{ChangePosition, Value};
use crate::source::records::{Found, Records};
use crate::source::table::{TableDef, Walk, collated, quoted_rowid};
use crate::source::triggers::Change;
use crate::table::quoted;

/// Columns of the statement before the values.
const HEAD: usize = 8;

/// What reading changes is done with.
pub(super) struct ChangeReader<'a> {
    pub(super) names: &'a Names,
    pub(super) config: &'a SourceConfig,
    pub(super) installed: &'a Installed,
    pub(super) position: &'a ChangePosition,
    /// How a table is named in dead letters.
    pub(super) resource: &'a dyn Fn(&TableDef) -> String,
    pub(super) stream: &'a dyn Fn(&TableDef) -> Result<StreamName, SqliteError>,
    pub(super) fault: &'a dyn Fn(&str, rusqlite::Error) -> SqliteError,
}

/// Changes that are emitted together.
pub(super) struct Group {
    /// What tells it from the other groups of its batch.
    pub(super) id: i64,
    pub(super) stream: StreamName,
    pub(super) rows: Rows,
}

/// A batch of changes.
pub(super) struct Batch {
    pub(super) groups: Vec<Group>,
    /// The last change in it; `None` if there are no changes.
    pub(super) end: Option<(i64, i64)>,
    /// Whether these are all the changes that the database has.
    pub(super) drained: bool,
}

/// What gathers under one table version.
struct Gathering {
    records: Records,
    letters: Vec<DeadLetter>,
}

impl ChangeReader<'_> {
    /// Reads the batch that follows the position, or the rest of the one that it is in.
    pub(super) fn read(&self, connection: &Connection) -> Result<Batch, SqliteError> {
        let failed = |e| (self.fault)("read changes", e);
        let copying = self.copying();
        let mut parameters: Vec<&dyn ToSql> = vec![&self.position.last_id];
        let in_batch = self.position.batch_end > self.position.last_id;
        let last = if in_batch { self.position.batch_end } else { i64::MAX };
        parameters.push(&last);
        parameters.extend(copying.iter().flat_map(|(_, key)| key.iter().map(|value| value as &dyn ToSql)));
        let mut statement =
            connection.prepare_cached(&self.statement(copying.map(|(it, _)| it))).map_err(failed)?;
        let mut rows = statement.query(&*parameters).map_err(failed)?;
        let mut gatherings = BTreeMap::<i64, Gathering>::new();
        let (mut end, mut count, mut bytes) = (None, 0, 0);
        let drained = loop {
            if !in_batch && (count >= self.config.batch.rows || bytes >= self.config.batch.bytes.0) {
                break false;
            }
            let Some(row) = rows.next().map_err(failed)? else { break !in_batch };
            let head = Head::of(row).map_err(failed)?;
            end = Some((head.id, head.mark));
            count += 1;
            bytes += self.gather(connection, &head, row, &mut gatherings)?;
        };
        let groups = self.groups(gatherings)?;
        Ok(Batch { groups, end, drained })
    }

    /// The version that is being copied, and the key up to which it is.
    fn copying(&self) -> Option<(&Version, &[Value])> {
        let copying = self.position.copying.as_ref().filter(|copying| !copying.key.is_empty())?;
        let version = self.installed.versions.get(&copying.table)?;
        (copying.key.len() == version.table.walk.width()).then_some((version, &copying.key))
    }

    /// The statement whose rows have [`HEAD`] columns, the values and what they were before.
    fn statement(&self, copying: Option<&Version>) -> String {
        let Installed { width, before, .. } = *self.installed;
        let mut sql = "SELECT id, tbl, op, at, mark, row, ".to_owned();
        match copying {
            None => sql.push('0'),
            Some(version) => {
                let (terms, parameters) =
                    (copied_terms(version), parameters_from(3, version.table.walk.width()));
                write!(sql, "CASE WHEN tbl = {} THEN ({terms}) <= ({parameters}) ELSE 0 END", version.id)
                    .expect("writing to a string does not fail");
            }
        }
        let values = (0..width).map(|i| format!("v{i}"));
        let befores = (0..if before { width } else { 0 }).map(|i| format!("o{i}"));
        let sizes = [bytes_of(values.clone()), bytes_of(befores.clone())].join(" + ");
        let columns: String = values.chain(befores).map(|name| format!(", {name}")).collect();
        format!("{sql}, {sizes}{columns} FROM {} WHERE id > ?1 AND id <= ?2 ORDER BY id", self.names.changes)
    }

    /// Takes a change in. Returns what it weighs.
    fn gather(
        &self,
        connection: &Connection,
        head: &Head,
        row: &Row<'_>,
        gatherings: &mut BTreeMap<i64, Gathering>,
    ) -> Result<u64, SqliteError> {
        let failed = |e| (self.fault)("read changes", e);
        let (Some(version), Some(change)) =
            (self.installed.versions.get(&head.version), Change::from_code(head.op))
        else {
            return Ok(0);
        };
        if !self.is_inside(version, head) {
            return Ok(0);
        }
        let op = match change {
            Change::Insert => Op::Create,
            Change::Update => Op::Update,
            Change::Delete => Op::Delete,
            Change::InTheWay if !self.was_removed(connection, version, head, row).map_err(failed)? => {
                return Ok(0);
            }
            Change::InTheWay => Op::Delete,
        };
        let found = Found {
            op,
            at_us: head.at_ms.saturating_mul(1_000),
            rowid: head.rowid,
            bytes: head.bytes,
            row,
            values: HEAD,
            before: version.table.before.then_some(HEAD + self.installed.width),
        };
        let gathering = match gatherings.entry(version.id) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => {
                let records = Records::new(version.table.clone());
                let records = records.map_err(|unfit| SqliteError::unfit(&self.config.path, unfit))?;
                entry.insert(Gathering { records, letters: Vec::new() })
            }
        };
        if let Err(misfit) = gathering.records.push(&found) {
            let resource = (self.resource)(&version.table);
            gathering.letters.push(found.letter(resource, &version.table, misfit));
        }
        Ok(found.weight())
    }

    /// Whether the sinks have, or will not otherwise get, the row that a change speaks of. What is not copied yet
    /// comes with its copy, as it is then.
    fn is_inside(&self, version: &Version, head: &Head) -> bool {
        version.id <= self.position.copied_through || version.begin == Begin::Again || head.is_copied
    }

    /// Whether a row that was in the way of another had to go. The next that is heard of it tells: only a row that
    /// is gone can be inserted, and only one that is there can be updated or deleted. If nothing more is heard of
    /// it, it is gone if it is not there.
    fn was_removed(
        &self,
        connection: &Connection,
        version: &Version,
        head: &Head,
        row: &Row<'_>,
    ) -> rusqlite::Result<bool> {
        let condition = match &version.table.walk {
            Walk::Rowid { .. } => "row = ?1".to_owned(),
            Walk::Key(_) => {
                let same = version.table.key.iter().enumerate();
                let same = same.map(|(n, i)| format!("v{i} IS ?{} COLLATE BINARY", n + 2));
                format!("?1 = ?1 AND {}", same.collect::<Vec<_>>().join(" AND "))
            }
        };
        let sql = format!(
            "SELECT op FROM {} WHERE id > {} AND tbl = {} AND {condition} ORDER BY id LIMIT 1",
            self.names.changes, head.id, version.id,
        );
        let parameters = match &version.table.walk {
            Walk::Rowid { .. } => vec![Value::of(ValueRef::Integer(head.rowid))],
            Walk::Key(_) => row_and_key(version, head, row),
        };
        let mut statement = connection.prepare(&sql)?;
        let next = statement.query_row(rusqlite::params_from_iter(parameters), |row| row.get::<_, i64>(0));
        match next.optional()? {
            Some(code) => Ok(code == Change::Insert as i64),
            None => Ok(!self.is_there(connection, version, head, row)),
        }
    }

    fn is_there(&self, connection: &Connection, version: &Version, head: &Head, row: &Row<'_>) -> bool {
        let table = &version.table;
        let mut conditions: Vec<String> = table
            .key
            .iter()
            .enumerate()
            .map(|(n, &i)| format!("{} IS ?{} COLLATE BINARY", quoted(&table.columns[i].name), n + 2))
            .collect();
        conditions.push(match &table.walk {
            Walk::Rowid { name, .. } => format!("{} = ?1", quoted_rowid(name)),
            Walk::Key(_) => "?1 = ?1".to_owned(),
        });
        let sql = format!("SELECT 1 FROM {} WHERE {}", quoted(&table.name), conditions.join(" AND "));
        // A table that has gone or changed its shape is copied again, and with it the row if it is there.
        connection
            .prepare_cached(&sql)
            .and_then(|mut it| it.exists(rusqlite::params_from_iter(row_and_key(version, head, row))))
            .unwrap_or(false)
    }

    /// The groups that the position does not count as emitted.
    fn groups(&self, gatherings: BTreeMap<i64, Gathering>) -> Result<Vec<Group>, SqliteError> {
        let mut groups = Vec::new();
        for (version, Gathering { records, letters }) in gatherings {
            let stream = (self.stream)(&self.installed.versions[&version].table)?;
            let letters = (!letters.is_empty()).then_some(Rows::DeadLetters(letters));
            let records = (!records.is_empty()).then(|| records.finish());
            let both = [(version * 2, letters), (version * 2 + 1, records)];
            for (id, rows) in both.into_iter().filter(|(id, _)| !self.position.done.contains(id)) {
                groups.extend(rows.map(|rows| Group { id, stream: stream.clone(), rows }));
            }
        }
        Ok(groups)
    }
}

/// The row id and the key of a row that a change speaks of.
fn row_and_key(version: &Version, head: &Head, row: &Row<'_>) -> Vec<Value> {
    let key = version.table.key.iter().map(|&i| Value::of(row.get_ref(HEAD + i).unwrap_or(ValueRef::Null)));
    std::iter::once(Value::of(ValueRef::Integer(head.rowid))).chain(key).collect()
}

/// What a change says beside its values.
struct Head {
    id: i64,
    version: i64,
    op: i64,
    at_ms: i64,
    mark: i64,
    rowid: i64,
    is_copied: bool,
    bytes: u64,
}

impl Head {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            version: row.get(1)?,
            op: row.get(2)?,
            at_ms: row.get::<_, Option<i64>>(3)?.unwrap_or_default(),
            mark: row.get(4)?,
            rowid: row.get::<_, Option<i64>>(5)?.unwrap_or_default(),
            is_copied: row.get::<_, Option<bool>>(6)?.unwrap_or_default(),
            bytes: u64::try_from(row.get::<_, i64>(7)?).unwrap_or_default(),
        })
    }
}

/// The terms of a version's walk, in the columns of the table of changes.
fn copied_terms(version: &Version) -> String {
    match &version.table.walk {
        Walk::Rowid { .. } => "row".to_owned(),
        Walk::Key(columns) => {
            let terms: Vec<_> = columns.iter().map(|it| collated(&format!("v{}", it.column), it)).collect();
            terms.join(", ")
        }
    }
}

/// `?3, ?4, …`
pub(super) fn parameters_from(first: usize, count: usize) -> String {
    (first..first + count).map(|i| format!("?{i}")).collect::<Vec<_>>().join(", ")
}

/// An expression for how many bytes the texts and blobs of these columns have, which reads none of them.
pub(super) fn bytes_of(columns: impl Iterator<Item = String>) -> String {
    let sizes: Vec<_> = columns.map(|column| format!("coalesce(octet_length({column}), 0)")).collect();
    if sizes.is_empty() { "0".to_owned() } else { format!("({})", sizes.join(" + ")) }
}
