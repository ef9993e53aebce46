//! A place in the server's log, written as PostgreSQL writes it.

use std::fmt;

/// A place in the server's log, in bytes since its beginning.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Lsn(pub(crate) u64);

impl Lsn {
    /// Reads the form `16/B374D848`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (high, low) = text.split_once('/')?;
        let (high, low) = (u32::from_str_radix(high, 16).ok()?, u32::from_str_radix(low, 16).ok()?);
        Some(Self((u64::from(high) << 32) | u64::from(low)))
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xffff_ffff)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_written_as_postgres_writes_it() {
        let lsn = Lsn::parse("16/B374D848").unwrap();
        assert_eq!((lsn.0, lsn.to_string()), (0x16_b374_d848, "16/B374D848".to_owned()));
        assert!(Lsn::parse("16").is_none());
    }
}
