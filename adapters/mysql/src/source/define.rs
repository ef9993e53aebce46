//! Follows what statements do to tables that are read.

use std::sync::Arc;

use towpath_record::Op;

use super::copy::Standing;
use super::ddl::{Name, Statement};
use super::follow::{Follower, lost};
use super::table::Table;
use crate::error::MysqlError;

impl Follower<'_> {
    /// Acts on a statement of a session in the database `schema`.
    ///
    /// # Errors
    /// It changed rows that are read without telling which, or the server cannot be asked.
    pub(crate) async fn define(&mut self, schema: &str, statement: Statement) -> Result<(), MysqlError> {
        match statement {
            Statement::Empty(names) => {
                for name in names {
                    self.empty(&named(schema, name)).await?;
                }
            }
            Statement::Rename(names) => {
                for (from, to) in names {
                    self.empty(&named(schema, from)).await?;
                    self.copy_again(&named(schema, to)).await?;
                }
            }
            Statement::Thin(name) => self.copy_again(&named(schema, name)).await?,
            Statement::Alter(name) => {
                let (schema, table) = named(schema, name);
                self.forget(&schema, &table);
                self.copier.drop_range_of(&format!("{schema}.{table}"));
            }
            Statement::Write(name) => {
                let (schema, table) =
                    named(schema, name.unwrap_or(Name { schema: None, table: "?".to_owned() }));
                if self.wanted.has(&schema, &table) {
                    return Err(lost(&format!(
                        "a statement wrote to table {schema}.{table} and the binlog does not have its rows; run SET \
                         GLOBAL binlog_format = 'ROW'; and let the writers connect again"
                    )));
                }
            }
            Statement::Begin
            | Statement::BeginXa
            | Statement::Commit
            | Statement::RollBack
            | Statement::Other => {}
        }
        Ok(())
    }

    /// All rows of a table are gone.
    async fn empty(&mut self, (schema, table): &(String, String)) -> Result<(), MysqlError> {
        if !self.wanted.has(schema, table) {
            return Ok(());
        }
        let name = format!("{schema}.{table}");
        self.copier.drop_range_of(&name);
        if self.standing_of(&name) != Standing::Later {
            self.truncate(schema, table).await?;
        }
        self.forget(schema, table);
        Ok(())
    }

    /// What a table has is not what its changes tell.
    async fn copy_again(&mut self, (schema, table): &(String, String)) -> Result<(), MysqlError> {
        if !self.wanted.has(schema, table) {
            return Ok(());
        }
        let name = format!("{schema}.{table}");
        self.copier.drop_range_of(&name);
        match self.standing_of(&name) {
            Standing::Settled => {
                let copy = self.outbox.position.copy.get_or_insert_default();
                copy.again.push(name);
            }
            Standing::InRange => {
                // Its turn goes on; what was copied of it is taken back.
                self.truncate(schema, table).await?;
                if let Some(copy) = &mut self.outbox.position.copy {
                    copy.part = None;
                }
            }
            Standing::Later => {}
        }
        self.forget(schema, table);
        Ok(())
    }

    async fn truncate(&mut self, schema: &str, table: &str) -> Result<(), MysqlError> {
        let known = match self.known(schema, table) {
            Some(known) => Some(known),
            None => self.catalog.table(schema, table, self.config).await?.map(Arc::new),
        };
        // Of a table that was never seen and is not there any more, nobody was told a row.
        let Some(known): Option<Arc<Table>> = known else { return Ok(()) };
        if self.count()? {
            self.emit(&known, vec![(Op::Truncate, Ok(Vec::new()))]).await?;
        }
        self.counted();
        Ok(())
    }
}

fn named(schema: &str, name: Name) -> (String, String) {
    (name.schema.unwrap_or_else(|| schema.to_owned()), name.table)
}
