//! "Did you mean": the known names closest to one that is not known.

/// Edits (insert, delete, replace, swap neighbours) from one name to the other, case aside.
fn distance(a: &[char], b: &[char]) -> usize {
    let width = b.len() + 1;
    let mut rows = vec![0; (a.len() + 1) * width];
    for (j, edits) in rows.iter_mut().enumerate().take(width) {
        *edits = j;
    }
    for i in 1..=a.len() {
        rows[i * width] = i;
        for j in 1..=b.len() {
            let replaced = rows[(i - 1) * width + j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[(i - 1) * width + j] + 1).min(rows[i * width + j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[(i - 2) * width + j - 2] + 1);
            }
            rows[i * width + j] = best;
        }
    }
    rows[a.len() * width + b.len()]
}

/// The candidates close enough to `name` to be what was meant, best first, at most three.
///
/// Close enough is one edit for names of up to four letters, two up to eight, three beyond; and separators do not
/// count, so `ignore-errors` finds `ignore_errors`.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    // A name this long is no typing mistake, and the table grows with the square.
    const LONGEST: usize = 100;
    let fold = |text: &str| -> Vec<char> {
        let folded = text.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).flat_map(char::to_lowercase);
        folded.take(LONGEST).collect()
    };
    let wanted = fold(name);
    if wanted.is_empty() {
        return Vec::new();
    }
    let limit = match wanted.len() {
        0..=4 => 1,
        5..=8 => 2,
        _ => 3,
    };
    let mut found: Vec<(usize, &str)> = Vec::new();
    for candidate in candidates {
        let folded = fold(candidate);
        if candidate == name || folded.len().abs_diff(wanted.len()) > limit {
            continue;
        }
        let edits = distance(&wanted, &folded);
        // Half the name must survive, or `a` would be close to `b`.
        if edits <= limit && edits * 2 < wanted.len().max(folded.len()).max(1) {
            found.push((edits, candidate));
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.cmp(b.1)));
    found.dedup();
    let best = found.first().map_or(0, |(edits, _)| *edits);
    found.into_iter().filter(|(edits, _)| *edits <= best + 1).map(|(_, name)| name).take(3).collect()
}

/// "Did you mean `a` or `b`?", if anything is close.
pub fn did_you_mean<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let near: Vec<_> = nearest(name, candidates).into_iter().map(|name| format!("`{name}`")).collect();
    let (last, rest) = near.split_last()?;
    Some(if rest.is_empty() {
        format!("Did you mean {last}?")
    } else {
        format!("Did you mean {} or {last}?", rest.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant() {
        let keys = [
            "name",
            "hosts",
            "become",
            "become_user",
            "ignore_errors",
            "when",
            "with_items",
            "tags",
            "register",
        ];
        for (typed, expected) in [
            ("nmae", vec!["name"]),
            ("host", vec!["hosts"]),
            ("ignore-errors", vec!["ignore_errors"]),
            ("become_usr", vec!["become_user"]),
            ("Register", vec!["register"]),
            ("wehn", vec!["when"]),
            ("xyz", vec![]),
            ("", vec![]),
            ("a", vec![]),
            ("tag", vec!["tags"]),
        ] {
            assert_eq!(nearest(typed, keys), expected, "{typed}");
        }
        assert_eq!(did_you_mean("nam", ["name", "same"]).unwrap(), "Did you mean `name`?");
        assert_eq!(did_you_mean("zzzzz", keys), None);
    }
}
