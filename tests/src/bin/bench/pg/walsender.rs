//! How fast a walsender can send: a reader that reads in large pieces and discards what it reads.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

const BUFFER_BYTES: usize = 1 << 20;
/// After a smaller read one waits a moment: a server that is woken for each piece sends less.
const SMALL_READ_BYTES: usize = 256 << 10;
const LULL: Duration = Duration::from_millis(1);
/// Version 3.0 of the protocol.
const PROTOCOL: u32 = 196_608;

/// Reads the changes of a slot up to a place in the log. The server trusts whoever comes.
pub(super) fn read_to(port: u16, slot: &str, publication: &str, end: &str) -> Result<()> {
    let end = place(end)?;
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    let parameters = b"user\0towpath\0database\0postgres\0replication\0database\0\0";
    let mut startup = u32::try_from(parameters.len() + 8)?.to_be_bytes().to_vec();
    startup.extend_from_slice(&PROTOCOL.to_be_bytes());
    startup.extend_from_slice(parameters);
    stream.write_all(&startup)?;
    let mut reader = Reader { stream, buffer: vec![0; BUFFER_BYTES], from: 0, to: 0 };
    while reader.next()?.0 != b'Z' {}
    let command = format!(
        "START_REPLICATION SLOT \"{slot}\" LOGICAL 0/0 (proto_version '2', streaming 'on', \
         publication_names '{publication}')\0"
    );
    let mut query = vec![b'Q'];
    query.extend_from_slice(&u32::try_from(command.len() + 4)?.to_be_bytes());
    query.extend_from_slice(command.as_bytes());
    reader.stream.write_all(&query)?;
    while reader.next()?.0 != b'W' {}
    loop {
        let (tag, body) = reader.next()?;
        ensure!(tag == b'd', "the server ended the changes with `{}`", char::from(tag));
        // What the server has sent up to here: in a keepalive, or at the end of a transaction.
        let reached = match (body.first(), body.get(25)) {
            (Some(b'k'), _) => number(body, 1)?,
            (Some(b'w'), Some(b'C')) => number(body, 25 + 2 + 8)?,
            (Some(b'w'), Some(b'c')) => number(body, 25 + 6 + 8)?,
            _ => 0,
        };
        if reached >= end {
            return Ok(());
        }
    }
}

struct Reader {
    stream: TcpStream,
    buffer: Vec<u8>,
    from: usize,
    to: usize,
}

impl Reader {
    /// The next message: its tag and what it says.
    fn next(&mut self) -> Result<(u8, &[u8])> {
        loop {
            let here = &self.buffer[self.from..self.to];
            if let Some(length) = here.get(1..5) {
                let length = u32::from_be_bytes(length.try_into()?) as usize;
                ensure!(
                    length < self.buffer.len(),
                    "a message of {length} bytes is longer than any of the bench"
                );
                if here.len() > length {
                    let message = self.from..self.from + 1 + length;
                    self.from = message.end;
                    let message = &self.buffer[message];
                    if message[0] == b'E' {
                        bail!(
                            "the server refuses: {}",
                            String::from_utf8_lossy(&message[5..]).replace('\0', " ")
                        );
                    }
                    return Ok((message[0], &message[5..]));
                }
            }
            self.read()?;
        }
    }

    fn read(&mut self) -> Result<()> {
        self.buffer.copy_within(self.from..self.to, 0);
        (self.from, self.to) = (0, self.to - self.from);
        let read = self.stream.read(&mut self.buffer[self.to..])?;
        ensure!(read > 0, "the server ended the connection");
        self.to += read;
        if read < SMALL_READ_BYTES {
            std::thread::sleep(LULL);
        }
        Ok(())
    }
}

fn number(body: &[u8], at: usize) -> Result<u64> {
    let bytes = body.get(at..at + 8).context("a message ends too early")?;
    Ok(u64::from_be_bytes(bytes.try_into()?))
}

/// A place such as `16/B374D848`.
fn place(text: &str) -> Result<u64> {
    let (high, low) = text.split_once('/').context("not a place in the log")?;
    Ok((u64::from_str_radix(high, 16)? << 32) | u64::from_str_radix(low, 16)?)
}
