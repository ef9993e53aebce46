//! What the machine can do at best: one core that compresses, one disk that appends.

use std::fs::File;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::future::LocalBoxFuture;
use towpath_tests::process::Launch;
use towpath_tests::usage::Usage;

use crate::files::Staged;
use crate::measure::{Spent, Subject, Trial};

const LIMIT: Duration = Duration::from_secs(600);
const BLOCK: usize = 1 << 20;

/// `zstd -1` of the same bytes on one core.
pub(crate) struct Zstd(pub(crate) Staged);

impl Subject for Zstd {
    fn name(&self) -> String {
        format!("zstd -1, {}", self.0.shape().name())
    }

    fn trial(&mut self, run: usize) -> LocalBoxFuture<'_, Result<Trial>> {
        Box::pin(async move {
            let (file, bulk) = self.0.large(run)?;
            let launch = Launch::new("zstd", "zstd", self.0.folder())
                .arguments(["-1", "-q", "-f", "--single-thread", "-o", "/dev/null"])
                .arguments([file]);
            let started = Instant::now();
            let usage = launch.run(LIMIT)?;
            let spent = vec![Spent::between("zstd", Usage::default(), usage)];
            Ok(Trial::new(started.elapsed(), bulk.bytes, bulk.rows, spent))
        })
    }
}

/// Appends the same bytes to a file, with an `fdatasync` for each MiB.
pub(crate) struct Append(pub(crate) Staged);

impl Subject for Append {
    fn name(&self) -> String {
        "append 1 MiB + fdatasync".to_owned()
    }

    fn trial(&mut self, run: usize) -> LocalBoxFuture<'_, Result<Trial>> {
        Box::pin(async move {
            let (file, bulk) = self.0.large(run)?;
            let copy = self.0.folder().join("append");
            let (mut from, mut to) = (File::open(file)?, File::create(&copy)?);
            let (mut block, own) = (vec![0; BLOCK], std::process::id());
            let (before, started) = (Usage::of(own)?, Instant::now());
            loop {
                let read = from.read(&mut block)?;
                if read == 0 {
                    break;
                }
                to.write_all(&block[..read])?;
                to.sync_data()?;
            }
            let (elapsed, after) = (started.elapsed(), Usage::of(own)?);
            std::fs::remove_file(copy)?;
            Ok(Trial::new(elapsed, bulk.bytes, bulk.rows, vec![Spent::between("writer", before, after)]))
        })
    }
}
