//! Permission bits as people write them: octal or `chmod`'s letters.

/// The bits that `text` asks for on something with these metadata; `umask` counts where no class is named.
/// Nothing when the text is neither octal nor symbolic.
pub fn parse_mode(text: &str, current: u32, is_dir: bool, umask: u32) -> Option<u32> {
    let text = text.trim();
    if !text.is_empty() && text.chars().all(|c| c.is_digit(8)) {
        return u32::from_str_radix(text, 8).ok();
    }
    if let Some(octal) = text.strip_prefix("0o") {
        return u32::from_str_radix(octal, 8).ok();
    }
    let mut mode = current & 0o7777;
    for clause in text.split(',') {
        let split = clause.find(['+', '-', '='])?;
        let (who, mut rest) = clause.split_at(split);
        if !who.chars().all(|c| "ugoa".contains(c)) {
            return None;
        }
        let masked = who.is_empty();
        let who = if masked || who.contains('a') { "ugo" } else { who };
        while let Some(operator) = rest.chars().next() {
            let end = rest[1..].find(['+', '-', '=']).map_or(rest.len(), |at| at + 1);
            let letters = &rest[1..end];
            rest = &rest[end..];
            for class in who.chars() {
                let mut bits = class_bits(class, letters, mode, is_dir)?;
                let all = match class {
                    'u' => 0o4700,
                    'g' => 0o2070,
                    _ => 0o1007,
                };
                if masked {
                    bits &= !umask;
                }
                mode = match operator {
                    '+' => mode | bits,
                    '-' => mode & !bits,
                    _ => (mode & !all) | bits,
                };
            }
        }
    }
    Some(mode)
}

fn class_bits(class: char, letters: &str, mode: u32, is_dir: bool) -> Option<u32> {
    let shift = match class {
        'u' => 6,
        'g' => 3,
        _ => 0,
    };
    // `g=u`: the bits another class has now.
    if let "u" | "g" | "o" = letters {
        let from = match letters {
            "u" => 6,
            "g" => 3,
            _ => 0,
        };
        return Some((mode >> from & 7) << shift);
    }
    let mut bits = 0;
    for letter in letters.chars() {
        bits |= match letter {
            'r' => 4 << shift,
            'w' => 2 << shift,
            'x' => 1 << shift,
            'X' if is_dir || mode & 0o111 != 0 => 1 << shift,
            'X' => 0,
            's' => match class {
                'u' => 0o4000,
                'g' => 0o2000,
                _ => 0,
            },
            't' => 0o1000 * u32::from(class != 'u' && class != 'g'),
            'u' | 'g' | 'o' => return None,
            _ => return None,
        };
    }
    Some(bits)
}

/// This process's umask, read without changing it.
pub fn umask() -> u32 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    line.and_then(|mask| u32::from_str_radix(mask.trim(), 8).ok()).unwrap_or(0o022)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octal_and_letters() {
        for (text, current, is_dir, expected) in [
            ("0644", 0o777, false, Some(0o644)),
            ("644", 0, false, Some(0o644)),
            ("01777", 0, true, Some(0o1777)),
            ("u=rwx,g=rx,o=", 0o777, false, Some(0o750)),
            ("u+x", 0o644, false, Some(0o744)),
            ("a-w", 0o666, false, Some(0o444)),
            ("+x", 0o644, false, Some(0o755)),
            ("go-rwx,u+s", 0o755, false, Some(0o4700)),
            ("u=rw,go=rX", 0o755, false, Some(0o655)),
            ("a+X", 0o644, true, Some(0o755)),
            ("a+X", 0o644, false, Some(0o644)),
            ("g=u", 0o750, false, Some(0o770)),
            ("o+t", 0o755, true, Some(0o1755)),
            ("u=rwx-x", 0, false, Some(0o600)),
            ("9", 0, false, None),
            ("u=rwq", 0, false, None),
            ("rw", 0, false, None),
        ] {
            assert_eq!(parse_mode(text, current, is_dir, 0o022), expected, "{text} on {current:o}");
        }
    }
}
