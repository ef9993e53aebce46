//! Keyed hashes: equal values have equal hashes, and nobody without the key can try values out.
//!
//! A hash is BLAKE3 in its keyed mode (J. O'Connor, J.-P. Aumasson, S. Neves, Z. Wilcox-O'Hearn, "BLAKE3: one function,
//! fast everywhere", 2020) of the canonical form of the value, as 64 hexadecimal digits. Its key is derived from the
//! policy's, so that one key may serve hashes and tokens.

use arrow_array::builder::StringBuilder;
use arrow_array::{Array, ArrayRef, StringArray};
use towpath_record::ColumnType;

use super::canonical;
use crate::key::Key;

const PURPOSE: &str = "towpath 2026-11-24 hash of a field";
const DIGITS: usize = 64;

/// Hashes the values of one column.
pub(crate) struct Hasher {
    key: Key,
    of: ColumnType,
}

impl Hasher {
    pub(super) fn new(key: &Key, of: &ColumnType) -> Self {
        Self { key: key.derive(PURPOSE), of: of.clone() }
    }

    pub(super) fn apply(&self, values: &ArrayRef) -> StringArray {
        let mut hashes = StringBuilder::with_capacity(values.len(), DIGITS * values.len());
        canonical::each(&self.of, values, |form| match form {
            None => hashes.append_null(),
            Some(form) => hashes.append_value(blake3::keyed_hash(self.key.bytes(), form).to_hex().as_str()),
        });
        hashes.finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{
        BinaryArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int8Array, Int64Array,
        TimestampMicrosecondArray, UInt64Array,
    };

    use super::*;

    fn hashed(of: &ColumnType, values: impl Array + 'static) -> Vec<String> {
        let hasher = Hasher::new(&Key::new([7; 32]), of);
        hasher.apply(&(Arc::new(values) as ArrayRef)).iter().map(|hash| hash.unwrap().to_owned()).collect()
    }

    /// From the published vectors of BLAKE3: its keyed hash of the bytes 0 to 250, again and again.
    #[test]
    fn the_keyed_hash_is_that_of_the_published_vectors() {
        let key = b"whats the Elvish word for friend";
        for (length, hash) in [
            (0, "92b2b75604ed3c761f9d6f62392c8a9227ad0ea3f09573e783f1498a4ed60d26"),
            (1, "6d7878dfff2f485635d39013278ae14f1454b8c0a3a2d34bc1ab38228a80c95b"),
        ] {
            let input: Vec<u8> = (0..=250).cycle().take(length).collect();
            assert_eq!(blake3::keyed_hash(key, &input).to_hex().as_str(), hash);
        }
    }

    #[test]
    fn a_hash_is_that_of_the_documented_form() {
        let key = blake3::derive_key(PURPOSE, &[7; 32]);
        let of = |form: &[u8]| blake3::keyed_hash(&key, form).to_hex().to_string();
        assert_eq!(hashed(&ColumnType::String, StringArray::from(vec!["Ann"])), [of(b"sAnn")]);
        let mut five = vec![b'n', 5];
        five.resize(18, 0);
        assert_eq!(hashed(&ColumnType::Int64, Int64Array::from(vec![5])), [of(&five)]);
    }

    #[test]
    fn values_of_equal_meaning_have_equal_hashes() {
        let five = hashed(&ColumnType::Int64, Int64Array::from(vec![5]));
        assert_eq!(hashed(&ColumnType::Int8, Int8Array::from(vec![5])), five);
        assert_eq!(hashed(&ColumnType::Uint64, UInt64Array::from(vec![5])), five);
        let decimal = Decimal128Array::from(vec![500]).with_precision_and_scale(5, 2).unwrap();
        assert_eq!(hashed(&ColumnType::Decimal { precision: 5, scale: 2 }, decimal), five);
        let floats = hashed(&ColumnType::Float64, Float64Array::from(vec![0.0, -0.0, 0.5]));
        assert_eq!(floats[0], floats[1]);
        assert_eq!(hashed(&ColumnType::Float32, Float32Array::from(vec![0.5])), floats[2..]);
    }

    #[test]
    fn values_of_other_kinds_have_other_hashes() {
        let instants = TimestampMicrosecondArray::from(vec![5]);
        let all = [
            hashed(&ColumnType::Int64, Int64Array::from(vec![5])),
            hashed(&ColumnType::String, StringArray::from(vec!["5"])),
            hashed(&ColumnType::Binary, BinaryArray::from_vec(vec![b"5"])),
            hashed(&ColumnType::Float64, Float64Array::from(vec![5.0])),
            hashed(&ColumnType::Date, Date32Array::from(vec![5])),
            hashed(&ColumnType::LocalTimestamp, instants.clone()),
            hashed(&ColumnType::Timestamp, instants),
        ];
        let different: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len());
    }

    #[test]
    fn another_key_gives_other_hashes() {
        let values: ArrayRef = Arc::new(StringArray::from(vec!["Ann"]));
        let one = Hasher::new(&Key::new([1; 32]), &ColumnType::String).apply(&values);
        let other = Hasher::new(&Key::new([2; 32]), &ColumnType::String).apply(&values);
        assert_ne!(one, other);
    }
}
