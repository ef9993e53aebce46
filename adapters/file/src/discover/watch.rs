//! Hears from the operating system that something in the folder changed.

use std::path::Path;
use std::sync::Arc;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

/// Wakes `wake` when something in the folder changes. What changed does not matter: the folder is listed again. `None`
/// if changes cannot be heard of; then the folder is listed at intervals alone.
pub(crate) fn watch(root: &Path, recursive: bool, wake: Arc<Notify>) -> Option<RecommendedWatcher> {
    let heard = move |event: notify::Result<Event>| {
        if event.is_ok_and(|event| matters(&event.kind)) {
            wake.notify_one();
        }
    };
    let mode = if recursive { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive };
    let watcher = notify::recommended_watcher(heard).and_then(|mut watcher| {
        watcher.watch(root, mode)?;
        Ok(watcher)
    });
    watcher
        .inspect_err(|error| {
            tracing::warn!(
                folder = %root.display(), %error,
                "changes cannot be heard of, so the folder is only listed at intervals; \
                 on Linux, raise fs.inotify.max_user_watches or max_user_instances"
            );
        })
        .ok()
}

/// Reading a file is no change, or this source would wake itself.
fn matters(kind: &EventKind) -> bool {
    match kind {
        EventKind::Access(kind) => *kind == AccessKind::Close(AccessMode::Write),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_changes_cannot_be_heard_of_there_is_no_watcher_and_no_failure() {
        let folder = tempfile::tempdir().unwrap();
        assert!(watch(folder.path(), true, Arc::default()).is_some());
        assert!(watch(&folder.path().join("gone"), true, Arc::default()).is_none());
    }
}
