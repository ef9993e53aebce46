//! What a statement in the binlog does to tables. Only its beginning and a few words behind are understood, of which
//! rows cannot tell: that a table was emptied, dropped, renamed, or written to without rows being logged.

/// A table's name as a statement has it; without a database it is of the session's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Name {
    pub(crate) schema: Option<String>,
    pub(crate) table: String,
}

/// What a statement does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Statement {
    /// Begins a transaction.
    Begin,
    /// Begins one that is committed by another statement.
    BeginXa,
    Commit,
    RollBack,
    /// Takes all rows from a table, or the table itself.
    Empty(Vec<Name>),
    /// Gives tables other names, one after another.
    Rename(Vec<(Name, Name)>),
    /// Changes a table so that its rows are described anew.
    Alter(Name),
    /// Takes some rows from a table without telling which.
    Thin(Name),
    /// Changes rows without telling which.
    Write(Option<Name>),
    /// Something else.
    Other,
}

/// A word, a quoted name or a sign of a statement.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Token {
    /// A word, as it was written.
    Word(String),
    /// A name between quotes, or a text.
    Quoted(String),
    Sign(char),
}

/// Reads a statement.
pub(crate) fn read(sql: &str) -> Statement {
    let tokens = tokens(sql);
    let mut rest = Rest(&tokens);
    let Some(first) = rest.word() else { return Statement::Other };
    match &*first {
        "BEGIN" => Statement::Begin,
        "COMMIT" => Statement::Commit,
        // Back to a savepoint is not the end.
        "ROLLBACK" if rest.find("TO").is_none() => Statement::RollBack,
        "XA" => match rest.word().as_deref() {
            Some("START" | "BEGIN") => Statement::BeginXa,
            _ => Statement::Other,
        },
        "TRUNCATE" => {
            rest.skip(&["TABLE"]);
            rest.name().map_or(Statement::Other, |name| Statement::Empty(vec![name]))
        }
        "DROP" if rest.skip(&["TABLE", "TABLES"]) => {
            if rest.skip(&["IF"]) {
                rest.skip(&["EXISTS"]);
            }
            Statement::Empty(rest.names())
        }
        "RENAME" if rest.skip(&["TABLE", "TABLES"]) => {
            if rest.skip(&["IF"]) {
                rest.skip(&["EXISTS"]);
            }
            Statement::Rename(rest.renames())
        }
        "ALTER" => alter(rest),
        "INSERT" | "REPLACE" => {
            Statement::Write(rest.behind(&["LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "IGNORE", "INTO"]))
        }
        "UPDATE" => Statement::Write(rest.behind(&["LOW_PRIORITY", "IGNORE"])),
        "DELETE" => {
            let table = rest.behind(&["LOW_PRIORITY", "QUICK", "IGNORE", "FROM"]);
            match (table, rest.0) {
                // The server logs so that it lost the rows of a table in memory.
                (Some(table), []) => Statement::Empty(vec![table]),
                (table, _) => Statement::Write(table),
            }
        }
        "LOAD" => match rest.find("TABLE") {
            Some(mut rest) => Statement::Write(rest.name()),
            None => Statement::Other,
        },
        _ => Statement::Other,
    }
}

fn alter(mut rest: Rest<'_>) -> Statement {
    while rest.skip(&["ONLINE", "IGNORE"]) {}
    if !rest.skip(&["TABLE"]) {
        return Statement::Other;
    }
    if rest.skip(&["IF"]) {
        rest.skip(&["EXISTS"]);
    }
    let Some(table) = rest.name() else { return Statement::Other };
    for verb in ["DROP", "TRUNCATE", "EXCHANGE", "CONVERT", "DISCARD", "IMPORT"] {
        let mut found = rest.find(verb);
        while let Some(mut behind) = found {
            if behind.skip(&["PARTITION", "TABLESPACE"]) {
                return Statement::Thin(table);
            }
            found = behind.find(verb);
        }
    }
    let mut found = rest.find("RENAME");
    while let Some(mut behind) = found {
        if !behind.skip(&["COLUMN", "INDEX", "KEY"]) {
            behind.skip(&["TO", "AS"]);
            behind.sign('=');
            if let Some(to) = behind.name() {
                return Statement::Rename(vec![(table, to)]);
            }
        }
        found = behind.find("RENAME");
    }
    Statement::Alter(table)
}

/// The tokens that are left.
#[derive(Clone, Copy)]
struct Rest<'a>(&'a [Token]);

impl<'a> Rest<'a> {
    fn word(&mut self) -> Option<String> {
        match self.0.split_first() {
            Some((Token::Word(word), rest)) => {
                self.0 = rest;
                Some(word.to_uppercase())
            }
            _ => None,
        }
    }

    fn skip(&mut self, words: &[&str]) -> bool {
        match self.0.split_first() {
            Some((Token::Word(word), rest)) if words.contains(&&*word.to_uppercase()) => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }

    fn sign(&mut self, sign: char) -> bool {
        let is = self.0.first() == Some(&Token::Sign(sign));
        if is {
            self.0 = &self.0[1..];
        }
        is
    }

    fn part(&mut self) -> Option<String> {
        match self.0.split_first() {
            Some((Token::Word(name) | Token::Quoted(name), rest)) => {
                self.0 = rest;
                Some(name.clone())
            }
            _ => None,
        }
    }

    fn name(&mut self) -> Option<Name> {
        let first = self.part()?;
        match self.sign('.') {
            true => Some(Name { schema: Some(first), table: self.part()? }),
            false => Some(Name { schema: None, table: first }),
        }
    }

    fn names(&mut self) -> Vec<Name> {
        let mut names: Vec<_> = self.name().into_iter().collect();
        while self.sign(',') {
            names.extend(self.name());
        }
        names
    }

    fn renames(&mut self) -> Vec<(Name, Name)> {
        let mut renames = Vec::new();
        while let Some(from) = self.name() {
            // MariaDB may say how long it waits in between.
            while !matches!(self.0.first(), Some(Token::Word(word)) if word.eq_ignore_ascii_case("TO")) {
                let Some((_, rest)) = self.0.split_first() else { return renames };
                self.0 = rest;
            }
            self.skip(&["TO"]);
            let Some(to) = self.name() else { break };
            renames.push((from, to));
            self.sign(',');
        }
        renames
    }

    /// The name behind some of these words.
    fn behind(&mut self, words: &[&str]) -> Option<Name> {
        while self.skip(words) {}
        self.name()
    }

    /// What follows the next such word.
    fn find(&self, wanted: &str) -> Option<Rest<'a>> {
        let is = |token: &Token| matches!(token, Token::Word(word) if word.eq_ignore_ascii_case(wanted));
        self.0.iter().position(is).map(|at| Rest(&self.0[at + 1..]))
    }
}

fn tokens(sql: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let is_remark = rest.starts_with('#') || rest.starts_with("-- ") || rest.starts_with("--\n");
        if is_remark {
            rest = rest.find('\n').map_or("", |end| &rest[end + 1..]);
        } else if rest.starts_with("/*!") || rest.starts_with("/*M!") {
            // What stands in it counts, behind the version that it is for.
            rest = rest
                .split_once('!')
                .map_or("", |(_, inner)| inner)
                .trim_start_matches(|c: char| c.is_ascii_digit());
        } else if rest.starts_with("/*") {
            rest = rest.find("*/").map_or("", |end| &rest[end + 2..]);
        } else if rest.starts_with("*/") {
            rest = &rest[2..];
        } else if matches!(first, '`' | '\'' | '"') {
            let (text, behind) = quoted(rest, first);
            tokens.push(Token::Quoted(text));
            rest = behind;
        } else if is_of_word(first) {
            let end = rest.find(|c: char| !is_of_word(c)).unwrap_or(rest.len());
            tokens.push(Token::Word(rest[..end].to_owned()));
            rest = &rest[end..];
        } else {
            if !first.is_whitespace() && first != ';' {
                tokens.push(Token::Sign(first));
            }
            rest = &rest[first.len_utf8()..];
        }
    }
    tokens
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$' || !c.is_ascii()
}

/// What stands between quotes, and what follows.
fn quoted(text: &str, quote: char) -> (String, &str) {
    let mut inner = String::new();
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c == '\\' && quote != '`' {
            inner.extend(chars.next().map(|(_, escaped)| escaped));
        } else if c != quote {
            inner.push(c);
        } else if chars.peek().is_some_and(|(_, next)| *next == quote) {
            inner.push(quote);
            chars.next();
        } else {
            return (inner, &text[at + 1..]);
        }
    }
    (inner, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> Name {
        let (schema, table) =
            name.split_once('.').map_or((None, name), |(schema, table)| (Some(schema), table));
        Name { schema: schema.map(str::to_owned), table: table.to_owned() }
    }

    #[test]
    fn tables_that_are_emptied_are_told() {
        let empty = |names: &[&str]| Statement::Empty(names.iter().map(|n| name(n)).collect());
        assert_eq!(read("truncate `d`.`a b`"), Statement::Empty(vec![name("d.a b")]));
        assert_eq!(read("/* by hand */ TRUNCATE TABLE t -- now"), empty(&["t"]));
        assert_eq!(read("DROP TABLE IF EXISTS `a`,`d`.`b` /* generated by server */"), empty(&["a", "d.b"]));
        assert_eq!(read("DELETE FROM `d`.`m`"), empty(&["d.m"]));
        assert_eq!(read("DROP TEMPORARY TABLE t"), Statement::Other);
        assert_eq!(read("DROP VIEW v"), Statement::Other);
    }

    #[test]
    fn names_are_followed() {
        let renames = |pairs: &[(&str, &str)]| {
            Statement::Rename(pairs.iter().map(|(from, to)| (name(from), name(to))).collect())
        };
        assert_eq!(
            read("RENAME TABLE a TO b, `d`.`c` WAIT 5 TO d.e"),
            renames(&[("a", "b"), ("d.c", "d.e")])
        );
        assert_eq!(read("ALTER TABLE t ADD x int, RENAME TO `u`"), renames(&[("t", "u")]));
        assert_eq!(read("alter online table t rename u"), renames(&[("t", "u")]));
        assert_eq!(
            read("ALTER TABLE t RENAME COLUMN a TO b, RENAME KEY k TO l"),
            Statement::Alter(name("t"))
        );
        assert_eq!(read("ALTER TABLE t COMMENT 'RENAME TO u'"), Statement::Alter(name("t")));
        assert_eq!(read("ALTER DATABASE d CHARACTER SET latin1"), Statement::Other);
    }

    #[test]
    fn what_takes_rows_without_a_word_is_told() {
        assert_eq!(read("ALTER TABLE d.t DROP PARTITION p1"), Statement::Thin(name("d.t")));
        assert_eq!(read("ALTER TABLE t DROP COLUMN a, TRUNCATE PARTITION p"), Statement::Thin(name("t")));
        assert_eq!(read("ALTER TABLE t DROP COLUMN a"), Statement::Alter(name("t")));
    }

    #[test]
    fn transactions_and_writes_are_known_by_their_first_words() {
        assert_eq!(read("BEGIN"), Statement::Begin);
        assert_eq!(read("XA START X'31',X'',1"), Statement::BeginXa);
        assert_eq!((read("COMMIT"), read("ROLLBACK")), (Statement::Commit, Statement::RollBack));
        assert_eq!(read("ROLLBACK TO `s`"), Statement::Other);
        assert_eq!(read("INSERT IGNORE INTO d.t VALUES (1)"), Statement::Write(Some(name("d.t"))));
        assert_eq!(read("update t set a = 1"), Statement::Write(Some(name("t"))));
        assert_eq!(read("LOAD DATA INFILE 'x' INTO TABLE `t` FIELDS"), Statement::Write(Some(name("t"))));
        assert_eq!(read("/*!40000 ALTER TABLE `t` DISABLE KEYS */"), Statement::Alter(name("t")));
        assert_eq!((read("GRANT ALL ON *.* TO x"), read("")), (Statement::Other, Statement::Other));
    }
}
