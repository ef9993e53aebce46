//! Where a page ended: opaque to whoever carries it, and checked when it comes back.
//!
//! ```text
//! base64url( BLAKE3 of what follows and of kind, order and filter (8 bytes) | the last key, JSON )
//! ```
//!
//! The check finds a cursor that was cut short or belongs to another list. It is no secret and need not be: a cursor
//! says where to go on, never what may be seen.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use towpath_record::ResourceName;
use towpath_resource::Kind;

use super::ListOrder;
use super::sort::Value;

const CHECK_BYTES: usize = 8;
/// Longer than any cursor: names and labels are short.
const MOST_BYTES: usize = 4096;

/// The last key of a page.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Key {
    pub(super) value: Value,
    pub(super) name: ResourceName,
}

/// A text that is no cursor of this list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "is not a cursor of this list; begin again without it, and keep `sort` and `filter` from page to page"
)]
pub struct CursorError;

pub(super) fn write(key: &Key, kind: Kind, order: &ListOrder) -> String {
    let json = serde_json::to_vec(key).expect("a key is always JSON");
    let mut bytes = check(&json, kind, order).to_vec();
    bytes.extend(json);
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(super) fn read(text: &str, kind: Kind, order: &ListOrder) -> Result<Key, CursorError> {
    if text.len() > MOST_BYTES {
        return Err(CursorError);
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| CursorError)?;
    let (said, json) = bytes.split_at_checked(CHECK_BYTES).ok_or(CursorError)?;
    if said != check(json, kind, order) {
        return Err(CursorError);
    }
    serde_json::from_slice(json).map_err(|_| CursorError)
}

fn check(json: &[u8], kind: Kind, order: &ListOrder) -> [u8; CHECK_BYTES] {
    let mut hasher = blake3::Hasher::new();
    for part in
        [kind.as_str().as_bytes(), order.sort.to_string().as_bytes(), order.filter.text().as_bytes(), json]
    {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
    }
    let mut check = [0; CHECK_BYTES];
    check.copy_from_slice(&hasher.finalize().as_bytes()[..CHECK_BYTES]);
    check
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key { value: Value::Number(1 << 60), name: ResourceName::new("plant-7").unwrap() }
    }

    fn order(sort: &str) -> ListOrder {
        ListOrder { sort: sort.parse().unwrap(), ..ListOrder::default() }
    }

    #[test]
    fn a_cursor_leads_back_to_its_key() {
        for value in [Value::None, Value::Number(-5), Value::Text("7".into()), Value::Text(String::new())] {
            let key = Key { value, ..key() };
            let text = write(&key, Kind::Site, &order("-updated_at"));
            assert_eq!(read(&text, Kind::Site, &order("-updated_at")), Ok(key));
        }
    }

    #[test]
    fn a_cursor_of_another_list_or_a_damaged_one_is_refused() {
        let text = write(&key(), Kind::Site, &order("name"));
        assert_eq!(read(&text, Kind::Agent, &order("name")), Err(CursorError));
        assert_eq!(read(&text, Kind::Site, &order("-name")), Err(CursorError));
        let filtered = ListOrder { filter: "labels.a=b".parse().unwrap(), ..order("name") };
        assert_eq!(read(&text, Kind::Site, &filtered), Err(CursorError));
        for at in 0..text.len() {
            let mut damaged = text.clone().into_bytes();
            damaged[at] = if damaged[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(
                read(std::str::from_utf8(&damaged).unwrap(), Kind::Site, &order("name")),
                Err(CursorError)
            );
        }
        assert_eq!(read(&text[..text.len() - 4], Kind::Site, &order("name")), Err(CursorError));
        assert_eq!(read("", Kind::Site, &order("name")), Err(CursorError));
    }
}
