//! Dates and times, of which MySQL has some that no calendar has.

use super::cell::Cell;
use super::config::{TimeMode, ZeroDates};

const US_PER_SECOND: i64 = 1_000_000;
const US_PER_DAY: i64 = 86_400 * US_PER_SECOND;

/// A date with a time of day, as the server keeps it. Month and day may be zero.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Moment {
    pub(crate) year: u16,
    pub(crate) month: u8,
    pub(crate) day: u8,
    pub(crate) hour: u8,
    pub(crate) minute: u8,
    pub(crate) second: u8,
    pub(crate) micros: u32,
}

/// What a moment is a value of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum MomentKind {
    Date,
    /// With so many digits of a second's fraction.
    DateTime(u8),
}

impl Moment {
    /// Microseconds since 1970-01-01 00:00; none if there was no such day.
    pub(crate) fn micros(&self) -> Option<i64> {
        let clock = i64::from(self.hour) * 3600 + i64::from(self.minute) * 60 + i64::from(self.second);
        Some(i64::from(self.days()?) * US_PER_DAY + clock * US_PER_SECOND + i64::from(self.micros))
    }

    /// Days since 1970-01-01; none if there was no such day.
    pub(crate) fn days(&self) -> Option<i32> {
        let (year, month, day) = (i32::from(self.year), i32::from(self.month), i32::from(self.day));
        let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let length = match month {
            4 | 6 | 9 | 11 => 30,
            2 => 28 + i32::from(is_leap),
            1..=12 => 31,
            _ => return None,
        };
        if !(1..=length).contains(&day) {
            return None;
        }
        // Counted in years that begin in March, so that the leap day is the last; year 0 was a leap year.
        let year = year + 400 - i32::from(month <= 2);
        let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        Some(year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468 - 146_097)
    }

    /// The moment so long after 1970-01-01 00:00, which is not before the year 0.
    pub(crate) fn at_micros(at: i64) -> Self {
        let (days, within) = (at.div_euclid(US_PER_DAY), at.rem_euclid(US_PER_DAY));
        let (date, seconds) = (Self::at_days(days), within / US_PER_SECOND);
        Self {
            hour: (seconds / 3600) as u8,
            minute: (seconds / 60 % 60) as u8,
            second: (seconds % 60) as u8,
            micros: (within % US_PER_SECOND) as u32,
            ..date
        }
    }

    /// The beginning of a day.
    pub(crate) fn at_days(days: i64) -> Self {
        let days = days + 719_468;
        let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let shifted = (5 * of_year + 2) / 153;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        let year = year + era * 400 + i64::from(month <= 2);
        let day = of_year - (153 * shifted + 2) / 5 + 1;
        Self { year: year as u16, month: month as u8, day: day as u8, ..Self::default() }
    }

    /// The form in which the server prints it.
    pub(crate) fn text(&self, kind: MomentKind) -> String {
        let date = format!("{:04}-{:02}-{:02}", self.year, self.month, self.day);
        match kind {
            MomentKind::Date => date,
            MomentKind::DateTime(digits) => {
                let clock = format!("{:02}:{:02}:{:02}", self.hour, self.minute, self.second);
                format!("{date} {clock}{}", fraction(self.micros, digits))
            }
        }
    }

    /// The cell of a column that treats dates without a day as `zero_dates` says.
    ///
    /// # Errors
    /// There was no such day, and such dates are refused.
    pub(crate) fn cell(&self, kind: MomentKind, zero_dates: ZeroDates) -> Result<Cell, String> {
        if zero_dates == ZeroDates::Text {
            return Ok(Cell::Text(self.text(kind)));
        }
        let cell = match kind {
            MomentKind::Date => self.days().map(Cell::Date),
            MomentKind::DateTime(_) => self.micros().map(Cell::Micros),
        };
        match (cell, zero_dates) {
            (Some(cell), _) => Ok(cell),
            (None, ZeroDates::Null) => Ok(Cell::Null),
            (None, _) => {
                let text = self.text(MomentKind::Date);
                Err(format!("no calendar has the date {text}; set `zero_dates` to `null` or `text`"))
            }
        }
    }
}

/// The cell of a span of time, which MySQL also keeps times of day in.
///
/// # Errors
/// It is no time of day, and the column holds only those.
pub(crate) fn span(micros: i64, mode: TimeMode) -> Result<Cell, String> {
    match mode {
        TimeMode::Interval => Ok(Cell::Interval(micros * 1_000)),
        TimeMode::Clock if (0..US_PER_DAY).contains(&micros) => Ok(Cell::Micros(micros)),
        TimeMode::Clock => {
            Err("the time is none of a day; set `time: interval` to read such columns as spans".to_owned())
        }
    }
}

/// A span of time as SQL has it.
pub(crate) fn span_text(micros: i64) -> String {
    let (sign, micros) = if micros < 0 { ("-", -micros) } else { ("", micros) };
    let seconds = micros / US_PER_SECOND;
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{sign}{hours:02}:{minutes:02}:{rest:02}.{:06}", micros % US_PER_SECOND)
}

fn fraction(micros: u32, digits: u8) -> String {
    let digits = usize::from(digits.min(6));
    match digits {
        0 => String::new(),
        _ => format!(".{}", &format!("{micros:06}")[..digits]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(year: u16, month: u8, day: u8) -> Moment {
        Moment { year, month, day, ..Moment::default() }
    }

    #[test]
    fn days_are_counted_as_the_calendar_has_them() {
        assert_eq!(date(1970, 1, 1).days(), Some(0));
        assert_eq!(date(2000, 2, 29).days(), Some(11_016));
        assert_eq!(date(1969, 12, 31).days(), Some(-1));
        assert_eq!(date(0, 1, 1).days(), Some(-719_528));
        assert_eq!(date(9999, 12, 31).days(), Some(2_932_896));
        assert_eq!(
            (date(2026, 2, 29).days(), date(2026, 0, 1).days(), date(0, 0, 0).days()),
            (None, None, None)
        );
    }

    #[test]
    fn a_moment_comes_back_from_its_count() {
        for days in (-719_528..2_932_897).step_by(97) {
            assert_eq!(Moment::at_days(days).days(), Some(days as i32));
        }
        let moment = Moment { hour: 23, minute: 59, second: 58, micros: 7, ..date(1969, 12, 31) };
        assert_eq!(Moment::at_micros(moment.micros().unwrap()), moment);
        assert_eq!(moment.text(MomentKind::DateTime(6)), "1969-12-31 23:59:58.000007");
    }

    #[test]
    fn a_date_that_no_calendar_has_is_treated_as_the_admin_says() {
        let cell = |policy| date(2026, 0, 0).cell(MomentKind::DateTime(3), policy);
        assert_eq!(cell(ZeroDates::Null), Ok(Cell::Null));
        assert_eq!(cell(ZeroDates::Text), Ok(Cell::Text("2026-00-00 00:00:00.000".to_owned())));
        assert!(cell(ZeroDates::Refuse).unwrap_err().contains("zero_dates"));
    }

    #[test]
    fn a_time_beyond_a_day_is_a_span() {
        assert_eq!(span(-1, TimeMode::Interval), Ok(Cell::Interval(-1_000)));
        assert!(span(US_PER_DAY, TimeMode::Clock).unwrap_err().contains("interval"));
        assert_eq!(span_text(-3_020_399_000_001), "-838:59:59.000001");
    }
}
