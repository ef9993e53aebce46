//! The bench of the API runs with few resources, and measures all that it says.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::database_benches::figures;

#[test]
fn the_bench_of_the_api_measures_reads_changes_watching_and_starts_beside_their_yardsticks() -> Result<()> {
    let few = ["--resources", "1000", "--events", "3000", "--runs", "1", "--window-ms", "100"];
    let figures = figures("api", &few)?;
    let sheets = figures["sheets"].as_array().context("figures have sheets")?;
    let rows = |sheet: &Value| sheet["rows"].as_array().map_or(0, Vec::len);
    ensure!(sheets.iter().map(rows).collect::<Vec<_>>() == [15, 6, 7], "{sheets:#?}");
    for row in sheets.iter().flat_map(|sheet| sheet["rows"].as_array()).flatten() {
        let told = row[1].as_str().and_then(|text| text.parse::<f64>().ok());
        ensure!(told.is_some_and(|told| told.is_finite() && told >= 0.0), "{row}");
    }
    let goals = figures["goals"].as_array().context("figures have goals")?;
    ensure!(goals.len() == 13, "four ratios, two limits, and how seven costs grow: {goals:#?}");
    Ok(())
}
