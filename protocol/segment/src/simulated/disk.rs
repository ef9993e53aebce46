//! What is shown and what is durable, and the operations between the two.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use crate::simulated::Tear;

const SECTOR_BYTES: u64 = 512;

/// A disk and the memory before it. A directory is a set of paths with the same parent.
#[derive(Debug, Clone, Default)]
pub(super) struct Disk {
    shown_names: BTreeMap<PathBuf, u64>,
    durable_names: BTreeMap<PathBuf, u64>,
    shown: BTreeMap<u64, Vec<u8>>,
    durable: BTreeMap<u64, Vec<u8>>,
    pending: Vec<Pending>,
    next_inode: u64,
}

#[derive(Debug, Clone)]
enum Pending {
    Write { inode: u64, offset: u64, bytes: Vec<u8> },
    Truncate { inode: u64, size: u64 },
    Link { path: PathBuf, inode: u64 },
    Unlink { path: PathBuf },
    Rename { from: PathBuf, to: PathBuf, inode: u64 },
}

impl Pending {
    fn units(&self) -> u64 {
        match self {
            Self::Write { bytes, .. } => bytes.len() as u64,
            _ => 1,
        }
    }

    fn is_of_file(&self, file: u64) -> bool {
        matches!(self, Self::Write { inode, .. } | Self::Truncate { inode, .. } if *inode == file)
    }

    fn is_of_dir(&self, dir: &Path) -> bool {
        match self {
            Self::Link { path, .. } | Self::Unlink { path } | Self::Rename { to: path, .. } => {
                path.parent() == Some(dir)
            }
            Self::Write { .. } | Self::Truncate { .. } => false,
        }
    }
}

impl Disk {
    pub(super) fn list(&self, dir: &Path) -> Vec<String> {
        let in_dir = self.shown_names.keys().filter(|path| path.parent() == Some(dir));
        in_dir.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect()
    }

    pub(super) fn files(&self) -> Vec<(PathBuf, u64)> {
        self.shown_names.iter().map(|(path, inode)| (path.clone(), self.shown(*inode).len() as u64)).collect()
    }

    pub(super) fn inode(&self, path: &Path) -> io::Result<u64> {
        self.shown_names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn shown(&self, inode: u64) -> &[u8] {
        self.shown.get(&inode).map_or(&[], Vec::as_slice)
    }

    pub(super) fn used(&self) -> u64 {
        let linked: BTreeSet<u64> = self.shown_names.values().copied().collect();
        linked.into_iter().map(|inode| self.shown(inode).len() as u64).sum()
    }

    pub(super) fn create(&mut self, path: &Path) -> io::Result<u64> {
        if self.shown_names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.next_inode += 1;
        let inode = self.next_inode;
        self.shown.insert(inode, Vec::new());
        self.shown_names.insert(path.to_owned(), inode);
        self.pending.push(Pending::Link { path: path.to_owned(), inode });
        Ok(inode)
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let inode = self.shown_names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        self.shown_names.insert(to.to_owned(), inode);
        self.pending.push(Pending::Rename { from: from.to_owned(), to: to.to_owned(), inode });
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.shown_names.remove(path).ok_or(io::ErrorKind::NotFound)?;
        self.pending.push(Pending::Unlink { path: path.to_owned() });
        Ok(())
    }

    pub(super) fn write(&mut self, inode: u64, offset: u64, bytes: Vec<u8>) {
        write(self.shown.entry(inode).or_default(), offset, &bytes);
        self.pending.push(Pending::Write { inode, offset, bytes });
    }

    pub(super) fn truncate(&mut self, inode: u64, size: u64) {
        resize(self.shown.entry(inode).or_default(), size);
        self.pending.push(Pending::Truncate { inode, size });
    }

    pub(super) fn sync(&mut self, inode: u64) {
        self.settle(|pending| pending.is_of_file(inode));
    }

    pub(super) fn sync_dir(&mut self, dir: &Path) {
        self.settle(|pending| pending.is_of_dir(dir));
    }

    /// What a failed sync does: the bytes are still shown, are taken for clean, and never reach the disk.
    pub(super) fn forget_pending(&mut self, inode: u64) {
        self.pending.retain(|pending| !pending.is_of_file(inode));
    }

    pub(super) fn pending_units(&self) -> u64 {
        self.pending.iter().map(Pending::units).sum()
    }

    pub(super) fn flip_bit(&mut self, path: &Path, bit: u64) -> bool {
        let Ok(inode) = self.inode(path) else { return false };
        let at = usize::try_from(bit / 8).unwrap_or(usize::MAX);
        let mut flipped = false;
        for content in [self.shown.get_mut(&inode), self.durable.get_mut(&inode)].into_iter().flatten() {
            if let Some(byte) = content.get_mut(at) {
                *byte ^= 1 << (bit % 8);
                flipped = true;
            }
        }
        flipped
    }

    pub(super) fn after_power_cut(&self, tear: Tear) -> Self {
        let mut found = self.clone();
        let pending = std::mem::take(&mut found.pending);
        match tear {
            Tear::Prefix(units) => found.keep_prefix(pending, units),
            Tear::Scatter(seed) => found.keep_scattered(pending, &mut fastrand::Rng::with_seed(seed)),
        }
        found.shown_names = found.durable_names.clone();
        found.shown = found.durable.clone();
        for inode in found.shown_names.values() {
            found.shown.entry(*inode).or_default();
        }
        found
    }

    fn keep_prefix(&mut self, pending: Vec<Pending>, mut units: u64) {
        for operation in pending {
            let left = units;
            units = units.saturating_sub(operation.units());
            match operation {
                Pending::Write { inode, offset, mut bytes } => {
                    bytes.truncate(usize::try_from(left).unwrap_or(usize::MAX));
                    self.apply(Pending::Write { inode, offset, bytes });
                }
                whole if left > 0 => self.apply(whole),
                _ => {}
            }
        }
    }

    fn keep_scattered(&mut self, pending: Vec<Pending>, coin: &mut fastrand::Rng) {
        for operation in pending {
            let Pending::Write { inode, offset, bytes } = operation else {
                if coin.bool() {
                    self.apply(operation);
                }
                continue;
            };
            let end = offset + bytes.len() as u64;
            if coin.bool() {
                // The new size reached the disk, whatever becomes of the bytes.
                let content = self.durable.entry(inode).or_default();
                resize(content, end.max(content.len() as u64));
            }
            let mut at = offset;
            while at < end {
                let stop = ((at / SECTOR_BYTES + 1) * SECTOR_BYTES).min(end);
                if coin.bool() {
                    let sector = bytes[(at - offset) as usize..(stop - offset) as usize].to_vec();
                    self.apply(Pending::Write { inode, offset: at, bytes: sector });
                }
                at = stop;
            }
        }
    }

    fn settle(&mut self, which: impl Fn(&Pending) -> bool) {
        let (settled, pending): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.pending).into_iter().partition(which);
        self.pending = pending;
        for operation in settled {
            self.apply(operation);
        }
    }

    fn apply(&mut self, operation: Pending) {
        match operation {
            Pending::Write { bytes, .. } if bytes.is_empty() => {}
            Pending::Write { inode, offset, bytes } => {
                write(self.durable.entry(inode).or_default(), offset, &bytes);
            }
            Pending::Truncate { inode, size } => resize(self.durable.entry(inode).or_default(), size),
            Pending::Link { path, inode } => {
                self.durable_names.insert(path, inode);
            }
            Pending::Unlink { path } => {
                self.durable_names.remove(&path);
            }
            Pending::Rename { from, to, inode } => {
                self.durable_names.remove(&from);
                self.durable_names.insert(to, inode);
            }
        }
    }
}

fn write(content: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let from = usize::try_from(offset).expect("a simulated file fits in memory");
    let end = from + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[from..end].copy_from_slice(bytes);
}

fn resize(content: &mut Vec<u8>, size: u64) {
    content.resize(usize::try_from(size).expect("a simulated file fits in memory"), 0);
}
