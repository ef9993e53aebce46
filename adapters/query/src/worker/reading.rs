//! A run: reads the rows from the overlap on, or from where a run was interrupted, and hands over those that are new.

use tokio::sync::mpsc;
use towpath_adapter_api::{AdapterError, ErrorKind, Rows};
use towpath_record::Op;
use towpath_record::dead_letter::DeadLetter;

use super::{Worker, cache_failed};
use crate::config::invalid;
use crate::database::{End, Page, PageOutput, PageSize, QueryDatabase};
use crate::deletes::Life;
use crate::mark::{is_before, is_mark};
use crate::position::{KnownKeys, Place};
use crate::records::Layout;
use crate::statement::{self, Begin};
use crate::value::{Row, Value};
use crate::window::Window;

/// Bytes that the position needs to remember a row.
const REMEMBERED_ROW_BYTES: usize = 8;

/// How far a run came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reached {
    /// There are no more rows.
    End,
    /// As far as `max_rows` lets it.
    Limit,
}

/// A run under way.
struct Run {
    /// How many rows it may still hand over.
    left: u64,
    /// How many rows were passed by the statement under way.
    passed: u64,
    batch: Batch,
}

/// What is handed over next: records or dead letters, never both, so that one position speaks for all of it.
#[derive(Default)]
struct Batch {
    rows: Vec<Row>,
    letters: Vec<DeadLetter>,
}

impl<D: QueryDatabase> Worker<D> {
    /// Reads what is new.
    pub(super) async fn read_rows(&mut self, number: usize) -> Result<Reached, AdapterError> {
        let mut begin = self.begin(number)?;
        let mut page = self.page();
        let left = self.jobs[number].query.max_rows.unwrap_or(u64::MAX);
        let mut run = Run { left, passed: 0, batch: Batch::default() };
        loop {
            run.passed = 0;
            match self.read_from(number, &mut run, &begin, page).await? {
                None => return Ok(Reached::Limit),
                Some(End::Complete) => {
                    self.complete(number)?;
                    return Ok(Reached::End);
                }
                Some(End::MayHaveMore) => {}
            }
            let behind = self.places[number].last()?.map(|(mark, key)| Begin::Behind(mark, key));
            let behind = behind.filter(|_| run.passed > 0).unwrap_or_else(|| begin.clone());
            // Rows that nothing tells apart fill a whole page: the next one must be larger to get past them.
            if behind == begin {
                page.rows = page.rows.saturating_mul(2);
                page.bytes = page.bytes.saturating_mul(2);
            }
            if matches!(&behind, Begin::Behind(_, key) if key.is_empty()) {
                // Without a key the rows with the last mark come again.
                self.jobs[number].window.expect_newest_again();
            }
            begin = behind;
        }
    }

    /// Runs one statement. Returns how it ended, or nothing when no further rows are wanted.
    async fn read_from(
        &mut self,
        number: usize,
        run: &mut Run,
        begin: &Begin,
        page: PageSize,
    ) -> Result<Option<End>, AdapterError> {
        let statement = statement::rows(self.database.dialect(), &self.jobs[number].query, begin, page);
        let (output, mut pages) = PageOutput::channel();
        let database = self.database.clone();
        let mut reading = std::pin::pin!(database.read(statement, output));
        let mut taking = std::pin::pin!(self.take_pages(number, run, &mut pages));
        let mut end = None;
        let reached = loop {
            tokio::select! {
                read = &mut reading, if end.is_none() => end = Some(read?),
                reached = &mut taking => break reached?,
            }
        };
        match (reached, end) {
            (Reached::Limit, _) => Ok(None),
            (Reached::End, Some(end)) => Ok(Some(end)),
            // Whoever took the last page may be ahead of the one that sent it.
            (Reached::End, None) => reading.await.map(Some),
        }
    }

    /// Where a run begins.
    fn begin(&mut self, number: usize) -> Result<Begin, AdapterError> {
        let (job, place) = (&mut self.jobs[number], &mut self.places[number]);
        if job.refill {
            *place = Place::of(place.query);
            place.known = job.query.deletes.as_ref().map(|_| KnownKeys::default());
            job.window = Window::load(job.query.overlap, &[], false);
        }
        let last = place.last()?;
        if place.under_way {
            return Ok(last.map_or(Begin::First, |(mark, key)| Begin::Behind(mark, key)));
        }
        job.window.begin_run();
        place.under_way = true;
        let Some(high) = place.high()? else { return Ok(Begin::First) };
        Ok(match (job.query.overlap, last) {
            (Some(overlap), _) => Begin::At(overlap.before(&high).map_err(invalid)?),
            (None, Some((mark, key))) if place.crowded && mark == high => Begin::Behind(mark, key),
            (None, _) => Begin::At(high),
        })
    }

    /// Takes pages until there are no more.
    async fn take_pages(
        &mut self,
        number: usize,
        run: &mut Run,
        pages: &mut mpsc::Receiver<Page>,
    ) -> Result<Reached, AdapterError> {
        while let Some(page) = pages.recv().await {
            self.look_at_columns(number, &page).await?;
            for row in page.rows {
                self.take_row(number, run, row, pages).await?;
                if run.left == 0 {
                    self.flush(number, &mut run.batch, pages).await?;
                    return Ok(Reached::Limit);
                }
            }
            self.flush(number, &mut run.batch, pages).await?;
        }
        Ok(Reached::End)
    }

    /// Learns the columns of an answer, and empties the stream if it is to be filled again.
    async fn look_at_columns(&mut self, number: usize, page: &Page) -> Result<(), AdapterError> {
        let job = &mut self.jobs[number];
        if job.layout.as_ref().is_none_or(|layout| layout.shapes != page.columns) {
            let layout = Layout::new(&job.query, &page.columns).map_err(|reason| {
                let resource = format!("query {} of {}", job.stream, self.database.address());
                AdapterError::new(ErrorKind::Config, resource, reason)
            })?;
            job.layout = Some(layout);
        }
        let Some(layout) = job.layout.as_ref().filter(|_| job.refill) else { return Ok(()) };
        let truncate = layout.truncate(self.clock.now().as_microsecond());
        let known = job.known.clone();
        self.threads.run(move || known.forget()).await?.map_err(cache_failed)?;
        self.emit(number, truncate, None).await?;
        self.jobs[number].refill = false;
        Ok(())
    }

    /// Passes a row, and gathers it if it was not read before.
    async fn take_row(
        &mut self,
        number: usize,
        run: &mut Run,
        row: Row,
        pages: &mut mpsc::Receiver<Page>,
    ) -> Result<(), AdapterError> {
        let job = &self.jobs[number];
        let layout = job.layout.as_ref().expect("the columns were looked at before the rows");
        let hash = layout.hash_of(&row);
        let is_new = job.window.is_new(hash);
        let has_mark = is_mark(&row[layout.mark]);
        let refusal = layout.check(&row).err().filter(|_| is_new);
        let is_letter = refusal.is_some() || (is_new && !has_mark);
        let other_kind = if is_letter { !run.batch.rows.is_empty() } else { !run.batch.letters.is_empty() };
        if is_new && other_kind {
            self.flush(number, &mut run.batch, pages).await?;
        }
        let (job, place) = (&mut self.jobs[number], &mut self.places[number]);
        let layout = job.layout.as_ref().expect("the columns were looked at before the rows");
        let mark = &row[layout.mark];
        if has_mark {
            // A key that cannot be said to the database is no place to go on behind; its mark is.
            let key: Vec<&Value> = layout.key_of(&row).collect();
            let can_be_said = key.iter().all(|value| value.to_text().is_some());
            place.set_last(mark, key.into_iter().filter(|_| can_be_said));
            run.passed += 1;
        }
        job.window.pass(has_mark.then_some(mark), hash);
        if !is_new {
            return Ok(());
        }
        run.left -= 1;
        let resource = || format!("query {} of {}", job.stream, self.database.address());
        match refusal {
            Some(refusal) => run.batch.letters.push(layout.letter(resource(), &row, refusal)),
            None if !has_mark => run.batch.letters.push(layout.letter(resource(), &row, layout.no_mark())),
            None => run.batch.rows.push(row),
        }
        Ok(())
    }

    /// Hands over what was gathered.
    async fn flush(
        &mut self,
        number: usize,
        batch: &mut Batch,
        pages: &mut mpsc::Receiver<Page>,
    ) -> Result<(), AdapterError> {
        let Batch { rows, letters } = std::mem::take(batch);
        let found = match (rows.is_empty(), letters.is_empty()) {
            (true, true) => return Ok(()),
            (true, false) => Rows::DeadLetters(letters),
            (false, _) => {
                let layout = self.jobs[number].layout.as_ref().expect("there are rows of it");
                let records = layout.records(Op::Read, &rows, self.now_us());
                if self.jobs[number].query.deletes.is_some() {
                    self.note_keys(number, rows, Life::Lives).await?;
                }
                records
            }
        };
        self.places[number].remembered = self.jobs[number].window.save(self.remembered_bytes);
        self.emit(number, found, Some(pages)).await
    }

    /// Notes the keys of rows in the cache, before they are handed over.
    pub(super) async fn note_keys(
        &mut self,
        number: usize,
        rows: Vec<Row>,
        life: Life,
    ) -> Result<(), AdapterError> {
        let job = &self.jobs[number];
        let layout = job.layout.clone().expect("there are rows of it");
        let keys = self.places[number].known.get_or_insert_default();
        keys.note += 1;
        let (known, note) = (job.known.clone(), keys.note);
        let noting = move || known.note(note, rows.iter().map(|row| layout.key_of(row).collect()), life);
        self.threads.run(noting).await?.map_err(cache_failed)
    }

    /// All rows were read.
    fn complete(&mut self, number: usize) -> Result<(), AdapterError> {
        let (job, place) = (&mut self.jobs[number], &mut self.places[number]);
        job.window.complete_run();
        place.under_way = false;
        let high = place.high()?;
        if let Some((mark, _)) = place.last()? {
            // Rows with the highest mark may have been deleted; it stays where it was.
            let falls = high.as_ref().is_some_and(|high| is_before(&mark, high));
            let rises = !falls && high.as_ref() != Some(&mark);
            if rises {
                place.set_high(&mark);
            }
            let has_room = job.window.len() <= self.remembered_bytes / REMEMBERED_ROW_BYTES;
            let stays_crowded = place.crowded && !rises;
            place.crowded =
                job.query.overlap.is_none() && !job.query.key.is_empty() && (!has_room || stays_crowded);
        }
        place.remembered = job.window.save(self.remembered_bytes);
        Ok(())
    }
}
