//! The schemas of spooled frames, durable before the first frame that names them.
//!
//! A frame names its schema by hash. One that waits in the spool across a restart must still be explained to the
//! control plane, so each schema is a small file, `schemas/<hash>.json`, in its canonical form.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use towpath_record::{SchemaHash, StreamSchema, dead_letter};
use towpath_segment::private;

/// A schema cannot be stored.
#[derive(Debug, thiserror::Error)]
#[error("{}: cannot store a schema", path.display())]
pub(crate) struct SchemaStoreError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// The schemas that this agent has used. Cheap to clone.
#[derive(Clone)]
pub(crate) struct SchemaStore {
    dir: PathBuf,
    known: Arc<Mutex<BTreeMap<SchemaHash, StreamSchema>>>,
}

impl SchemaStore {
    /// Opens the store below the agent's state directory. A file that is not a schema is left alone: the frames that
    /// need it are read from their source again.
    pub(crate) fn open(state_dir: &Path) -> Result<Self, SchemaStoreError> {
        let dir = state_dir.join("schemas");
        let fault = |source| SchemaStoreError { path: dir.clone(), source };
        private::create_dir(&dir).map_err(fault)?;
        let mut known = BTreeMap::new();
        for entry in fs::read_dir(&dir).map_err(fault)? {
            let path = entry.map_err(fault)?.path();
            match fs::read(&path).ok().and_then(|bytes| StreamSchema::from_canonical(&bytes).ok()) {
                Some(schema) => drop(known.insert(schema.hash(), schema)),
                None => tracing::warn!(file = %path.display(), "not a schema; it is passed over"),
            }
        }
        let letters = dead_letter::schema();
        known.insert(letters.hash(), letters.clone());
        Ok(Self { dir, known: Arc::new(Mutex::new(known)) })
    }

    /// Makes a schema durable.
    pub(crate) async fn put(&self, schema: &StreamSchema) -> Result<(), SchemaStoreError> {
        if self.known.lock().contains_key(&schema.hash()) {
            return Ok(());
        }
        let path = self.dir.join(format!("{}.json", schema.hash()));
        tokio::task::block_in_place(|| private::replace_file(&path, schema.canonical()))
            .map_err(|source| SchemaStoreError { path, source })?;
        self.known.lock().insert(schema.hash(), schema.clone());
        Ok(())
    }

    /// A schema that was made durable.
    pub(crate) fn get(&self, hash: SchemaHash) -> Option<StreamSchema> {
        self.known.lock().get(&hash).cloned()
    }
}
