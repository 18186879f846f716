//! Domain names with other letters than ASCII: punycode (RFC 3492), label by label.
//!
//! Not here: Unicode normalisation and the tables of IDNA; names are lowered, and otherwise taken as written.

const BASE: u32 = 36;
const T_MIN: u32 = 1;
const T_MAX: u32 = 26;

fn adapt(delta: u32, points: u32, first: bool) -> u32 {
    let mut delta = if first { delta / 700 } else { delta / 2 };
    delta += delta / points;
    let mut k = 0;
    while delta > ((BASE - T_MIN) * T_MAX) / 2 {
        delta /= BASE - T_MIN;
        k += BASE;
    }
    k + (((BASE - T_MIN + 1) * delta) / (delta + 38))
}

fn threshold(k: u32, bias: u32) -> u32 {
    k.saturating_sub(bias).clamp(T_MIN, T_MAX)
}

fn digit(value: u32) -> char {
    char::from(if value < 26 { b'a' + value as u8 } else { b'0' + (value - 26) as u8 })
}

fn encode(label: &str) -> Option<String> {
    let points: Vec<u32> = label.chars().map(u32::from).collect();
    let mut out: String = label.chars().filter(char::is_ascii).collect();
    let basic = out.len() as u32;
    if basic > 0 {
        out.push('-');
    }
    let (mut n, mut delta, mut bias, mut handled) = (128u32, 0u32, 72u32, basic);
    while (handled as usize) < points.len() {
        let next = points.iter().copied().filter(|point| *point >= n).min()?;
        delta = delta.checked_add((next - n).checked_mul(handled + 1)?)?;
        n = next;
        for point in &points {
            if *point < n {
                delta = delta.checked_add(1)?;
            }
            if *point == n {
                let (mut q, mut k) = (delta, BASE);
                loop {
                    let t = threshold(k, bias);
                    if q < t {
                        break;
                    }
                    out.push(digit(t + (q - t) % (BASE - t)));
                    q = (q - t) / (BASE - t);
                    k += BASE;
                }
                out.push(digit(q));
                bias = adapt(delta, handled + 1, handled == basic);
                delta = 0;
                handled += 1;
            }
        }
        delta = delta.checked_add(1)?;
        n += 1;
    }
    Some(out)
}

fn decode(label: &str) -> Option<String> {
    let (basic, extended) = label.rsplit_once('-').unwrap_or(("", label));
    let mut out: Vec<char> = basic.chars().collect();
    let (mut n, mut i, mut bias) = (128u32, 0u32, 72u32);
    let mut digits = extended.chars();
    while !digits.as_str().is_empty() {
        let (before, mut weight, mut k) = (i, 1u32, BASE);
        loop {
            let value = digits.next()?.to_digit(36)?;
            // Letters come first here, digits after them.
            let value = if value >= 10 { value - 10 } else { value + 26 };
            i = i.checked_add(value.checked_mul(weight)?)?;
            let t = threshold(k, bias);
            if value < t {
                break;
            }
            weight = weight.checked_mul(BASE - t)?;
            k += BASE;
        }
        let length = out.len() as u32 + 1;
        bias = adapt(i - before, length, before == 0);
        n = n.checked_add(i / length)?;
        i %= length;
        out.insert(i as usize, char::from_u32(n)?);
        i += 1;
    }
    Some(out.into_iter().collect())
}

/// A domain name in ASCII.
pub fn to_ascii(domain: &str) -> String {
    let label = |label: &str| {
        if label.is_ascii() {
            return label.to_owned();
        }
        let lower = label.to_lowercase();
        encode(&lower).map_or(lower, |encoded| format!("xn--{encoded}"))
    };
    domain.split('.').map(label).collect::<Vec<_>>().join(".")
}

/// A domain name as people read it.
pub fn to_unicode(domain: &str) -> String {
    let label = |label: &str| {
        let decoded = label.strip_prefix("xn--").and_then(decode);
        decoded.unwrap_or_else(|| label.to_owned())
    };
    domain.split('.').map(label).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive() {
        let cases = [
            ("bücher.example", "xn--bcher-kva.example"),
            ("例え.テスト", "xn--r8jz45g.xn--zckzah"),
            ("plain.example", "plain.example"),
            ("*.münchen.de", "*.xn--mnchen-3ya.de"),
        ];
        for (unicode, ascii) in cases {
            assert_eq!(to_ascii(unicode), ascii);
            assert_eq!(to_unicode(ascii), unicode);
        }
        assert_eq!(to_unicode("xn--\u{fc}"), "xn--\u{fc}");
        assert_eq!(to_unicode("xn--99999999999"), "xn--99999999999");
    }
}
