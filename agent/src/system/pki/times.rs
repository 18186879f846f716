//! Points in time: as certificates have them, and as tasks write them.
//!
//! All are seconds since the epoch, in UTC.

use super::Trouble;
use super::der::{self, Malformed, Reader};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// Now.
pub fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

fn civil(at: i64) -> DateTime {
    let at = jiff::Timestamp::from_second(at).unwrap_or(jiff::Timestamp::MAX);
    at.to_zoned(TimeZone::UTC).datetime()
}

/// `20260102030405Z`.
pub fn show(at: i64) -> String {
    let at = civil(at);
    format!(
        "{:04}{:02}{:02}{:02}{:02}{:02}Z",
        at.year(),
        at.month(),
        at.day(),
        at.hour(),
        at.minute(),
        at.second()
    )
}

/// `2026-01-02 03:04:05`.
pub fn show_spaced(at: i64) -> String {
    let at = civil(at);
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
        at.year(),
        at.month(),
        at.day(),
        at.hour(),
        at.minute(),
        at.second()
    )
}

fn parse_digits(text: &str) -> Option<i64> {
    if text.len() != 14 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part = |from: usize, to: usize| text[from..to].parse::<i16>().ok();
    let small = |from: usize| part(from, from + 2).map(|number| number as i8);
    let at = DateTime::new(part(0, 4)?, small(4)?, small(6)?, small(8)?, small(10)?, small(12)?, 0).ok()?;
    Some(at.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second())
}

/// Reads a UTCTime or GeneralizedTime.
pub fn read(reader: &mut Reader<'_>) -> Result<i64, Malformed> {
    let bad = Malformed("invalid time");
    let value = reader.take()?;
    let text = std::str::from_utf8(value.body).map_err(|_| bad)?;
    let digits = text.strip_suffix('Z').ok_or(bad)?;
    let whole = match value.tag {
        der::UTC_TIME if digits.len() == 12 => {
            let century = if digits < "50" { "20" } else { "19" };
            format!("{century}{digits}")
        }
        der::UTC_TIME if digits.len() == 10 => {
            let century = if digits < "50" { "20" } else { "19" };
            format!("{century}{digits}00")
        }
        der::TIME => digits.split('.').next().unwrap_or(digits).to_owned(),
        _ => return Err(bad),
    };
    parse_digits(&whole).ok_or(bad)
}

/// As RFC 5280 wants it: two digits for the year until 2049.
pub fn to_der(at: i64) -> Vec<u8> {
    let text = show(at);
    if ("1950".."2050").contains(&&text[..4]) {
        der::tlv(der::UTC_TIME, &text.as_bytes()[2..])
    } else {
        der::tlv(der::TIME, text.as_bytes())
    }
}

/// Reads `+3w2d1h`, `-5m`, `20300102030405Z`. `what` names it in messages.
pub fn parse(text: &str, what: &str, now: i64) -> Result<i64, Trouble> {
    let spec = text.trim();
    let sign = match spec.as_bytes().first() {
        Some(b'+') => 1,
        Some(b'-') => -1,
        _ => {
            return absolute(spec)
                .ok_or_else(|| Trouble(format!("The time spec \"{spec}\" for {what} is invalid")));
        }
    };
    let bad = || Trouble(format!("The timespec \"{spec}\" for {what} is invalid"));
    let seconds = relative(&spec[1..]).ok_or_else(bad)?;
    let at = now.checked_add(sign * seconds).ok_or_else(bad)?;
    if (-62_135_596_800..=253_402_300_799).contains(&at) { Ok(at) } else { Err(bad()) }
}

/// Weeks, days, hours, minutes and seconds, in this order, each at most once.
fn relative(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut total = 0i64;
    let mut units = [('w', 604_800), ('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)].into_iter();
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: i64 = rest[..digits].parse().ok()?;
        let unit = rest[digits..].chars().next()?.to_ascii_lowercase();
        let (_, seconds) = units.find(|(name, _)| *name == unit)?;
        total = total.checked_add(number.checked_mul(seconds)?)?;
        rest = &rest[digits + 1..];
    }
    Some(total)
}

fn absolute(text: &str) -> Option<i64> {
    if let Some(digits) = text.strip_suffix('Z') {
        return match digits.len() {
            14 => parse_digits(digits),
            12 => parse_digits(&format!("{digits}00")),
            _ => None,
        };
    }
    // With a zone: 20300102030405+0100.
    let at = text.rfind(['+', '-'])?;
    let (digits, zone) = text.split_at(at);
    let whole = match digits.len() {
        14 => parse_digits(digits)?,
        12 => parse_digits(&format!("{digits}00"))?,
        _ => return None,
    };
    let zone_digits = &zone[1..];
    if zone_digits.len() != 4 || !zone_digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let offset = zone_digits[..2].parse::<i64>().ok()? * 3600 + zone_digits[2..].parse::<i64>().ok()? * 60;
    Some(if zone.starts_with('+') { whole - offset } else { whole + offset })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_times_are_read() {
        let now = 1_800_000_000;
        for (text, at) in [
            ("+0s", now),
            ("-5m", now - 300),
            ("+730d", now + 730 * 86400),
            ("+32w1d2h", now + 32 * 604_800 + 86400 + 7200),
            (" +1d ", now + 86400),
            ("20300102030405Z", 1_893_553_445),
            ("203001020304Z", 1_893_553_440),
            ("20300102040405+0100", 1_893_553_445),
        ] {
            assert_eq!(parse(text, "x", now).unwrap(), at, "{text}");
        }
        for (text, why) in [
            ("+1x", "The timespec \"+1x\" for x is invalid"),
            ("2030", "The time spec \"2030\" for x is invalid"),
            ("", "The time spec \"\" for x is invalid"),
            ("+1h1d", "The timespec \"+1h1d\" for x is invalid"),
            ("20301302030405Z", "The time spec \"20301302030405Z\" for x is invalid"),
        ] {
            assert_eq!(parse(text, "x", now).unwrap_err().0, why);
        }
    }

    #[test]
    fn both_forms_survive() {
        for at in [0, 1_893_553_445, 2_524_608_000, 4_102_444_800] {
            assert_eq!(read(&mut Reader::new(&to_der(at))).unwrap(), at);
        }
        assert_eq!(to_der(2_524_607_999)[0], der::UTC_TIME);
        assert_eq!(to_der(2_524_608_000)[0], der::TIME);
    }
}
