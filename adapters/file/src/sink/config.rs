//! What an admin may say about a file sink.

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use towpath_adapter_api::{AdapterError, ErrorKind};
use towpath_record::{ByteSize, TimeSpan};

/// How a file sink is set up.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileSinkConfig {
    /// The folder that files are written below. It is created when it is missing. Required.
    #[schemars(with = "String")]
    pub(crate) path: PathBuf,
    /// The format of the files: `json_lines`, `csv` or `parquet`. Required.
    pub(crate) format: Format,
    /// The folder below `path` that a row's file lies in. `{stream}` stands for the stream's name, `{date}`
    /// for the day of the row's source commit time in UTC, as in 2026-01-31. Default: {stream}
    #[serde(default = "stream_folder")]
    pub(crate) name: String,
    /// When a file is finished and becomes visible.
    #[serde(default)]
    pub(crate) roll: Roll,
    /// How files are compressed. Default: none for text, zstd for Parquet.
    #[serde(default)]
    pub(crate) compression: Option<Compression>,
    /// How CSV is written. Only with format `csv`.
    #[serde(default)]
    pub(crate) csv: Option<CsvStyle>,
    /// Whether rows carry `_op` and `_ts` in front of the stream's columns. Without them a delete cannot be
    /// told from an insert, so deletes and truncates are refused. Default: false.
    #[serde(default)]
    pub(crate) metadata: bool,
}

/// A file format.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Format {
    /// One JSON object per line.
    JsonLines,
    /// Delimited text as in RFC 4180.
    Csv,
    /// Apache Parquet.
    Parquet,
}

/// When a file is finished: at the first commit at which either limit is reached.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Roll {
    /// Size of the file, as stored. Default: 64MiB
    pub(crate) bytes: ByteSize,
    /// Age of the file. Default: 10s
    pub(crate) every: TimeSpan,
}

/// How files are compressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Compression {
    /// Not at all.
    None,
    /// As gzip members, with the suffix `.gz`. Not for Parquet.
    Gzip,
    /// As Zstandard frames, with the suffix `.zst`; inside Parquet files, its pages.
    Zstd,
}

/// How CSV is written.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CsvStyle {
    /// The character between fields, one ASCII character. Default: ,
    pub(crate) delimiter: char,
    /// Whether each file begins with the columns' names. Default: true
    pub(crate) header: bool,
    /// What stands for an absent value. Text that reads the same is quoted. Default: nothing
    pub(crate) null: String,
}

impl Default for Roll {
    fn default() -> Self {
        Self { bytes: ByteSize(64 << 20), every: TimeSpan(Duration::from_secs(10)) }
    }
}

impl Default for CsvStyle {
    fn default() -> Self {
        Self { delimiter: ',', header: true, null: String::new() }
    }
}

impl FileSinkConfig {
    /// Reads and checks a configuration.
    ///
    /// # Errors
    /// A key is unknown or missing, or a value cannot work; the message names it.
    pub(crate) fn read(value: &Value) -> Result<Self, AdapterError> {
        const RESOURCE: &str = "file sink configuration";
        let config: Self = crate::config::parse(RESOURCE, value)?;
        match config.fault() {
            None => Ok(config),
            Some(fault) => Err(AdapterError::new(ErrorKind::Config, RESOURCE, fault)),
        }
    }

    /// How files are compressed, and the suffix that says so.
    pub(crate) fn compression(&self) -> Compression {
        match (self.compression, self.format) {
            (Some(chosen), _) => chosen,
            (None, Format::Parquet) => Compression::Zstd,
            (None, Format::JsonLines | Format::Csv) => Compression::None,
        }
    }

    /// The suffix of finished files.
    pub(crate) fn suffix(&self) -> &'static str {
        match (self.format, self.compression()) {
            (Format::Parquet, _) => "parquet",
            (Format::JsonLines, Compression::None) => "jsonl",
            (Format::JsonLines, Compression::Gzip) => "jsonl.gz",
            (Format::JsonLines, Compression::Zstd) => "jsonl.zst",
            (Format::Csv, Compression::None) => "csv",
            (Format::Csv, Compression::Gzip) => "csv.gz",
            (Format::Csv, Compression::Zstd) => "csv.zst",
        }
    }

    /// Everything that a file's bytes depend on, to be compared for equality.
    pub(crate) fn form(&self) -> String {
        format!("{:?} {:?} {:?} metadata {}", self.format, self.compression(), self.csv, self.metadata)
    }

    fn fault(&self) -> Option<String> {
        if self.path.as_os_str().is_empty() {
            return Some("path is empty; give the folder that files are written below".to_owned());
        }
        if !is_folder_below(&self.name) {
            let name = &self.name;
            return Some(format!(
                "name `{name}` is not a folder below `path`; {{stream}} and {{date}} are filled in"
            ));
        }
        if self.format == Format::Parquet && self.compression == Some(Compression::Gzip) {
            return Some("compression `gzip` is for text; Parquet takes `zstd` or `none`".to_owned());
        }
        match &self.csv {
            Some(_) if self.format != Format::Csv => Some("csv is set, yet the format is another".to_owned()),
            Some(style) if !style.delimiter.is_ascii() || "\"\r\n".contains(style.delimiter) => {
                Some("csv.delimiter must be one ASCII character that is no quote and no line end".to_owned())
            }
            Some(style) if style.null.contains(['"', '\r', '\n', style.delimiter]) => {
                Some("csv.null contains a quote, a line end or the delimiter; choose another text".to_owned())
            }
            _ => None,
        }
    }
}

fn is_folder_below(name: &str) -> bool {
    let literal = name.replace("{stream}", "s").replace("{date}", "d");
    let mut parts = Path::new(&literal).components().peekable();
    let visible = |part| matches!(part, Component::Normal(part) if !part.to_string_lossy().starts_with('.'));
    parts.peek().is_some() && parts.all(visible) && !literal.contains(['{', '}', '\0'])
}

fn stream_folder() -> String {
    "{stream}".to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_and_a_format_are_all_that_must_be_said() {
        let config = FileSinkConfig::read(&json!({ "path": "outbox", "format": "parquet" })).unwrap();
        assert_eq!((config.suffix(), config.compression()), ("parquet", Compression::Zstd));
        assert_eq!(config.roll.bytes, ByteSize(64 << 20));
        assert_eq!(config.name, "{stream}");
    }

    #[test]
    fn what_cannot_work_is_refused_by_name() {
        let said = |extra: Value| {
            let mut config = json!({ "path": "outbox", "format": "csv" });
            config.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            FileSinkConfig::read(&config).unwrap_err().message
        };
        assert!(said(json!({ "format": "parquet", "compression": "gzip" })).contains("compression"));
        assert!(said(json!({ "format": "json_lines", "csv": {} })).contains("csv is set"));
        assert!(said(json!({ "csv": { "delimiter": "\"" } })).contains("delimiter"));
        assert!(said(json!({ "csv": { "null": "a,b" } })).contains("null"));
        assert!(said(json!({ "roll": { "bites": "1MiB" } })).contains("did you mean `bytes`?"));
        for name in ["", "../{stream}", "/tmp", "{strem}", ".hidden/{stream}"] {
            assert!(said(json!({ "name": name })).contains("name"), "{name}");
        }
    }
}
