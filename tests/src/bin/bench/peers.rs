//! Other systems that carry files: each as a private pair of processes on loopback.

mod rsyslog;
mod syslog_ng;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::future::LocalBoxFuture;
use towpath_tests::process::{Launch, Process};

use crate::files::Staged;
use crate::measure::{Spent, Subject, Trial};

pub(crate) use rsyslog::Rsyslog;
pub(crate) use syslog_ng::SyslogNg;

const LIMIT: Duration = Duration::from_secs(600);
const POLL: Duration = Duration::from_millis(10);

/// Packages of `tests/peers.txt`, unpacked where they change nothing else.
#[derive(Clone, Debug)]
pub(crate) struct Unpacked(PathBuf);

impl Unpacked {
    /// Downloads and unpacks the packages unless they are there already.
    pub(crate) fn into(folder: &Path) -> Result<Self> {
        let done = folder.join("unpacked");
        if !done.exists() {
            println!("downloading the peers of tests/peers.txt into {}", folder.display());
            std::fs::create_dir_all(folder)?;
            let list = include_str!("../../../peers.txt").lines().filter(|line| !line.starts_with('#'));
            let packages = list.filter_map(|line| line.split_ascii_whitespace().next());
            run(Command::new("apt-get").arg("download").args(packages).current_dir(folder))?;
            for entry in std::fs::read_dir(folder)? {
                let path = entry?.path();
                if path.extension().is_some_and(|ending| ending == "deb") {
                    run(Command::new("dpkg-deb").arg("-x").arg(&path).arg(folder))?;
                }
            }
            std::fs::write(&done, "")?;
        }
        Ok(Self(folder.to_owned()))
    }

    fn program(&self, name: &str) -> PathBuf {
        self.0.join("usr/sbin").join(name)
    }

    fn libraries(&self) -> String {
        let folders = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu", "usr/lib/syslog-ng"];
        let found = std::env::consts::ARCH;
        let folders =
            folders.map(|folder| self.0.join(folder.replace("x86_64", found)).display().to_string());
        folders.join(":")
    }

    fn launch(&self, name: &str, program: &str, folder: &Path) -> Launch {
        Launch::new(name, self.program(program), folder).environment("LD_LIBRARY_PATH", self.libraries())
    }
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} ended with {}: {said}", output.status);
    Ok(())
}

/// A peer: a sender that follows a folder and a receiver that writes one file.
pub(crate) trait Peer {
    /// What it is called in tables.
    fn name(&self) -> String;
    /// Starts the receiver, then the sender. `folder` is fresh; files are dropped into `folder/drop` and come out in
    /// `folder/out`.
    fn start(&self, folder: &Path) -> Result<[Process; 2]>;
}

/// A peer as a subject of the bench.
pub(crate) struct PeerSubject<P> {
    pub(crate) peer: P,
    pub(crate) staged: Staged,
}

impl<P: Peer> Subject for PeerSubject<P> {
    fn name(&self) -> String {
        self.peer.name()
    }

    fn trial(&mut self, run: usize) -> LocalBoxFuture<'_, Result<Trial>> {
        Box::pin(async move {
            let folder = tempfile::Builder::new().prefix("towpath-peer-").tempdir_in(self.staged.folder())?;
            let (drop, out) = (folder.path().join("drop"), folder.path().join("out"));
            std::fs::create_dir(&drop)?;
            let [mut receiver, mut sender] = self.peer.start(folder.path())?;
            let (file, bulk) = self.staged.small(run)?;
            let before = [receiver.usage()?, sender.usage()?];
            let started = Instant::now();
            std::fs::hard_link(&file, drop.join("bulk.log"))?;
            loop {
                let arrived = std::fs::metadata(&out).map_or(0, |metadata| metadata.len());
                if arrived >= bulk.bytes {
                    break;
                }
                ensure!(
                    started.elapsed() < LIMIT,
                    "{} has carried {arrived} of {} bytes in {LIMIT:?}\n{}\n{}",
                    self.peer.name(),
                    bulk.bytes,
                    sender.log_tail(10),
                    receiver.log_tail(10)
                );
                tokio::time::sleep(POLL).await;
            }
            let elapsed = started.elapsed();
            let spent = vec![
                Spent::between("sender", before[1], sender.usage()?),
                Spent::between("receiver", before[0], receiver.usage()?),
            ];
            sender.kill()?;
            receiver.kill()?;
            ensure!(std::fs::read(&out)? == std::fs::read(&file)?, "{} altered the data", self.peer.name());
            Ok(Trial::new(elapsed, bulk.bytes, bulk.rows, spent))
        })
    }
}
