//! Dates and times of YAML 1.1, as the text that Python prints for them.
//!
//! PyYAML makes `datetime` objects. Values here have no such kind, so `2001-12-14t21:59:43.10-05:00` becomes the text
//! `2001-12-14 21:59:43.100000-05:00`, which is what templates and modules of ansible-core see once it is printed.

/// A scanner over ASCII bytes.
struct Scan<'a>(&'a [u8]);

impl Scan<'_> {
    fn digits(&mut self, least: usize, most: usize) -> Option<u32> {
        let count = self.0.iter().take(most).take_while(|b| b.is_ascii_digit()).count();
        if count < least {
            return None;
        }
        let (number, rest) = self.0.split_at(count);
        self.0 = rest;
        Some(number.iter().fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0')))
    }

    fn eat(&mut self, allowed: &[u8]) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        allowed.contains(&first).then(|| {
            self.0 = rest;
            first
        })
    }

    fn blanks(&mut self) -> bool {
        let count = self.0.iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
        self.0 = &self.0[count..];
        count > 0
    }

    fn done(&self) -> bool {
        self.0.is_empty()
    }
}

struct Time {
    hour: u32,
    minute: u32,
    second: u32,
    micros: u32,
    /// Minutes east of Greenwich.
    offset: Option<i32>,
}

struct Stamp {
    year: u32,
    month: u32,
    day: u32,
    time: Option<Time>,
}

fn date_only(text: &str) -> Option<Stamp> {
    let mut scan = Scan(text.as_bytes());
    let year = scan.digits(4, 4)?;
    scan.eat(b"-")?;
    let month = scan.digits(2, 2)?;
    scan.eat(b"-")?;
    let day = scan.digits(2, 2)?;
    scan.done().then_some(Stamp { year, month, day, time: None })
}

fn date_and_time(text: &str) -> Option<Stamp> {
    let mut scan = Scan(text.as_bytes());
    let year = scan.digits(4, 4)?;
    scan.eat(b"-")?;
    let month = scan.digits(1, 2)?;
    scan.eat(b"-")?;
    let day = scan.digits(1, 2)?;
    if scan.eat(b"Tt").is_none() && !scan.blanks() {
        return None;
    }
    let hour = scan.digits(1, 2)?;
    scan.eat(b":")?;
    let minute = scan.digits(2, 2)?;
    scan.eat(b":")?;
    let second = scan.digits(2, 2)?;
    let mut micros = 0;
    if scan.eat(b".").is_some() {
        let count = scan.0.iter().take_while(|b| b.is_ascii_digit()).count();
        let (fraction, rest) = scan.0.split_at(count);
        scan.0 = rest;
        micros = (0..6).fold(0, |sum, i| sum * 10 + fraction.get(i).map_or(0, |d| u32::from(d - b'0')));
    }
    let mut offset = None;
    if !scan.done() {
        scan.blanks();
        match scan.eat(b"Z+-")? {
            b'Z' => offset = Some(0),
            sign => {
                let hours = scan.digits(1, 2)?;
                let minutes = if scan.eat(b":").is_some() { scan.digits(2, 2)? } else { 0 };
                let total = (hours * 60 + minutes) as i32;
                offset = Some(if sign == b'-' { -total } else { total });
            }
        }
    }
    let time = Some(Time { hour, minute, second, micros, offset });
    scan.done().then_some(Stamp { year, month, day, time })
}

fn read(text: &str) -> Option<Stamp> {
    date_only(text).or_else(|| date_and_time(text))
}

/// Whether PyYAML's resolver takes this for a timestamp (it may still be no date of the calendar).
pub(crate) fn is_timestamp(text: &str) -> bool {
    read(text).is_some()
}

fn days_in(year: u32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        _ => 31,
    }
}

/// `str()` of the `date` or `datetime`; nothing for a day or time that does not exist.
pub(crate) fn python_text(text: &str) -> Option<String> {
    let Stamp { year, month, day, time } = read(text)?;
    if year == 0 || !(1..=12).contains(&month) || !(1..=days_in(year, month)).contains(&day) {
        return None;
    }
    let mut out = format!("{year:04}-{month:02}-{day:02}");
    if let Some(Time { hour, minute, second, micros, offset }) = time {
        if hour > 23 || minute > 59 || second > 59 || offset.is_some_and(|o| o.abs() >= 24 * 60) {
            return None;
        }
        out += &format!(" {hour:02}:{minute:02}:{second:02}");
        if micros > 0 {
            out += &format!(".{micros:06}");
        }
        if let Some(offset) = offset {
            let sign = if offset < 0 { '-' } else { '+' };
            out += &format!("{sign}{:02}:{:02}", offset.abs() / 60, offset.abs() % 60);
        }
    }
    Some(out)
}
