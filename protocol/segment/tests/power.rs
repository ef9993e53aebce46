//! The promise of the crate under power cuts, disk faults and bit flips. `cargo x sim power` runs many more rounds.

use towpath_segment::power::explore;

#[test]
fn nothing_acknowledged_is_lost_wherever_the_power_fails() {
    let report = explore(20_261_123, 2);
    println!("{report}");
    assert!(report.violations.is_empty(), "{report}");
    assert!(report.crash_points > 200 && report.power_cuts > 10_000, "too little was tried: {report}");
    assert_eq!(report.bit_flips, 10_000);
}
