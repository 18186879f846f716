//! `--diff` as Ansible shows it: unified, three lines of context, headers `before` and `after`.

use quorate_value::{Dict, Value, str_of};

/// The text of a result's `diff`: one mapping, or a list of them.
pub fn render(diff: &Value) -> String {
    let items: Vec<&Value> = match diff {
        Value::List(items) => items.iter().collect(),
        other => vec![other],
    };
    items.into_iter().filter_map(Value::as_dict).map(one).collect()
}

fn one(diff: &Dict) -> String {
    let mut out = String::new();
    if diff.get("dst_binary").is_some_and(Value::is_truthy) {
        out.push_str("diff skipped: destination file appears to be binary\n");
    }
    if diff.get("src_binary").is_some_and(Value::is_truthy) {
        out.push_str("diff skipped: source file appears to be binary\n");
    }
    if let Some(size) = diff.get("dst_larger") {
        out.push_str(&format!("diff skipped: destination file size is greater than {}\n", str_of(size)));
    }
    if let Some(size) = diff.get("src_larger") {
        out.push_str(&format!("diff skipped: source file size is greater than {}\n", str_of(size)));
    }
    if let (Some(before), Some(after)) = (diff.get("before"), diff.get("after")) {
        let text = |value: &Value| match value {
            Value::Dict(_) | Value::List(_) => {
                let style = quorate_value::JsonStyle {
                    indent: Some(4),
                    sort_keys: true,
                    ..quorate_value::JsonStyle::default()
                };
                style.write(value) + "\n"
            }
            Value::Null => String::new(),
            other => str_of(other),
        };
        let (before, after) = (text(before), text(after));
        let header = |key: &str, word: &str| match diff.get(key) {
            Some(value) if !value.is_null() => format!("{word}: {}", str_of(value)),
            _ => word.to_owned(),
        };
        let unified =
            unified(&before, &after, &header("before_header", "before"), &header("after_header", "after"));
        if !unified.is_empty() {
            out.push_str(&unified);
            out.push('\n');
        }
    }
    if let Some(prepared) = diff.get("prepared") {
        out.push_str(&str_of(prepared));
    }
    out
}

/// A unified diff as Python's `difflib` writes it; empty where nothing differs.
pub fn unified(before: &str, after: &str, before_header: &str, after_header: &str) -> String {
    if before == after {
        return String::new();
    }
    let diff = similar::TextDiff::from_lines(before, after);
    let mut out = format!("--- {before_header}\n+++ {after_header}\n");
    for group in diff.grouped_ops(3) {
        let (first, last) = (group.first().expect("never empty"), group.last().expect("never empty"));
        let range = |start: usize, end: usize| match end - start {
            1 => format!("{}", start + 1),
            0 => format!("{start},0"),
            n => format!("{},{n}", start + 1),
        };
        out.push_str(&format!(
            "@@ -{} +{} @@\n",
            range(first.old_range().start, last.old_range().end),
            range(first.new_range().start, last.new_range().end)
        ));
        for op in &group {
            for change in diff.iter_changes(op) {
                let sign = match change.tag() {
                    similar::ChangeTag::Delete => '-',
                    similar::ChangeTag::Insert => '+',
                    similar::ChangeTag::Equal => ' ',
                };
                let line = change.value();
                out.push(sign);
                out.push_str(line.strip_suffix('\n').unwrap_or(line));
                out.push('\n');
                if !line.ends_with('\n') {
                    out.push_str("\\ No newline at end of file\n");
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_value::dict;

    #[test]
    fn as_ansible_shows_it() {
        let diff = Value::from(dict! {"before" => "", "after" => "hello\n", "after_header" => "/tmp/f"});
        assert_eq!(render(&diff), "--- before\n+++ after: /tmp/f\n@@ -0,0 +1 @@\n+hello\n\n");
        let diff = Value::from(dict! {"before" => "a\nb\n", "after" => "a\nc"});
        assert_eq!(
            render(&diff),
            "--- before\n+++ after\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n\\ No newline at end of file\n\n"
        );
        assert_eq!(render(&Value::from(dict! {"before" => "x", "after" => "x"})), "");
    }
}
