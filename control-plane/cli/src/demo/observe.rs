//! What can be seen of the demo at one moment.

use std::fs;
use std::path::Path;

use towpath_resource::api::{DeadLetter, FleetStatus, StreamStatus};

use super::place::Place;

/// What can be seen at one moment.
#[derive(Clone, Debug)]
pub(super) struct Observation {
    pub(super) fleet: FleetStatus,
    pub(super) streams: Vec<StreamStatus>,
    /// The newest dead letters.
    pub(super) letters: Vec<DeadLetter>,
    pub(super) files: Files,
}

/// How many files lie where.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Files {
    pub(super) waiting: u64,
    pub(super) archived: u64,
    pub(super) refused: u64,
}

impl Observation {
    /// Input of a stream that became dead letters.
    pub(super) fn dead_letters(&self, stream: &str) -> u64 {
        self.stream(stream).map_or(0, |status| status.dead_letters)
    }

    /// Rows of a stream that are in the log.
    pub(super) fn logged(&self, stream: &str) -> u64 {
        self.stream(stream).map_or(0, |status| status.records)
    }

    /// Rows that the sinks refused.
    pub(super) fn refused_by_sinks(&self) -> u64 {
        self.fleet.routes.iter().map(|route| route.dead_letters).sum()
    }

    /// Whether nothing waits anywhere that can be seen.
    pub(super) fn is_at_rest(&self) -> bool {
        let spooled =
            self.fleet.sources.iter().any(|source| source.backlog.frames + source.backlog.records > 0);
        let behind = self.fleet.routes.iter().any(|route| route.lag.records > 0);
        self.files.waiting == 0 && !spooled && !behind
    }

    /// Numbers of which at least one changes when something moves.
    pub(super) fn movement(&self) -> Vec<u64> {
        let Files { waiting, archived, refused } = self.files;
        let streams = self.streams.iter().flat_map(|stream| [stream.records, stream.dead_letters]);
        let routes = self.fleet.routes.iter().flat_map(|route| [route.delivered.records, route.dead_letters]);
        [waiting, archived, refused].into_iter().chain(streams).chain(routes).collect()
    }

    fn stream(&self, stream: &str) -> Option<&StreamStatus> {
        self.streams.iter().find(|status| status.name.as_str() == stream)
    }
}

impl Files {
    /// Counts the files of the drop folder.
    pub(super) fn count(place: &Place) -> Self {
        Self {
            waiting: files_in(&place.drop_folder(), |_| true),
            archived: files_in(&place.archive(), |_| true),
            refused: files_in(&place.errors(), |name| !name.ends_with(".reason")),
        }
    }
}

/// A folder that is not there yet has no files; nor has one that cannot be listed, which the source reports itself.
fn files_in(folder: &Path, counts: impl Fn(&str) -> bool) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let is_counted = |entry: &fs::DirEntry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        entry.file_type().is_ok_and(|kind| kind.is_file()) && !name.starts_with('.') && counts(&name)
    };
    entries.flatten().filter(is_counted).count() as u64
}
