//! Text of every character set as UTF-8.
//!
//! The copy has its text converted by the server. The binlog holds it as it is stored. Unicode is read here; for
//! character sets of one byte the server is asked once for its table of all 256; for the others it is asked for
//! each text. So both ways give the same, whatever the server's idea of a character set is.

use std::fmt;
use std::sync::Arc;

use super::cell::Cell;

/// How text is stored.
#[derive(Clone)]
pub(crate) enum Charset {
    Utf8,
    /// Two bytes or a surrogate pair, the high byte first.
    Utf16,
    Utf16le,
    Utf32,
    /// One byte, with the server's own table.
    Single(Arc<str>, Arc<[char; 256]>),
    /// One that only the server can read.
    Foreign(Arc<str>),
}

impl Charset {
    /// One that needs no table; none if the server must be asked.
    pub(crate) fn unicode(name: &str) -> Option<Self> {
        Some(match name {
            "utf8" | "utf8mb3" | "utf8mb4" => Self::Utf8,
            "ucs2" | "utf16" => Self::Utf16,
            "utf16le" => Self::Utf16le,
            "utf32" => Self::Utf32,
            _ => return None,
        })
    }

    /// The text of stored bytes.
    ///
    /// # Errors
    /// The bytes are not of this character set.
    pub(crate) fn read(&self, bytes: &[u8]) -> Result<Cell, String> {
        let text = match self {
            Self::Utf8 => str::from_utf8(bytes).ok().map(str::to_owned),
            Self::Utf16 => utf16(bytes, u16::from_be_bytes),
            Self::Utf16le => utf16(bytes, u16::from_le_bytes),
            Self::Utf32 => {
                let (units, rest) = bytes.as_chunks::<4>();
                let chars = units.iter().map(|unit| char::from_u32(u32::from_be_bytes(*unit)));
                if rest.is_empty() { chars.collect() } else { None }
            }
            Self::Single(_, table) => Some(bytes.iter().map(|byte| table[usize::from(*byte)]).collect()),
            Self::Foreign(name) if !bytes.is_ascii() => {
                return Ok(Cell::Foreign(name.clone(), bytes.to_vec()));
            }
            Self::Foreign(_) => str::from_utf8(bytes).ok().map(str::to_owned),
        };
        text.map(Cell::Text).ok_or_else(|| format!("the text is not valid {self:?}"))
    }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Option<String> {
    let (units, rest) = bytes.as_chunks::<2>();
    let text = char::decode_utf16(units.iter().map(|bytes| unit(*bytes))).collect::<Result<_, _>>();
    text.ok().filter(|_| rest.is_empty())
}

/// The query for the server's table of a character set of one byte.
pub(crate) fn table_query(name: &str) -> String {
    let one = |byte: u32| format!("HEX(CONVERT(_{name} X'{byte:02X}' USING utf32))");
    format!("SELECT CONCAT_WS(',', {})", (0..256).map(one).collect::<Vec<_>>().join(", "))
}

/// Reads the answer to that query.
pub(crate) fn read_table(answer: &str) -> Option<[char; 256]> {
    let mut table = ['?'; 256];
    let mut read = answer.split(',');
    for place in &mut table {
        *place = char::from_u32(u32::from_str_radix(read.next()?, 16).ok()?)?;
    }
    read.next().is_none().then_some(table)
}

impl PartialEq for Charset {
    fn eq(&self, other: &Self) -> bool {
        format!("{self:?}") == format!("{other:?}")
    }
}

impl fmt::Debug for Charset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Utf8 => "utf8",
            Self::Utf16 => "utf16",
            Self::Utf16le => "utf16le",
            Self::Utf32 => "utf32",
            Self::Single(name, _) | Self::Foreign(name) => name,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(charset: &str, bytes: &[u8]) -> Option<String> {
        match Charset::unicode(charset).unwrap().read(bytes) {
            Ok(Cell::Text(text)) => Some(text),
            _ => None,
        }
    }

    #[test]
    fn unicode_is_read_in_all_its_forms() {
        assert_eq!(text("utf8mb4", "ä🚣".as_bytes()).as_deref(), Some("ä🚣"));
        assert_eq!(text("utf16", &[0, 0xe4, 0xd8, 0x3d, 0xde, 0xa3]).as_deref(), Some("ä🚣"));
        assert_eq!(text("utf16le", &[0xe4, 0]).as_deref(), Some("ä"));
        assert_eq!(text("utf32", &[0, 1, 0xf6, 0xa3]).as_deref(), Some("🚣"));
        assert_eq!(
            (text("utf8", &[0xff]), text("ucs2", &[0]), text("utf16", &[0xd8, 0])),
            (None, None, None)
        );
    }

    #[test]
    fn a_character_set_of_one_byte_is_read_by_the_servers_table() {
        let answer: Vec<_> =
            (0..256).map(|byte| format!("{:08X}", if byte == 0x80 { 0x20ac } else { byte })).collect();
        let table = read_table(&answer.join(",")).unwrap();
        let charset = Charset::Single("latin1".into(), Arc::new(table));
        assert_eq!(charset.read(&[b'a', 0x80, 0xe4]), Ok(Cell::Text("a€ä".to_owned())));
        assert_eq!(read_table("00000041"), None);
    }

    #[test]
    fn what_only_the_server_can_read_is_left_to_it() {
        let charset = Charset::Foreign("sjis".into());
        assert_eq!(charset.read(b"abc"), Ok(Cell::Text("abc".to_owned())));
        assert_eq!(charset.read(&[0x82, 0xa0]), Ok(Cell::Foreign("sjis".into(), vec![0x82, 0xa0])));
    }
}
