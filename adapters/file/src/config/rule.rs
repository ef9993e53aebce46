//! Which files belong to which stream.

use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use towpath_record::{ByteSize, StreamName};

use super::choice;
use super::format::Format;

/// Which files belong to a stream, and how they are written.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileRule {
    /// Globs of the files. A glob with a `/` is matched against the path below the folder, any other against the
    /// file's name. Required.
    pub(crate) include: Vec<String>,
    /// Globs of files that `include` matches and that do not belong. Default: none.
    #[serde(default)]
    pub(crate) exclude: Vec<String>,
    /// The stream that their rows form. Required.
    #[schemars(with = "String")]
    pub(crate) stream: StreamName,
    /// How they are written: `csv`, `json_lines` or `lines`, as a word or with settings. Required.
    #[serde(deserialize_with = "choice::word_or_table")]
    pub(crate) format: Format,
    /// The columns that tell rows apart. A row in which one of them is empty is a bad row. Default: none, rows
    /// are only appended.
    #[serde(default)]
    pub(crate) key: Vec<String>,
    /// How they are compressed: `auto` (by their first bytes), `none`, `gzip` or `zstd`. Default: auto.
    #[serde(default)]
    pub(crate) compression: CompressionChoice,
    /// How many bad rows a file may have before it is given up: a count, or a percentage such as `5%`, which is
    /// judged at the end of the file and, before that, from the 1000th row on. Default: none, no limit.
    #[serde(default)]
    #[schemars(with = "Option<BadRowLimitForm>")]
    pub(crate) max_bad_rows: BadRowLimit,
    /// What a file that is given up leaves behind: its good rows up to there (`keep_good`), or none
    /// (`reject_file`, which reads each file twice). Default: keep_good.
    #[serde(default)]
    pub(crate) on_error: OnError,
    /// The longest record; a longer one is a bad row. At most 8MiB. Default: 1MiB.
    #[serde(default = "default_max_record_bytes")]
    pub(crate) max_record_bytes: ByteSize,
}

/// How files are compressed.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CompressionChoice {
    /// As their first bytes say.
    #[default]
    Auto,
    /// Not at all.
    None,
    /// gzip (RFC 1952).
    Gzip,
    /// Zstandard (RFC 8878).
    Zstd,
}

/// What a file that is given up leaves behind.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OnError {
    /// Its good rows up to there.
    #[default]
    KeepGood,
    /// No rows.
    RejectFile,
}

/// How many bad rows a file may have.
#[derive(Clone, Copy, Default, PartialEq, Debug, Deserialize)]
#[serde(try_from = "Value")]
pub(crate) enum BadRowLimit {
    /// Any number.
    #[default]
    None,
    /// This number.
    Count(u64),
    /// This share of its rows, in percent.
    Percent(f64),
}

/// How a limit is written.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum BadRowLimitForm {
    /// A number of rows.
    Count(u64),
    /// A percentage, such as `5%`, or `none`.
    Text(String),
}

/// A share is judged before the end of a file only once this many rows have been read.
const ROWS_BEFORE_PERCENT: u64 = 1_000;

impl BadRowLimit {
    /// Why a file with `bad` bad ones among `rows` rows is to be given up, if it is.
    pub(crate) fn exceeded(self, bad: u64, rows: u64, at_end: bool) -> Option<String> {
        let over = match self {
            Self::None => false,
            Self::Count(most) => bad > most,
            #[expect(clippy::cast_precision_loss, reason = "a share needs no more than 53 bits")]
            Self::Percent(share) => {
                (at_end || rows >= ROWS_BEFORE_PERCENT) && bad as f64 > rows as f64 * share / 100.0
            }
        };
        over.then(|| format!("{bad} of the first {rows} rows are bad; max_bad_rows allows {self}"))
    }
}

impl fmt::Display for BadRowLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("any number"),
            Self::Count(most) => most.fmt(f),
            Self::Percent(share) => write!(f, "{share}%"),
        }
    }
}

impl TryFrom<Value> for BadRowLimit {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        let fault =
            || format!("max_bad_rows: {value} is neither `none`, a count nor a percentage such as `5%`");
        match &value {
            Value::Null => Ok(Self::None),
            Value::Number(count) => count.as_u64().map(Self::Count).ok_or_else(fault),
            Value::String(text) if text == "none" => Ok(Self::None),
            Value::String(text) => match text.strip_suffix('%').map(|share| share.trim().parse::<f64>()) {
                Some(Ok(share)) if (0.0..=100.0).contains(&share) => Ok(Self::Percent(share)),
                Some(_) => Err(fault()),
                None => text.parse().map(Self::Count).map_err(|_| fault()),
            },
            _ => Err(fault()),
        }
    }
}

fn default_max_record_bytes() -> ByteSize {
    ByteSize(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_limit_is_a_count_a_percentage_or_none() {
        let limit = |value| BadRowLimit::try_from(value);
        assert_eq!(limit(json!(3)), Ok(BadRowLimit::Count(3)));
        assert_eq!(limit(json!("3")), Ok(BadRowLimit::Count(3)));
        assert_eq!(limit(json!("2.5%")), Ok(BadRowLimit::Percent(2.5)));
        assert_eq!(limit(json!("none")), Ok(BadRowLimit::None));
        assert!(limit(json!("101%")).is_err());
        assert!(limit(json!(-1)).unwrap_err().contains("neither `none`, a count nor a percentage"));
    }

    #[test]
    fn a_share_waits_for_a_thousand_rows_or_the_end() {
        let limit = BadRowLimit::Percent(5.0);
        assert_eq!(limit.exceeded(10, 10, false), None);
        assert!(limit.exceeded(10, 10, true).is_some());
        assert!(limit.exceeded(51, 1_000, false).is_some());
        assert_eq!(limit.exceeded(50, 1_000, false), None);
        assert_eq!(BadRowLimit::Count(0).exceeded(0, 10, true), None);
        assert!(BadRowLimit::Count(0).exceeded(1, 10, false).is_some());
    }
}
