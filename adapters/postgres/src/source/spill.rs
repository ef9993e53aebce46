//! A transaction that is not committed yet, kept in a file without a name until it is, or is rolled back.
//!
//! ```text
//! entry: u32 length · u32 subtransaction · u8 whether the message is whole · message
//! ```
//!
//! What a subtransaction that was rolled back did stays in the file and is passed over when it is read. The file
//! vanishes with the process; the server then sends the transaction again.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::Path;

use bytes::Bytes;
use towpath_adapter_api::AdapterError;

use crate::error::PostgresError;

const BUFFER_BYTES: usize = 256 << 10;
const HEAD_BYTES: usize = 9;

/// A transaction on its way to its commit.
pub(crate) struct Spill {
    file: BufWriter<File>,
    rolled_back: HashSet<u32>,
}

/// A message that was kept.
pub(crate) struct Kept {
    pub(crate) body: Bytes,
    pub(crate) whole: bool,
}

/// The messages of a committed transaction, in order.
pub(crate) struct Replay {
    file: BufReader<File>,
    rolled_back: HashSet<u32>,
}

impl Spill {
    /// An empty one, in `folder` or where the system keeps such files.
    pub(crate) fn new(folder: Option<&Path>) -> Result<Self, PostgresError> {
        let file = match folder {
            Some(folder) => tempfile::tempfile_in(folder),
            None => tempfile::tempfile(),
        };
        let file = BufWriter::with_capacity(BUFFER_BYTES, file.map_err(failed)?);
        Ok(Self { file, rolled_back: HashSet::new() })
    }

    /// Appends a message of a subtransaction.
    pub(crate) fn push(&mut self, part: u32, whole: bool, body: &[u8]) -> Result<(), PostgresError> {
        let length = u32::try_from(body.len()).expect("a message is cut far below 4 GiB");
        let mut head = [0; HEAD_BYTES];
        head[..4].copy_from_slice(&length.to_le_bytes());
        head[4..8].copy_from_slice(&part.to_le_bytes());
        head[8] = u8::from(whole);
        self.file.write_all(&head).and_then(|()| self.file.write_all(body)).map_err(failed)
    }

    /// Forgets what a subtransaction did.
    pub(crate) fn roll_back(&mut self, part: u32) {
        self.rolled_back.insert(part);
    }

    /// Reads from the beginning.
    pub(crate) fn replay(self) -> Result<Replay, PostgresError> {
        let mut file = self.file.into_inner().map_err(|error| failed(error.into_error()))?;
        file.rewind().map_err(failed)?;
        Ok(Replay { file: BufReader::with_capacity(BUFFER_BYTES, file), rolled_back: self.rolled_back })
    }
}

impl Replay {
    /// The next message that counts.
    pub(crate) fn next(&mut self) -> Result<Option<Kept>, PostgresError> {
        loop {
            let mut head = [0; HEAD_BYTES];
            match self.file.read_exact(&mut head) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
                read => read.map_err(failed)?,
            }
            let [length, part] =
                [0, 4].map(|at| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]));
            if self.rolled_back.contains(&part) {
                self.file.seek_relative(length.into()).map_err(failed)?;
                continue;
            }
            let mut body = vec![0; length as usize];
            self.file.read_exact(&mut body).map_err(failed)?;
            return Ok(Some(Kept { body: body.into(), whole: head[8] == 1 }));
        }
    }
}

fn failed(error: io::Error) -> PostgresError {
    let resource = "folder for transactions that are not committed yet";
    PostgresError::Config(AdapterError::io(resource, "keep a transaction there; see `spill_folder`", error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_rolled_back_is_passed_over() {
        let mut spill = Spill::new(None).unwrap();
        for (part, body) in [(1, &b"a"[..]), (2, b"lost"), (1, b"b"), (2, b"lost too"), (3, b"")] {
            spill.push(part, part != 3, body).unwrap();
        }
        spill.roll_back(2);
        let mut replay = spill.replay().unwrap();
        let mut seen = Vec::new();
        while let Some(kept) = replay.next().unwrap() {
            seen.push((kept.body.to_vec(), kept.whole));
        }
        assert_eq!(seen, [(b"a".to_vec(), true), (b"b".to_vec(), true), (Vec::new(), false)]);
    }
}
