//! A part of text.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::path::Path;

use arrow_array::RecordBatch;

use super::super::config::Compression;
use super::super::error::FileSinkError;
use super::super::text::TextFormat;
use super::PartError;
use super::member::MemberFile;

pub(crate) struct TextPart {
    file: MemberFile,
    format: TextFormat,
    /// Its length at the last sync.
    stored_bytes: u64,
    /// Whether anything was written since.
    dirty: bool,
}

impl TextPart {
    pub(crate) fn create(
        path: &Path,
        compression: Compression,
        format: TextFormat,
        rows: &RecordBatch,
    ) -> Result<Self, PartError> {
        let mut file = MemberFile::new(File::create_new(path)?, compression);
        file.write(&format.head(rows))?;
        Ok(Self { file, format, stored_bytes: 0, dirty: true })
    }

    /// Goes on where `file` ends.
    pub(crate) fn resume(
        file: File,
        compression: Compression,
        format: TextFormat,
        committed_bytes: u64,
    ) -> Self {
        Self { file: MemberFile::new(file, compression), format, stored_bytes: committed_bytes, dirty: false }
    }

    pub(crate) fn write(&mut self, rows: &RecordBatch) -> Result<(), PartError> {
        self.dirty = true;
        let file = &mut self.file;
        self.format.write(rows, |piece| file.write(piece))
    }

    pub(crate) fn sync(&mut self) -> io::Result<u64> {
        if self.dirty {
            self.stored_bytes = self.file.sync()?;
            self.dirty = false;
        }
        Ok(self.stored_bytes)
    }

    pub(crate) fn stored_bytes(&self) -> u64 {
        self.stored_bytes
    }
}

/// Opens an unfinished file at its committed length; what was written after it is cut off.
///
/// # Errors
/// The file is gone, too short or cannot be cut.
pub(crate) fn cut_to_committed(path: &Path, committed_bytes: u64) -> Result<File, FileSinkError> {
    let lost = |fate| FileSinkError::PartLost { path: path.to_owned(), committed_bytes, fate };
    let mut file = OpenOptions::new().write(true).open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => lost("removed"),
        _ => FileSinkError::io(path, "open an unfinished file")(error),
    })?;
    let found =
        file.metadata().map_err(FileSinkError::io(path, "ask for the length of an unfinished file"))?;
    if found.len() < committed_bytes {
        return Err(lost("cut short"));
    }
    let cut = file
        .set_len(committed_bytes)
        .and_then(|()| file.seek(SeekFrom::End(0)))
        .and_then(|_| file.sync_all());
    cut.map_err(FileSinkError::io(path, "cut an unfinished file to what was committed"))?;
    Ok(file)
}
