//! Every limit of the data format, in one place. A peer that exceeds one is refused with a typed error
//! before anything of that size is allocated.

/// Largest sealed frame: prelude, header, payload and checksum, in bytes.
pub const MAX_FRAME_BYTES: usize = 16 << 20;

/// Largest frame header, in bytes. The prelude counts it in 16 bits.
pub const MAX_HEADER_BYTES: usize = u16::MAX as usize;

/// Largest payload once decompressed, in bytes.
pub const MAX_PAYLOAD_RAW_BYTES: usize = 64 << 20;

/// Most rows in one frame.
pub const MAX_FRAME_ROWS: usize = 1 << 20;

/// Largest row or record that a source reads, the bytes of its values taken together. A frame holds it, sealed and with
/// its neighbours.
pub const MAX_ROW_BYTES: usize = 8 << 20;

/// Most columns of a stream, reserved ones included. PostgreSQL tables hold at most 1,600.
pub const MAX_COLUMNS: usize = 1_600;

/// Deepest nesting of list and struct columns.
pub const MAX_COLUMN_DEPTH: usize = 8;

/// Largest canonical schema, in bytes.
pub const MAX_SCHEMA_BYTES: usize = 1 << 20;

/// Longest stream, region or column name, in bytes.
pub const MAX_NAME_BYTES: usize = 200;

/// Largest source position, in bytes.
pub const MAX_POSITION_BYTES: usize = 16 << 10;

/// Most marks in one frame.
pub const MAX_FRAME_MARKS: usize = 256;

/// Largest mark, in bytes.
pub const MAX_MARK_BYTES: usize = 8 << 10;

/// Most bytes that a dead letter keeps of the raw input it stands for.
pub const MAX_DEAD_LETTER_RAW_BYTES: usize = 64 << 10;
