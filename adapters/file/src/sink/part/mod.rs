//! Parts: files while they are written.
//!
//! A part lies in the route's state folder under a name of its own. Text can be cut at any commit, because
//! each commit ends a compression member and is followed by the next; a Parquet file is nothing before its
//! footer.

mod member;
mod text;
mod parquet;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use arrow_array::RecordBatch;
use arrow_schema::ArrowError;
use towpath_record::SchemaHash;

use super::config::{Compression, FileSinkConfig};
use super::error::FileSinkError;
use super::state::OpenPart;
use super::text::TextFormat;

pub(crate) use text::cut_to_committed;

/// A file that is being written.
pub(crate) struct Part {
    /// Its path in the state folder.
    pub(crate) path: PathBuf,
    /// Where it will be seen, below the sink's folder.
    pub(crate) target: String,
    pub(crate) stream: String,
    pub(crate) folder: String,
    pub(crate) schema: SchemaHash,
    pub(crate) opened: Instant,
    /// When rows were last added, in the order of the session's writes.
    pub(crate) touched: u64,
    body: Body,
}

enum Body {
    Text(text::TextPart),
    Parquet(Box<parquet::ParquetPart>),
}

/// What a new part is to be.
pub(crate) struct NewPart {
    pub(crate) path: PathBuf,
    pub(crate) target: String,
    pub(crate) stream: String,
    pub(crate) folder: String,
    pub(crate) schema: SchemaHash,
}

/// Why a part could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PartError {
    /// The file failed.
    #[error("the file failed")]
    Io(#[from] io::Error),
    /// A value or type has no form in the format.
    #[error("a value has no form in the file's format")]
    Arrow(#[from] ArrowError),
    /// The Parquet writer failed.
    #[error("the Parquet writer failed")]
    Parquet(#[from] ::parquet::errors::ParquetError),
}

impl Part {
    /// Begins a part for rows like `rows`.
    ///
    /// # Errors
    /// The file cannot be created or the rows have no form in the format.
    pub(crate) fn create(
        new: NewPart,
        config: &FileSinkConfig,
        rows: &RecordBatch,
    ) -> Result<Self, FileSinkError> {
        let NewPart { path, target, stream, folder, schema } = new;
        let created = match TextFormat::of(config.format, config.csv.as_ref()) {
            Some(format) => text::TextPart::create(&path, config.compression(), format, rows).map(Body::Text),
            None => {
                let compressed = config.compression() == Compression::Zstd;
                parquet::ParquetPart::create(&path, compressed, rows)
                    .map(|part| Body::Parquet(Box::new(part)))
            }
        };
        let body = created.map_err(|error| error.at(&path, &stream, "create"))?;
        Ok(Self { path, target, stream, folder, schema, opened: Instant::now(), touched: 0, body })
    }

    /// Goes on with a text part at its committed length.
    ///
    /// # Errors
    /// The file is gone, too short or cannot be opened.
    pub(crate) fn resume(
        path: PathBuf,
        open: &OpenPart,
        format: TextFormat,
        compression: Compression,
    ) -> Result<Self, FileSinkError> {
        let file = cut_to_committed(&path, open.committed_bytes)?;
        let body = Body::Text(text::TextPart::resume(file, compression, format, open.committed_bytes));
        let OpenPart { target, stream, folder, schema, .. } = open.clone();
        Ok(Self { path, target, stream, folder, schema, opened: Instant::now(), touched: 0, body })
    }

    /// Adds rows.
    ///
    /// # Errors
    /// The file fails or a row has no form in the format.
    pub(crate) fn write(&mut self, rows: &RecordBatch) -> Result<(), FileSinkError> {
        let written = match &mut self.body {
            Body::Text(part) => part.write(rows),
            Body::Parquet(part) => part.write(rows),
        };
        written.map_err(|error| error.at(&self.path, &self.stream, "write"))
    }

    /// Makes a text part durable as far as it was written, and returns its length in bytes.
    ///
    /// # Errors
    /// The file fails, or the part is Parquet, which has no durable prefix.
    pub(crate) fn sync(&mut self) -> Result<u64, FileSinkError> {
        let synced = match &mut self.body {
            Body::Text(part) => part.sync().map_err(PartError::Io),
            Body::Parquet(_) => Err(PartError::Io(io::ErrorKind::Unsupported.into())),
        };
        synced.map_err(|error| error.at(&self.path, &self.stream, "sync"))
    }

    /// Ends the part and makes it durable.
    ///
    /// # Errors
    /// The file fails.
    pub(crate) fn finish(self) -> Result<Finished, FileSinkError> {
        let ended = match self.body {
            Body::Text(mut part) => part.sync().map_err(PartError::Io).map(drop),
            Body::Parquet(part) => part.finish(),
        };
        ended.map_err(|error| error.at(&self.path, &self.stream, "finish"))?;
        Ok(Finished { path: self.path, target: self.target })
    }

    /// How many bytes it has, or will have as far as that is known.
    pub(crate) fn stored_bytes(&self) -> u64 {
        match &self.body {
            Body::Text(part) => part.stored_bytes(),
            Body::Parquet(part) => part.stored_bytes(),
        }
    }

    /// How many bytes it holds in memory.
    pub(crate) fn memory_bytes(&self) -> usize {
        match &self.body {
            Body::Text(_) => 0,
            Body::Parquet(part) => part.memory_bytes(),
        }
    }

    /// Lets go of what it holds in memory.
    ///
    /// # Errors
    /// The file fails.
    pub(crate) fn flush(&mut self) -> Result<(), FileSinkError> {
        match &mut self.body {
            Body::Text(_) => Ok(()),
            Body::Parquet(part) => part.flush().map_err(|error| error.at(&self.path, &self.stream, "write")),
        }
    }
}

/// A part that is complete and durable, and not yet visible.
pub(crate) struct Finished {
    pub(crate) path: PathBuf,
    pub(crate) target: String,
}

impl PartError {
    fn at(self, path: &Path, stream: &str, doing: &'static str) -> FileSinkError {
        let doing = match doing {
            "create" => "create an unfinished file",
            "sync" => "sync an unfinished file",
            "finish" => "finish a file",
            _ => "write to an unfinished file",
        };
        match self.into_io() {
            Ok(source) => FileSinkError::Io { path: path.to_owned(), doing, source },
            Err(other) => FileSinkError::Encode {
                path: path.to_owned(),
                stream: stream.to_owned(),
                source: Box::new(other),
            },
        }
    }

    /// The file's own failure, which the Parquet writer wraps: a full disk must be known as one.
    fn into_io(self) -> Result<io::Error, Self> {
        match self {
            Self::Io(error) => Ok(error),
            Self::Parquet(::parquet::errors::ParquetError::External(cause)) => {
                match cause.downcast::<io::Error>() {
                    Ok(error) => Ok(*error),
                    Err(cause) => Err(Self::Parquet(::parquet::errors::ParquetError::External(cause))),
                }
            }
            other => Err(other),
        }
    }
}
