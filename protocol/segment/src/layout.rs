//! The bytes of a segment: its name, its header, and the header of each record. The crate page draws them.

use std::path::{Path, PathBuf};

/// The newest format this release writes, and the newest it reads.
pub const VERSION: u32 = 1;

/// Size of a segment's header, in bytes.
pub const SEGMENT_HEADER_BYTES: u64 = 32;

/// Size of a record's header, in bytes.
pub const RECORD_HEADER_BYTES: u64 = 20;

/// Largest record that the format holds, in bytes. A length beyond it is damage.
pub const MAX_RECORD_BYTES: usize = 64 << 20;

const MAGIC: [u8; 8] = *b"TOWPSEG\n";

/// What a segment says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// Index of the first record that may stand in it.
    pub(crate) first: u64,
    /// When it was created, in microseconds since 1970-01-01 UTC.
    pub(crate) created_us: u64,
}

/// Why a segment's header could not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeaderFault {
    Damaged,
    Version(u32),
}

impl SegmentHeader {
    pub(crate) fn encode(self) -> [u8; SEGMENT_HEADER_BYTES as usize] {
        let mut bytes = [0; SEGMENT_HEADER_BYTES as usize];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.first.to_le_bytes());
        bytes[24..].copy_from_slice(&self.created_us.to_le_bytes());
        let crc = header_crc(&bytes);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, HeaderFault> {
        let bytes: &[u8; SEGMENT_HEADER_BYTES as usize] =
            bytes.try_into().map_err(|_| HeaderFault::Damaged)?;
        if bytes[..8] != MAGIC || u32_at(bytes, 12) != header_crc(bytes) {
            return Err(HeaderFault::Damaged);
        }
        match u32_at(bytes, 8) {
            VERSION => Ok(Self { first: u64_at(bytes, 16), created_us: u64_at(bytes, 24) }),
            other => Err(HeaderFault::Version(other)),
        }
    }
}

fn header_crc(bytes: &[u8; SEGMENT_HEADER_BYTES as usize]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&bytes[..12]), &bytes[16..])
}

/// What stands before each record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordHeader {
    /// Size of the payload.
    pub(crate) len: u32,
    /// CRC32C of the other fields and the payload.
    pub(crate) crc: u32,
    /// The record's number in the log.
    pub(crate) index: u64,
    /// How many records before this one were not yet known to be durable when it was written.
    pub(crate) unproven: u32,
}

impl RecordHeader {
    /// The header of a record with this payload.
    pub(crate) fn of<R: AsRef<[u8]>>(index: u64, unproven: u32, len: u32, parts: &[R]) -> Self {
        let header = Self { len, crc: 0, index, unproven };
        let crc = parts.iter().fold(header.seed(), |crc, part| crc32c::crc32c_append(crc, part.as_ref()));
        Self { crc, ..header }
    }

    /// The checksum of the header's own fields, to which that of the payload is appended.
    pub(crate) fn seed(&self) -> u32 {
        let mut fields = [0; 16];
        fields[..4].copy_from_slice(&self.len.to_le_bytes());
        fields[4..12].copy_from_slice(&self.index.to_le_bytes());
        fields[12..].copy_from_slice(&self.unproven.to_le_bytes());
        crc32c::crc32c(&fields)
    }

    pub(crate) fn encode(self) -> [u8; RECORD_HEADER_BYTES as usize] {
        let mut bytes = [0; RECORD_HEADER_BYTES as usize];
        bytes[..4].copy_from_slice(&self.len.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.crc.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.index.to_le_bytes());
        bytes[16..].copy_from_slice(&self.unproven.to_le_bytes());
        bytes
    }

    /// Takes the first bytes as a header. Whether they are one, only the checksum tells.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..RECORD_HEADER_BYTES as usize)?;
        Some(Self {
            len: u32_at(bytes, 0),
            crc: u32_at(bytes, 4),
            index: u64_at(bytes, 8),
            unproven: u32_at(bytes, 16),
        })
    }

    /// Size of header and payload.
    pub(crate) fn size(&self) -> u64 {
        RECORD_HEADER_BYTES + u64::from(self.len)
    }

    /// Every index below this one was durable when the record was written.
    pub(crate) fn proves(&self) -> u64 {
        self.index.saturating_sub(u64::from(self.unproven))
    }
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("a slice of four bytes is an array of four bytes"))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(
        bytes[at..at + 8].try_into().expect("a slice of eight bytes is an array of eight bytes"),
    )
}

/// The files that may belong to a segment. They share its first index and differ in their ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileKind {
    /// The segment.
    Segment,
    /// Its sparse index, once it is sealed.
    Sidecar,
    /// The intact records of a damaged segment, being copied.
    Salvage,
    /// A damaged segment, put aside.
    Quarantined,
    /// Why it was put aside.
    Reason,
}

impl FileKind {
    const ALL: [Self; 5] = [Self::Segment, Self::Sidecar, Self::Salvage, Self::Quarantined, Self::Reason];

    const fn ending(self) -> &'static str {
        match self {
            Self::Segment => ".seg",
            Self::Sidecar => ".idx",
            Self::Salvage => ".seg.salvage",
            Self::Quarantined => ".seg.quarantined",
            Self::Reason => ".seg.reason",
        }
    }

    /// The path of this file of the segment that begins at `first`.
    pub(crate) fn path(self, dir: &Path, first: u64) -> PathBuf {
        dir.join(format!("{first:020}{}", self.ending()))
    }

    /// What a file name says; `None` for files that are not a log's.
    pub(crate) fn parse(name: &str) -> Option<(u64, Self)> {
        let (digits, ending) = name.split_at_checked(20)?;
        if !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let kind = Self::ALL.into_iter().find(|kind| kind.ending() == ending)?;
        Some((digits.parse().ok()?, kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_header_with_any_bit_flipped_is_not_taken() {
        let header = SegmentHeader { first: 7, created_us: 1_700_000_000_000_000 };
        let good = header.encode();
        assert_eq!(SegmentHeader::decode(&good), Ok(header));
        for bit in 0..good.len() * 8 {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(SegmentHeader::decode(&bad), Err(HeaderFault::Damaged), "bit {bit}");
        }
    }

    #[test]
    fn a_newer_version_is_told_from_damage() {
        let mut bytes = SegmentHeader { first: 1, created_us: 0 }.encode();
        bytes[8] = 9;
        let crc = header_crc(&bytes);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(SegmentHeader::decode(&bytes), Err(HeaderFault::Version(9)));
    }

    #[test]
    fn only_our_file_names_are_taken() {
        for kind in FileKind::ALL {
            let path = kind.path(Path::new(""), 42);
            assert_eq!(FileKind::parse(path.to_str().unwrap()), Some((42, kind)));
        }
        for other in [
            "lock",
            "1.seg",
            "00000000000000000001.seg~",
            "0000000000000000000x.seg",
            "é0000000000000000001.seg",
        ] {
            assert_eq!(FileKind::parse(other), None, "{other}");
        }
    }
}
