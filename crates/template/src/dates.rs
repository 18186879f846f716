//! Dates and durations as Python's `datetime` has them: proleptic Gregorian, naive unless an offset was read.
//!
//! Not here: which time it is, and what the local time zone is; the world says that.

use crate::error::{Error, Result};
use std::fmt::Write as _;

const SECOND: i128 = 1_000_000;
const DAY: i128 = 86_400 * SECOND;

const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// A moment on a wall clock, perhaps with the clock's offset from UTC.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DateTime {
    /// Microseconds since 1970 on that clock.
    pub(crate) micros: i128,
    /// Seconds east of UTC, where known.
    pub(crate) offset: Option<i32>,
    /// A `date`: no time of day.
    pub(crate) date_only: bool,
}

/// A `timedelta`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct TimeDelta {
    pub(crate) micros: i128,
}

/// Year, month and day of a count of days since 1970.
fn civil(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Days since 1970 of a date.
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

impl DateTime {
    /// A naive moment, so many microseconds after 1970 began on its clock.
    pub(crate) fn naive(micros: i128) -> Self {
        DateTime { micros, offset: None, date_only: false }
    }

    /// From parts; an error where the calendar has no such moment.
    pub(crate) fn of(parts: [i64; 7], offset: Option<i32>) -> Result<Self> {
        let [year, month, day, hour, minute, second, micro] = parts;
        if !(1..=9999).contains(&year) {
            return Err(Error::runtime(format!("year {year} is out of range")));
        }
        if !(1..=12).contains(&month) {
            return Err(Error::runtime("month must be in 1..12"));
        }
        if !(1..=days_in(year, month)).contains(&day) {
            return Err(Error::runtime("day is out of range for month"));
        }
        if !(0..24).contains(&hour) || !(0..60).contains(&minute) || !(0..60).contains(&second) {
            return Err(Error::runtime("hour must be in 0..23, minute and second in 0..59"));
        }
        let seconds = i128::from(hour * 3600 + minute * 60 + second);
        let micros = i128::from(days_of(year, month, day)) * DAY + seconds * SECOND + i128::from(micro);
        Ok(DateTime { micros, offset, date_only: false })
    }

    fn days(&self) -> i64 {
        self.micros.div_euclid(DAY) as i64
    }

    /// Year, month, day, hour, minute, second, microsecond.
    pub(crate) fn parts(&self) -> [i64; 7] {
        let (year, month, day) = civil(self.days());
        let of_day = self.micros.rem_euclid(DAY);
        let seconds = (of_day / SECOND) as i64;
        [year, month, day, seconds / 3600, seconds / 60 % 60, seconds % 60, (of_day % SECOND) as i64]
    }

    /// Monday is 0.
    pub(crate) fn weekday(&self) -> i64 {
        (self.days() + 3).rem_euclid(7)
    }

    pub(crate) fn day_of_year(&self) -> i64 {
        let [year, ..] = self.parts();
        self.days() - days_of(year, 1, 1) + 1
    }

    /// ISO year, week and weekday.
    pub(crate) fn iso_week(&self) -> (i64, i64, i64) {
        let weekday = self.weekday() + 1;
        let thursday = self.days() - weekday + 4;
        let (year, ..) = civil(thursday);
        (year, (thursday - days_of(year, 1, 1)) / 7 + 1, weekday)
    }

    /// Microseconds between two moments; nothing between a naive and an aware one.
    pub(crate) fn micros_since(&self, other: &DateTime) -> Option<i128> {
        match (self.offset, other.offset) {
            (Some(a), Some(b)) => Some(self.micros - other.micros - i128::from(a - b) * SECOND),
            (None, None) => Some(self.micros - other.micros),
            _ => None,
        }
    }

    pub(crate) fn plus(&self, micros: i128) -> Option<DateTime> {
        let micros = self.micros.checked_add(micros)?;
        let (year, ..) = civil(i64::try_from(micros.div_euclid(DAY)).ok()?);
        (1..=9999).contains(&year).then(|| DateTime { micros, ..self.clone() })
    }

    /// `isoformat()`
    pub(crate) fn iso(&self, separator: &str) -> String {
        let [year, month, day, hour, minute, second, micro] = self.parts();
        let mut out = format!("{year:04}-{month:02}-{day:02}");
        if self.date_only {
            return out;
        }
        let _ = write!(out, "{separator}{hour:02}:{minute:02}:{second:02}");
        if micro != 0 {
            let _ = write!(out, ".{micro:06}");
        }
        if let Some(offset) = self.offset {
            let (sign, offset) = if offset < 0 { ('-', -offset) } else { ('+', offset) };
            let _ = write!(out, "{sign}{:02}:{:02}", offset / 3600, offset / 60 % 60);
        }
        out
    }

    pub(crate) fn repr(&self) -> String {
        let [year, month, day, hour, minute, second, micro] = self.parts();
        if self.date_only {
            return format!("datetime.date({year}, {month}, {day})");
        }
        let mut out = format!("datetime.datetime({year}, {month}, {day}, {hour}, {minute}");
        if second != 0 || micro != 0 {
            let _ = write!(out, ", {second}");
        }
        if micro != 0 {
            let _ = write!(out, ", {micro}");
        }
        out + ")"
    }

    /// `strftime`, with glibc's directives and flags. `zone` names the clock where it has no offset of its own.
    pub(crate) fn strftime(&self, format: &str, zone: Option<(&str, i32)>) -> String {
        let [year, month, day, hour, minute, second, micro] = self.parts();
        let hour12 = if hour % 12 == 0 { 12 } else { hour % 12 };
        let half = if hour < 12 { "AM" } else { "PM" };
        let weekday = WEEKDAYS[self.weekday() as usize];
        let month_name = MONTHS[(month - 1) as usize];
        let mut out = String::new();
        let mut rest = format.chars().peekable();
        while let Some(c) = rest.next() {
            if c != '%' {
                out.push(c);
                continue;
            }
            let mut flag = None;
            while let Some(&c @ ('-' | '_' | '0' | '^' | '#')) = rest.peek() {
                flag = Some(c);
                rest.next();
            }
            let mut width = String::new();
            while let Some(&c @ '0'..='9') = rest.peek() {
                width.push(c);
                rest.next();
            }
            let width: Option<usize> = width.parse().ok();
            let Some(directive) = rest.next() else {
                out.push('%');
                break;
            };
            let mut number = |value: i64, usual: usize, fill: char| {
                let width = width.unwrap_or(usual);
                let _ = match flag.unwrap_or(fill) {
                    '-' => write!(out, "{value}"),
                    '_' => write!(out, "{value:width$}"),
                    _ => write!(out, "{value:0width$}"),
                };
            };
            let text = match directive {
                'Y' => {
                    number(year, 1, '0');
                    continue;
                }
                'm' => {
                    number(month, 2, '0');
                    continue;
                }
                'd' => {
                    number(day, 2, '0');
                    continue;
                }
                'e' => {
                    number(day, 2, '_');
                    continue;
                }
                'H' => {
                    number(hour, 2, '0');
                    continue;
                }
                'k' => {
                    number(hour, 2, '_');
                    continue;
                }
                'I' => {
                    number(hour12, 2, '0');
                    continue;
                }
                'l' => {
                    number(hour12, 2, '_');
                    continue;
                }
                'M' => {
                    number(minute, 2, '0');
                    continue;
                }
                'S' => {
                    number(second, 2, '0');
                    continue;
                }
                'f' => {
                    number(micro, 6, '0');
                    continue;
                }
                'j' => {
                    number(self.day_of_year(), 3, '0');
                    continue;
                }
                'y' => {
                    number(year.rem_euclid(100), 2, '0');
                    continue;
                }
                'C' => {
                    number(year.div_euclid(100), 2, '0');
                    continue;
                }
                'G' => {
                    number(self.iso_week().0, 1, '0');
                    continue;
                }
                'g' => {
                    number(self.iso_week().0.rem_euclid(100), 2, '0');
                    continue;
                }
                'V' => {
                    number(self.iso_week().1, 2, '0');
                    continue;
                }
                'u' => {
                    number(self.weekday() + 1, 1, '0');
                    continue;
                }
                'w' => {
                    number((self.weekday() + 1) % 7, 1, '0');
                    continue;
                }
                'U' => {
                    let week = (self.day_of_year() - 1 + 7 - (self.weekday() + 1) % 7) / 7;
                    number(week, 2, '0');
                    continue;
                }
                'W' => {
                    number((self.day_of_year() - 1 + 7 - self.weekday()) / 7, 2, '0');
                    continue;
                }
                's' => {
                    let offset = self.offset.or(zone.map(|zone| zone.1)).unwrap_or(0);
                    number(self.micros.div_euclid(SECOND) as i64 - i64::from(offset), 1, '0');
                    continue;
                }
                'a' => weekday[..3].to_owned(),
                'A' => weekday.to_owned(),
                'b' | 'h' => month_name[..3].to_owned(),
                'B' => month_name.to_owned(),
                'p' => half.to_owned(),
                'P' => half.to_lowercase(),
                'c' => self.strftime("%a %b %e %H:%M:%S %Y", zone),
                'D' | 'x' => self.strftime("%m/%d/%y", zone),
                'F' => self.strftime("%Y-%m-%d", zone),
                'R' => self.strftime("%H:%M", zone),
                'r' => self.strftime("%I:%M:%S %p", zone),
                'T' | 'X' => self.strftime("%H:%M:%S", zone),
                'n' => "\n".to_owned(),
                't' => "\t".to_owned(),
                'z' => match self.offset.or(zone.map(|zone| zone.1)) {
                    None => String::new(),
                    Some(offset) => {
                        let sign = if offset < 0 { '-' } else { '+' };
                        let offset = offset.abs();
                        format!("{sign}{:02}{:02}", offset / 3600, offset / 60 % 60)
                    }
                },
                'Z' => match (self.offset, zone) {
                    (Some(0), _) => "UTC".to_owned(),
                    (_, Some((name, _))) => name.to_owned(),
                    _ => String::new(),
                },
                '%' => "%".to_owned(),
                other => format!("%{other}"),
            };
            out.push_str(&if flag == Some('^') { text.to_uppercase() } else { text });
        }
        out
    }

    /// `strptime`
    pub(crate) fn parse(text: &str, format: &str) -> Result<DateTime> {
        let mismatch = || {
            Error::runtime(format!(
                "time data {} does not match format {}",
                quorate_value::str_repr(text),
                quorate_value::str_repr(format)
            ))
        };
        let mut parts = [1900, 1, 1, 0, 0, 0, 0];
        let mut state = Parsed::default();
        let rest = parse_into(text, format, &mut parts, &mut state).ok_or_else(mismatch)?;
        if !rest.is_empty() {
            return Err(Error::runtime(format!("unconverted data remains: {rest}")));
        }
        if let Some(afternoon) = state.afternoon {
            parts[3] = parts[3] % 12 + if afternoon { 12 } else { 0 };
        }
        if let Some(day) = state.day_of_year {
            let (_, month, day) = civil(days_of(parts[0], 1, 1) + day - 1);
            (parts[1], parts[2]) = (month, day);
        }
        DateTime::of(parts, state.offset).map_err(|_| mismatch())
    }
}

#[derive(Default)]
struct Parsed {
    afternoon: Option<bool>,
    day_of_year: Option<i64>,
    offset: Option<i32>,
}

fn digits(text: &str, most: usize) -> Option<(i64, &str)> {
    let length = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
    Some((text.get(..length)?.parse().ok()?, &text[length..]))
}

fn named<'t>(text: &'t str, names: &[&str], short: bool) -> Option<(i64, &'t str)> {
    names.iter().enumerate().find_map(|(index, name)| {
        let name = if short { &name[..3] } else { name };
        let head = text.get(..name.len())?;
        head.eq_ignore_ascii_case(name).then(|| (index as i64, &text[name.len()..]))
    })
}

fn parse_into<'t>(
    mut text: &'t str,
    format: &str,
    parts: &mut [i64; 7],
    state: &mut Parsed,
) -> Option<&'t str> {
    let mut rest = format.chars();
    while let Some(c) = rest.next() {
        if c.is_whitespace() {
            text = text.trim_start();
            continue;
        }
        if c != '%' {
            text = text.strip_prefix(c)?;
            continue;
        }
        match rest.next()? {
            'Y' => (parts[0], text) = digits(text, 4)?,
            'm' => (parts[1], text) = digits(text, 2)?,
            'd' => (parts[2], text) = digits(text, 2)?,
            'H' | 'I' => (parts[3], text) = digits(text, 2)?,
            'M' => (parts[4], text) = digits(text, 2)?,
            'S' => (parts[5], text) = digits(text, 2)?,
            'f' => {
                let length = text.bytes().take(6).take_while(u8::is_ascii_digit).count();
                let (number, after) = digits(text, 6)?;
                parts[6] = number * 10i64.pow(6 - length as u32);
                text = after;
            }
            'y' => {
                let (year, after) = digits(text, 2)?;
                parts[0] = if year < 69 { 2000 + year } else { 1900 + year };
                text = after;
            }
            'j' => {
                let (day, after) = digits(text, 3)?;
                (state.day_of_year, text) = (Some(day), after);
            }
            'B' => {
                let (month, after) = named(text, &MONTHS, false)?;
                (parts[1], text) = (month + 1, after);
            }
            'b' | 'h' => {
                let (month, after) = named(text, &MONTHS, true)?;
                (parts[1], text) = (month + 1, after);
            }
            'A' => (_, text) = named(text, &WEEKDAYS, false)?,
            'a' => (_, text) = named(text, &WEEKDAYS, true)?,
            'w' | 'u' => (_, text) = digits(text, 1)?,
            'p' => {
                let head = text.get(..2)?;
                state.afternoon = Some(match head.to_ascii_uppercase().as_str() {
                    "AM" => false,
                    "PM" => true,
                    _ => return None,
                });
                text = &text[2..];
            }
            'z' => {
                if let Some(after) = text.strip_prefix('Z') {
                    (state.offset, text) = (Some(0), after);
                    continue;
                }
                let sign = match text.chars().next()? {
                    '+' => 1,
                    '-' => -1,
                    _ => return None,
                };
                let (hours, after) = digits(&text[1..], 2)?;
                let after = after.strip_prefix(':').unwrap_or(after);
                let (minutes, after) = digits(after, 2)?;
                state.offset = Some(sign * (hours * 3600 + minutes * 60) as i32);
                text = after;
            }
            'Z' => {
                text = ["UTC", "GMT"].iter().find_map(|zone| text.strip_prefix(zone)).unwrap_or(text);
            }
            'T' => text = parse_into(text, "%H:%M:%S", parts, state)?,
            'D' => text = parse_into(text, "%m/%d/%y", parts, state)?,
            'F' => text = parse_into(text, "%Y-%m-%d", parts, state)?,
            'R' => text = parse_into(text, "%H:%M", parts, state)?,
            'c' => text = parse_into(text, "%a %b %d %H:%M:%S %Y", parts, state)?,
            'x' => text = parse_into(text, "%m/%d/%y", parts, state)?,
            'X' => text = parse_into(text, "%H:%M:%S", parts, state)?,
            '%' => text = text.strip_prefix('%')?,
            _ => return None,
        }
    }
    Some(text)
}

impl std::fmt::Display for DateTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.iso(" "))
    }
}

impl TimeDelta {
    /// Days, seconds and microseconds, as Python normalises them.
    pub(crate) fn parts(self) -> (i64, i64, i64) {
        let of_day = self.micros.rem_euclid(DAY);
        (self.micros.div_euclid(DAY) as i64, (of_day / SECOND) as i64, (of_day % SECOND) as i64)
    }

    pub(crate) fn repr(self) -> String {
        let (days, seconds, micros) = self.parts();
        let mut parts = Vec::new();
        for (name, value) in [("days", days), ("seconds", seconds), ("microseconds", micros)] {
            if value != 0 {
                parts.push(format!("{name}={value}"));
            }
        }
        let parts = if parts.is_empty() { "0".to_owned() } else { parts.join(", ") };
        format!("datetime.timedelta({parts})")
    }
}

impl std::fmt::Display for TimeDelta {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (days, seconds, micros) = self.parts();
        if days != 0 {
            let plural = if days.abs() == 1 { "" } else { "s" };
            write!(f, "{days} day{plural}, ")?;
        }
        write!(f, "{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)?;
        if micros != 0 {
            write!(f, ".{micros:06}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_and_reads_back() {
        let date = DateTime::parse("2024-02-29 23:05:09.25", "%Y-%m-%d %H:%M:%S.%f").unwrap();
        assert_eq!(date.to_string(), "2024-02-29 23:05:09.250000");
        for (format, expected) in [
            ("%a %A %b %B", "Thu Thursday Feb February"),
            ("%d/%m/%y %-d %e", "29/02/24 29 29"),
            ("%I:%M %p %-I %l", "11:05 PM 11 11"),
            ("%j %U %W %V %G %u %w", "060 08 09 09 2024 4 4"),
            ("%F %T %R %D", "2024-02-29 23:05:09 23:05 02/29/24"),
            ("%s %f %% %^a", "1709247909 250000 % THU"),
        ] {
            assert_eq!(date.strftime(format, None), expected, "{format}");
        }
    }

    #[test]
    fn differences() {
        let day = |text| DateTime::parse(text, "%Y-%m-%d").unwrap();
        let delta = TimeDelta { micros: day("2024-03-01").micros_since(&day("2023-03-01")).unwrap() };
        assert_eq!((delta.to_string(), delta.parts().0), ("366 days, 0:00:00".into(), 366));
        assert_eq!(TimeDelta { micros: -SECOND }.to_string(), "-1 day, 23:59:59");
        let aware = |text| DateTime::parse(text, "%Y-%m-%dT%H:%M:%S%z").unwrap();
        let (a, b) = (aware("2024-01-01T12:00:00+0200"), aware("2024-01-01T10:00:00Z"));
        assert_eq!(a.micros_since(&b), Some(0));
        assert_eq!(a.iso("T"), "2024-01-01T12:00:00+02:00");
    }

    #[test]
    fn what_is_no_date() {
        for (text, format, expected) in [
            ("x", "%Y", "time data 'x' does not match format '%Y'"),
            ("2023-02-29", "%Y-%m-%d", "time data '2023-02-29' does not match format '%Y-%m-%d'"),
            ("2023-02-01 1", "%Y-%m-%d", "unconverted data remains:  1"),
        ] {
            assert_eq!(DateTime::parse(text, format).unwrap_err().detail(), expected);
        }
    }
}
