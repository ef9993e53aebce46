//! Which transactions a snapshot shows.
//!
//! `pg_current_snapshot()` answers `xmin:xmax:xip,…`: transactions before `xmin` have ended, those from `xmax` on
//! had not begun, and those in the list were running. A change that is read from the log is in a copy that was
//! made under a snapshot if and only if the snapshot shows its transaction. The test is exact where a comparison
//! of log positions is not: transactions become visible in another order than they are logged.

use prost::Message;

/// A snapshot. Transactions are counted in 64 bits; the log says only the lower 32.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Snapshot {
    #[prost(uint64, tag = "1")]
    pub(crate) xmin: u64,
    #[prost(uint64, tag = "2")]
    pub(crate) xmax: u64,
    #[prost(uint64, repeated, tag = "3")]
    pub(crate) running: Vec<u64>,
}

impl Snapshot {
    /// Reads the text form.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, ':');
        let (xmin, xmax) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let running = parts.next()?.split(',').filter(|xid| !xid.is_empty());
        Some(Self { xmin, xmax, running: running.map(str::parse).collect::<Result<_, _>>().ok()? })
    }

    /// Whether the effects of a transaction, if it was committed, are in what the snapshot shows.
    pub(crate) fn shows(&self, xid: u32) -> bool {
        let xid = self.widened(xid);
        xid < self.xmin || (xid < self.xmax && !self.running.contains(&xid))
    }

    /// Whether a transaction that ran under `earlier` still runs.
    pub(crate) fn still_runs_what(&self, earlier: &Self) -> bool {
        earlier.running.iter().any(|xid| self.running.contains(xid))
    }

    /// The number of 64 bits with these lower 32 that is nearest to the snapshot. All transactions at a server
    /// are less than 2^31 apart.
    fn widened(&self, xid: u32) -> u64 {
        let ahead = xid.wrapping_sub(self.xmax as u32).cast_signed();
        self.xmax.saturating_add_signed(ahead.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_shows_what_had_ended_and_nothing_else() {
        let snapshot = Snapshot::parse("10:15:10,12").unwrap();
        let shown: Vec<u32> = (8..18).filter(|xid| snapshot.shows(*xid)).collect();
        assert_eq!(shown, [8, 9, 11, 13, 14]);
        assert!(Snapshot::parse("3:3:").unwrap().running.is_empty());
        assert!(Snapshot::parse("3:x:").is_none());
    }

    #[test]
    fn the_counter_may_wrap() {
        let second = 1_u64 << 32;
        let snapshot = Snapshot { xmin: second + 5, xmax: second + 7, running: vec![second + 5] };
        assert!(snapshot.shows(u32::MAX) && snapshot.shows(4) && snapshot.shows(6));
        assert!(!snapshot.shows(5) && !snapshot.shows(7));
        let before = Snapshot { xmin: second - 2, xmax: second - 1, running: vec![] };
        assert!(!before.shows(3) && before.shows(u32::MAX - 2));
    }
}
