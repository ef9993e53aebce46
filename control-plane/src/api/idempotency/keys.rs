//! The keys that were used, in memory and on the disk.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::Mutex;
use towpath_segment::{AppendError, OpenError};

use super::super::problem::Refused;
use super::super::problem_type::ProblemType;
use super::answer::Answer;
use super::book::{Book, Found, Name, Outcome};
use super::kept::{Kept, Record};
use super::seal::Seal;

/// The idempotency keys that were used. Cheap to clone.
#[derive(Clone)]
pub struct IdempotencyKeys {
    book: Arc<Mutex<Book>>,
    kept: Kept,
}

impl IdempotencyKeys {
    /// Opens the keys that are kept in this directory, or begins them there.
    ///
    /// # Errors
    /// Another process has them, or the disk refuses.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        let kept = Kept::open(dir)?;
        let mut book = Book::default();
        for (name, Record { asked, noted, sealed }) in kept.all() {
            book.note(name, asked, noted, sealed.map_or(Outcome::Cut, Outcome::Sealed));
        }
        Ok(Self { book: Arc::new(Mutex::new(book)), kept })
    }

    /// Notes durably that a request with this key is under way, unless it was there before.
    pub(super) async fn begin(&self, name: Name, asked: blake3::Hash) -> Result<Found, Refused> {
        let noted = Timestamp::now();
        let (found, forgotten) = self.book.lock().begin(name, asked, noted);
        if !matches!(found, Found::Nothing) {
            return Ok(found);
        }
        let record = Record { asked, noted, sealed: None };
        let done = self.blocking(move |kept| kept.keep(name, &record, &forgotten)).await;
        done.map(|()| Found::Nothing).map_err(|why| {
            self.book.lock().free(name);
            let detail =
                format!("the Idempotency-Key cannot be noted: {why}; look at the control plane's disk");
            Refused::new(ProblemType::Unavailable, detail)
        })
    }

    /// Notes the answer durably. If the disk refuses, a restart knows only that the request was under way.
    pub(super) async fn finish(&self, name: Name, answer: Answer, seal: &Seal) {
        let sealed = seal.seal(name, answer.to_bytes());
        let Some((asked, noted)) = self.book.lock().finish(name, answer) else { return };
        let record = Record { asked, noted, sealed };
        if let Err(why) = self.blocking(move |kept| kept.keep(name, &record, &[])).await {
            tracing::warn!(why, "the answer to an idempotency key cannot be kept");
        }
    }

    /// Leaves a key free whose request came to no answer. Whoever sends it again has it done.
    pub(super) fn free(&self, name: Name) {
        let Some(noted) = self.book.lock().free(name) else { return };
        let kept = self.kept.clone();
        // Only a runtime that ends leaves it undone; the key then counts as one that was under way.
        drop(tokio::task::spawn_blocking(move || kept.forget(&(name, noted))));
    }

    async fn blocking(
        &self,
        work: impl FnOnce(&Kept) -> Result<(), AppendError> + Send + 'static,
    ) -> Result<(), String> {
        let kept = self.kept.clone();
        let done = tokio::task::spawn_blocking(move || work(&kept)).await;
        done.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::super::answer::of_size;
    use super::*;

    fn hash(text: &str) -> Name {
        blake3::hash(text.as_bytes())
    }

    #[tokio::test]
    async fn what_was_under_way_or_answered_is_known_after_a_restart_and_what_was_freed_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let asked = hash("asked");
        {
            let keys = IdempotencyKeys::open(dir.path()).unwrap();
            for name in ["cut", "answered", "freed"] {
                assert!(matches!(keys.begin(hash(name), asked).await, Ok(Found::Nothing)));
            }
            keys.finish(hash("answered"), of_size(3), &Seal::of("token", "key")).await;
            let noted = keys.book.lock().free(hash("freed")).unwrap();
            keys.kept.forget(&(hash("freed"), noted)).unwrap();
        }
        let keys = IdempotencyKeys::open(dir.path()).unwrap();
        assert!(matches!(keys.begin(hash("cut"), asked).await, Ok(Found::Cut)));
        assert!(matches!(keys.begin(hash("cut"), hash("other")).await, Ok(Found::AskedOtherwise)));
        assert!(matches!(keys.begin(hash("answered"), asked).await, Ok(Found::Sealed(_))));
        assert!(matches!(keys.begin(hash("freed"), asked).await, Ok(Found::Nothing)));
    }

    #[tokio::test]
    async fn freeing_a_key_does_not_take_away_one_that_was_noted_since() {
        let dir = tempfile::tempdir().unwrap();
        let keys = IdempotencyKeys::open(dir.path()).unwrap();
        keys.begin(hash("a"), hash("x")).await.ok().unwrap();
        let noted = keys.book.lock().free(hash("a")).unwrap();
        keys.begin(hash("a"), hash("y")).await.ok().unwrap();
        keys.kept.forget(&(hash("a"), noted)).unwrap();
        assert_eq!(keys.kept.all().len(), 1);
    }
}
