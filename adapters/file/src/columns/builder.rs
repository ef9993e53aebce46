//! One typed column under construction.

use std::str::FromStr;
use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, BooleanBuilder, PrimitiveBuilder, StringBuilder, UInt64Builder};
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, IntervalMonthDayNanoType, Time64MicrosecondType, TimestampMicrosecondType, UInt8Type,
    UInt16Type, UInt32Type,
};
use arrow_array::{ArrayRef, BooleanArray};
use towpath_record::ColumnType;

use super::{ColumnPlan, Faults, NullRule, RowFault, number, time};
use crate::table::{Field, Table};

/// A typed column under construction.
pub(super) enum ColumnBuilder {
    Boolean(BooleanBuilder),
    Int8(PrimitiveBuilder<Int8Type>),
    Int16(PrimitiveBuilder<Int16Type>),
    Int32(PrimitiveBuilder<Int32Type>),
    Int64(PrimitiveBuilder<Int64Type>),
    Uint8(PrimitiveBuilder<UInt8Type>),
    Uint16(PrimitiveBuilder<UInt16Type>),
    Uint32(PrimitiveBuilder<UInt32Type>),
    Uint64(UInt64Builder),
    Float32(PrimitiveBuilder<Float32Type>),
    Float64(PrimitiveBuilder<Float64Type>),
    Decimal(PrimitiveBuilder<Decimal128Type>, u8, u8),
    String(StringBuilder),
    Binary(BinaryBuilder),
    Date(PrimitiveBuilder<Date32Type>),
    Time(PrimitiveBuilder<Time64MicrosecondType>),
    LocalTimestamp(PrimitiveBuilder<TimestampMicrosecondType>),
    Timestamp(PrimitiveBuilder<TimestampMicrosecondType>),
    Interval(PrimitiveBuilder<IntervalMonthDayNanoType>),
}

/// One column's fields in a table.
pub(super) struct Values<'a> {
    pub(super) text: &'a str,
    pub(super) table: &'a Table,
    pub(super) index: usize,
    pub(super) plan: &'a ColumnPlan,
    pub(super) nulls: &'a NullRule,
    pub(super) faults: &'a mut Faults,
}

impl ColumnBuilder {
    pub(super) fn new(plan: &ColumnPlan) -> Self {
        let arrow = plan.column.column_type.to_arrow();
        match &plan.column.column_type {
            ColumnType::Boolean => Self::Boolean(BooleanBuilder::new()),
            ColumnType::Int8 => Self::Int8(PrimitiveBuilder::new()),
            ColumnType::Int16 => Self::Int16(PrimitiveBuilder::new()),
            ColumnType::Int32 => Self::Int32(PrimitiveBuilder::new()),
            ColumnType::Int64 => Self::Int64(PrimitiveBuilder::new()),
            ColumnType::Uint8 => Self::Uint8(PrimitiveBuilder::new()),
            ColumnType::Uint16 => Self::Uint16(PrimitiveBuilder::new()),
            ColumnType::Uint32 => Self::Uint32(PrimitiveBuilder::new()),
            ColumnType::Uint64 => Self::Uint64(PrimitiveBuilder::new()),
            ColumnType::Float32 => Self::Float32(PrimitiveBuilder::new()),
            ColumnType::Float64 => Self::Float64(PrimitiveBuilder::new()),
            ColumnType::Decimal { precision, scale } => {
                Self::Decimal(PrimitiveBuilder::new().with_data_type(arrow), *precision, *scale)
            }
            ColumnType::Binary => Self::Binary(BinaryBuilder::new()),
            ColumnType::Date => Self::Date(PrimitiveBuilder::new()),
            ColumnType::Time => Self::Time(PrimitiveBuilder::new()),
            ColumnType::LocalTimestamp => Self::LocalTimestamp(PrimitiveBuilder::new()),
            ColumnType::Timestamp => Self::Timestamp(PrimitiveBuilder::new().with_data_type(arrow)),
            ColumnType::Interval => Self::Interval(PrimitiveBuilder::new()),
            // Validation refuses nested columns, and inference makes none: their text is what is read.
            ColumnType::String | ColumnType::List(_) | ColumnType::Struct(_) => {
                Self::String(StringBuilder::new())
            }
        }
    }

    /// Appends one value for each row; a value that does not fit marks its row and leaves a filler.
    pub(super) fn append(&mut self, values: &mut Values<'_>) {
        let format = values.plan.format.as_deref();
        match self {
            Self::Boolean(builder) => values.fill(builder, boolean),
            Self::Int8(builder) => values.fill(builder, parsed),
            Self::Int16(builder) => values.fill(builder, parsed),
            Self::Int32(builder) => values.fill(builder, parsed),
            Self::Int64(builder) => values.fill(builder, parsed),
            Self::Uint8(builder) => values.fill(builder, parsed),
            Self::Uint16(builder) => values.fill(builder, parsed),
            Self::Uint32(builder) => values.fill(builder, parsed),
            Self::Uint64(builder) => values.fill(builder, parsed),
            Self::Float32(builder) => values.fill(builder, number::float),
            Self::Float64(builder) => values.fill(builder, number::float),
            Self::Decimal(builder, precision, scale) => {
                let (precision, scale) = (*precision, *scale);
                values.fill(builder, |text| number::decimal(text, precision, scale));
            }
            Self::String(builder) => values.fill_text(builder),
            Self::Binary(builder) => values.fill(builder, binary),
            Self::Date(builder) => values.fill(builder, |text| time::date(text, format)),
            Self::Time(builder) => values.fill(builder, |text| time::time(text, format)),
            Self::LocalTimestamp(builder) => values.fill(builder, |text| time::local_timestamp(text, format)),
            Self::Timestamp(builder) => values.fill(builder, |text| time::timestamp(text, format)),
            Self::Interval(builder) => values.fill(builder, time::interval),
        }
    }

    /// Appends line numbers to a column that was planned for them.
    pub(super) fn append_lines(&mut self, lines: impl Iterator<Item = u64>) {
        if let Self::Uint64(builder) = self {
            lines.for_each(|line| builder.append_value(line));
        }
    }

    /// Appends the file's path to a column that was planned for it.
    pub(super) fn append_path(&mut self, path: &str, rows: usize) {
        if let Self::String(builder) = self {
            (0..rows).for_each(|_| builder.append_value(path));
        }
    }

    pub(super) fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Boolean(builder) => Arc::<BooleanArray>::new(builder.finish()),
            Self::Int8(builder) => Arc::new(builder.finish()),
            Self::Int16(builder) => Arc::new(builder.finish()),
            Self::Int32(builder) => Arc::new(builder.finish()),
            Self::Int64(builder) => Arc::new(builder.finish()),
            Self::Uint8(builder) => Arc::new(builder.finish()),
            Self::Uint16(builder) => Arc::new(builder.finish()),
            Self::Uint32(builder) => Arc::new(builder.finish()),
            Self::Uint64(builder) => Arc::new(builder.finish()),
            Self::Float32(builder) => Arc::new(builder.finish()),
            Self::Float64(builder) => Arc::new(builder.finish()),
            Self::Decimal(builder, ..) => Arc::new(builder.finish()),
            Self::String(builder) => Arc::new(builder.finish()),
            Self::Binary(builder) => Arc::new(builder.finish()),
            Self::Date(builder) => Arc::new(builder.finish()),
            Self::Time(builder) => Arc::new(builder.finish()),
            Self::LocalTimestamp(builder) | Self::Timestamp(builder) => Arc::new(builder.finish()),
            Self::Interval(builder) => Arc::new(builder.finish()),
        }
    }
}

/// A builder that takes values, absent values and fillers.
trait Append {
    type Value;
    fn value(&mut self, value: Self::Value);
    fn absent(&mut self);
    fn filler(&mut self);
}

impl<T: ArrowPrimitiveType> Append for PrimitiveBuilder<T> {
    type Value = T::Native;

    fn value(&mut self, value: T::Native) {
        self.append_value(value);
    }

    fn absent(&mut self) {
        self.append_null();
    }

    fn filler(&mut self) {
        self.append_value(T::Native::default());
    }
}

impl Append for BooleanBuilder {
    type Value = bool;

    fn value(&mut self, value: bool) {
        self.append_value(value);
    }

    fn absent(&mut self) {
        self.append_null();
    }

    fn filler(&mut self) {
        self.append_value(false);
    }
}

impl Append for BinaryBuilder {
    type Value = Vec<u8>;

    fn value(&mut self, value: Vec<u8>) {
        self.append_value(value);
    }

    fn absent(&mut self) {
        self.append_null();
    }

    fn filler(&mut self) {
        self.append_value([]);
    }
}

impl Values<'_> {
    fn fill<B: Append>(&mut self, builder: &mut B, parse: impl Fn(&str) -> Option<B::Value>) {
        for row in 0..self.table.rows().len() {
            match self.table.field(self.text, row, self.index) {
                Some(field) => match parse(field.text) {
                    Some(value) if !self.stands_for_null(field) => builder.value(value),
                    _ if self.stands_for_null(field) || self.is_quoted_nothing(field) => {
                        self.absent(row, builder);
                    }
                    _ => {
                        self.refuse(row, self.misfit(field.text));
                        builder.filler();
                    }
                },
                None => self.absent(row, builder),
            }
        }
    }

    fn fill_text(&mut self, builder: &mut StringBuilder) {
        let nullable = self.plan.column.nullable;
        for row in 0..self.table.rows().len() {
            match self.table.field(self.text, row, self.index) {
                Some(field) if !self.stands_for_null(field) => builder.append_value(field.text),
                _ if nullable => builder.append_null(),
                _ => {
                    self.refuse(row, self.missing());
                    builder.append_value("");
                }
            }
        }
    }

    fn absent<B: Append>(&mut self, row: usize, builder: &mut B) {
        if self.plan.column.nullable {
            builder.absent();
        } else {
            self.refuse(row, self.missing());
            builder.filler();
        }
    }

    fn stands_for_null(&self, field: Field<'_>) -> bool {
        !field.quoted && self.nulls.texts.iter().any(|null| null == field.text)
    }

    fn is_quoted_nothing(&self, field: Field<'_>) -> bool {
        self.nulls.quoted_empty && field.quoted && field.text.is_empty()
    }

    fn refuse(&mut self, row: usize, reason: String) {
        let column = Some(self.plan.column.name.clone());
        self.faults.entry(row).or_insert(RowFault { column, reason });
    }

    fn missing(&self) -> String {
        "it has no value, and the column is part of the key or declared as not nullable".into()
    }

    fn misfit(&self, text: &str) -> String {
        const SHOWN: usize = 64;
        let shown = match text.char_indices().nth(SHOWN) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text.to_owned(),
        };
        let wanted = describe(&self.plan.column.column_type);
        match &self.plan.format {
            Some(format) => format!("{shown:?} is not {wanted} in the format {format:?}"),
            None => format!("{shown:?} is not {wanted}; a column of mixed values can be declared as string"),
        }
    }
}

fn describe(column_type: &ColumnType) -> String {
    match column_type {
        ColumnType::Boolean => "a boolean (true or false)".into(),
        ColumnType::Int8 => "an integer of 8 bits".into(),
        ColumnType::Int16 => "an integer of 16 bits".into(),
        ColumnType::Int32 => "an integer of 32 bits".into(),
        ColumnType::Int64 => "an integer of 64 bits".into(),
        ColumnType::Uint8 => "an unsigned integer of 8 bits".into(),
        ColumnType::Uint16 => "an unsigned integer of 16 bits".into(),
        ColumnType::Uint32 => "an unsigned integer of 32 bits".into(),
        ColumnType::Uint64 => "an unsigned integer of 64 bits".into(),
        ColumnType::Float32 | ColumnType::Float64 => "a number".into(),
        ColumnType::Decimal { precision, scale } => {
            format!("a decimal of up to {precision} digits with up to {scale} after the point")
        }
        ColumnType::Binary => "bytes in hexadecimal".into(),
        ColumnType::Date => "a date (2026-01-31)".into(),
        ColumnType::Time => "a time of day (13:45:00)".into(),
        ColumnType::LocalTimestamp => "a date and time without zone (2026-01-31T13:45:00)".into(),
        ColumnType::Timestamp => "a date and time with zone (2026-01-31T13:45:00Z)".into(),
        ColumnType::Interval => "a duration in ISO 8601 (P1DT2H)".into(),
        ColumnType::String | ColumnType::List(_) | ColumnType::Struct(_) => "text".into(),
    }
}

fn parsed<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

fn boolean(text: &str) -> Option<bool> {
    const WORDS: [(&str, bool); 8] = [
        ("true", true),
        ("false", false),
        ("1", true),
        ("0", false),
        ("yes", true),
        ("no", false),
        ("t", true),
        ("f", false),
    ];
    WORDS.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)).map(|(_, value)| *value)
}

fn binary(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("\\x").or_else(|| text.strip_prefix("0x")).unwrap_or(text);
    hex::decode(digits).ok()
}
