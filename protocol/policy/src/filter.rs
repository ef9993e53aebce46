//! Filters of rows: expressions of the Common Expression Language (<https://cel.dev>) over `row`.
//!
//! A filter is checked when its policy is made ready, so that an admin hears of a mistake before any source does. What it
//! reads must be seen without running it: `row` stands in it as `row.NAME`, `row["NAME"]` or `has(row.NAME)` and in no
//! other way. Then only those fields are converted, and a stream without them is named before its first row.

use std::collections::BTreeSet;

use cel::common::ast::operators::INDEX;
use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, SelectExpr};
use cel::{ParseErrors, Program};
use towpath_record::{Column, ColumnType, RegionName, StreamName, StreamSchema};

use crate::rulebook::Rulebook;
use crate::shape::{ShapeFault, is_of_change};

/// What a filter calls the row.
const ROW: &str = "row";

/// A filter that was understood.
#[derive(Debug)]
pub struct Filter {
    program: Program,
    read: BTreeSet<String>,
    tested: BTreeSet<String>,
}

/// Why a filter is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterFault {
    /// It is no expression.
    #[error("it is no CEL expression: at line {line}, column {column}: {reason}")]
    Syntax {
        /// The line, from 1.
        line: isize,
        /// The column.
        column: isize,
        /// What is wrong there.
        reason: String,
    },
    /// It uses `row` as a whole, or with a name that is only known when it runs.
    #[error("it uses `row` as a whole; write `row.NAME`, `row[\"NAME\"]` or `has(row.NAME)`")]
    WholeRow,
    /// It uses a name that it does not know.
    #[error("it uses `{0}`, which it does not know; a filter sees nothing but `row`")]
    UnknownName(String),
    /// It gives the name `row` to something else.
    #[error("it gives the name `row` to something else; choose another name")]
    ShadowedRow,
    /// It goes through a list for each item of a list, which may take for ever.
    #[error("it goes through a list within a list; go through one list at a time")]
    NestedLoop,
}

impl Filter {
    /// Understands an expression.
    ///
    /// # Errors
    /// [`FilterFault`] says why it is no filter.
    pub fn parse(text: &str) -> Result<Self, FilterFault> {
        let program = Program::compile(text).map_err(|errors| syntax(&errors))?;
        let mut walk = Walk::default();
        walk.expression(program.expression())?;
        let Walk { read, tested, .. } = walk;
        Ok(Self { program, read, tested })
    }

    /// The expression, ready to be run.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// The fields that it mentions.
    pub fn mentions(&self) -> impl Iterator<Item = &str> {
        self.read.union(&self.tested).map(String::as_str)
    }

    /// The fields that a stream must have: those that it reads without asking by `has` whether they are there.
    pub fn requires(&self) -> impl Iterator<Item = &str> {
        self.read.difference(&self.tested).map(String::as_str)
    }

    /// Why it cannot read this field, and what would help.
    fn unreadable(&self, field: &str, column: Option<&Column>) -> Option<(String, &'static str)> {
        match column {
            Some(column) if is_readable(&column.column_type) => None,
            Some(column) => {
                let why = format!("a filter cannot read a value of type {}", column.column_type);
                Some((why, "let it read another field"))
            }
            None if !self.requires().any(|required| required == field) => None,
            None => Some((
                "it is not there".to_owned(),
                "let the policy cover fewer streams, or ask first whether it is there: `!has(row.NAME) || …`",
            )),
        }
    }
}

impl Rulebook {
    /// Which fields of a stream the filters of its policies cannot read. The schema is the one that the source gives, for
    /// filters see rows as the source gave them.
    pub fn filter_faults(
        &self,
        stream: &StreamName,
        schema: &StreamSchema,
        region: &RegionName,
    ) -> Vec<ShapeFault> {
        let mut faults = Vec::new();
        for (policy, filter) in self.filters(stream) {
            for field in filter.mentions() {
                let column = schema.columns().iter().find(|one| one.name == field && !is_of_change(one));
                let Some((why, remedy)) = filter.unreadable(field, column) else { continue };
                faults.push(ShapeFault {
                    stream: stream.clone(),
                    field: field.to_owned(),
                    region: region.clone(),
                    fault: format!("is read by the filter of policy {policy}, but {why}"),
                    remedy: remedy.to_owned(),
                });
            }
        }
        faults
    }
}

fn is_readable(of: &ColumnType) -> bool {
    match of {
        ColumnType::Interval => false,
        ColumnType::List(item) => is_readable(&item.column_type),
        ColumnType::Struct(members) => members.iter().all(|member| is_readable(&member.column_type)),
        _ => true,
    }
}

fn syntax(errors: &ParseErrors) -> FilterFault {
    match errors.errors.first() {
        Some(first) => {
            FilterFault::Syntax { line: first.pos.0, column: first.pos.1, reason: first.msg.clone() }
        }
        None => FilterFault::Syntax { line: 1, column: 0, reason: "it cannot be read".to_owned() },
    }
}

/// A walk over an expression, which finds the fields.
#[derive(Default)]
struct Walk<'e> {
    read: BTreeSet<String>,
    tested: BTreeSet<String>,
    /// The names that loops around this place have given.
    bound: Vec<&'e str>,
    in_loop: bool,
}

impl<'e> Walk<'e> {
    fn expression(&mut self, at: &'e IdedExpr) -> Result<(), FilterFault> {
        match &at.expr {
            Expr::Unspecified | Expr::Literal(_) => Ok(()),
            Expr::Ident(name) => self.name(name),
            Expr::Select(select) => self.select(select),
            Expr::Call(call) => self.call(call),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::List(list) => list.elements.iter().try_for_each(|one| self.expression(one)),
            Expr::Map(map) => map.entries.iter().try_for_each(|entry| self.entry(&entry.expr)),
            Expr::Struct(of) => of.entries.iter().try_for_each(|entry| self.entry(&entry.expr)),
        }
    }

    fn name(&self, name: &str) -> Result<(), FilterFault> {
        if is_row(name) {
            Err(FilterFault::WholeRow)
        } else if self.bound.contains(&name) {
            Ok(())
        } else {
            Err(FilterFault::UnknownName(name.to_owned()))
        }
    }

    fn select(&mut self, select: &'e SelectExpr) -> Result<(), FilterFault> {
        if !matches!(&select.operand.expr, Expr::Ident(name) if is_row(name)) {
            return self.expression(&select.operand);
        }
        let found = if select.test { &mut self.tested } else { &mut self.read };
        found.insert(select.field.clone());
        Ok(())
    }

    fn call(&mut self, call: &'e CallExpr) -> Result<(), FilterFault> {
        if call.func_name == INDEX
            && let [IdedExpr { expr: Expr::Ident(row), .. }, IdedExpr { expr: Expr::Literal(index), .. }] =
                &call.args[..]
            && let LiteralValue::String(name) = index
            && is_row(row)
        {
            self.read.insert(name.inner().to_owned());
            return Ok(());
        }
        call.target.iter().try_for_each(|target| self.expression(target))?;
        call.args.iter().try_for_each(|argument| self.expression(argument))
    }

    fn entry(&mut self, entry: &'e EntryExpr) -> Result<(), FilterFault> {
        match entry {
            EntryExpr::StructField(field) => self.expression(&field.value),
            EntryExpr::MapEntry(entry) => {
                self.expression(&entry.key)?;
                self.expression(&entry.value)
            }
        }
    }

    fn comprehension(&mut self, of: &'e ComprehensionExpr) -> Result<(), FilterFault> {
        if self.in_loop {
            return Err(FilterFault::NestedLoop);
        }
        self.expression(&of.iter_range)?;
        self.expression(&of.accu_init)?;
        let before = self.bound.len();
        self.bound.extend([of.iter_var.as_str(), of.accu_var.as_str()]);
        self.bound.extend(of.iter_var2.as_deref());
        if self.bound[before..].iter().any(|name| is_row(name)) {
            return Err(FilterFault::ShadowedRow);
        }
        self.in_loop = true;
        let parts = [&of.loop_cond, &of.loop_step, &of.result];
        let walked = parts.into_iter().try_for_each(|part| self.expression(part));
        self.in_loop = false;
        self.bound.truncate(before);
        walked
    }
}

/// A name with a point before it is looked for outside of all loops, which `row` is anyway.
fn is_row(name: &str) -> bool {
    name.strip_prefix('.').unwrap_or(name) == ROW
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> FilterFault {
        Filter::parse(text).unwrap_err()
    }

    #[test]
    fn what_a_filter_reads_is_known_without_running_it() {
        let filter = Filter::parse(
            r#"row.country in ["DE", "FR"] && (!has(row.age) || row.age > 18) && row["last name"].size() > 0
               && row.tags.exists(tag, tag == row.kind.code)"#,
        )
        .unwrap();
        let mentions: Vec<_> = filter.mentions().collect();
        assert_eq!(mentions, ["age", "country", "kind", "last name", "tags"]);
        let requires: Vec<_> = filter.requires().collect();
        assert_eq!(requires, ["country", "kind", "last name", "tags"]);
    }

    #[test]
    fn what_cannot_be_known_or_bounded_is_refused() {
        assert_eq!(fault("row == null"), FilterFault::WholeRow);
        assert_eq!(fault("row[row.name] == 1"), FilterFault::WholeRow);
        assert_eq!(fault(".row.size() == 1"), FilterFault::WholeRow);
        assert_eq!(fault("country == 'DE'"), FilterFault::UnknownName("country".to_owned()));
        assert_eq!(fault("[1].exists(x, x > 0) && x > 0"), FilterFault::UnknownName("x".to_owned()));
        assert_eq!(fault("[1].exists(row, row > 0)"), FilterFault::ShadowedRow);
        assert_eq!(fault("row.a.all(x, row.b.all(y, x == y))"), FilterFault::NestedLoop);
        assert!(Filter::parse("row.a.filter(x, x > 1).exists(y, y < 3)").is_ok());
    }

    #[test]
    fn what_is_no_expression_is_refused_with_its_place() {
        let said = fault("row.country ==").to_string();
        assert!(said.contains("line 1"), "{said}");
        let deep = format!("{}true{}", "(".repeat(2_000), ")".repeat(2_000));
        assert!(matches!(fault(&deep), FilterFault::Syntax { .. }));
    }
}
