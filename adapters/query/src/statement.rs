//! The statements that are made of a query.
//!
//! The query stands as a table of its own inside, so that whatever an admin wrote stays as it is; databases look
//! through it and use the indexes of what lies behind. Keys are compared column by column, for not every database
//! compares rows.

use crate::config::Query;
use crate::database::{Dialect, PageSize, Statement, Values};
use crate::value::Value;

/// Where reading begins.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Begin {
    /// With the first row that has a mark.
    First,
    /// With the first row whose mark is this or higher.
    At(Value),
    /// Behind the row with this mark and key. Without a key, with the first row of the mark.
    Behind(Value, Vec<Value>),
}

/// Reads the rows from a place on, in the order of mark and key.
pub(crate) fn rows(dialect: Dialect, query: &Query, begin: &Begin, page: PageSize) -> Statement {
    let mut writer = Writer { dialect, parameters: Vec::new() };
    let mark = dialect.quoted(&query.mark);
    let key: Vec<String> = query.key.iter().map(|name| dialect.quoted(name)).collect();
    let condition = match begin {
        Begin::First => format!("{mark} IS NOT NULL"),
        Begin::At(value) => format!("{mark} >= {}", writer.value(value)),
        Begin::Behind(value, values) if values.is_empty() => format!("{mark} >= {}", writer.value(value)),
        Begin::Behind(value, values) => {
            // The first comparison lets an index of the mark find the place.
            let from = format!("{mark} >= {}", writer.value(value));
            let above = format!("{mark} > {}", writer.value(value));
            let same = format!("{mark} = {}", writer.value(value));
            format!("{from} AND ({above} OR ({same} AND {}))", writer.behind(&key, values))
        }
    };
    let order: Vec<&str> = std::iter::once(&*mark).chain(key.iter().map(|name| &**name)).collect();
    let sql = format!(
        "SELECT * FROM ({}\n) towpath_rows WHERE {condition} ORDER BY {}",
        query.sql.trim(),
        order.join(", ")
    );
    let compared = std::iter::once(&query.mark).chain(&query.key).cloned().collect();
    Statement { sql, parameters: writer.parameters, compared, page }
}

/// Reads no rows, only their columns.
pub(crate) fn no_rows(query: &Query, page: PageSize) -> Statement {
    let sql = format!("SELECT * FROM ({}\n) towpath_rows WHERE 1 = 0", query.sql.trim());
    Statement { sql, parameters: Vec::new(), compared: Vec::new(), page }
}

/// Reads the keys of all rows in their order, from the first or from behind another.
pub(crate) fn keys(dialect: Dialect, query: &Query, behind: Option<&[Value]>, page: PageSize) -> Statement {
    let mut writer = Writer { dialect, parameters: Vec::new() };
    let own = query.deletes.as_ref().and_then(|deletes| deletes.sql.as_deref());
    let key: Vec<String> = query.key.iter().map(|name| dialect.quoted(name)).collect();
    let condition = behind.map(|values| format!(" WHERE {}", writer.behind(&key, values)));
    let columns = key.join(", ");
    let sql = format!(
        "SELECT {columns} FROM ({}\n) towpath_keys{} ORDER BY {columns}",
        own.unwrap_or(&query.sql).trim(),
        condition.unwrap_or_default()
    );
    Statement { sql, parameters: writer.parameters, compared: query.key.clone(), page }
}

struct Writer {
    dialect: Dialect,
    parameters: Vec<Value>,
}

impl Writer {
    fn value(&mut self, value: &Value) -> String {
        match self.dialect.values {
            Values::QuestionMarks => {
                self.parameters.push(value.clone());
                "?".to_owned()
            }
            Values::Literals(literal) => literal(value),
        }
    }

    /// Whether a key comes behind another: its first column does, or is the same and the others come behind.
    fn behind(&mut self, key: &[String], values: &[Value]) -> String {
        let (Some((name, key)), Some((value, values))) = (key.split_first(), values.split_first()) else {
            return "1 = 0".to_owned();
        };
        let above = format!("{name} > {}", self.value(value));
        if key.is_empty() {
            return above;
        }
        let same = format!("{name} = {}", self.value(value));
        format!("({above} OR ({same} AND {}))", self.behind(key, values))
    }
}

impl Dialect {
    /// A name as the database takes it, whatever is in it.
    pub(crate) fn quoted(self, name: &str) -> String {
        let (open, close) = self.quotes;
        format!("{open}{}{close}", name.replace(close, &format!("{close}{close}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: PageSize = PageSize { rows: 1, bytes: 1 };

    fn query() -> Query {
        serde_json::from_value(serde_json::json!({
            "stream": "s", "sql": " SELECT * FROM t ", "mark": "seen", "key": ["a", "b\"c"]
        }))
        .unwrap()
    }

    fn quoted(value: &Value) -> String {
        format!("'{}'", value.to_text().unwrap().replace('\'', "''"))
    }

    fn dialect(values: Values) -> Dialect {
        Dialect { quotes: ('"', '"'), values }
    }

    #[test]
    fn reading_goes_on_behind_a_row_by_its_mark_and_then_its_key() {
        let behind = Begin::Behind(Value::Int(7), vec![Value::Text("it's".to_owned()), Value::Int(2)]);
        let made = rows(dialect(Values::Literals(quoted)), &query(), &behind, PAGE);
        assert_eq!(
            made.sql,
            "SELECT * FROM (SELECT * FROM t\n) towpath_rows WHERE \"seen\" >= '7' AND (\"seen\" > '7' OR (\"seen\" = '7' \
             AND (\"a\" > 'it''s' OR (\"a\" = 'it''s' AND \"b\"\"c\" > '2')))) ORDER BY \"seen\", \"a\", \"b\"\"c\""
        );
        let made = rows(dialect(Values::QuestionMarks), &query(), &behind, PAGE);
        assert_eq!(made.sql.matches('?').count(), made.parameters.len());
        let text = Value::Text("it's".to_owned());
        let seven = Value::Int(7);
        assert_eq!(made.parameters, [seven.clone(), seven.clone(), seven, text.clone(), text, Value::Int(2)]);
    }

    #[test]
    fn a_first_run_reads_every_row_that_has_a_mark_and_keys_are_read_in_their_order() {
        let made = rows(dialect(Values::QuestionMarks), &query(), &Begin::First, PAGE);
        assert!(made.sql.contains("WHERE \"seen\" IS NOT NULL ORDER BY"), "{}", made.sql);
        let brackets = Dialect { quotes: ('[', ']'), values: Values::QuestionMarks };
        let made = keys(brackets, &query(), None, PAGE);
        assert_eq!(made.sql, "SELECT [a], [b\"c] FROM (SELECT * FROM t\n) towpath_keys ORDER BY [a], [b\"c]");
    }
}
