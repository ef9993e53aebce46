//! Binary `COPY`: a signature, the rows, and a trailer of -1.

use std::pin::pin;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::SinkExt;
use tokio_postgres::{Client, Error, Statement};

use crate::encode::EncodedRows;

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
const TRAILER: i16 = -1;
/// Rows are sent in pieces of about this many bytes.
const PIECE_BYTES: usize = 256 << 10;

/// Sends the chosen rows. Rows that have no binary form are left out; the caller has refused them.
pub(crate) async fn send(
    client: &Client,
    statement: &Statement,
    encoded: &EncodedRows,
    chosen: &[usize],
) -> Result<(), Error> {
    let sink = client.copy_in::<_, Bytes>(statement).await?;
    let mut sink = pin!(sink);
    let mut piece = BytesMut::with_capacity(PIECE_BYTES * 2);
    piece.put_slice(SIGNATURE);
    // No flags and no extension of the header.
    piece.put_u64(0);
    for row in chosen.iter().filter_map(|row| encoded.row(*row).ok()) {
        piece.put_slice(row);
        if piece.len() >= PIECE_BYTES {
            sink.send(piece.split().freeze()).await?;
        }
    }
    piece.put_i16(TRAILER);
    sink.send(piece.freeze()).await?;
    sink.finish().await.map(drop)
}
