//! `docs/benchmarks.md` and its plot, rendered from the figures of each bench's last run.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::measure::Figures;
use crate::plot;

/// In the order of the page.
const BENCHES: [&str; 11] = [
    "files",
    "idle",
    "link",
    "sink",
    "pg-snapshot",
    "pg-cdc",
    "mysql-cdc",
    "pg-latency",
    "pg-memory",
    "mysql-memory",
    "api",
];

const HEAD: &str = "# Benchmarks

How fast Towpath carries data, and at what cost, beside what else could carry it on the same machine in the same run.
Machines differ, and one machine differs from hour to hour, so read the ratios first. Each subject is measured in turn,
as often as the command says; the tables give medians. The data are generated from the seed; nothing is tuned to them.
Processor time is that of all processes named under memory together.

This page is written by the commands it names, run with `--docs docs`; the figures behind it are in `benchmarks/`.

![Megabytes per second of each subject](benchmarks.svg)
";

/// Keeps the figures of one bench and renders the page anew from those of all.
pub(crate) fn renew(docs: &Path, figures: &Figures) -> Result<()> {
    let folder = docs.join("benchmarks");
    fs::create_dir_all(&folder)?;
    let file = |bench: &str| folder.join(format!("{bench}.json"));
    fs::write(file(&figures.bench), serde_json::to_string_pretty(figures)? + "\n")?;
    let mut all = Vec::new();
    for bench in BENCHES {
        let file = file(bench);
        if file.exists() {
            let figures: Figures = serde_json::from_str(&fs::read_to_string(&file)?)
                .with_context(|| format!("{} is not of this version", file.display()))?;
            all.push(figures);
        }
    }
    fs::write(docs.join("benchmarks.svg"), plot::bars(&all))?;
    Ok(fs::write(docs.join("benchmarks.md"), page(&all)?)?)
}

fn page(all: &[Figures]) -> Result<String> {
    let mut page = HEAD.to_owned();
    for figures in all {
        write!(
            page,
            "\n## {}\n\n`{}`, {}, {}\n\n",
            figures.title, figures.command, figures.date, figures.machine
        )?;
        if !figures.series.is_empty() {
            writeln!(page, "{}", figures.table())?;
        }
        for sheet in &figures.sheets {
            writeln!(page, "{}", sheet.table())?;
        }
        writeln!(page, "{}", figures.goals_table())?;
        for note in &figures.notes {
            writeln!(page, "* {note}")?;
        }
    }
    while page.ends_with("\n\n") {
        page.pop();
    }
    Ok(page)
}
