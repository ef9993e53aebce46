//! The figures of what was measured, as tables and beside their goals.

use std::time::Duration;

use super::ask::Asked;
use super::installed::Installed;
use super::loads::{ASKERS, Read, Series, What, Who};
use super::rebuild::Starts;
use crate::measure::{Figures, Goal, Sheet, Spent, median};

/// Ratio to a bare server of the same answers.
const READS_OF_BARE: f64 = 0.5;
/// Ratio of changes one by one to syncs one by one.
const CHANGES_OF_SYNCS: f64 = 0.5;
/// The same, of many at once.
const MANY_CHANGES_OF_SYNCS: f64 = 2.0;
/// A watcher knows a change so many milliseconds after one sync, at half of them.
const WATCHED_BEYOND_SYNC_MS: f64 = 10.0;
const REPLAYED_PER_SECOND: f64 = 50.0;
const GROWTH: f64 = 1.2;

/// Everything that was measured.
pub(crate) struct Told {
    pub(crate) series: Vec<Series>,
    pub(crate) small: (Starts, Installed),
    pub(crate) large: (Starts, Installed),
}

impl Told {
    /// Tells it.
    pub(crate) fn into_figures(self, figures: &mut Figures) {
        figures.sheets = vec![self.answers(), self.starts(), self.growth()];
        for read in [Read::One, Read::Page] {
            let what = What::Read(read);
            self.compare(figures, what, what, READS_OF_BARE);
        }
        self.compare(figures, What::Change(1), What::Change(1), CHANGES_OF_SYNCS);
        self.compare(figures, What::Change(ASKERS), What::Change(1), MANY_CHANGES_OF_SYNCS);
        let sync = self.of(Who::Yardstick, What::Change(1), |asked| asked.p50_ms);
        let watched = self.of(Who::Large, What::Watch, |asked| asked.p50_ms);
        let goal = ((sync + WATCHED_BEYOND_SYNC_MS) * 10.0).round() / 10.0;
        figures.at_most("half of the changes are known to a watcher within", watched, goal, "ms");
        let replayed = self.large.1.events as f64 / seconds(&self.large.0.replayed) / 1e3;
        figures.at_least("events replayed at a start", replayed, REPLAYED_PER_SECOND, "k a second");
        for (what, [small, large]) in self.costs() {
            figures.at_most(format!("growth: {what}"), large / small, GROWTH, "times");
        }
        figures.notes = notes();
    }

    fn answers(&self) -> Sheet {
        let columns =
            ["", "a second", "least – most", "p50, ms", "p99, ms", "CPU-µs each", "peak RSS, MiB", "runs"];
        let mut sheet = Sheet::new(columns);
        for series in &self.series {
            let (who, what) = (series.who, series.what);
            let paces = || series.trials.iter().map(Asked::per_second);
            let (least, most) = (paces().fold(f64::INFINITY, f64::min), paces().fold(0.0, f64::max));
            let of = |of: fn(&Asked) -> f64| self.of(who, what, of);
            sheet.row([
                self.name(who, what),
                format!("{:.0}", of(Asked::per_second)),
                format!("{least:.0} – {most:.0}"),
                format!("{:.2}", of(|asked| asked.p50_ms)),
                format!("{:.2}", of(|asked| asked.p99_ms)),
                format!("{:.0}", of(Asked::cpu_us)),
                format!("{:.0}", of(|asked| asked.spent.peak_rss_mib)),
                series.trials.len().to_string(),
            ]);
        }
        sheet
    }

    fn name(&self, who: Who, what: What) -> String {
        let resources = |installed: &Installed| installed.stock.resources;
        match (who, what) {
            (Who::Small, _) => format!("Towpath, {} resources: {}", resources(&self.small.1), what.told()),
            (Who::Large, _) => format!("Towpath, {} resources: {}", resources(&self.large.1), what.told()),
            (Who::Yardstick, What::Read(_)) => {
                format!("bare hyper and axum, the same bytes: {}", what.told())
            }
            (Who::Yardstick, _) => "write of 1,000 bytes + fdatasync".to_owned(),
        }
    }

    fn starts(&self) -> Sheet {
        let columns = ["start to ready", "seconds", "events a second", "CPU-s", "peak RSS, MiB", "runs"];
        let mut sheet = Sheet::new(columns);
        for (starts, installed) in [&self.large, &self.small] {
            let (resources, events) = (installed.stock.resources, installed.events);
            let mut row = |name: &str, starts: &[(Duration, Spent)]| {
                let took = seconds(starts);
                sheet.row([
                    format!("{resources} resources, {events} events: {name}"),
                    format!("{took:.2}"),
                    format!("{:.0}", events as f64 / took),
                    format!("{:.2}", cpu(starts)),
                    format!("{:.0}", median(starts.iter().map(|(_, spent)| spent.peak_rss_mib).collect())),
                    starts.len().to_string(),
                ]);
            };
            row("all replayed", &starts.replayed);
            row("from the projection", &starts.quick);
            let hashed = median(starts.hashed.iter().map(Duration::as_secs_f64).collect());
            sheet.row([
                format!("the same events read and hashed, {:.0} MB", starts.bytes as f64 / 1e6),
                format!("{hashed:.2}"),
                format!("{:.0}", events as f64 / hashed),
                String::new(),
                String::new(),
                starts.hashed.len().to_string(),
            ]);
        }
        sheet
    }

    fn growth(&self) -> Sheet {
        let sizes =
            [&self.small.1, &self.large.1].map(|one| format!("{} / {}", one.stock.resources, one.events));
        let [small, large] = sizes;
        let mut sheet = Sheet::new(["cost of a unit, by resources / events", &small, &large, "times"]);
        for (what, [small, large]) in self.costs() {
            sheet.row([what, format!("{small:.2}"), format!("{large:.2}"), format!("{:.2}", large / small)]);
        }
        sheet
    }

    /// What a unit costs, with a tenth and with all.
    fn costs(&self) -> Vec<(String, [f64; 2])> {
        let both = [(Who::Small, &self.small), (Who::Large, &self.large)];
        let cpu_of = |what: What| both.map(|(who, _)| self.of(who, what, Asked::cpu_us));
        let looked_at = [&self.small, &self.large].map(|(_, installed)| installed.stock.sources() as f64);
        let [small, large] = cpu_of(What::Read(Read::Filtered));
        let kib = |bytes: u64, count: u64| bytes as f64 / 1024.0 / count as f64;
        vec![
            ("get one, CPU-µs".to_owned(), cpu_of(What::Read(Read::One))),
            ("a page by name, CPU-µs".to_owned(), cpu_of(What::Read(Read::Page))),
            (
                "a page filtered and sorted, CPU-µs for each resource looked at".to_owned(),
                [small / looked_at[0], large / looked_at[1]],
            ),
            ("a change, CPU-µs".to_owned(), cpu_of(What::Change(ASKERS))),
            ("a change with a watcher, CPU-µs".to_owned(), cpu_of(What::Watch)),
            (
                "an event replayed, CPU-µs".to_owned(),
                both.map(|(_, (starts, installed))| cpu(&starts.replayed) * 1e6 / installed.events as f64),
            ),
            (
                "a resource in memory, KiB".to_owned(),
                both.map(|(_, (starts, installed))| {
                    kib(starts.rss.saturating_sub(installed.empty_rss), installed.stock.resources)
                }),
            ),
        ]
    }

    /// The median of a measurement.
    fn of(&self, who: Who, what: What, of: impl Fn(&Asked) -> f64) -> f64 {
        let series = self.series.iter().find(|series| (series.who, series.what) == (who, what));
        median(series.into_iter().flat_map(|series| &series.trials).map(of).collect())
    }

    fn compare(&self, figures: &mut Figures, ours: What, yardstick: What, goal: f64) {
        let one = self.of(Who::Large, ours, Asked::per_second);
        let ratio = one / self.of(Who::Yardstick, yardstick, Asked::per_second);
        let what = format!("{} : {}", self.name(Who::Large, ours), self.name(Who::Yardstick, yardstick));
        let (value, goal, reached) = (format!("{ratio:.2}"), format!("≥ {goal}"), ratio >= goal);
        figures.goals.push(Goal { what, value, goal, reached });
    }
}

fn seconds(starts: &[(Duration, Spent)]) -> f64 {
    median(starts.iter().map(|(took, _)| took.as_secs_f64()).collect())
}

fn cpu(starts: &[(Duration, Spent)]) -> f64 {
    median(starts.iter().map(|(_, spent)| spent.cpu_seconds).collect())
}

fn notes() -> Vec<String> {
    vec![
        format!(
            "{ASKERS} askers with a connection each, HTTP/2 over TLS 1.3 on loopback; clients and servers share the machine. \
             Every request is authenticated, decided, counted and, if it is a change, synced before it is answered. The \
             limits of rates are raised, so that they hold nobody back."
        ),
        "The resources and events were written with the catalog's library: 500 changes share a sync there.".to_owned(),
        "A page that is filtered and sorted looks at every resource of its kind, so its cost is told for each of them."
            .to_owned(),
    ]
}
