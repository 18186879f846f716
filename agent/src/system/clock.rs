//! Times as Ansible prints them: in the host's time zone.

use jiff::{Timestamp, Zoned, tz::TimeZone};
use std::time::{Duration, SystemTime};

/// Now, in the host's time zone.
pub fn now() -> Zoned {
    Zoned::now()
}

/// Python's `str(datetime.now())`: `2026-11-21 10:07:28.346608`.
pub fn datetime(at: &Zoned) -> String {
    let micros = at.subsec_nanosecond() / 1000;
    let whole = at.strftime("%Y-%m-%d %H:%M:%S");
    if micros == 0 { whole.to_string() } else { format!("{whole}.{micros:06}") }
}

/// Python's `str(timedelta)`: `0:00:00.002866`.
pub fn delta(took: Duration) -> String {
    let seconds = took.as_secs();
    let (days, seconds) = (seconds / 86400, seconds % 86400);
    let mut out = match days {
        0 => String::new(),
        1 => "1 day, ".into(),
        days => format!("{days} days, "),
    };
    out += &format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    if took.subsec_micros() > 0 {
        out += &format!(".{:06}", took.subsec_micros());
    }
    out
}

/// Seconds since the epoch as Python's `st_mtime` has them.
pub fn seconds(whole: i64, nanos: i64) -> f64 {
    whole as f64 + nanos as f64 * 1e-9
}

/// `now()` by a `strftime` pattern.
pub fn stamp(pattern: &str) -> String {
    now().strftime(pattern).to_string()
}

/// Local time written by a `strptime` pattern, as seconds since the epoch.
pub fn parse(text: &str, pattern: &str) -> Result<f64, String> {
    let parsed = jiff::fmt::strtime::parse(pattern, text).map_err(|error| error.to_string())?;
    if let Ok(at) = parsed.to_timestamp() {
        return Ok(at.as_nanosecond() as f64 * 1e-9);
    }
    let date = parsed.to_date().map_err(|error| error.to_string())?;
    let civil = date.to_datetime(parsed.to_time().unwrap_or_default());
    let zoned = civil.to_zoned(TimeZone::system()).map_err(|error| error.to_string())?;
    Ok(zoned.timestamp().as_nanosecond() as f64 * 1e-9)
}

/// A point in time by a `strftime` pattern in the host's time zone.
pub fn format(at: SystemTime, pattern: &str) -> String {
    let at = Timestamp::try_from(at).unwrap_or(Timestamp::UNIX_EPOCH);
    at.to_zoned(TimeZone::system()).strftime(pattern).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_python_prints_them() {
        assert_eq!(delta(Duration::from_micros(2866)), "0:00:00.002866");
        assert_eq!(delta(Duration::from_secs(2 * 86400 + 3661)), "2 days, 1:01:01");
        let at = "2026-11-21T10:07:28.346608[UTC]".parse::<Zoned>().unwrap();
        assert_eq!(datetime(&at), "2026-11-21 10:07:28.346608");
    }

    #[test]
    fn written_times_are_read() {
        let parsed = parse("201907091211.00", "%Y%m%d%H%M.%S").unwrap();
        let expected = "2019-07-09T12:11:00".parse::<jiff::civil::DateTime>().unwrap();
        let expected = expected.to_zoned(TimeZone::system()).unwrap().timestamp().as_second();
        assert_eq!(parsed as i64, expected);
        assert!(parse("nonsense", "%Y").is_err());
    }
}
