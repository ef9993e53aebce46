//! A table's columns and key, as the server describes them and as the binlog does.

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};
use towpath_adapter_api::ErrorKind;
use towpath_record::limits::MAX_ROW_BYTES;

use super::charset::Charset;
use super::config::SourceConfig;
use super::kind::{Kind, words};
use super::map::{Field, Full, TableMap, code};
use super::table::{Parts, Table, TableColumn};
use super::time::MomentKind;
use crate::error::MysqlError;

/// A table as the server describes it.
pub(crate) struct Described {
    schema: String,
    table: String,
    pub(crate) columns: Vec<DescribedColumn>,
    /// The columns that tell rows apart.
    key: Vec<String>,
    pub(crate) transactional: bool,
}

/// A column as the server describes it.
pub(crate) struct DescribedColumn {
    name: String,
    /// The type's word, such as `varchar`.
    data_type: String,
    /// The whole type, such as `varchar(9)`.
    column_type: String,
    pub(crate) charset: Option<String>,
    collation: Option<String>,
    /// Most bytes of a value.
    octets: Option<u64>,
    precision: u8,
    scale: u8,
    /// Digits of a second's fraction.
    fraction: u8,
}

impl Described {
    /// Asks for the table that `named` finds; none if there is no such table.
    ///
    /// # Errors
    /// The server cannot be asked.
    pub(crate) async fn ask(
        connection: &mut Conn,
        schema: &str,
        table: &str,
        named: &str,
    ) -> Result<Option<Self>, MysqlError> {
        let asking = || MysqlError::server(format!("ask for the columns of {schema}.{table}"));
        let sql = format!(
            "SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, CHARACTER_SET_NAME, COLLATION_NAME, \
             CHARACTER_OCTET_LENGTH, NUMERIC_PRECISION, NUMERIC_SCALE, DATETIME_PRECISION \
             FROM information_schema.COLUMNS WHERE {named} ORDER BY ORDINAL_POSITION"
        );
        let rows: Vec<Row> = connection.query(sql).await.map_err(asking())?;
        let columns: Vec<_> = rows.iter().map(DescribedColumn::read).collect();
        if columns.is_empty() {
            return Ok(None);
        }
        // Of indexes that tell rows apart the primary one is the key, and else the first by name that is never null
        // and covers whole columns.
        let sql = format!(
            "SELECT INDEX_NAME, COLUMN_NAME, SUB_PART IS NOT NULL OR NULLABLE = 'YES' OR COLUMN_NAME IS NULL \
             FROM information_schema.STATISTICS WHERE {named} AND NON_UNIQUE = 0 \
             ORDER BY INDEX_NAME <> 'PRIMARY', INDEX_NAME, SEQ_IN_INDEX"
        );
        let parts: Vec<(String, Option<String>, bool)> = connection.query(sql).await.map_err(asking())?;
        let of =
            |index: &str| parts.iter().filter(move |(name, ..)| name == index).cloned().collect::<Vec<_>>();
        let usable =
            |index: &Vec<(String, Option<String>, bool)>| index.iter().all(|(_, _, unusable)| !unusable);
        let key = parts.iter().map(|(name, ..)| of(name)).find(usable).unwrap_or_default();
        let key = key.into_iter().filter_map(|(_, column, _)| column).collect();
        let sql = format!("SELECT ENGINE FROM information_schema.TABLES WHERE {named}");
        let engine: Option<Option<String>> = connection.query_first(sql).await.map_err(asking())?;
        let transactional = engine.flatten().is_some_and(|engine| engine == "InnoDB");
        let (schema, table) = (schema.to_owned(), table.to_owned());
        Ok(Some(Self { schema, table, columns, key, transactional }))
    }

    /// The table, with the character set of each column.
    ///
    /// # Errors
    /// A column has a type that cannot be read, or the table cannot be a stream.
    pub(crate) fn table(self, charsets: Vec<Charset>, config: &SourceConfig) -> Result<Table, MysqlError> {
        let columns = self.columns.iter().zip(charsets).map(|(column, charset)| {
            let kind = column.kind(charset).ok_or_else(|| {
                let message = format!(
                    "table {}.{} has the column `{}` of type {}, which cannot be read; exclude the table",
                    self.schema, self.table, column.name, column.column_type
                );
                MysqlError::unready(ErrorKind::Config, message)
            })?;
            let large = column.octets.is_some_and(|octets| octets > MAX_ROW_BYTES as u64 / 4)
                || matches!(kind, Kind::Geometry | Kind::Json);
            Ok(TableColumn { name: column.name.clone(), kind, collation: column.collation.clone(), large })
        });
        let columns = columns.collect::<Result<Vec<_>, MysqlError>>()?;
        let place = |name: &String| columns.iter().position(|column| &column.name == name);
        let key = self.key.iter().map(place).collect::<Option<_>>().unwrap_or_default();
        let Self { schema, table, transactional, .. } = self;
        Table::new(Parts { schema, table, columns, key, transactional }, config)
    }

    /// Whether rows that are described so in the binlog are rows of the table as it is now.
    pub(crate) fn fits(&self, map: &TableMap) -> bool {
        let names = map.full.as_ref().map(|full| &full.names);
        self.columns.len() == map.fields.len()
            && self.columns.iter().zip(&*map.fields).all(|(column, field)| column.fits(*field))
            && names.is_none_or(|names| self.columns.iter().map(|column| &column.name).eq(names))
            && map.full.as_ref().is_none_or(|full| self.has_words_of(full))
    }

    fn has_words_of(&self, full: &Full) -> bool {
        self.columns.iter().zip(&full.words).zip(&full.unsigned).all(|((column, logged), unsigned)| {
            let counted = logged.is_empty() || words(&column.column_type).len() == logged.len();
            // Types that are not numbers are never logged as unsigned.
            counted && (!unsigned || column.is_unsigned())
        })
    }
}

impl DescribedColumn {
    fn read(row: &Row) -> Self {
        let text = |column: usize| row.get_opt::<String, _>(column).and_then(Result::ok);
        let number = |column: usize| row.get_opt::<u64, _>(column).and_then(Result::ok);
        let small = |column: usize| number(column).and_then(|number| u8::try_from(number).ok()).unwrap_or(0);
        Self {
            name: text(0).unwrap_or_default(),
            data_type: text(1).unwrap_or_default().to_lowercase(),
            column_type: text(2).unwrap_or_default(),
            charset: text(3),
            collation: text(4),
            octets: number(5),
            precision: small(6),
            scale: small(7),
            fraction: small(8),
        }
    }

    fn is_unsigned(&self) -> bool {
        // `zerofill` implies it, and the server says both.
        self.column_type.contains("unsigned")
    }

    fn kind(&self, charset: Charset) -> Option<Kind> {
        let int = |bytes| Kind::Int { bytes, unsigned: self.is_unsigned() };
        Some(match &*self.data_type {
            "tinyint" => int(1),
            "smallint" => int(2),
            "mediumint" => int(3),
            "int" => int(4),
            "bigint" => int(8),
            "float" => Kind::Float32,
            "double" => Kind::Float64,
            "decimal" => Kind::Decimal { precision: self.precision, scale: self.scale },
            "bit" => Kind::Bits(self.precision),
            "year" => Kind::Year,
            "date" => Kind::Moment(MomentKind::Date),
            "datetime" => Kind::Moment(MomentKind::DateTime(self.fraction)),
            "timestamp" => Kind::Instant(self.fraction),
            "time" => Kind::Time,
            "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" => Kind::Text(charset),
            "binary" => Kind::Binary { fixed: self.octets.and_then(|octets| usize::try_from(octets).ok()) },
            "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => Kind::Binary { fixed: None },
            "enum" => Kind::Enum(words(&self.column_type).into()),
            "set" => Kind::Set(words(&self.column_type).into()),
            "json" => Kind::Json,
            "uuid" => Kind::Uuid,
            "inet4" => Kind::Inet4,
            "inet6" => Kind::Inet6,
            "geometry" | "point" | "linestring" | "polygon" | "multipoint" | "multilinestring"
            | "multipolygon" | "geometrycollection" | "geomcollection" => Kind::Geometry,
            _ => return None,
        })
    }

    /// Whether values of this column are stored so.
    fn fits(&self, field: Field) -> bool {
        let octets = self.octets.unwrap_or(0);
        let fraction = u16::from(self.fraction);
        let old_times = self.fraction == 0;
        match &*self.data_type {
            "tinyint" => field.code == code::TINY,
            "smallint" => field.code == code::SHORT,
            "mediumint" => field.code == code::INT24,
            "int" => field.code == code::LONG,
            "bigint" => field.code == code::LONGLONG,
            "float" => field.code == code::FLOAT,
            "double" => field.code == code::DOUBLE,
            "decimal" => {
                field
                    == Field {
                        code: code::NEWDECIMAL,
                        meta: u16::from(self.precision) << 8 | u16::from(self.scale),
                    }
            }
            "bit" => {
                let (bytes, bits) = (u16::from(self.precision / 8), u16::from(self.precision % 8));
                field == Field { code: code::BIT, meta: bytes << 8 | bits }
            }
            "year" => field.code == code::YEAR,
            "date" => matches!(field.code, code::DATE | code::NEWDATE),
            "datetime" => {
                field == Field { code: code::DATETIME2, meta: fraction }
                    || (old_times && field.code == code::DATETIME)
            }
            "timestamp" => {
                field == Field { code: code::TIMESTAMP2, meta: fraction }
                    || (old_times && field.code == code::TIMESTAMP)
            }
            "time" => {
                field == Field { code: code::TIME2, meta: fraction }
                    || (old_times && field.code == code::TIME)
            }
            "char" | "binary" => field.code == code::STRING && u64::from(field.meta) == octets,
            "varchar" | "varbinary" => field.code == code::VARCHAR && u64::from(field.meta) == octets,
            "tinytext" | "tinyblob" => field == Field { code: code::BLOB, meta: 1 },
            "text" | "blob" => field == Field { code: code::BLOB, meta: 2 },
            "mediumtext" | "mediumblob" => field == Field { code: code::BLOB, meta: 3 },
            "longtext" | "longblob" => field == Field { code: code::BLOB, meta: 4 },
            "enum" => field.code == code::ENUM,
            "set" => field.code == code::SET,
            "json" => field.code == code::JSON,
            "uuid" | "inet6" => field == Field { code: code::STRING, meta: 16 },
            "inet4" => field == Field { code: code::STRING, meta: 4 },
            _ => field.code == code::GEOMETRY,
        }
    }
}

/// A table as the binlog describes it. Types of MariaDB's that it has as bytes are bytes.
///
/// # Errors
/// A column has a type that cannot be read, or the table cannot be a stream.
pub(crate) fn of_map(
    map: &TableMap,
    full: &Full,
    charsets: Vec<Option<Charset>>,
    transactional: bool,
    config: &SourceConfig,
) -> Result<Table, MysqlError> {
    let mut columns = Vec::with_capacity(map.fields.len());
    for (index, (field, charset)) in map.fields.iter().zip(charsets).enumerate() {
        let kind = kind_of(*field, full.unsigned[index], charset, &full.words[index]);
        let kind = kind.ok_or_else(|| {
            let message = format!("table {} has a column of an unknown type; exclude the table", map.name());
            MysqlError::unready(ErrorKind::Config, message)
        })?;
        let large = field.code == code::BLOB && field.meta > 2 || matches!(kind, Kind::Geometry | Kind::Json);
        columns.push(TableColumn { name: full.names[index].clone(), kind, collation: None, large });
    }
    let (schema, table) = (map.schema.clone(), map.table.clone());
    let key = full.key.iter().copied().filter(|column| *column < columns.len()).collect();
    Table::new(Parts { schema, table, columns, key, transactional }, config)
}

fn kind_of(field: Field, unsigned: bool, charset: Option<Charset>, words: &[Vec<u8>]) -> Option<Kind> {
    let int = |bytes| Kind::Int { bytes, unsigned };
    let fraction = field.meta as u8;
    let words = || -> Option<std::sync::Arc<[String]>> {
        let charset = charset.clone().unwrap_or(Charset::Utf8);
        let word = |bytes: &Vec<u8>| match charset.read(bytes) {
            Ok(super::cell::Cell::Text(text)) => Some(text),
            _ => None,
        };
        words.iter().map(word).collect()
    };
    Some(match field.code {
        code::TINY => int(1),
        code::SHORT => int(2),
        code::INT24 => int(3),
        code::LONG => int(4),
        code::LONGLONG => int(8),
        code::FLOAT => Kind::Float32,
        code::DOUBLE => Kind::Float64,
        code::NEWDECIMAL => Kind::Decimal { precision: (field.meta >> 8) as u8, scale: field.meta as u8 },
        code::BIT => Kind::Bits((field.meta >> 8) as u8 * 8 + field.meta as u8),
        code::YEAR => Kind::Year,
        code::DATE | code::NEWDATE => Kind::Moment(MomentKind::Date),
        code::DATETIME | code::DATETIME2 => Kind::Moment(MomentKind::DateTime(fraction)),
        code::TIMESTAMP | code::TIMESTAMP2 => Kind::Instant(fraction),
        code::TIME | code::TIME2 => Kind::Time,
        code::ENUM => Kind::Enum(words()?),
        code::SET => Kind::Set(words()?),
        code::JSON => Kind::Json,
        code::GEOMETRY => Kind::Geometry,
        code::STRING | code::VARCHAR | code::VAR_STRING | 249..=code::BLOB => match charset {
            Some(charset) => Kind::Text(charset),
            None => Kind::Binary { fixed: (field.code == code::STRING).then_some(usize::from(field.meta)) },
        },
        _ => return None,
    })
}
