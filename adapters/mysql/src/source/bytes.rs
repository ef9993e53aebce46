//! Taking the numbers and texts of the binlog off a slice, one after another.

/// What is left to read.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    /// So many bytes; none if there are fewer.
    pub(crate) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// One byte.
    pub(crate) fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|byte| byte[0])
    }

    /// A number of so many bytes, at most eight, the lowest first.
    pub(crate) fn int(&mut self, bytes: usize) -> Option<u64> {
        Some(low_first(self.take(bytes)?))
    }

    /// A number in the server's packed form: one byte, or a byte that tells how many follow.
    pub(crate) fn length(&mut self) -> Option<usize> {
        let number = match self.byte()? {
            0xfc => self.int(2)?,
            0xfd => self.int(3)?,
            0xfe => self.int(8)?,
            0xfb | 0xff => return None,
            small => u64::from(small),
        };
        usize::try_from(number).ok()
    }
}

/// A number whose lowest byte is the first; at most eight are read.
pub(crate) fn low_first(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// A number whose highest byte is the first; the last eight count.
pub(crate) fn high_first(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_in_both_orders_and_packed() {
        assert_eq!((low_first(&[1, 2]), high_first(&[1, 2])), (0x0201, 0x0102));
        let mut reader = Reader(&[250, 0xfc, 1, 2, 0xfd, 1, 0, 0, 7]);
        assert_eq!((reader.length(), reader.length(), reader.length()), (Some(250), Some(0x0201), Some(1)));
        assert_eq!((reader.int(2), reader.byte(), reader.byte()), (None, Some(7), None));
    }
}
