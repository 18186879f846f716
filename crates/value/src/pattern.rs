//! What Python's `re` refuses and our engine of expressions would try: subroutines, recursion, conditions on groups
//! that are not there.
//!
//! The engine reserves memory by the numbers in them, so `\g99999999999` would end the process.

/// Why Python does not take a pattern, where the engine might; nothing where the engine may decide.
pub fn refused_by_python(pattern: &str) -> Option<String> {
    let chars: Vec<char> = pattern.chars().collect();
    let (mut at, mut class) = (0, false);
    let mut groups = 0usize;
    let mut conditions: Vec<(usize, String)> = Vec::new();
    while let Some(&c) = chars.get(at) {
        match c {
            '\\' => {
                let next = chars.get(at + 1).copied()?;
                let known = if class { "abdDfnrsStuUvwWxN" } else { "aAbBdDfnrsStuUvwWxZN" };
                if next.is_ascii_alphabetic() && !known.contains(next) {
                    return Some(format!("bad escape \\{next} at position {at}"));
                }
                at += 1;
            }
            '[' if !class => {
                class = true;
                // `]` comes first as itself
                let first = at + 1 + usize::from(chars.get(at + 1) == Some(&'^'));
                if chars.get(first) == Some(&']') {
                    at = first;
                }
            }
            ']' if class => class = false,
            '(' if !class => match (chars.get(at + 1), chars.get(at + 2)) {
                (Some('?'), Some('P')) => match chars.get(at + 3) {
                    Some('<') => groups += 1,
                    Some('=') | None => {}
                    Some(other) => {
                        return Some(format!("unknown extension ?P{other} at position {}", at + 1));
                    }
                },
                (Some('?'), Some('(')) => {
                    let name: String = chars[at + 3..].iter().take_while(|c| **c != ')').collect();
                    conditions.push((at + 3, name));
                    // its parentheses hold a name, no group
                    while chars.get(at).is_some_and(|c| *c != ')') {
                        at += 1;
                    }
                }
                (Some('?'), Some(other)) if other.is_ascii_digit() || matches!(other, 'R' | '&' | '+') => {
                    return Some(format!("unknown extension ?{other} at position {}", at + 1));
                }
                (Some('?'), _) => {}
                _ => groups += 1,
            },
            _ => {}
        }
        at += 1;
    }
    for (place, name) in conditions {
        if name.starts_with(|c: char| c.is_ascii_digit())
            && name.parse::<usize>().is_ok_and(|n| n == 0 || n > groups)
            || name.len() > 9 && name.chars().all(|c| c.is_ascii_digit())
        {
            return Some(format!("invalid group reference {name} at position {place}"));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::refused_by_python;

    #[test]
    fn as_python_says() {
        for (pattern, expected) in [
            (r"\g5555555555555555", Some(r"bad escape \g at position 0")),
            (r"a\k<1>", Some(r"bad escape \k at position 1")),
            (r"[\Z]", Some(r"bad escape \Z at position 1")),
            ("(?R)", Some("unknown extension ?R at position 1")),
            ("(?1)", Some("unknown extension ?1 at position 1")),
            ("(?&x)", Some("unknown extension ?& at position 1")),
            ("(?P>x)", Some("unknown extension ?P> at position 1")),
            ("(?(5555555555555555)a|b)", Some("invalid group reference 5555555555555555 at position 3")),
            ("(a)(?(2)b|c)", Some("invalid group reference 2 at position 6")),
            ("(a)(?(1)b|c)", None),
            ("(?P<x>a)(?(x)b|c)(?P=x)", None),
            (r"\\g[\]a-z(?R)]\w+\.\d{3}[]\d]", None),
            ("(?i:a)(?-i:b)(?=c)(?!d)(?<=e)(?<!f)(?#g)(?:h)", None),
            ("[^](?1)]", None),
            (r"trailing\", None),
            ("(?", None),
        ] {
            assert_eq!(refused_by_python(pattern).as_deref(), expected, "{pattern}");
        }
    }
}
