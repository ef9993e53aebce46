//! The laws of sources.

mod run;
mod drive;

use std::time::Duration;

use anyhow::{Context, ensure};
use async_trait::async_trait;
use serde_json::Value;
use towpath_adapter_api::{Resume, SourceFactory};
use towpath_record::Position;

use crate::waiver::{Waiver, check_names, judge};
use drive::{Agent, Seen};

pub use run::{SourceRun, SourceStart, shown};

/// A kind of system, of which the suite asks for one after another, all with the same content.
#[async_trait]
pub trait SourceSubject: Send + Sync {
    /// A new system with the content that every system of this subject begins with.
    async fn fresh(&self) -> anyhow::Result<Box<dyn SourceSystem>>;
}

/// A system to be read, seen by someone beside the source.
#[async_trait]
pub trait SourceSystem: Send + Sync {
    /// The configuration of a source that reads this system.
    fn config(&self) -> Value;

    /// What stands in the system now: which files lie where, how far a slot has advanced. Compared for
    /// equality.
    async fn state(&self) -> anyhow::Result<String>;

    /// How long a source may be silent before all that the system holds has been read.
    fn quiet_after(&self) -> Duration {
        Duration::from_secs(2)
    }
}

const RESUME: &str = "resuming_anywhere_leaves_no_gap_and_no_repeat";
const UNRELEASED: &str = "nothing_is_destroyed_before_its_release";
const TWICE: &str = "a_release_twice_is_a_release_once";
const LAWS: &[&str] = &[RESUME, UNRELEASED, TWICE];

/// Runs every law of sources on a kind of system.
///
/// # Errors
/// A law is broken without a waiver, or waived without being broken; the error names the law.
pub async fn source_suite(
    factory: SourceFactory,
    subject: &dyn SourceSubject,
    waivers: &[Waiver],
) -> anyhow::Result<()> {
    check_names(LAWS, waivers)?;
    judge(RESUME, resumes_anywhere(factory, subject).await, waivers)?;
    judge(UNRELEASED, destroys_nothing_unreleased(factory, subject).await, waivers)?;
    judge(TWICE, releases_twice(factory, subject).await, waivers)
}

/// Stops after each emission in turn and goes on from its position, at the same system and with a cache that
/// the stop did not cost.
async fn resumes_anywhere(factory: SourceFactory, subject: &dyn SourceSubject) -> anyhow::Result<()> {
    let whole = {
        let system = subject.fresh().await?;
        Agent::new(factory, &*system).run(Resume::default(), usize::MAX).await?
    };
    ensure!(!whole.is_empty(), "the source emitted nothing; the subject gives it too little to read");
    for stop_after in 0..whole.len() {
        let system = subject.fresh().await?;
        let agent = Agent::new(factory, &*system);
        let mut seen = agent.run(Resume::default(), stop_after).await?;
        let position = seen.last().map_or_else(Position::default, |emission| emission.position.clone());
        seen.extend(agent.run(Resume { position, rebuild: None }, usize::MAX).await?);
        same(&whole, &seen).with_context(|| format!("stopped after emission {stop_after}"))?;
    }
    Ok(())
}

/// Emissions may be cut differently after a resume; their rows, per stream, may not.
fn same(whole: &[Seen], resumed: &[Seen]) -> anyhow::Result<()> {
    let (expected, found) = (drive::rows_by_stream(whole), drive::rows_by_stream(resumed));
    ensure!(
        expected.keys().eq(found.keys()),
        "streams {:?} were read in place of {:?}",
        found.keys(),
        expected.keys()
    );
    for ((stream, expected), found) in expected.iter().zip(found.values()) {
        let differ = expected.iter().zip(found).position(|(expected, found)| expected != found);
        ensure!(
            differ.is_none() && expected.len() == found.len(),
            "stream {stream}: {} rows were read in place of {}; the first that differs is {differ:?}",
            found.len(),
            expected.len()
        );
    }
    Ok(())
}

async fn destroys_nothing_unreleased(
    factory: SourceFactory,
    subject: &dyn SourceSubject,
) -> anyhow::Result<()> {
    let system = subject.fresh().await?;
    let before = system.state().await?;
    Agent::new(factory, &*system).run(Resume::default(), usize::MAX).await?;
    let after = system.state().await?;
    ensure!(before == after, "nothing was released, yet the system went from\n{before}\nto\n{after}");
    Ok(())
}

async fn releases_twice(factory: SourceFactory, subject: &dyn SourceSubject) -> anyhow::Result<()> {
    let system = subject.fresh().await?;
    let agent = Agent::new(factory, &*system);
    let seen = agent.run(Resume::default(), usize::MAX).await?;
    let last = seen.last().context("the source emitted nothing")?.position.clone();
    let marks: Vec<_> = seen.iter().flat_map(|emission| emission.marks.clone()).collect();
    agent.release(&last, &marks).await?;
    let once = system.state().await?;
    agent.release(&last, &marks).await?;
    let twice = system.state().await?;
    ensure!(once == twice, "a second release took the system from\n{once}\nto\n{twice}");
    Ok(())
}
