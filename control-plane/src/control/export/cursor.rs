//! How far a copy has come, in a file of its own: `<id>.cursor.json`.

use std::io;
use std::path::{Path, PathBuf};

use towpath_catalog::Mark;
use towpath_resource::AuditExportId;
use towpath_segment::private;

use super::SendError;

/// The file.
pub(super) struct Cursor(PathBuf);

impl Cursor {
    pub(super) fn new(dir: &Path, id: AuditExportId) -> Self {
        Self(dir.join(format!("{id}.cursor.json")))
    }

    /// How far the copy has come; at the beginning if there is no file. A damaged file is no reason to lose the way: the
    /// copy begins again, since twice is better than not at all.
    pub(super) fn read(&self) -> Result<Mark, SendError> {
        match std::fs::read(&self.0) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                tracing::warn!(file = %self.0.display(), %error, "not readable; the copy of the audit trail begins again");
                Mark::default()
            })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Mark::default()),
            Err(source) => Err(self.failed("reading", source)),
        }
    }

    pub(super) fn write(&self, mark: Mark) -> Result<(), SendError> {
        let bytes = serde_json::to_vec(&mark).expect("a mark is always JSON");
        let dir = self.0.parent().unwrap_or(Path::new("."));
        private::create_dir(dir)
            .and_then(|()| private::replace_file(&self.0, &bytes))
            .map_err(|source| self.failed("writing", source))
    }

    fn failed(&self, doing: &'static str, source: io::Error) -> SendError {
        SendError::Io { doing, what: self.0.display().to_string(), source }
    }
}
