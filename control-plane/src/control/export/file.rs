//! A file of JSON lines. It is opened anew for each part, so that it can be moved away at any time.

use std::fs::OpenOptions;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use towpath_record::ResourceName;
use towpath_segment::private;

use super::SendError;

/// The file.
pub(super) struct FileTarget(PathBuf);

impl FileTarget {
    pub(super) fn new(dir: &Path, name: &ResourceName) -> Self {
        Self(dir.join(format!("{name}.jsonl")))
    }

    /// Appends these lines durably.
    pub(super) async fn append(&self, lines: &[String]) -> Result<(), SendError> {
        let path = self.0.clone();
        let text: String = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
        let appended = tokio::task::spawn_blocking(move || append(&path, text.as_bytes())).await;
        let appended = appended.unwrap_or_else(|error| Err(io::Error::other(error)));
        let what = self.0.display().to_string();
        appended.map_err(|source| SendError::Io { doing: "writing", what, source })
    }
}

fn append(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    private::create_dir(dir)?;
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    if file.metadata()?.len() > 0 {
        // A crash may have left half a line; it is sent again, on a line of its own.
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
        }
    }
    file.write_all(bytes)?;
    file.sync_data()?;
    private::sync_dir(dir)
}
