//! Whether a database is ready to be queried: each query runs without rows, and has the columns that it must have.

use std::sync::Arc;

use serde_json::Value;
use towpath_adapter_api::{AdapterError, Checking, Finding};
use towpath_record::ResourceName;

use crate::config::{Query, QueryConfig};
use crate::database::{PageOutput, PageSize, QueryDatabase, Shape, Statement};
use crate::records::Layout;
use crate::statement;

const ONE_ROW: PageSize = PageSize { rows: 1, bytes: 1 };

/// Looks at each query.
pub(crate) fn check<D: QueryDatabase>(_source: &ResourceName, config: &Value) -> Checking {
    let config = QueryConfig::<D::Connection>::read(config);
    Box::pin(async move {
        let config = config?;
        let database = Arc::new(D::new(config.connection.clone(), config.timeout.0)?);
        let mut findings = Vec::new();
        for query in &config.queries {
            findings.push(check_query(&*database, query).await);
            findings.extend(check_keys(&*database, query).await);
        }
        Ok(findings)
    })
}

async fn check_query<D: QueryDatabase>(database: &D, query: &Query) -> Finding {
    let subject = format!("query {}", query.stream);
    let shapes = match columns(database, statement::no_rows(query, ONE_ROW)).await {
        Ok(shapes) => shapes,
        Err(error) => return Finding::failed(subject, error.message),
    };
    match Layout::new(query, &shapes) {
        Err(reason) => Finding::failed(subject, reason),
        Ok(layout) if layout.key.is_empty() => Finding::warning(
            subject,
            format!("{} columns; without `key` a row that is changed is one more row", shapes.len()),
        ),
        Ok(_) => Finding::good(subject, format!("{} columns", shapes.len())),
    }
}

/// Whether the keys of all rows can be read, where a query of their own reads them.
async fn check_keys<D: QueryDatabase>(database: &D, query: &Query) -> Option<Finding> {
    query.deletes.as_ref()?.sql.as_ref()?;
    let subject = format!("deletes of {}", query.stream);
    let statement = statement::keys(database.dialect(), query, None, ONE_ROW);
    Some(match columns(database, statement).await {
        Ok(_) => Finding::good(subject, "the keys of all rows can be read"),
        Err(error) => Finding::failed(subject, error.message),
    })
}

/// The columns of an answer.
async fn columns<D: QueryDatabase>(database: &D, statement: Statement) -> Result<Vec<Shape>, AdapterError> {
    let (output, mut pages) = PageOutput::channel();
    let first = async {
        let page = pages.recv().await;
        pages.close();
        page.map(|page| page.columns).unwrap_or_default()
    };
    let (read, columns) = tokio::join!(database.read(statement, output), first);
    read.map(|_| columns)
}
