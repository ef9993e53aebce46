//! The event that describes a table before its rows.
//!
//! Layout: six bytes of id, two of flags, the names of database and table, each with its length before and a zero
//! behind it, the number of columns, a type for each, the types' metadata, and which columns may be null. With
//! `binlog_row_metadata = FULL` there follow fields of a type, a length and a value, of which those are read that
//! tell names, signs, character sets and words.

use std::sync::Arc;

use super::bytes::Reader;
use crate::client::Flavor;
use crate::error::MysqlError;

/// The types of columns in the binlog, as far as more than one place needs them.
pub(crate) mod code {
    pub(crate) const TINY: u8 = 1;
    pub(crate) const SHORT: u8 = 2;
    pub(crate) const LONG: u8 = 3;
    pub(crate) const FLOAT: u8 = 4;
    pub(crate) const DOUBLE: u8 = 5;
    pub(crate) const TIMESTAMP: u8 = 7;
    pub(crate) const LONGLONG: u8 = 8;
    pub(crate) const INT24: u8 = 9;
    pub(crate) const DATE: u8 = 10;
    pub(crate) const TIME: u8 = 11;
    pub(crate) const DATETIME: u8 = 12;
    pub(crate) const YEAR: u8 = 13;
    pub(crate) const NEWDATE: u8 = 14;
    pub(crate) const VARCHAR: u8 = 15;
    pub(crate) const BIT: u8 = 16;
    pub(crate) const TIMESTAMP2: u8 = 17;
    pub(crate) const DATETIME2: u8 = 18;
    pub(crate) const TIME2: u8 = 19;
    pub(crate) const JSON: u8 = 245;
    pub(crate) const NEWDECIMAL: u8 = 246;
    pub(crate) const ENUM: u8 = 247;
    pub(crate) const SET: u8 = 248;
    pub(crate) const BLOB: u8 = 252;
    pub(crate) const VAR_STRING: u8 = 253;
    pub(crate) const STRING: u8 = 254;
    pub(crate) const GEOMETRY: u8 = 255;
}

/// A table's description.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct TableMap {
    pub(crate) id: u64,
    pub(crate) schema: String,
    pub(crate) table: String,
    pub(crate) fields: Arc<[Field]>,
    /// Names and more, where the server logs them.
    pub(crate) full: Option<Full>,
}

/// How a column's values are stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Field {
    /// The type, with enumerations and sets told apart from strings.
    pub(crate) code: u8,
    /// What the type needs to know: a length, or precision and scale.
    pub(crate) meta: u16,
}

/// What the server logs with full metadata, one for each column.
#[derive(Clone, Default, PartialEq, Debug)]
pub(crate) struct Full {
    pub(crate) names: Vec<String>,
    pub(crate) unsigned: Vec<bool>,
    /// The number of the collation, where the column has one.
    pub(crate) collations: Vec<Option<u16>>,
    /// The words of enumerations and sets.
    pub(crate) words: Vec<Vec<Vec<u8>>>,
    /// Which columns are the primary key, as wholes.
    pub(crate) key: Vec<usize>,
}

impl TableMap {
    /// Reads the event's body.
    ///
    /// # Errors
    /// It is damaged.
    pub(crate) fn read(body: &[u8], flavor: Flavor) -> Result<Self, MysqlError> {
        Self::parse(body, flavor).ok_or(MysqlError::Damaged("a table's description cannot be read"))
    }

    /// The name by which tables are told apart.
    pub(crate) fn name(&self) -> String {
        format!("{}.{}", self.schema, self.table)
    }

    fn parse(body: &[u8], flavor: Flavor) -> Option<Self> {
        let mut body = Reader(body);
        let id = body.int(6)?;
        body.take(2)?;
        let mut name = || {
            let length = usize::from(body.byte()?);
            let name = str::from_utf8(body.take(length)?).ok()?.to_owned();
            body.take(1)?;
            Some(name)
        };
        let (schema, table) = (name()?, name()?);
        let count = body.length()?;
        let codes = body.take(count)?;
        let length = body.length()?;
        let mut metas = Reader(body.take(length)?);
        let fields =
            codes.iter().map(|code| Field::parse(*code, &mut metas)).collect::<Option<Arc<[_]>>>()?;
        body.take(count.div_ceil(8))?;
        let full = if body.0.is_empty() { None } else { Full::parse(&fields, body, flavor)? };
        Some(Self { id, schema, table, fields, full })
    }
}

impl Field {
    fn parse(code: u8, metas: &mut Reader<'_>) -> Option<Self> {
        let low_first = |metas: &mut Reader<'_>| metas.int(2).map(|meta| meta as u16);
        let high_first =
            |metas: &mut Reader<'_>| Some(u16::from(metas.byte()?) << 8 | u16::from(metas.byte()?));
        let meta = match code {
            code::BLOB
            | 249..=251
            | code::DOUBLE
            | code::FLOAT
            | code::GEOMETRY
            | code::JSON
            | code::TIME2
            | code::DATETIME2
            | code::TIMESTAMP2 => u16::from(metas.byte()?),
            code::VARCHAR | code::VAR_STRING | code::BIT => low_first(metas)?,
            code::NEWDECIMAL | code::ENUM | code::SET => high_first(metas)?,
            code::STRING => {
                let (kind, length) = (metas.byte()?, metas.byte()?);
                // Lengths beyond a byte hide two more bits, inverted, in the type.
                if kind & 0x30 != 0x30 {
                    let length = u16::from(length) | u16::from((kind & 0x30) ^ 0x30) << 4;
                    return Some(Self { code: kind | 0x30, meta: length });
                }
                return Some(Self { code: kind, meta: u16::from(length) });
            }
            code::TINY..=code::DOUBLE | code::TIMESTAMP..=code::NEWDATE => 0,
            _ => return None,
        };
        Some(Self { code, meta })
    }

    fn is_numeric(self) -> bool {
        matches!(
            self.code,
            code::TINY
                | code::SHORT
                | code::INT24
                | code::LONG
                | code::LONGLONG
                | code::FLOAT
                | code::DOUBLE
                | code::NEWDECIMAL
                | code::YEAR
        )
    }

    fn has_words(self) -> bool {
        matches!(self.code, code::ENUM | code::SET)
    }

    fn is_text(self) -> bool {
        matches!(self.code, code::STRING | code::VAR_STRING | code::VARCHAR | 249..=code::BLOB)
    }
}

impl Full {
    /// Reads the fields behind the table's description; `Some(None)` where names are not among them.
    fn parse(fields: &[Field], mut body: Reader<'_>, flavor: Flavor) -> Option<Option<Self>> {
        let mut full = Self {
            unsigned: vec![false; fields.len()],
            collations: vec![None; fields.len()],
            words: vec![Vec::new(); fields.len()],
            ..Self::default()
        };
        let which =
            |is: fn(Field) -> bool| -> Vec<usize> { (0..fields.len()).filter(|i| is(fields[*i])).collect() };
        let is_text: fn(Field) -> bool = match flavor {
            Flavor::MySql => Field::is_text,
            // MariaDB counts geometries among what has a character set.
            Flavor::MariaDb => |field| field.is_text() || field.code == code::GEOMETRY,
        };
        while let Some(kind) = body.byte() {
            let length = body.length()?;
            let mut value = Reader(body.take(length)?);
            match kind {
                1 => {
                    for (bit, column) in which(Field::is_numeric).into_iter().enumerate() {
                        full.unsigned[column] = value.0.get(bit / 8)? & (0x80 >> (bit % 8)) != 0;
                    }
                }
                2 | 3 => full.read_collations(&which(is_text), kind == 2, value)?,
                4 => {
                    while !value.0.is_empty() {
                        let length = value.length()?;
                        full.names.push(str::from_utf8(value.take(length)?).ok()?.to_owned());
                    }
                }
                5 => full.read_words(&which(|field| field.code == code::SET), value)?,
                6 => full.read_words(&which(|field| field.code == code::ENUM), value)?,
                8 => {
                    while !value.0.is_empty() {
                        full.key.push(value.length()?);
                    }
                }
                10 | 11 => full.read_collations(&which(Field::has_words), kind == 10, value)?,
                _ => {}
            }
        }
        Some((full.names.len() == fields.len()).then_some(full))
    }

    /// A collation for each of some columns: one for most and the exceptions, or all in turn.
    fn read_collations(&mut self, columns: &[usize], by_default: bool, mut value: Reader<'_>) -> Option<()> {
        if by_default {
            let most = value.length()? as u16;
            columns.iter().for_each(|column| self.collations[*column] = Some(most));
            while !value.0.is_empty() {
                let (at, collation) = (value.length()?, value.length()?);
                self.collations[*columns.get(at)?] = Some(collation as u16);
            }
        } else {
            for column in columns {
                self.collations[*column] = Some(value.length()? as u16);
            }
        }
        Some(())
    }

    fn read_words(&mut self, columns: &[usize], mut value: Reader<'_>) -> Option<()> {
        for column in columns {
            for _ in 0..value.length()? {
                let length = value.length()?;
                self.words[*column].push(value.take(length)?.to_vec());
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As MariaDB 10.11 logs `v (id int primary key, a int, b int, c int, u uuid, i6 inet6, bn binary(5), g geometry,
    /// j json, e enum('x','y''z'), inv int)` with full metadata.
    const LOGGED: &[u8] = &[
        0x12, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x01, 0x64, 0x00, 0x01, 0x76, 0x00, 0x0b, 0x03, 0x03,
        0x03, 0x03, 0xfe, 0xfe, 0xfe, 0xff, 0xfc, 0xfe, 0x03, 0x0a, 0xfe, 0x10, 0xfe, 0x10, 0xfe, 0x05, 0x04,
        0x04, 0xf7, 0x01, 0xfe, 0x07, 0x01, 0x01, 0x00, 0x02, 0x03, 0x3f, 0x04, 0x2e, 0x07, 0x01, 0x00, 0x04,
        0x1b, 0x02, 0x69, 0x64, 0x01, 0x61, 0x01, 0x62, 0x01, 0x63, 0x01, 0x75, 0x02, 0x69, 0x36, 0x02, 0x62,
        0x6e, 0x01, 0x67, 0x01, 0x6a, 0x01, 0x65, 0x03, 0x69, 0x6e, 0x76, 0x0a, 0x01, 0x08, 0x06, 0x07, 0x02,
        0x01, 0x78, 0x03, 0x79, 0x27, 0x7a, 0x08, 0x01, 0x00,
    ];

    #[test]
    fn a_description_with_full_metadata_is_read_as_it_was_logged() {
        let map = TableMap::read(LOGGED, Flavor::MariaDb).unwrap();
        assert_eq!((map.id, map.name().as_str()), (18, "d.v"));
        let full = map.full.unwrap();
        assert_eq!(full.names, ["id", "a", "b", "c", "u", "i6", "bn", "g", "j", "e", "inv"]);
        assert_eq!(
            (full.collations[8], full.collations[6], full.collations[9]),
            (Some(46), Some(63), Some(8))
        );
        assert_eq!(full.words[9], [b"x".to_vec(), b"y'z".to_vec()]);
        assert_eq!(full.key, [0]);
        assert_eq!(map.fields[9], Field { code: code::ENUM, meta: 1 });
        assert_eq!(map.fields[4], Field { code: code::STRING, meta: 16 });
    }

    #[test]
    fn a_description_that_was_cut_is_refused() {
        // What stands behind the plain description may be missing.
        for length in 0..39 {
            assert!(TableMap::read(&LOGGED[..length], Flavor::MariaDb).is_err(), "{length}");
        }
    }
}
