//! How files are written.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use towpath_record::{Column, ColumnType};

/// How files are written.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Format {
    /// Fields between delimiters (RFC 4180 and its many dialects).
    Csv(CsvFormat),
    /// One JSON object on each line.
    JsonLines(JsonLinesFormat),
    /// Plain text; each line is a record with the columns `line` and `line_number`.
    Lines(LinesFormat),
}

/// Fields between delimiters.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CsvFormat {
    /// What separates fields: one ASCII character. Default: `,`
    pub(crate) delimiter: char,
    /// What encloses fields that contain delimiters or line breaks; inside, two of it stand for one. `null`: no
    /// field is enclosed. Default: `"`
    pub(crate) quote: Option<char>,
    /// What makes the next character literal inside quotes. Default: nothing does.
    pub(crate) escape: Option<char>,
    /// Whether the first record names the columns. Without one, and without declared columns, they are called
    /// `column_1`, `column_2` and so on. Default: true.
    pub(crate) header: bool,
    /// The character encoding, by any name of the WHATWG Encoding Standard. A byte-order mark in the file
    /// overrules it. Default: utf-8
    pub(crate) encoding: String,
    /// What stands for an absent value, unless it is quoted. Default: the empty text.
    pub(crate) null_values: Vec<String>,
    /// The columns. Without them, types are inferred from the first rows. Default: none.
    pub(crate) columns: Option<Vec<DeclaredColumn>>,
    /// Whether columns of the header that are not among the declared ones are passed over; otherwise the file
    /// goes to the error folder. Default: false.
    pub(crate) ignore_unknown_columns: bool,
    /// How many rows types are inferred from. Default: 1000.
    pub(crate) infer_rows: usize,
    /// Whether white space around unquoted fields is removed. Default: false.
    pub(crate) trim: bool,
    /// Lines that begin with this character are passed over. Default: none.
    pub(crate) comment: Option<char>,
}

impl Default for CsvFormat {
    fn default() -> Self {
        Self {
            delimiter: ',',
            quote: Some('"'),
            escape: None,
            header: true,
            encoding: "utf-8".into(),
            null_values: vec![String::new()],
            columns: None,
            ignore_unknown_columns: false,
            infer_rows: 1_000,
            trim: false,
            comment: None,
        }
    }
}

/// One JSON object on each line.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct JsonLinesFormat {
    /// The columns. Without them, types are inferred from the first rows, and a field that appears later becomes
    /// a new column. Default: none.
    pub(crate) columns: Option<Vec<DeclaredColumn>>,
    /// Whether fields that are not declared are passed over; otherwise a row with one is a bad row. Default: false.
    pub(crate) ignore_unknown_fields: bool,
    /// How many rows types are inferred from. Default: 1000.
    pub(crate) infer_rows: usize,
    /// The character encoding, by any name of the WHATWG Encoding Standard. Default: utf-8
    pub(crate) encoding: String,
}

impl Default for JsonLinesFormat {
    fn default() -> Self {
        Self { columns: None, ignore_unknown_fields: false, infer_rows: 1_000, encoding: "utf-8".into() }
    }
}

/// Plain text.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LinesFormat {
    /// The character encoding, by any name of the WHATWG Encoding Standard. Default: utf-8
    pub(crate) encoding: String,
}

impl Default for LinesFormat {
    fn default() -> Self {
        Self { encoding: "utf-8".into() }
    }
}

/// A column that an admin declares.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeclaredColumn {
    /// Its name, as the file spells it. Required.
    pub(crate) name: String,
    /// The type of its values. Required.
    #[serde(rename = "type")]
    #[schemars(schema_with = "column_type_schema")]
    pub(crate) column_type: ColumnType,
    /// Whether a value may be absent; if not, a row without one is a bad row. Default: true.
    #[serde(default = "yes")]
    pub(crate) nullable: bool,
    /// How a date, time or timestamp is written, in the conversions of strftime, such as `%d.%m.%Y`.
    /// Default: ISO 8601.
    #[serde(default)]
    pub(crate) format: Option<String>,
    /// What kind of data this is to policy, such as `pii.email`. Default: none.
    #[serde(default)]
    pub(crate) class: Option<String>,
}

impl DeclaredColumn {
    /// The column without what only matters to reading it.
    pub(crate) fn column(&self) -> Column {
        Column {
            name: self.name.clone(),
            column_type: self.column_type.clone(),
            nullable: self.nullable,
            class: self.class.clone(),
            treatment: None,
        }
    }
}

impl Format {
    /// The name of the character encoding.
    pub(crate) fn encoding(&self) -> &str {
        match self {
            Self::Csv(csv) => &csv.encoding,
            Self::JsonLines(json) => &json.encoding,
            Self::Lines(lines) => &lines.encoding,
        }
    }

    /// The columns, where an admin declares them.
    pub(crate) fn declared(&self) -> Option<&[DeclaredColumn]> {
        match self {
            Self::Csv(csv) => csv.columns.as_deref(),
            Self::JsonLines(json) => json.columns.as_deref(),
            Self::Lines(_) => None,
        }
    }
}

fn yes() -> bool {
    true
}

fn column_type_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "oneOf": [
            { "enum": [
                "boolean", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32",
                "float64", "string", "binary", "date", "time", "local_timestamp", "timestamp", "interval"
            ] },
            {
                "type": "object",
                "properties": { "decimal": {
                    "type": "object",
                    "description": "An exact decimal number.",
                    "properties": {
                        "precision": {
                            "type": "integer", "minimum": 1, "maximum": 38, "description": "Digits in all."
                        },
                        "scale": {
                            "type": "integer", "minimum": 0, "maximum": 38, "description": "Digits after the point."
                        }
                    },
                    "required": ["precision", "scale"],
                    "additionalProperties": false
                } },
                "required": ["decimal"],
                "additionalProperties": false
            }
        ]
    })
}
