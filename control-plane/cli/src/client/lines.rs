//! An answer of many lines, each read as it arrives.

use std::marker::PhantomData;

use bytes::BytesMut;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{ClientError, connect};

/// Largest line that is taken. A record's frame is smaller.
const MAX_LINE_BYTES: usize = 256 << 20;

/// Which records are asked for.
#[derive(Clone, Debug, Default, Serialize)]
pub struct TailArgs {
    /// Where to begin: `earliest`, `latest`, an offset or a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// At most so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Whether to wait for more at the end.
    pub follow: bool,
}

/// Lines of JSON as they arrive. Dropping it ends the request.
#[derive(Debug)]
pub struct Lines<T> {
    server: String,
    response: reqwest::Response,
    received: BytesMut,
    lines: PhantomData<fn() -> T>,
}

#[derive(Deserialize)]
struct EarlyEnd {
    error: String,
}

impl<T: DeserializeOwned> Lines<T> {
    pub(super) fn new(server: String, response: reqwest::Response) -> Self {
        Self { server, response, received: BytesMut::new(), lines: PhantomData }
    }

    /// The next line, or `None` at the end.
    ///
    /// # Errors
    /// The connection broke, or the server says why it ends early.
    pub async fn next(&mut self) -> Result<Option<T>, ClientError> {
        let mut searched = 0;
        loop {
            if let Some(end) = self.received[searched..].iter().position(|byte| *byte == b'\n') {
                let line = self.received.split_to(searched + end + 1);
                return self.read(&line).map(Some);
            }
            searched = self.received.len();
            if searched > MAX_LINE_BYTES {
                return Err(self.not_understood());
            }
            let chunk = self.response.chunk().await;
            match chunk.map_err(|error| connect::unreachable(&self.server, &error))? {
                Some(chunk) => self.received.extend_from_slice(&chunk),
                None if self.received.is_empty() => return Ok(None),
                None => {
                    return Err(ClientError::EndedEarly("in the middle of a line; try again".to_owned()));
                }
            }
        }
    }

    fn read(&self, line: &[u8]) -> Result<T, ClientError> {
        serde_json::from_slice(line).map_err(|_| match serde_json::from_slice::<EarlyEnd>(line) {
            Ok(end) => ClientError::EndedEarly(end.error),
            Err(_) => self.not_understood(),
        })
    }

    fn not_understood(&self) -> ClientError {
        ClientError::NotUnderstood { server: self.server.clone(), status: self.response.status() }
    }
}
