//! The bytes of a file, decompressed.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::sync::{Arc, Mutex, PoisonError};

use flate2::bufread::MultiGzDecoder;

use crate::config::CompressionChoice;

/// How a file is compressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Compression {
    None,
    Gzip,
    Zstd,
}

/// The first bytes of gzip members (RFC 1952, 2.3.1) and Zstandard frames (RFC 8878, 3.1.1).
const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];
const ZSTD_MAGIC: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// What the decompressor reads at once.
const COMPRESSED_BLOCK: usize = 64 << 10;

/// The bytes of a file up to a length, its decompression undone.
pub(super) enum FileBytes {
    Plain(Limited),
    Gzip(Box<MultiGzDecoder<BufReader<Limited>>>),
    Zstd(Box<zstd::stream::read::Decoder<'static, BufReader<Limited>>>),
}

/// Keeps the error of the file itself apart from those of a decompressor that did not like what it read.
#[derive(Clone, Default)]
pub(super) struct FileError(Arc<Mutex<Option<io::Error>>>);

/// The first bytes of a file, up to a length that may be raised.
pub(super) struct Limited {
    file: File,
    at: u64,
    length: u64,
    error: FileError,
}

impl FileError {
    /// The error that the file gave, if it did.
    pub(super) fn take(&self) -> Option<io::Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Read for Limited {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.length - self.at).unwrap_or(usize::MAX).min(into.len());
        let read = self.file.read(&mut into[..left]).map_err(|error| {
            let told = io::Error::new(error.kind(), error.to_string());
            *self.error.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            told
        })?;
        self.at += read as u64;
        Ok(read)
    }
}

impl FileBytes {
    /// The first `length` bytes of a file.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn open(
        mut file: File,
        length: u64,
        choice: CompressionChoice,
        error: FileError,
    ) -> io::Result<Self> {
        let compression = match choice {
            CompressionChoice::None => Compression::None,
            CompressionChoice::Gzip => Compression::Gzip,
            CompressionChoice::Zstd => Compression::Zstd,
            CompressionChoice::Auto => sniff(&mut file)?,
        };
        file.seek(SeekFrom::Start(0))?;
        let limited = Limited { file, at: 0, length, error };
        Ok(match compression {
            Compression::None => Self::Plain(limited),
            Compression::Gzip => Self::Gzip(Box::new(MultiGzDecoder::new(buffered(limited)))),
            Compression::Zstd => {
                Self::Zstd(Box::new(zstd::stream::read::Decoder::with_buffer(buffered(limited))?))
            }
        })
    }

    /// Moves to `offset` if the bytes are not compressed. Returns whether they are not.
    pub(super) fn seek(&mut self, offset: u64) -> io::Result<bool> {
        let Self::Plain(limited) = self else { return Ok(false) };
        limited.at = limited.file.seek(SeekFrom::Start(offset.min(limited.length)))?;
        Ok(true)
    }

    /// Lets more of a file be read that has grown.
    pub(super) fn grow(&mut self, length: u64) {
        if let Self::Plain(limited) = self {
            limited.length = limited.length.max(length);
        }
    }
}

impl Read for FileBytes {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(reader) => reader.read(into),
            Self::Gzip(reader) => reader.read(into),
            Self::Zstd(reader) => reader.read(into),
        }
    }
}

fn buffered(limited: Limited) -> BufReader<Limited> {
    BufReader::with_capacity(COMPRESSED_BLOCK, limited)
}

fn sniff(file: &mut File) -> io::Result<Compression> {
    let mut head = Vec::with_capacity(ZSTD_MAGIC.len());
    file.seek(SeekFrom::Start(0))?;
    file.by_ref().take(ZSTD_MAGIC.len() as u64).read_to_end(&mut head)?;
    Ok(if head.starts_with(GZIP_MAGIC) {
        Compression::Gzip
    } else if head.starts_with(ZSTD_MAGIC) {
        Compression::Zstd
    } else {
        Compression::None
    })
}
