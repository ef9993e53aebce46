//! How fast things flow: exponentially weighted means of totals that are sampled every second.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use towpath_record::{RegionName, RouteId, SourceId};
use towpath_resource::api::Flow;

use super::plane::Snapshot;

/// How often totals are sampled.
pub(super) const SAMPLE_EVERY: Duration = Duration::from_secs(1);
/// After this time a change of pace is reflected to 63 %.
const TIME_CONSTANT: Duration = Duration::from_secs(5);
/// Slower than this, in records or bytes a second, counts as standing still.
const STANDSTILL: f64 = 0.05;

/// What is measured.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Measured {
    Source(SourceId),
    Route(RouteId),
    Log(RegionName),
}

/// The meters of everything that flows.
#[derive(Clone, Debug, Default)]
pub(super) struct Rates(BTreeMap<Measured, Meter>);

#[derive(Clone, Debug)]
struct Meter {
    at: Instant,
    records: u64,
    bytes: u64,
    records_per_second: f64,
    bytes_per_second: f64,
}

impl Rates {
    /// Takes the totals of this moment in, and forgets what is gone.
    pub(super) fn sample(&mut self, now: Instant, snapshot: &Snapshot) {
        let sources =
            snapshot.sources.iter().map(|(id, flow)| (Measured::Source(*id), flow.records, flow.bytes));
        let routes =
            snapshot.routes.iter().map(|(id, flow)| (Measured::Route(*id), flow.records, flow.bytes));
        let logs =
            snapshot.logs.iter().map(|(name, flow)| (Measured::Log(name.clone()), flow.records, flow.bytes));
        let mut sampled = BTreeMap::new();
        for (measured, records, bytes) in sources.chain(routes).chain(logs) {
            let meter = match self.0.remove(&measured) {
                Some(meter) => meter.advanced(now, records, bytes),
                None => Meter { at: now, records, bytes, records_per_second: 0.0, bytes_per_second: 0.0 },
            };
            sampled.insert(measured, meter);
        }
        self.0 = sampled;
    }

    /// These totals with their pace.
    pub(super) fn flow(&self, measured: &Measured, records: u64, bytes: u64) -> Flow {
        let meter = self.0.get(measured);
        let pace = |pace: f64| if pace < STANDSTILL { 0.0 } else { pace };
        Flow {
            records,
            bytes,
            records_per_second: meter.map_or(0.0, |meter| pace(meter.records_per_second)),
            bytes_per_second: meter.map_or(0.0, |meter| pace(meter.bytes_per_second)),
        }
    }
}

impl Meter {
    fn advanced(self, now: Instant, records: u64, bytes: u64) -> Self {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        if elapsed <= 0.0 {
            return self;
        }
        let weight = 1.0 - (-elapsed / TIME_CONSTANT.as_secs_f64()).exp();
        // A total that fell was counted anew, as when a route is replayed; nothing flowed backwards.
        let mean = |pace: f64, before: u64, total: u64| {
            let latest = total.saturating_sub(before) as f64 / elapsed;
            pace + weight * (latest - pace)
        };
        Self {
            at: now,
            records,
            bytes,
            records_per_second: mean(self.records_per_second, self.records, records),
            bytes_per_second: mean(self.bytes_per_second, self.bytes, bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::plane::SourceFlow;

    fn at(records: u64) -> Snapshot {
        let flow = SourceFlow { records, bytes: records * 100, ..SourceFlow::default() };
        Snapshot { sources: BTreeMap::from([(SourceId::from_bytes([1; 16]), flow)]), ..Snapshot::default() }
    }

    #[test]
    fn a_steady_flow_is_measured_and_fades_when_it_ends() {
        let (mut rates, start) = (Rates::default(), Instant::now());
        let source = Measured::Source(SourceId::from_bytes([1; 16]));
        for second in 0..60 {
            rates.sample(start + Duration::from_secs(second), &at(second * 1_000));
        }
        let flow = rates.flow(&source, 59_000, 5_900_000);
        assert!((flow.records_per_second - 1_000.0).abs() < 1.0, "{flow:?}");
        assert!((flow.bytes_per_second - 100_000.0).abs() < 100.0, "{flow:?}");
        for second in 60..160 {
            rates.sample(start + Duration::from_secs(second), &at(59_000));
        }
        assert_eq!(rates.flow(&source, 59_000, 5_900_000).records_per_second, 0.0);
    }

    #[test]
    fn a_total_that_is_counted_anew_is_no_flow_backwards() {
        let (mut rates, start) = (Rates::default(), Instant::now());
        rates.sample(start, &at(1_000_000));
        rates.sample(start + Duration::from_secs(1), &at(0));
        let flow = rates.flow(&Measured::Source(SourceId::from_bytes([1; 16])), 0, 0);
        assert_eq!(flow.records_per_second, 0.0);
        rates.sample(start + Duration::from_secs(2), &Snapshot::default());
        assert!(rates.0.is_empty(), "what is gone is forgotten");
    }
}
