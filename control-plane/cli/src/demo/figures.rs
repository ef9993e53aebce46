//! Figures for people.

use std::time::Duration;

/// A count with its thousands apart: `1 234 567`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// A pace in rows a second; nothing while it stands still.
pub(super) fn pace(per_second: f64) -> String {
    if per_second < 1.0 { String::new() } else { format!("{per_second:.0}/s") }
}

/// Bytes by the largest unit that fits: `1.5 MiB`.
pub(super) fn bytes(number: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if number < 1_024 {
        return format!("{number} B");
    }
    let mut value = number as f64 / 1_024.0;
    let mut unit = 0;
    while value >= 1_024.0 && unit + 1 < UNITS.len() {
        value /= 1_024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// How long something is behind; nothing when it is not.
pub(super) fn lag(seconds: f64) -> String {
    match seconds {
        none if none < 0.05 => String::new(),
        few if few < 10.0 => format!("{few:.1} s"),
        some if some < 120.0 => format!("{some:.0} s"),
        many => format!("{:.0} min", many / 60.0),
    }
}

/// How long something has lasted: `02:05`, `1:02:05`.
pub(super) fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes:02}:{seconds:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_written_for_people() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1 000", "1 234 567"]);
        assert_eq!([0.2, 12.6].map(pace), ["", "13/s"]);
        assert_eq!([0, 1_023, 1_536, 10 << 30].map(bytes), ["0 B", "1023 B", "1.5 KiB", "10.0 GiB"]);
        assert_eq!([0.0, 0.31, 42.0, 300.0].map(lag), ["", "0.3 s", "42 s", "5 min"]);
        assert_eq!([65, 3_725].map(|s| clock(Duration::from_secs(s))), ["01:05", "1:02:05"]);
    }
}
