//! Dead letters: listed, inspected and sent on their way again.

use towpath_access::Target;
use towpath_catalog::State;
use towpath_record::StreamName;
use towpath_resource::api::{DeadLetter, LetterOrigin, LetterState};
use towpath_resource::{Object, Permission, RouteSpec};

use super::plane::{Letter, LetterOrder};
use super::{Asker, Refusal, Service};

/// Most dead letters that are listed at once.
pub const MOST_LETTERS: usize = 10_000;

impl Service {
    /// The dead letters that the asker may see, newest first. What stood in them is shown to those who may read records.
    ///
    /// # Errors
    /// There is no such route or stream, or they cannot be read now.
    pub async fn dead_letters(
        &self,
        asker: &Asker,
        stream: Option<&str>,
        route: Option<&str>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, Refusal> {
        let catalog = self.catalog();
        let stream = stream.map(StreamName::new).transpose();
        let route = route.map(|name| catalog.require::<RouteSpec>(name).map(|route| route.id)).transpose()?;
        let order = LetterOrder {
            stream: stream.map_err(|error| Refusal::invalid(error.to_string()))?,
            route,
            limit: limit.min(MOST_LETTERS),
        };
        let read = Permission::read(Object::DeadLetter);
        let letters = self.plane().letters(order).await?;
        let seen = letters.into_iter().filter(|letter| asker.may(read, &Target::stream(&letter.stream)));
        Ok(seen.map(|letter| shown(asker, letter, &catalog)).collect())
    }

    /// A dead letter, with its record or raw input for those who may read records.
    ///
    /// # Errors
    /// It is not there, or not the asker's to see.
    pub async fn dead_letter(&self, asker: &Asker, id: &str) -> Result<DeadLetter, Refusal> {
        let letter = self.plane().letter(id).await?;
        asker.require(Permission::read(Object::DeadLetter), &Target::stream(&letter.stream))?;
        Ok(shown(asker, letter, &self.catalog()))
    }

    /// Sends a record that a sink refused on its way again.
    ///
    /// # Errors
    /// It is not there, never became a record, was replayed already, or is not the asker's to replay.
    pub async fn replay_dead_letter(&self, asker: &Asker, id: &str) -> Result<DeadLetter, Refusal> {
        let letter = self.plane().letter(id).await?;
        asker.require(Permission::operate(Object::DeadLetter), &Target::stream(&letter.stream))?;
        if letter.route.is_none() {
            return Err(Refusal::Conflict(format!(
                "dead letter {id} never became a record: correct {} and let the source read it again",
                letter.resource
            )));
        }
        // Recorded first: an audit trail may name what then failed, but never misses what was done.
        let (recorded, cause) = (id.to_owned(), asker.cause.clone());
        self.command(move |catalog| catalog.record_dead_letter_replay(&recorded, &cause)).await?;
        let letter = self.plane().replay_letter(id).await?;
        Ok(shown(asker, letter, &self.catalog()))
    }
}

fn shown(asker: &Asker, letter: Letter, catalog: &State) -> DeadLetter {
    let readable_to_asker = asker.may(Permission::read(Object::Record), &Target::stream(&letter.stream));
    let route = letter.route.and_then(|id| catalog.route(id)).map(|route| route.name().clone());
    DeadLetter {
        id: letter.id,
        origin: if letter.route.is_some() { LetterOrigin::Sink } else { LetterOrigin::Source },
        stream: letter.stream,
        source: catalog.source(letter.source).map(|source| source.name().clone()),
        route,
        resource: letter.resource,
        line: (letter.line > 0).then_some(letter.line),
        column: letter.column,
        reason: letter.reason,
        refused_at: letter.refused_at,
        state: if letter.replayed { LetterState::Replayed } else { LetterState::Open },
        record: letter.record.filter(|_| readable_to_asker),
        raw: letter.raw.as_deref().filter(|_| readable_to_asker).map(readable),
        raw_truncated: letter.raw_truncated,
    }
}

/// Bytes as text. What is no UTF-8, and what a terminal would obey, is shown as `\x..`.
fn readable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() && c != '\t' && c != '\n' {
                text.extend(c.to_string().bytes().map(|byte| format!("\\x{byte:02x}")));
            } else {
                text.push(c);
            }
        }
        text.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_input_is_shown_without_letting_it_command_the_terminal() {
        assert_eq!(readable("Zoë;1\n".as_bytes()), "Zoë;1\n");
        assert_eq!(readable(b"a\xffb\x1b[2J\0"), "a\\xffb\\x1b[2J\\x00");
    }
}
