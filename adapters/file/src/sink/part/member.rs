//! A file written in members: each commit ends one, so that every committed length can be decompressed and
//! more can be appended after it. Gzip and Zstandard readers take members one after another as one file.

use std::fs::File;
use std::io::{self, Seek, Write};

use flate2::write::GzEncoder;

use super::super::config::Compression;

/// zstd's own default.
const ZSTD_LEVEL: i32 = 3;

pub(crate) struct MemberFile {
    compression: Compression,
    file: File,
    member: Option<Member>,
}

enum Member {
    Gzip(GzEncoder<File>),
    Zstd(zstd::Encoder<'static, File>),
}

impl MemberFile {
    /// Writes at the file's current position.
    pub(crate) fn new(file: File, compression: Compression) -> Self {
        Self { compression, file, member: None }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        if self.member.is_none() {
            self.member = match self.compression {
                Compression::None => return self.file.write_all(bytes),
                // The member writes through a handle of its own to the same position in the file.
                Compression::Gzip => {
                    Some(Member::Gzip(GzEncoder::new(self.file.try_clone()?, flate2::Compression::default())))
                }
                Compression::Zstd => {
                    Some(Member::Zstd(zstd::Encoder::new(self.file.try_clone()?, ZSTD_LEVEL)?))
                }
            };
        }
        match &mut self.member {
            Some(Member::Gzip(member)) => member.write_all(bytes),
            Some(Member::Zstd(member)) => member.write_all(bytes),
            None => unreachable!("a member was begun above"),
        }
    }

    /// Ends the member, makes the file durable and returns its length.
    pub(crate) fn sync(&mut self) -> io::Result<u64> {
        match self.member.take() {
            Some(Member::Gzip(member)) => drop(member.finish()?),
            Some(Member::Zstd(member)) => drop(member.finish()?),
            None => {}
        }
        self.file.sync_data()?;
        self.file.stream_position()
    }
}
