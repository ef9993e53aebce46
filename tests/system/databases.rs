//! Two servers and a file keep each other's tables while every process is killed: a few rounds of `sim db`.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use towpath_tests::binaries::Binaries;

#[test]
fn copies_of_databases_are_equal_whatever_is_killed() -> Result<()> {
    let sim = Binaries::find()?.directory().join("sim");
    let seed = fastrand::u64(1..1 << 32).to_string();
    let output = Command::new(sim).args(["db", "--rounds", "3", "--seed", &seed]).output();
    let output = output.context("`sim` was not built")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    Ok(())
}
