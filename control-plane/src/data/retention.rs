//! Lets the log forget what it no longer has to keep.

use std::time::Duration;

use jiff::Timestamp;
use towpath_log::Retention;
use towpath_resource::observed::Trouble;

use crate::cell::Cell;

const EVERY: Duration = Duration::from_secs(5);

/// Enforces retention from time to time.
pub(crate) async fn run(cell: Cell, retention: Retention) {
    loop {
        tokio::time::sleep(EVERY).await;
        match cell.log().retain(retention, Timestamp::now().as_microsecond(), cell.needed()).await {
            Ok(done) => {
                if done.segments > 0 {
                    tracing::info!(
                        segments = done.segments,
                        bytes = done.bytes,
                        "old frames left the region log"
                    );
                }
                note(&cell, done.full.then_some((
                    "the region log is at its size limit with frames that routes have not delivered".to_owned(),
                    "resume or delete the slow route, or raise `log.retention_bytes`; until then agents keep what comes",
                )));
            }
            Err(error) => {
                note(
                    &cell,
                    Some((
                        format!("the region log's disk refuses: {error}"),
                        "free space; it resumes by itself",
                    )),
                );
            }
        }
    }
}

fn note(cell: &Cell, trouble: Option<(String, &str)>) {
    let before = cell.log_trouble();
    if let Some((message, remedy)) = &trouble
        && before.is_none()
    {
        tracing::error!(%remedy, "{message}");
    }
    let since = before.and_then(|trouble| trouble.since).or_else(|| Some(Timestamp::now()));
    let trouble = trouble.map(|(message, remedy)| Trouble { message, remedy: remedy.to_owned(), since });
    cell.note_log_trouble(trouble);
}
