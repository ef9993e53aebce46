//! What a configuration must obey beyond its form, so that a mistake is named before a file is touched.

use encoding_rs::Encoding;
use globset::Glob;
use towpath_adapter_api::{AdapterError, ErrorKind};
use towpath_record::limits::{MAX_FRAME_ROWS, MAX_ROW_BYTES};
use towpath_record::{ColumnType, StreamSchema};

use super::format::{CsvFormat, DeclaredColumn, Format};
use super::{BadRowLimit, CompressionChoice, DoneMarker, FileRule, FileSourceConfig, Mode, OnError};

/// The Arrow form of a batch is up to a few times its text and must stay below the largest payload.
const MAX_BATCH_BYTES: u64 = 16 << 20;

impl FileSourceConfig {
    /// # Errors
    /// A rule of this page is broken.
    pub(crate) fn validate(&self) -> Result<(), AdapterError> {
        let fault = |message: String| {
            Err(AdapterError::new(ErrorKind::Config, format!("folder {}", self.path.display()), message))
        };
        if self.path.as_os_str().is_empty() {
            return fault("path: the folder to read is not named".into());
        }
        if self.files.is_empty() {
            return fault(
                "files: at least one rule is needed to say which files belong to which stream".into(),
            );
        }
        if !(1..=MAX_FRAME_ROWS).contains(&self.batch.rows) {
            return fault(format!("batch.rows: {} is not between 1 and {MAX_FRAME_ROWS}", self.batch.rows));
        }
        if !(1..=MAX_BATCH_BYTES).contains(&self.batch.bytes.0) {
            return fault(format!("batch.bytes: {} is not between 1B and 16MiB", self.batch.bytes));
        }
        if self.own_folders().contains(&self.path.join("")) {
            return fault("after.archive, error_folder: neither may be the folder that is read".into());
        }
        let marker = match &self.ready.done_marker {
            Some(DoneMarker::Manifest(glob)) => Some(glob),
            Some(DoneMarker::Suffix(suffix)) if suffix.is_empty() => {
                return fault(
                    "ready.done_marker.suffix: it is empty, so every file would mark itself".into(),
                );
            }
            _ => None,
        };
        if let Err(message) = globs("ignore", self.ignore.iter().chain(marker)) {
            return fault(message);
        }
        for (index, rule) in self.files.iter().enumerate() {
            if let Err(message) = self.check_rule(rule) {
                return fault(format!("files[{index}] (stream {}): {message}", rule.stream));
            }
        }
        Ok(())
    }

    fn check_rule(&self, rule: &FileRule) -> Result<(), String> {
        if rule.include.is_empty() {
            return Err("include: at least one glob is needed, such as `*.csv`".into());
        }
        globs("include", &rule.include)?;
        globs("exclude", &rule.exclude)?;
        if !(1..=MAX_ROW_BYTES as u64).contains(&rule.max_record_bytes.0) {
            return Err(format!("max_record_bytes: {} is not between 1B and 8MiB", rule.max_record_bytes));
        }
        if Encoding::for_label(rule.format.encoding().as_bytes()).is_none() {
            return Err(format!("encoding: {:?} is not a known character encoding", rule.format.encoding()));
        }
        if let Format::Csv(csv) = &rule.format {
            check_csv(csv)?;
        }
        if let Some(columns) = rule.format.declared() {
            check_columns(columns, &rule.key)?;
        }
        if self.mode == Mode::Tail {
            check_tail(rule)?;
        }
        Ok(())
    }
}

fn globs<'a>(key: &str, globs: impl IntoIterator<Item = &'a String>) -> Result<(), String> {
    globs.into_iter().try_for_each(|glob| match Glob::new(glob) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("{key}: {error}")),
    })
}

fn check_csv(csv: &CsvFormat) -> Result<(), String> {
    let roles = [
        ("delimiter", Some(csv.delimiter)),
        ("quote", csv.quote),
        ("escape", csv.escape),
        ("comment", csv.comment),
    ];
    let mut taken: Vec<(&str, char)> = Vec::new();
    for (role, character) in roles.into_iter().filter_map(|(role, c)| Some((role, c?))) {
        if !character.is_ascii() || matches!(character, '\n' | '\r' | '\0') {
            return Err(format!(
                "{role}: {character:?} is not an ASCII character that can stand within a line"
            ));
        }
        if let Some((other, _)) = taken.iter().find(|(_, c)| *c == character) {
            return Err(format!("{role}: {character:?} is the {other} already"));
        }
        taken.push((role, character));
    }
    Ok(())
}

fn check_columns(columns: &[DeclaredColumn], key: &[String]) -> Result<(), String> {
    for column in columns {
        let takes_format = matches!(
            column.column_type,
            ColumnType::Date | ColumnType::Time | ColumnType::LocalTimestamp | ColumnType::Timestamp
        );
        match column.column_type {
            ColumnType::List(_) | ColumnType::Struct(_) => {
                return Err(format!(
                    "column {:?}: lists and structs are not read from files; declare `string` to keep their text",
                    column.name
                ));
            }
            _ if column.format.is_some() && !takes_format => {
                return Err(format!(
                    "column {:?}: only dates, times and timestamps take a format",
                    column.name
                ));
            }
            _ => {}
        }
    }
    let columns = columns.iter().map(DeclaredColumn::column).collect();
    StreamSchema::new(columns, key.to_vec()).map(drop).map_err(|error| error.to_string())
}

fn check_tail(rule: &FileRule) -> Result<(), String> {
    if matches!(rule.compression, CompressionChoice::Gzip | CompressionChoice::Zstd) {
        return Err("compression: a compressed file cannot be followed; use mode `whole`".into());
    }
    if rule.max_bad_rows != BadRowLimit::None || rule.on_error != OnError::KeepGood {
        return Err("max_bad_rows, on_error: a file that is followed has no end and is never given up".into());
    }
    if rule.format.declared().is_none() && !matches!(rule.format, Format::Lines(_)) {
        return Err("columns: in mode `tail` types cannot be inferred from a file that has only begun; \
                    declare the columns or use the format `lines`"
            .into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;
    use serde_json::{Value, json};

    fn said(rule: Value, rest: Value) -> String {
        let mut config = json!({"path": "/data", "files": [
            {"include": ["*.csv"], "stream": "orders", "format": "csv"}
        ]});
        config["files"][0].as_object_mut().unwrap().extend(rule.as_object().unwrap().clone());
        config.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        match parse::<FileSourceConfig>("source", &config).unwrap().validate() {
            Ok(()) => String::new(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_sound_configuration_passes() {
        assert_eq!(said(json!({}), json!({})), "");
        let declared = json!({"format": {"csv": {"delimiter": ";", "columns": [
            {"name": "id", "type": "int64", "nullable": false},
            {"name": "total", "type": {"decimal": {"precision": 12, "scale": 2}}},
            {"name": "day", "type": "date", "format": "%d.%m.%Y"}
        ]}}, "key": ["id"], "max_bad_rows": "5%"});
        assert_eq!(
            said(declared, json!({"after": "delete", "ready": {"done_marker": {"suffix": ".done"}}})),
            ""
        );
    }

    #[test]
    fn each_mistake_is_named_with_its_place() {
        assert!(said(json!({"include": ["[a"]}), json!({})).contains("files[0] (stream orders): include:"));
        assert!(
            said(json!({"format": {"csv": {"delimiter": "\""}}}), json!({}))
                .contains("is the delimiter already")
        );
        assert!(said(json!({"format": {"csv": {"encoding": "klingon"}}}), json!({})).contains("\"klingon\""));
        let key = json!({"key": ["nr"], "format": {"csv": {"columns": [{"name": "id", "type": "int64"}]}}});
        assert!(said(key, json!({})).contains("key column \"nr\""));
        assert!(said(json!({}), json!({"mode": "tail"})).contains("declare the columns"));
        assert!(said(json!({"max_record_bytes": "1GiB"}), json!({})).contains("8MiB"));
        assert!(said(json!({}), json!({"batch": {"rows": 0}})).contains("batch.rows"));
        let format =
            json!({"format": {"csv": {"columns": [{"name": "id", "type": "int64", "format": "%d"}]}}});
        assert!(said(format, json!({})).contains("only dates"));
    }
}
