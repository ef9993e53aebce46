//! When a query is due. All of it is a function of the time, which is given.
//!
//! An interval counts from the last run. A cron pattern is read in its time zone: a time that the clock skips in spring
//! is due at the first instant after the gap, and one that comes twice in autumn is due once, as croner has it.

use std::time::Duration;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::Deserialize;
use towpath_record::TimeSpan;

const SHORTEST: Duration = Duration::from_millis(10);
const EVERY_MINUTE: Duration = Duration::from_secs(60);

/// When something runs: every so often, or as a cron pattern says.
#[derive(Clone, Default, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ScheduleConfig {
    /// Every so often, such as `30s`, counted from the beginning of the run before. Default: `1m`.
    pub every: Option<TimeSpan>,
    /// In place of `every`: a cron pattern of five fields, or of six with seconds first, such as `0 3 * * MON-FRI`.
    pub cron: Option<String>,
    /// For `cron`: the time zone that its hours are of, such as `Europe/Berlin`. Default: `UTC`.
    pub zone: Option<String>,
}

/// A schedule that was checked.
#[derive(Clone, Debug)]
pub struct Schedule(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Every(Duration),
    Cron(Box<Cron>, TimeZone),
}

impl Schedule {
    /// Checks a schedule.
    ///
    /// # Errors
    /// In words, what cannot work.
    pub fn new(config: &ScheduleConfig) -> Result<Self, String> {
        let zone = config.zone.as_deref();
        match (&config.every, &config.cron) {
            (Some(_), Some(_)) => Err("`schedule` takes `every` or `cron`, not both".to_owned()),
            (_, None) if zone.is_some() => Err("`schedule.zone` goes with `cron`".to_owned()),
            (every, None) => {
                let every = every.map_or(EVERY_MINUTE, |span| span.0);
                if every < SHORTEST {
                    return Err("`schedule.every` must be at least 10ms".to_owned());
                }
                Ok(Self(Kind::Every(every)))
            }
            (None, Some(pattern)) => {
                let parser = CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build();
                let cron = parser
                    .parse(pattern)
                    .map_err(|error| format!("the cron pattern `{pattern}`: {error}"))?;
                let name = zone.unwrap_or("UTC");
                let zone = TimeZone::get(name)
                    .map_err(|_| format!("`{name}` is not a time zone such as Europe/Berlin"))?;
                let schedule = Self(Kind::Cron(Box::new(cron), zone));
                match schedule.after(Timestamp::UNIX_EPOCH) {
                    Some(_) => Ok(schedule),
                    None => Err(format!("the cron pattern `{pattern}` names no time that ever comes")),
                }
            }
        }
    }

    /// The first time that is due after `time`; none at the end of the calendar.
    pub fn after(&self, time: Timestamp) -> Option<Timestamp> {
        match &self.0 {
            Kind::Every(every) => time.checked_add(*every).ok(),
            Kind::Cron(cron, zone) => {
                let next = cron.find_next_occurrence(&time.to_zoned(zone.clone()), false).ok()?;
                Some(next.timestamp()).filter(|next| *next > time)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cron(pattern: &str, zone: &str) -> Schedule {
        let config =
            ScheduleConfig { every: None, cron: Some(pattern.to_owned()), zone: Some(zone.to_owned()) };
        Schedule::new(&config).unwrap()
    }

    fn due(schedule: &Schedule, from: &str, times: usize) -> Vec<String> {
        let mut at: Timestamp = from.parse().unwrap();
        std::iter::repeat_with(|| {
            at = schedule.after(at).unwrap();
            at.to_string()
        })
        .take(times)
        .collect()
    }

    #[test]
    fn an_interval_counts_from_the_run_before() {
        let config = ScheduleConfig { every: Some("90s".parse().unwrap()), ..ScheduleConfig::default() };
        let schedule = Schedule::new(&config).unwrap();
        assert_eq!(
            due(&schedule, "2026-01-01T00:00:10Z", 2),
            ["2026-01-01T00:01:40Z", "2026-01-01T00:03:10Z"]
        );
    }

    #[test]
    fn a_pattern_is_read_in_its_time_zone() {
        let schedule = cron("30 3 * * MON-FRI", "Europe/Berlin");
        let found = due(&schedule, "2026-01-01T12:00:00Z", 2);
        assert_eq!(found, ["2026-01-02T02:30:00Z", "2026-01-05T02:30:00Z"]);
    }

    #[test]
    fn a_time_that_spring_skips_is_due_once_right_after_the_gap() {
        // On 2026-03-29 the clocks in Berlin go from 02:00 to 03:00.
        let found = due(&cron("30 2 * * *", "Europe/Berlin"), "2026-03-28T12:00:00Z", 2);
        assert_eq!(found, ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]);
    }

    #[test]
    fn a_time_that_autumn_repeats_is_due_once() {
        // On 2026-10-25 the clocks in Berlin go from 03:00 back to 02:00.
        let found = due(&cron("30 2 * * *", "Europe/Berlin"), "2026-10-24T12:00:00Z", 2);
        assert_eq!(found, ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
    }

    #[test]
    fn an_hourly_pattern_goes_on_through_both_changes_of_the_clock() {
        for day in ["2026-03-29", "2026-10-25"] {
            let found = due(&cron("0 0 * * * *", "Europe/Berlin"), &format!("{day}T00:00:00Z"), 4);
            let expected: Vec<_> = (1..5).map(|hour| format!("{day}T0{hour}:00:00Z")).collect();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn what_is_no_schedule_is_refused_by_name() {
        let said =
            |config: serde_json::Value| Schedule::new(&serde_json::from_value(config).unwrap()).unwrap_err();
        assert!(said(serde_json::json!({ "cron": "61 * * * *" })).contains("61 * * * *"));
        assert!(said(serde_json::json!({ "cron": "0 0 30 2 *" })).contains("ever comes"));
        assert!(said(serde_json::json!({ "cron": "* * * * *", "zone": "Mars/Base" })).contains("Mars/Base"));
        assert!(said(serde_json::json!({ "every": "1m", "cron": "* * * * *" })).contains("not both"));
        assert!(said(serde_json::json!({ "every": "1ms" })).contains("10ms"));
        assert!(said(serde_json::json!({ "zone": "UTC" })).contains("goes with `cron`"));
    }
}
