//! Finds the rows that are gone and hands over their deletes.

use jiff::Timestamp;
use tokio::sync::mpsc;
use towpath_adapter_api::{AdapterError, ErrorKind, Rows};
use towpath_record::Op;

use super::{Worker, instant};
use crate::database::{End, Page, PageOutput, QueryDatabase, Shape};
use crate::deletes::{Comparison, KeyListing, Life};
use crate::position::KnownKeys;
use crate::records::Layout;
use crate::statement;
use crate::threads::Threads;
use crate::value::{Row, Value};

/// How many notes of keys are kept before they go into a new base.
const MOST_NOTES: u64 = 64;

impl<D: QueryDatabase> Worker<D> {
    pub(super) fn is_comparison_due(&self, number: usize, now: Timestamp) -> bool {
        let (job, place) = (&self.jobs[number], &self.places[number]);
        if job.query.deletes.is_none() {
            return false;
        }
        let (Some(compares), Some(compared_at)) = (&job.compares, place.compared_at_us) else { return true };
        compares.after(instant(compared_at)).is_some_and(|due| due <= now)
    }

    /// Compares the keys that are there with those that were read, and hands over the deletes of those that are gone.
    pub(super) async fn compare(&mut self, number: usize) -> Result<(), AdapterError> {
        let Some(layout) = self.jobs[number].layout.clone() else { return Ok(()) };
        let listing = self.list_keys(number, &layout).await?;
        let keys = self.places[number].known.unwrap_or_default();
        let rewrites = keys.note - keys.base_note >= MOST_NOTES;
        let comparison = Comparison::new(self.jobs[number].known.clone(), keys, self.batch.rows);
        let (sender, mut gone) = mpsc::channel(1);
        let threads = self.threads.clone();
        let comparing = threads.run(move || comparison.run(listing, &sender, rewrites));
        let mut comparing = std::pin::pin!(comparing);
        let mut pages = None;
        loop {
            tokio::select! {
                compared = &mut comparing, if pages.is_none() => pages = Some(compared??),
                batch = gone.recv() => match batch {
                    Some(batch) => self.hand_over_deletes(number, &layout, batch).await?,
                    None => break,
                },
            }
        }
        let pages = match pages {
            Some(pages) => pages,
            None => comparing.await??,
        };
        if let Some(base_pages) = pages {
            let note = self.places[number].known.unwrap_or_default().note;
            let known = KnownKeys { base: keys.base + 1, base_pages, base_note: note, note };
            self.places[number].known = Some(known);
        }
        Ok(())
    }

    async fn hand_over_deletes(
        &mut self,
        number: usize,
        layout: &Layout,
        gone: Vec<Vec<Value>>,
    ) -> Result<(), AdapterError> {
        let rows: Vec<Row> = gone.into_iter().map(|key| layout.row_of_key(key)).collect();
        // A key of another type than the column has now was of the stream's earlier schema.
        let (fit, unfit): (Vec<Row>, Vec<Row>) = rows.into_iter().partition(|row| layout.check(row).is_ok());
        if !unfit.is_empty() {
            let resource = format!("query {} of {}", self.jobs[number].stream, self.database.address());
            let refusals = unfit.iter().filter_map(|row| Some((row, layout.check(row).err()?)));
            let letters =
                refusals.map(|(row, refusal)| layout.letter(resource.clone(), row, refusal)).collect();
            self.note_keys(number, unfit.clone(), Life::Gone).await?;
            self.emit(number, Rows::DeadLetters(letters), None).await?;
        }
        if fit.is_empty() {
            return Ok(());
        }
        let key_bits = fit.iter().map(|row| layout.key_bits_of(row)).collect();
        let window = &mut self.jobs[number].window;
        window.forget(&key_bits);
        self.places[number].remembered = window.save(self.remembered_bytes);
        let records = layout.records(Op::Delete, &fit, self.now_us());
        self.note_keys(number, fit, Life::Gone).await?;
        self.emit(number, records, None).await
    }

    /// Reads the key of every row that is there.
    async fn list_keys(&mut self, number: usize, layout: &Layout) -> Result<KeyListing, AdapterError> {
        let shapes = layout.key_shapes();
        let mut listing = KeyListing::new();
        let mut behind: Option<Row> = None;
        loop {
            let query = &self.jobs[number].query;
            let statement = statement::keys(self.database.dialect(), query, behind.as_deref(), self.page());
            let (output, mut pages) = PageOutput::channel();
            let resource = format!("deletes of {} at {}", self.jobs[number].stream, self.database.address());
            let listed = list_pages(&self.threads, &mut pages, &shapes, &resource, listing);
            let (end, listed) = tokio::join!(self.database.read(statement, output), listed);
            let end = end?;
            let last;
            (listing, last) = listed?;
            if end == End::Complete {
                return Ok(listing);
            }
            if last.is_none() {
                let message = "the keys of all rows cannot be read to their end";
                return Err(AdapterError::new(ErrorKind::Unavailable, resource, message));
            }
            behind = last;
        }
    }
}

/// Adds pages of keys to a listing. Returns the last key as well.
async fn list_pages(
    threads: &Threads,
    pages: &mut mpsc::Receiver<Page>,
    shapes: &[Shape],
    resource: &str,
    mut listing: KeyListing,
) -> Result<(KeyListing, Option<Row>), AdapterError> {
    let mut last = None;
    while let Some(page) = pages.recv().await {
        let types = |shapes: &[Shape]| shapes.iter().map(|it| it.column_type.clone()).collect::<Vec<_>>();
        // Keys that only look different would all be taken for gone.
        if types(&page.columns) != types(shapes) {
            pages.close();
            let message = format!(
                "the keys of all rows have the types {:?}, those of the query {:?}; cast them in `deletes.sql`",
                types(&page.columns),
                types(shapes)
            );
            return Err(AdapterError::new(ErrorKind::Config, resource, message));
        }
        last = page.rows.last().cloned().or(last);
        let adding = move || {
            let can_be = |value: &Value| !matches!(value, Value::Null | Value::Misfit { .. });
            let mut keys = page.rows.iter().filter(|key| key.iter().all(can_be));
            keys.try_for_each(|key| listing.push(key)).map(|()| listing)
        };
        listing = threads.run(adding).await??;
    }
    Ok((listing, last))
}
