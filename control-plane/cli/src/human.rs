//! Numbers as people read them.

use jiff::Timestamp;

/// A count, in groups of three: `1,234,567`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() * 4 / 3);
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A number of bytes: `512 B`, `1.5 MiB`.
pub fn bytes(number: f64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut amount = number;
    let mut unit = 0;
    while amount >= 1_024.0 && unit + 1 < UNITS.len() {
        amount /= 1_024.0;
        unit += 1;
    }
    if unit == 0 { format!("{amount:.0} B") } else { format!("{amount:.1} {}", UNITS[unit]) }
}

/// Records in a second: `0/s`, `0.3/s`, `12/s`, `1,250/s`.
pub fn rate(per_second: f64) -> String {
    match per_second {
        rate if rate <= 0.0 => "0/s".to_owned(),
        rate if rate < 10.0 => format!("{rate:.1}/s"),
        // Rounding never makes a rate of this size negative or too large.
        rate => format!("{}/s", count(rate.round() as u64)),
    }
}

/// A length of time: `0.4s`, `12s`, `3m 20s`, `2h 5m`, `4d 3h`.
pub fn duration(seconds: f64) -> String {
    if seconds < 10.0 {
        return format!("{:.1}s", seconds.max(0.0));
    }
    let whole = seconds as u64;
    let (days, hours, minutes) = (whole / 86_400, whole / 3_600 % 24, whole / 60 % 60);
    match whole {
        0..60 => format!("{whole}s"),
        60..3_600 => format!("{minutes}m {}s", whole % 60),
        3_600..86_400 => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

/// How long ago something was: `3m 20s ago`.
pub fn ago(then: Timestamp, now: Timestamp) -> String {
    format!("{} ago", duration(now.duration_since(then).as_secs_f64()))
}

/// How long from now something will be: `in 59m 10s`, or `over`.
pub fn ahead(then: Timestamp, now: Timestamp) -> String {
    if then <= now {
        "over".to_owned()
    } else {
        format!("in {}", duration(then.duration_since(now).as_secs_f64()))
    }
}

/// Text that a terminal shows and does not obey: control characters are shown as `\u{..}`.
pub fn harmless(text: &str) -> String {
    if !text.chars().any(char::is_control) {
        return text.to_owned();
    }
    text.chars()
        .map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_as_people_read_them() {
        assert_eq!([count(0), count(999), count(1_234_567)], ["0", "999", "1,234,567"]);
        assert_eq!([bytes(512.0), bytes(1_536.0), bytes(3.2e9)], ["512 B", "1.5 KiB", "3.0 GiB"]);
        assert_eq!([rate(0.0), rate(0.31), rate(1_249.6)], ["0/s", "0.3/s", "1,250/s"]);
        assert_eq!([duration(0.44), duration(59.9), duration(200.0)], ["0.4s", "59s", "3m 20s"]);
        assert_eq!([duration(7_500.0), duration(356_400.0)], ["2h 5m", "4d 3h"]);
    }

    #[test]
    fn text_from_afar_does_not_command_the_terminal() {
        assert_eq!(harmless("bad \u{1b}[2J value\n"), "bad \\u{1b}[2J value\\n");
        assert_eq!(harmless("Zoë"), "Zoë");
    }
}
