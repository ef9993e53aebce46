//! One seed per run.

use anyhow::Context;

/// The variable that repeats a run.
const VARIABLE: &str = "TOWPATH_SEED";

/// The seed of this run: the one given, else a new one.
pub(crate) fn of_this_run() -> anyhow::Result<u64> {
    match std::env::var(VARIABLE) {
        Ok(text) => text.parse().with_context(|| format!("{VARIABLE}={text} is not a number")),
        Err(_) => Ok(fastrand::u64(..)),
    }
}

/// What a failure says, so that it can be repeated.
pub(crate) fn repeat_with(seed: u64) -> String {
    format!("repeat with {VARIABLE}={seed}")
}
