//! The laws of sinks can be broken: a sink in memory keeps them all, and with each fault breaks the one
//! meant.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up its scene may panic")]

mod memory;

use towpath_adapter_conformance::{Waiver, sink_suite};

use crate::memory::{FACTORY, Targets};

/// What the sink in memory cannot do.
const WAIVERS: &[Waiver] = &[
    Waiver { law: "every_type_is_read_back", reason: TEXT_ONLY },
    Waiver { law: "rows_are_read_by_their_keys", reason: TEXT_ONLY },
    Waiver { law: "what_is_gone_is_not_read_back", reason: TEXT_ONLY },
];

const TEXT_ONLY: &str = "it keeps cells, which have lost their types";

async fn broken_by(fault: &'static str) -> String {
    format!("{:#}", sink_suite(FACTORY, &Targets(fault), WAIVERS).await.unwrap_err())
}

#[tokio::test]
async fn a_sink_without_fault_keeps_every_law() -> anyhow::Result<()> {
    sink_suite(FACTORY, &Targets("none"), WAIVERS).await
}

#[tokio::test]
async fn each_fault_breaks_its_law() {
    for (fault, law) in [
        ("forgets checkpoints", "a_committed_checkpoint_is_found_again"),
        ("shows rows before the commit", "uncommitted_rows_leave_no_trace"),
        ("loses the neighbours of a refused row", "a_refused_row_costs_no_neighbour"),
        ("keeps the first row of a key", "the_last_row_of_a_key_wins"),
        ("ignores deletes", "deletes_and_truncates_are_applied_in_order"),
        ("forgets values that were not sent", "values_that_were_not_sent_are_kept"),
        ("goes on at a conflict", "a_refused_row_stops_the_route_if_told"),
        ("forgets who was deleted", "deleted_rows_are_kept_and_marked"),
        ("keeps only the current version", "every_change_is_a_version"),
        ("takes a replay for news", "a_replay_adds_no_version"),
        ("stores rows and checkpoint apart", "rows_land_exactly_once_when_cut_within_steps"),
    ] {
        let said = broken_by(fault).await;
        assert!(said.contains(law) && said.contains("TOWPATH_SEED"), "a sink that {fault}: {said}");
    }
}

#[tokio::test]
async fn a_waiver_excuses_its_law_and_no_other() {
    let waived = Waiver { law: "the_last_row_of_a_key_wins", reason: "it is a test" };
    let waived = [WAIVERS, &[waived]].concat();
    let said = format!("{:#}", sink_suite(FACTORY, &Targets("none"), &waived).await.unwrap_err());
    assert!(said.contains("holds, yet it is waived because it is a test"), "{said}");
}
