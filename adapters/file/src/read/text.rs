//! The text of a file: its bytes in UTF-8, with a window over them that moves from record to record.
//!
//! An offset counts bytes of this text. Where a file is neither compressed nor in another encoding, that is the
//! place in the file, and going to an offset is a seek; else the text before it is read again and dropped.

use std::fs::File;
use std::io::Read;

use encoding_rs::{CoderResult, Decoder, Encoding, UTF_8};
use tokio_util::sync::CancellationToken;

use super::bytes::{FileBytes, FileError};
use super::{BLOCK_BYTES, ReadFault};
use crate::config::CompressionChoice;

/// How much of a file is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    pub(crate) length: u64,
    /// Whether more may come.
    pub(crate) growing: bool,
}

/// The text of a file.
pub(crate) struct TextReader {
    bytes: FileBytes,
    error: FileError,
    decoder: Option<Transcoder>,
    buffer: Vec<u8>,
    begin: usize,
    end: usize,
    /// The offset of `begin` in the text.
    offset: u64,
    /// Bytes of a byte-order mark before the text.
    mark: u64,
    at_end: bool,
    /// What was found to be damaged behind the window.
    damage: Option<String>,
    /// Whether the file may still grow.
    growing: bool,
}

struct Transcoder {
    decoder: Decoder,
    input: Vec<u8>,
    begin: usize,
    end: usize,
    finished: bool,
}

impl TextReader {
    /// The text of the first `length` bytes of a file. A byte-order mark overrules `encoding`. Where the file is
    /// `growing`, their end is not taken for the end of the text.
    ///
    /// # Errors
    /// The file cannot be read, or its compression is damaged.
    pub(crate) fn open(
        file: File,
        Extent { length, growing }: Extent,
        compression: CompressionChoice,
        encoding: &str,
    ) -> Result<Self, ReadFault> {
        let error = FileError::default();
        let bytes = FileBytes::open(file, length, compression, error.clone()).map_err(ReadFault::System)?;
        let mut reader = Self {
            bytes,
            error,
            decoder: None,
            buffer: Vec::new(),
            begin: 0,
            end: 0,
            offset: 0,
            mark: 0,
            at_end: false,
            damage: None,
            growing,
        };
        reader.fill(BLOCK_BYTES)?;
        reader.choose_encoding(Encoding::for_label(encoding.as_bytes()).unwrap_or(UTF_8));
        Ok(reader)
    }

    /// Lets more of a file be read that has grown.
    pub(crate) fn grow(&mut self, length: u64) {
        self.bytes.grow(length);
    }

    /// Takes the end of what may be read for the end of the text.
    pub(crate) fn end_growing(&mut self) {
        self.growing = false;
    }

    /// The text that was read and not consumed.
    pub(crate) fn window(&self) -> &[u8] {
        &self.buffer[self.begin..self.end]
    }

    /// The memory that the window takes.
    #[cfg(test)]
    pub(super) fn buffer_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Whether nothing follows the window at present.
    pub(crate) fn at_end(&self) -> bool {
        self.at_end
    }

    /// Whether nothing will ever follow the window.
    pub(crate) fn has_ended(&self) -> bool {
        self.at_end && !self.growing
    }

    /// The offset of the window's beginning.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether the text was in another encoding in the file.
    pub(crate) fn is_transcoded(&self) -> bool {
        self.decoder.is_some()
    }

    /// Reads until the window has at least `wanted` bytes or the file is at its end. What was read before damage is
    /// there to be used: [`TextReader::damage`] tells of the damage.
    ///
    /// # Errors
    /// The file cannot be read, or its compression is damaged and the window is empty.
    pub(crate) fn fill(&mut self, wanted: usize) -> Result<(), ReadFault> {
        self.at_end = false;
        if self.damage.is_some() {
            return if self.window().is_empty() { self.damage() } else { Ok(()) };
        }
        while self.end - self.begin < wanted && !self.at_end {
            self.make_room(wanted);
            let room = &mut self.buffer[self.end..];
            let read = match &mut self.decoder {
                None => self.bytes.read(room),
                Some(transcoder) => transcoder.read(&mut self.bytes, room, !self.growing),
            };
            match read {
                Ok(0) => self.at_end = true,
                Ok(read) => self.end += read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => {
                    if let Some(cause) = self.error.take() {
                        return Err(ReadFault::System(cause));
                    }
                    self.damage = Some(format!("its compression is damaged: {error}"));
                    return if self.window().is_empty() { self.damage() } else { Ok(()) };
                }
            }
        }
        Ok(())
    }

    /// To be asked when the window cannot be used without what follows it.
    ///
    /// # Errors
    /// What follows is damaged.
    pub(crate) fn damage(&self) -> Result<(), ReadFault> {
        self.damage.clone().map_or(Ok(()), |damage| Err(ReadFault::Damaged(damage)))
    }

    /// Drops `count` bytes from the beginning of the window.
    pub(crate) fn consume(&mut self, count: usize) {
        self.begin += count;
        self.offset += count as u64;
    }

    /// Moves on to an offset. Returns whether the text is that long.
    ///
    /// # Errors
    /// The file cannot be read, or its compression is damaged.
    pub(crate) fn seek(&mut self, offset: u64, stop: &CancellationToken) -> Result<bool, ReadFault> {
        if self.decoder.is_none() && self.bytes.seek(self.mark + offset).map_err(ReadFault::System)? {
            (self.begin, self.end, self.offset) = (0, 0, offset);
            self.fill(1)?;
            return Ok(true);
        }
        while self.offset < offset {
            if stop.is_cancelled() {
                return Err(ReadFault::Stopped);
            }
            if self.window().is_empty() {
                self.fill(BLOCK_BYTES)?;
            }
            let step = usize::try_from(offset - self.offset).unwrap_or(usize::MAX).min(self.window().len());
            if step == 0 {
                return Ok(false);
            }
            self.consume(step);
        }
        Ok(true)
    }

    /// Moves the window to the front of the buffer when the room behind it is less than a block, and makes the
    /// buffer larger when that does not help.
    fn make_room(&mut self, wanted: usize) {
        let needed = wanted.max(self.end - self.begin) + BLOCK_BYTES;
        if self.buffer.len() - self.end < BLOCK_BYTES / 2 || self.begin == self.end {
            self.buffer.copy_within(self.begin..self.end, 0);
            (self.begin, self.end) = (0, self.end - self.begin);
        }
        if self.buffer.len() - self.end < BLOCK_BYTES / 2 {
            self.buffer.resize(needed.max(self.buffer.len()), 0);
        }
    }

    /// Takes the first window's bytes as the beginning of the file in its encoding.
    fn choose_encoding(&mut self, configured: &'static Encoding) {
        let (encoding, mark) = Encoding::for_bom(self.window()).unwrap_or((configured, 0));
        self.begin += mark;
        self.mark = mark as u64;
        if encoding == UTF_8 {
            return;
        }
        let input = self.window().to_vec();
        let end = input.len();
        let decoder = encoding.new_decoder_without_bom_handling();
        self.decoder = Some(Transcoder { decoder, input, begin: 0, end, finished: false });
        (self.begin, self.end, self.at_end) = (0, 0, false);
    }
}

impl Transcoder {
    /// Reads text into `room`, which is large. Returns 0 at the end.
    fn read(&mut self, bytes: &mut FileBytes, room: &mut [u8], ends: bool) -> std::io::Result<usize> {
        loop {
            let mut last = false;
            if self.begin == self.end {
                self.input.resize(BLOCK_BYTES, 0);
                self.begin = 0;
                self.end = 0;
                self.end = bytes.read(&mut self.input)?;
                last = self.end == 0;
            }
            if last && (!ends || self.finished) {
                return Ok(0);
            }
            let source = &self.input[self.begin..self.end];
            let (result, used, written, _) = self.decoder.decode_to_utf8(source, room, last);
            self.begin += used;
            self.finished = last && result == CoderResult::InputEmpty;
            if written > 0 || self.finished {
                return Ok(written);
            }
        }
    }
}
