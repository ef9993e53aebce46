//! Trials, their medians, and what they are compared with.

use std::fmt;
use std::time::Duration;

use anyhow::Result;
use futures_util::future::LocalBoxFuture;
use serde::{Deserialize, Serialize};
use towpath_tests::table::Table;
use towpath_tests::usage::Usage;

use crate::Options;
use crate::machine;

/// One measurement of one subject.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Trial {
    pub(crate) seconds: f64,
    pub(crate) bytes: u64,
    pub(crate) rows: u64,
    pub(crate) processes: Vec<Spent>,
}

/// What one process used in a trial.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Spent {
    pub(crate) process: String,
    pub(crate) cpu_seconds: f64,
    pub(crate) peak_rss_mib: f64,
}

/// Something that is measured.
pub(crate) trait Subject {
    /// What it is called in tables.
    fn name(&self) -> String;
    /// Measures it once on the data of this run.
    fn trial(&mut self, run: usize) -> LocalBoxFuture<'_, Result<Trial>>;
}

/// All trials of one subject.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) trials: Vec<Trial>,
}

/// A figure that is compared with its goal.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Goal {
    pub(crate) what: String,
    pub(crate) value: String,
    pub(crate) goal: String,
    pub(crate) reached: bool,
}

/// A table of what else was measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Sheet {
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// Everything that one run of a bench found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) bench: String,
    pub(crate) title: String,
    pub(crate) command: String,
    pub(crate) date: String,
    pub(crate) machine: String,
    pub(crate) series: Vec<Series>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) sheets: Vec<Sheet>,
    pub(crate) goals: Vec<Goal>,
    pub(crate) notes: Vec<String>,
}

impl Sheet {
    /// A table with these columns.
    pub(crate) fn new<const N: usize>(columns: [&str; N]) -> Self {
        Self { columns: columns.map(str::to_owned).into(), rows: Vec::new() }
    }

    /// Adds a row.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }

    pub(crate) fn table(&self) -> Table {
        let mut table = Table::new(self.columns.iter());
        self.rows.iter().for_each(|row| table.row(row));
        table
    }
}

impl Spent {
    pub(crate) fn between(process: &str, before: Usage, after: Usage) -> Self {
        let (cpu, peak) = (after.cpu_since(before), after.peak_rss);
        Self {
            process: process.to_owned(),
            cpu_seconds: cpu.as_secs_f64(),
            peak_rss_mib: peak as f64 / (1 << 20) as f64,
        }
    }
}

impl Trial {
    pub(crate) fn new(elapsed: Duration, bytes: u64, rows: u64, processes: Vec<Spent>) -> Self {
        Self { seconds: elapsed.as_secs_f64(), bytes, rows, processes }
    }

    pub(crate) fn megabytes_per_second(&self) -> f64 {
        self.bytes as f64 / 1e6 / self.seconds
    }

    pub(crate) fn rows_per_second(&self) -> f64 {
        self.rows as f64 / self.seconds
    }

    /// What all its processes used.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        self.processes.iter().map(|spent| spent.cpu_seconds).sum()
    }

    pub(crate) fn cpu_seconds_per_gigabyte(&self) -> f64 {
        self.cpu_seconds() / (self.bytes as f64 / 1e9)
    }
}

impl Series {
    pub(crate) fn median(&self, of: impl Fn(&Trial) -> f64) -> f64 {
        median(self.trials.iter().map(of).collect())
    }

    pub(crate) fn speed(&self) -> f64 {
        self.median(Trial::megabytes_per_second)
    }

    fn range(&self) -> String {
        let speeds = || self.trials.iter().map(Trial::megabytes_per_second);
        let (least, most) = (speeds().fold(f64::INFINITY, f64::min), speeds().fold(0.0, f64::max));
        format!("{least:.1} – {most:.1}")
    }

    /// The median peak memory of each process.
    fn memory(&self) -> String {
        let Some(first) = self.trials.first() else { return String::new() };
        let of = |index: usize| {
            median(self.trials.iter().filter_map(|t| Some(t.processes.get(index)?.peak_rss_mib)).collect())
        };
        let each = first.processes.iter().enumerate().map(|(i, p)| format!("{} {:.0}", p.process, of(i)));
        each.collect::<Vec<_>>().join(", ")
    }

    pub(crate) fn peak_rss_mib_of(&self, process: &str) -> f64 {
        let peaks = self.trials.iter().flat_map(|trial| &trial.processes).filter(|p| p.process == process);
        peaks.map(|p| p.peak_rss_mib).fold(0.0, f64::max)
    }
}

impl Figures {
    pub(crate) fn new(bench: &str, title: &str, options: &Options) -> Self {
        let Options { mib, peer_mib, seed, runs, .. } = options;
        Self::of(bench, title, &format!("--mib {mib} --peer-mib {peer_mib} --seed {seed} --runs {runs}"))
    }

    /// Figures of a bench that was run with these arguments.
    pub(crate) fn of(bench: &str, title: &str, arguments: &str) -> Self {
        Self {
            bench: bench.to_owned(),
            title: title.to_owned(),
            command: format!("cargo x bench {bench} {arguments}"),
            date: machine::today(),
            machine: machine::kind(),
            series: Vec::new(),
            sheets: Vec::new(),
            goals: Vec::new(),
            notes: Vec::new(),
        }
    }

    pub(crate) fn series(&self, name: &str) -> Option<&Series> {
        self.series.iter().find(|series| series.name == name)
    }

    /// Adds a ratio of two speeds that shall be at least `goal`, if both were measured.
    pub(crate) fn compare(&mut self, ours: &str, yardstick: &str, goal: f64) {
        let (Some(one), Some(other)) = (self.series(ours), self.series(yardstick)) else { return };
        let ratio = one.speed() / other.speed();
        self.goals.push(Goal {
            what: format!("{ours} : {yardstick}"),
            value: format!("{ratio:.2}"),
            goal: format!("≥ {goal}"),
            reached: ratio >= goal,
        });
    }

    /// Adds a figure that shall be at most `goal`.
    pub(crate) fn at_most(&mut self, what: impl Into<String>, value: f64, goal: f64, unit: &str) {
        self.goals.push(Goal {
            what: what.into(),
            value: format!("{value:.1} {unit}"),
            goal: format!("≤ {goal} {unit}"),
            reached: value <= goal,
        });
    }

    /// Adds a figure that shall be at least `goal`.
    pub(crate) fn at_least(&mut self, what: impl Into<String>, value: f64, goal: f64, unit: &str) {
        self.goals.push(Goal {
            what: what.into(),
            value: format!("{value:.1} {unit}"),
            goal: format!("≥ {goal} {unit}"),
            reached: value >= goal,
        });
    }

    pub(crate) fn table(&self) -> Table {
        let mut table = Table::new([
            "",
            "MB/s",
            "least – most",
            "rows/s",
            "CPU-s per GB",
            "peak RSS, MiB",
            "MB each",
            "runs",
        ]);
        for series in &self.series {
            let rows = series.median(Trial::rows_per_second);
            table.row([
                series.name.clone(),
                format!("{:.1}", series.speed()),
                series.range(),
                if rows > 0.0 { format!("{:.0}k", rows / 1e3) } else { String::new() },
                format!("{:.1}", series.median(Trial::cpu_seconds_per_gigabyte)),
                series.memory(),
                format!("{:.0}", series.median(|trial| trial.bytes as f64 / 1e6)),
                series.trials.len().to_string(),
            ]);
        }
        table
    }

    pub(crate) fn goals_table(&self) -> Table {
        let mut table = Table::new(["", "measured", "goal", ""]);
        for goal in &self.goals {
            let verdict = if goal.reached { "reached" } else { "not reached" };
            table.row([goal.what.clone(), goal.value.clone(), goal.goal.clone(), verdict.to_owned()]);
        }
        table
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.title)?;
        if !self.series.is_empty() {
            writeln!(f, "{}", self.table())?;
        }
        self.sheets.iter().try_for_each(|sheet| writeln!(f, "{}", sheet.table()))?;
        writeln!(f, "{}", self.goals_table())?;
        self.notes.iter().try_for_each(|note| writeln!(f, "* {note}"))
    }
}

/// Measures all subjects in turn, so that what slows the machine for a while slows them all.
pub(crate) async fn in_turn(
    subjects: &mut [Box<dyn Subject>],
    runs: usize,
    mut before_run: impl AsyncFnMut(usize) -> Result<()>,
) -> Result<Vec<Series>> {
    let mut all: Vec<_> =
        subjects.iter().map(|subject| Series { name: subject.name(), trials: Vec::new() }).collect();
    for run in 0..runs {
        before_run(run).await?;
        for (subject, series) in subjects.iter_mut().zip(&mut all) {
            let trial = subject.trial(run).await?;
            println!("run {}: {}: {:.1} MB/s", run + 1, series.name, trial.megabytes_per_second());
            series.trials.push(trial);
        }
    }
    Ok(all)
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => values[odd / 2],
        even => f64::midpoint(values[even / 2 - 1], values[even / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_the_middle_or_between_the_two_in_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
    }
}
