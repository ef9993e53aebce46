//! Rows as JSON lines: one object per row with every column in order, absent values as `null`.

use arrow_array::RecordBatch;
use arrow_json::writer::NullableEncoder;
use arrow_schema::ArrowError;

use super::value::encoder;

/// A function that writes a row.
///
/// # Errors
/// Arrow does not know a type.
pub(crate) fn writer(rows: &RecordBatch) -> Result<impl FnMut(usize, &mut Vec<u8>), ArrowError> {
    let named = rows.schema_ref().fields().iter().zip(rows.columns()).enumerate();
    let columns = named.map(|(i, (field, array))| {
        let name = serde_json::to_string(field.name()).expect("text can be shown as JSON");
        let opening = if i == 0 { '{' } else { ',' };
        Ok((format!("{opening}{name}:").into_bytes(), encoder(field, array)?))
    });
    let mut columns: Vec<(Vec<u8>, NullableEncoder<'_>)> = columns.collect::<Result<_, ArrowError>>()?;
    Ok(move |row, out: &mut Vec<u8>| {
        for (key, values) in &mut columns {
            out.extend_from_slice(key);
            match values.is_null(row) {
                true => out.extend_from_slice(b"null"),
                false => values.encode(row, out),
            }
        }
        out.extend_from_slice(b"}\n");
    })
}
