//! A copy of the state in sled, so that a start needs not replay every event.
//!
//! ```text
//! tree `state`   <kind of piece>/<its name> → JSON; see `transition::Key`
//!                `\0applied` → the number and hash of the last event in it, JSON
//! ```
//!
//! The pieces of events that became durable together and `\0applied` are written in one atomic batch; after a replay, each
//! piece is written once. sled makes them durable in its own time: after a crash the projection may be behind, never torn,
//! and the events after it are replayed. Whatever is wrong with it, it is put aside and built anew.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use towpath_resource::{AnyResource, Kind, each_kind};

use towpath_audit::EventHash;

use crate::error::OpenError;
use crate::forms;
use crate::state::{State, Table};
use crate::transition::Key;

const CACHE_BYTES: u64 = 8 << 20;
/// A replay that touched so many pieces writes them.
const MOST_TOUCHED: usize = 1 << 16;
/// Pieces that are written in one batch when there are many.
const PIECES_AT_ONCE: usize = 1_000;
const TREE: &str = "state";
const APPLIED: &[u8] = b"\0applied";

/// The projection, while it can be used.
pub(crate) struct Projection {
    dir: PathBuf,
    store: Option<Store>,
}

struct Store {
    db: sled::Db,
    tree: sled::Tree,
}

#[derive(Serialize, Deserialize)]
struct Applied {
    seq: u64,
    head: EventHash,
    generation: u64,
    /// How many steps between forms of events there were: with another number, an event may mean something else.
    #[serde(default)]
    forms: usize,
}

/// What is wrong with a projection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Damage {
    #[error("{0}")]
    Store(#[from] sled::Error),
    #[error("{key}: {source}")]
    Piece { key: String, source: serde_json::Error },
    #[error("it holds `{0}`, which this version does not know")]
    UnknownPiece(String),
    #[error("another release made it, to which events meant something else")]
    OtherForms,
    #[error("the store panicked")]
    Panicked,
}

impl Damage {
    fn is_full_disk(&self) -> bool {
        matches!(self, Self::Store(sled::Error::Io(cause)) if cause.kind() == io::ErrorKind::StorageFull)
    }
}

impl Projection {
    /// Opens the projection and the state in it. One that is damaged is put aside, and an empty one begun; the path to
    /// which it was put is returned. On a full disk there is none, and the state is that of no event.
    pub(crate) fn open(dir: &Path) -> Result<(Self, State, Option<PathBuf>), OpenError> {
        let damage = match open_and_load(dir) {
            Ok((store, state)) => {
                return Ok((Self { dir: dir.to_owned(), store: Some(store) }, state, None));
            }
            Err(damage) if damage.is_full_disk() => {
                tracing::warn!(projection = %dir.display(),
                    "the disk is full: the catalog works without its projection until the next start");
                return Ok((Self::none(), State::default(), None));
            }
            Err(damage) => damage,
        };
        let failed = |source| OpenError::Projection { path: dir.to_owned(), source };
        let aside = put_aside(dir).map_err(failed)?;
        tracing::warn!(projection = %dir.display(), kept_as = %aside.display(), %damage,
            "the catalog's projection was damaged and put aside; it is rebuilt from the events");
        let (store, state) = open_and_load(dir).map_err(|damage| failed(io::Error::other(damage)))?;
        Ok((Self { dir: dir.to_owned(), store: Some(store) }, state, Some(aside)))
    }

    /// No projection: whatever is written is gone.
    pub(crate) fn none() -> Self {
        Self { dir: PathBuf::new(), store: None }
    }

    /// Empties it.
    pub(crate) fn clear(&mut self) {
        self.attempt(|store| store.tree.clear());
    }

    /// Writes these pieces of the state. A failure costs only time at the next start: it is logged, and the projection
    /// is left alone from then on.
    pub(crate) fn write<'a>(&mut self, state: &State, touched: impl IntoIterator<Item = &'a Key>) {
        let pieces = touched.into_iter().map(|key| (key.to_string(), state.piece(key)));
        self.write_pieces(state, pieces);
    }

    /// Writes these pieces of the state, or takes them away.
    pub(crate) fn write_pieces(
        &mut self,
        state: &State,
        pieces: impl Iterator<Item = (String, Option<Vec<u8>>)>,
    ) {
        let mut batch = batch_of(pieces);
        let applied =
            Applied { seq: state.seq, head: state.head, generation: state.generation, forms: forms::steps() };
        batch.insert(APPLIED, json(&applied));
        self.attempt(|store| store.tree.apply_batch(batch));
    }

    /// Follows a replay, which ends with [`Replayed::end`].
    pub(crate) fn replay(&mut self) -> Replayed<'_> {
        Replayed { projection: self, touched: BTreeSet::new(), any: false, in_parts: false }
    }

    /// Makes what was written durable.
    pub(crate) fn flush(&mut self) {
        self.attempt(|store| store.db.flush().map(drop));
    }

    fn attempt(&mut self, work: impl FnOnce(&Store) -> sled::Result<()>) {
        let Some(store) = &self.store else { return };
        let done = catch_unwind(AssertUnwindSafe(|| work(store))).map_err(|_| Damage::Panicked);
        if let Err(damage) = done.and_then(|result| result.map_err(Damage::from)) {
            tracing::warn!(projection = %self.dir.display(), %damage,
                "the catalog's projection cannot be written; work goes on without it and the next start replays the events");
            self.store = None;
        }
    }
}

/// A replay, after which each piece that it touched is written once. One that touches many is written in parts, without
/// the number of the last event until the end: a projection that says of no event is begun anew.
pub(crate) struct Replayed<'a> {
    projection: &'a mut Projection,
    touched: BTreeSet<Key>,
    /// Whether there was an event.
    any: bool,
    in_parts: bool,
}

impl Replayed<'_> {
    /// Notes which pieces the last event of this state touched.
    pub(crate) fn note(&mut self, state: &State, touched: Vec<Key>) {
        self.any = true;
        self.touched.extend(touched);
        if self.touched.len() >= MOST_TOUCHED {
            self.write_part(state);
        }
    }

    /// Writes what is left.
    pub(crate) fn end(mut self, state: &State) {
        if self.touched.len() > PIECES_AT_ONCE {
            self.write_part(state);
        }
        if self.any {
            self.projection.write(state, &self.touched);
        }
    }

    fn write_part(&mut self, state: &State) {
        if !std::mem::replace(&mut self.in_parts, true) {
            self.projection.attempt(|store| store.tree.remove(APPLIED).map(drop));
        }
        let touched: Vec<_> = std::mem::take(&mut self.touched).into_iter().collect();
        for part in touched.chunks(PIECES_AT_ONCE) {
            let batch = batch_of(part.iter().map(|key| (key.to_string(), state.piece(key))));
            self.projection.attempt(|store| store.tree.apply_batch(batch));
        }
    }
}

fn batch_of(pieces: impl Iterator<Item = (String, Option<Vec<u8>>)>) -> sled::Batch {
    let mut batch = sled::Batch::default();
    for (key, piece) in pieces {
        match piece {
            Some(piece) => batch.insert(key.as_bytes(), piece),
            None => batch.remove(key.as_bytes()),
        }
    }
    batch
}

/// sled may panic on files that something else wrote over; that must not keep the control plane from starting.
fn open_and_load(dir: &Path) -> Result<(Store, State), Damage> {
    catch_unwind(|| {
        let db = sled::Config::new()
            .path(dir)
            .mode(sled::Mode::LowSpace)
            .cache_capacity(CACHE_BYTES)
            .flush_every_ms(Some(500))
            .open()?;
        let tree = db.open_tree(TREE)?;
        let state = load(&tree)?;
        Ok((Store { db, tree }, state))
    })
    .unwrap_or(Err(Damage::Panicked))
}

fn load(tree: &sled::Tree) -> Result<State, Damage> {
    let mut state = State::default();
    for entry in tree {
        let (key, piece) = entry?;
        let key = String::from_utf8_lossy(&key).into_owned();
        if key.as_bytes() == APPLIED {
            let applied: Applied = from_json(&key, &piece)?;
            if applied.forms != forms::steps() {
                return Err(Damage::OtherForms);
            }
            (state.seq, state.head, state.generation) = (applied.seq, applied.head, applied.generation);
        } else {
            state.restore(&key, &piece)?;
        }
    }
    Ok(state)
}

impl State {
    /// A piece of the state, or nothing if it is not there.
    pub(crate) fn piece(&self, key: &Key) -> Option<Vec<u8>> {
        match key {
            Key::Resource(kind, name) => self.get(*kind, name).as_ref().map(json),
            Key::Token(id) => self.tokens.get(id).map(json),
            Key::AdminToken(id) => self.admin_tokens.get(id).map(json),
            Key::OfApi(id) => self.keys.get(id).map(json),
            Key::User(id) => self.users.get(id).map(json),
            Key::Session(id) => self.sessions.get(id).map(json),
            Key::Certificate(id) => self.certificates.get(id).map(json),
            Key::Revocation(id) => self.revoked.get(id).map(json),
            Key::Replay(id) => self.replays.get(id).map(json),
            Key::AcceptedSchemas(id) => self.accepted_schemas.get(id).map(json),
            Key::DesiredGeneration(id) => self.desired_generations.get(id).map(json),
            Key::CertificateAuthority => self.ca_fingerprint.as_ref().map(json),
        }
    }

    pub(crate) fn restore(&mut self, key: &str, piece: &[u8]) -> Result<(), Damage> {
        let unknown = || Damage::UnknownPiece(key.to_owned());
        let (kind, name) = key.split_once('/').ok_or_else(unknown)?;
        if kind.parse::<Kind>().is_ok() {
            let resource: AnyResource = from_json(key, piece)?;
            each_kind!(resource, AnyResource::resource => put(self, resource));
            return Ok(());
        }
        match kind {
            "token" => self.tokens.insert_mut(id(key, name)?, from_json(key, piece)?),
            "admin-token" => self.admin_tokens.insert_mut(id(key, name)?, from_json(key, piece)?),
            "key" => self.keys.insert_mut(id(key, name)?, from_json(key, piece)?),
            "user" => self.users.insert_mut(id(key, name)?, from_json(key, piece)?),
            "session" => self.sessions.insert_mut(id(key, name)?, from_json(key, piece)?),
            "certificate" => self.certificates.insert_mut(id(key, name)?, from_json(key, piece)?),
            "revocation" => self.revoked.insert_mut(id(key, name)?, from_json(key, piece)?),
            "replay" => self.replays.insert_mut(id(key, name)?, from_json(key, piece)?),
            "accepted-schemas" => self.accepted_schemas.insert_mut(id(key, name)?, from_json(key, piece)?),
            "desired-generation" => {
                self.desired_generations.insert_mut(id(key, name)?, from_json(key, piece)?);
            }
            "certificate-authority" => self.ca_fingerprint = Some(from_json(key, piece)?),
            _ => return Err(unknown()),
        }
        Ok(())
    }
}

fn put<S: Table>(state: &mut State, resource: towpath_resource::Resource<S>) {
    state.keep(resource);
}

fn id<I: std::str::FromStr>(key: &str, text: &str) -> Result<I, Damage> {
    text.parse().map_err(|_| Damage::UnknownPiece(key.to_owned()))
}

fn json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("every piece of the state is JSON")
}

fn from_json<T: DeserializeOwned>(key: &str, piece: &[u8]) -> Result<T, Damage> {
    serde_json::from_slice(piece).map_err(|source| Damage::Piece { key: key.to_owned(), source })
}

fn put_aside(dir: &Path) -> io::Result<PathBuf> {
    let free = (1..).map(|n| dir.with_extension(format!("broken-{n}"))).find(|aside| !aside.exists());
    let aside = free.expect("a directory holds finitely many names");
    fs::rename(dir, &aside)?;
    Ok(aside)
}
