//! The laws of sinks.

mod drive;
mod expect;
mod once;
mod shape;
mod keyed;
mod settings;
mod modes;
mod history;
mod read_back;

use std::future::Future;
use std::pin::Pin;

use anyhow::Context;
use async_trait::async_trait;
use serde_json::Value;
use towpath_adapter_api::SinkFactory;
use towpath_record::{StreamName, StreamSchema};

use crate::cell::Row;
use crate::waiver::{Waiver, check_names, judge};
use crate::{seed, sink};

/// A kind of target, of which the suite asks for one after another.
#[async_trait]
pub trait SinkSubject: Send + Sync {
    /// A new target that holds nothing.
    async fn fresh(&self) -> anyhow::Result<Box<dyn SinkTarget>>;

    /// Whether targets of this kind have NaN and the infinities. Where they have not, the suite sends none; that such
    /// rows are refused is for the adapter's own tests.
    fn has_every_float(&self) -> bool {
        true
    }
}

/// A target, seen by someone else who reads it.
#[async_trait]
pub trait SinkTarget: Send + Sync {
    /// The configuration of a sink that writes here.
    fn config(&self) -> Value;

    /// What a reader of the target sees of a stream: its rows, each in the order of `schema`'s columns; none
    /// when the stream was never written.
    async fn rows(&self, stream: &StreamName, schema: &StreamSchema) -> anyhow::Result<Vec<Row>>;

    /// Whether [`SinkTarget::rows`] come in the order in which they were added.
    fn keeps_order(&self) -> bool {
        true
    }

    /// Prepares the target for a stream such that it refuses rows whose `column` is `value`. An error says
    /// that it cannot.
    async fn forbid(
        &self,
        stream: &StreamName,
        schema: &StreamSchema,
        column: &str,
        value: i64,
    ) -> anyhow::Result<()>;
}

/// What a law works with.
#[derive(Clone, Copy)]
pub(crate) struct Bench<'a> {
    pub(crate) factory: SinkFactory,
    pub(crate) subject: &'a dyn SinkSubject,
    pub(crate) seed: u64,
}

type Law = for<'a> fn(Bench<'a>) -> Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send + 'a>>;

macro_rules! laws {
    ($($module:ident::$law:ident),* $(,)?) => {
        &[$((stringify!($law), |bench| Box::pin(sink::$module::$law(bench)))),*]
    };
}

/// Every law, from the simplest.
const LAWS: &[(&str, Law)] = laws![
    once::a_new_route_has_no_checkpoint,
    once::a_committed_checkpoint_is_found_again,
    once::a_commit_without_rows_stores_its_checkpoint,
    once::uncommitted_rows_leave_no_trace,
    once::routes_and_replays_have_checkpoints_of_their_own,
    shape::every_type_and_extreme_survives,
    shape::a_megabyte_in_one_value_survives,
    shape::an_empty_batch_adds_nothing,
    shape::streams_do_not_mix,
    shape::columns_may_come_and_go,
    shape::a_refused_row_costs_no_neighbour,
    keyed::the_last_row_of_a_key_wins,
    keyed::deletes_and_truncates_are_applied_in_order,
    keyed::redelivery_of_keyed_rows_changes_nothing,
    once::rows_land_exactly_once_when_cut_after_any_step,
    once::rows_land_exactly_once_when_cut_within_steps,
    keyed::values_that_were_not_sent_are_kept,
    modes::a_refused_row_stops_the_route_if_told,
    modes::deleted_rows_are_kept_and_marked,
    modes::values_that_were_not_sent_are_kept_where_deleted_rows_are,
    history::every_change_is_a_version,
    history::values_that_were_not_sent_are_those_of_the_version_before,
    history::a_replay_adds_no_version,
    read_back::every_type_is_read_back,
    read_back::rows_are_read_by_their_keys,
    read_back::what_is_gone_is_not_read_back,
];

/// Runs every law of sinks on a kind of target.
///
/// # Errors
/// A law is broken without a waiver, or waived without being broken; the error names the law and the seed.
pub async fn sink_suite(
    factory: SinkFactory,
    subject: &dyn SinkSubject,
    waivers: &[Waiver],
) -> anyhow::Result<()> {
    check_names(&LAWS.iter().map(|(name, _)| *name).collect::<Vec<_>>(), waivers)?;
    let seed = seed::of_this_run()?;
    for (name, law) in LAWS {
        let outcome = law(Bench { factory, subject, seed }).await;
        judge(name, outcome, waivers).with_context(|| seed::repeat_with(seed))?;
    }
    Ok(())
}
