//! What the control plane is asked, and who is asked for comparison.

use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::StreamExt;
use towpath_tests::api::Api;
use towpath_tests::usage::Usage;

use super::ApiOptions;
use super::ask::{Asked, ask};
use super::bare::Bare;
use super::installed::Installed;
use super::stock::{Stock, source_name, team};
use crate::measure::Spent;

/// Askers side by side, of reads and of changes.
pub(crate) const ASKERS: usize = 16;
/// Resources on a page.
const PAGE: usize = 100;
/// Changes that are watched in a trial.
const WATCHED: u64 = 200;
/// The size of an event, about.
const EVENT_BYTES: usize = 1_000;

/// A question that changes nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Read {
    /// One resource.
    One,
    /// A page in the order of names, from anywhere.
    Page,
    /// A page of those that a filter shows, the last changed first: every resource of the kind is looked at.
    Filtered,
}

impl Read {
    pub(crate) const ALL: [Self; 3] = [Self::One, Self::Page, Self::Filtered];

    /// Its path at the bare server, and its file.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::Page => "page",
            Self::Filtered => "filtered",
        }
    }

    /// What is asked, the nth time. The multiplier is odd and large, so that neighbours are far apart.
    pub(crate) fn path(self, stock: Stock, n: u64) -> String {
        let any = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        match self {
            Self::One => format!("/v1/sources/{}", source_name(any % stock.sources())),
            Self::Page => format!("/v1/sources?limit={PAGE}"),
            Self::Filtered => {
                let team = team(any);
                format!(
                    "/v1/sources?limit={PAGE}&sort=-updated_at&filter=labels.team%3D{team},spec.adapter%3Dfile"
                )
            }
        }
    }

    fn told(self) -> &'static str {
        match self {
            Self::One => "get one",
            Self::Page => "a page of 100 by name",
            Self::Filtered => "a page of 100, filtered and sorted",
        }
    }
}

/// Who is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Who {
    /// The control plane with a tenth.
    Small,
    /// The control plane with all.
    Large,
    /// The yardstick.
    Yardstick,
}

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum What {
    /// Reads, by all askers.
    Read(Read),
    /// Changes, each durable when it is answered, by so many askers. The yardstick is one write and `fdatasync`.
    Change(usize),
    /// From a change to the moment when a watcher knows it.
    Watch,
}

/// All trials of one measurement.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub(crate) who: Who,
    pub(crate) what: What,
    pub(crate) trials: Vec<Asked>,
}

impl What {
    pub(crate) fn told(self) -> String {
        match self {
            Self::Read(read) => read.told().to_owned(),
            Self::Change(1) => "a change at a time".to_owned(),
            Self::Change(askers) => format!("changes, {askers} at once"),
            Self::Watch => "a change until a watcher knows it".to_owned(),
        }
    }
}

/// Everyone who is asked, with the clients that ask.
pub(crate) struct Everyone<'a> {
    options: &'a ApiOptions,
    small: (&'a mut Installed, Vec<Api>),
    large: (&'a mut Installed, Vec<Api>),
    bare: (&'a mut Bare, Vec<Api>),
    /// The number of the next change, so that each makes something new.
    revision: u64,
}

impl<'a> Everyone<'a> {
    pub(crate) fn new(
        options: &'a ApiOptions,
        small: &'a mut Installed,
        large: &'a mut Installed,
        bare: &'a mut Bare,
    ) -> Result<Self> {
        let (of_small, of_large, of_bare) =
            (small.clients(ASKERS)?, large.clients(ASKERS)?, bare.clients(ASKERS)?);
        let revision = options.events;
        Ok(Self {
            options,
            small: (small, of_small),
            large: (large, of_large),
            bare: (bare, of_bare),
            revision,
        })
    }

    /// Measures everything in turn, so that what slows the machine for a while slows all of it.
    pub(crate) async fn in_turn(mut self) -> Result<Vec<Series>> {
        let both = [Who::Large, Who::Small];
        let reads = Read::ALL.map(What::Read).into_iter();
        let mut all: Vec<_> =
            reads.flat_map(|read| [Who::Large, Who::Yardstick, Who::Small].map(|who| (who, read))).collect();
        all.extend([(Who::Large, What::Change(1)), (Who::Yardstick, What::Change(1))]);
        all.extend(both.map(|who| (who, What::Change(ASKERS))));
        all.extend(both.map(|who| (who, What::Watch)));
        let mut all: Vec<_> =
            all.into_iter().map(|(who, what)| Series { who, what, trials: Vec::new() }).collect();
        for run in 1..=self.options.runs {
            for series in &mut all {
                let asked = self.trial(series.who, series.what).await?;
                println!(
                    "run {run}: {:?}, {}: {:.0} a second",
                    series.who,
                    series.what.told(),
                    asked.per_second()
                );
                series.trials.push(asked);
            }
        }
        Ok(all)
    }

    async fn trial(&mut self, who: Who, what: What) -> Result<Asked> {
        let window = Duration::from_millis(self.options.window_ms);
        let (installed, clients) = match who {
            Who::Small => (&mut *self.small.0, &self.small.1),
            Who::Large => (&mut *self.large.0, &self.large.1),
            Who::Yardstick => return yardstick(&mut *self.bare.0, &self.bare.1, what, window).await,
        };
        let (stock, control) = (installed.stock, &mut installed.fleet.control);
        let before = control.usage_from_now()?;
        let (elapsed, times) = match what {
            What::Read(read) => {
                ask(clients, window, move |api, n| async move {
                    api.get_text(&read.path(stock, n)).await.map(drop)
                })
                .await?
            }
            What::Change(askers) => {
                let from = self.revision;
                let (elapsed, times) =
                    ask(&clients[..askers], window, move |api, n| change(api, stock, from + n)).await?;
                self.revision += (times.len() * askers) as u64 + ASKERS as u64;
                (elapsed, times)
            }
            What::Watch => {
                let from = self.revision;
                self.revision += WATCHED;
                watched(&clients[0], &clients[1], stock, from).await?
            }
        };
        Ok(Asked::of(elapsed, times, Spent::between("control", before, control.usage()?)))
    }
}

/// Changes a source: its revision is another.
async fn change(api: Api, stock: Stock, revision: u64) -> Result<()> {
    let n = revision % stock.sources();
    api.put(&format!("/v1/sources/{}", source_name(n)), &stock.source(n, revision)).await
}

/// Changes one source after the other, and waits for each until a watcher was told of it.
async fn watched(watching: &Api, changing: &Api, stock: Stock, from: u64) -> Result<(Duration, Vec<f64>)> {
    let newest = changing.get("/v1/audit?limit=1").await?["items"][0]["seq"].as_u64();
    let newest = newest.context("the audit trail has no newest event")?;
    let told = watching.follow(&format!("/v1/sources?watch=true&since={newest}")).await?;
    let (mut told, started, mut times) = (std::pin::pin!(told), Instant::now(), Vec::new());
    for revision in from..from + WATCHED {
        let changed = Instant::now();
        let answered = tokio::spawn(change(changing.clone(), stock, revision));
        let event = told.next().await.context("the watch ended")??;
        times.push(changed.elapsed().as_secs_f64() * 1e3);
        let seen = event["metadata"]["labels"]["revision"].as_str();
        ensure!(
            seen == Some(&revision.to_string()),
            "revision {revision} was made, and this was told: {event}"
        );
        answered.await??;
    }
    Ok((started.elapsed(), times))
}

async fn yardstick(bare: &mut Bare, clients: &[Api], what: What, window: Duration) -> Result<Asked> {
    match what {
        What::Read(read) => {
            let before = bare.process.usage_from_now()?;
            let path = format!("/{}", read.word());
            let request = move |api: Api, _| {
                let path = path.clone();
                async move { api.get_text(&path).await.map(drop) }
            };
            let (elapsed, times) = ask(clients, window, request).await?;
            Ok(Asked::of(elapsed, times, Spent::between("bare", before, bare.process.usage()?)))
        }
        What::Change(_) | What::Watch => tokio::task::spawn_blocking(move || syncs(window)).await?,
    }
}

/// What the disk can do: one event after the other, each synced.
fn syncs(window: Duration) -> Result<Asked> {
    let (mut file, own) = (tempfile::tempfile()?, std::process::id());
    let (event, before, started) = ([0x5a; EVENT_BYTES], Usage::of(own)?, Instant::now());
    let mut times = Vec::new();
    while started.elapsed() < window {
        let asked = Instant::now();
        sync(&mut file, &event)?;
        times.push(asked.elapsed().as_secs_f64() * 1e3);
    }
    Ok(Asked::of(started.elapsed(), times, Spent::between("writer", before, Usage::of(own)?)))
}

fn sync(file: &mut File, event: &[u8]) -> Result<()> {
    file.write_all(event)?;
    Ok(file.sync_data()?)
}
