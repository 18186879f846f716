//! Which tasks `--tags` and `--skip-tags` select. Rules: Ansible's "Tags" page.

/// The tags a person asked for.
#[derive(Debug, Clone)]
pub struct TagFilter {
    /// `--tags`; `all` where none were given.
    pub run: Vec<String>,
    /// `--skip-tags`.
    pub skip: Vec<String>,
}

impl Default for TagFilter {
    fn default() -> Self {
        TagFilter { run: vec!["all".into()], skip: Vec::new() }
    }
}

impl TagFilter {
    /// From words with commas, as the command line has them.
    pub fn new(run: &[String], skip: &[String]) -> Self {
        let split = |words: &[String]| -> Vec<String> {
            words
                .iter()
                .flat_map(|word| word.split(','))
                .map(|word| word.trim().to_owned())
                .filter(|word| !word.is_empty())
                .collect()
        };
        let run = split(run);
        TagFilter { run: if run.is_empty() { vec!["all".into()] } else { run }, skip: split(skip) }
    }

    /// Whether a task with these tags runs.
    pub fn selects(&self, tags: &[String]) -> bool {
        let untagged = tags.is_empty();
        let has = |tag: &str| tags.iter().any(|t| t == tag) || (untagged && tag == "untagged");
        let asks = |list: &[String], tag: &str| list.iter().any(|t| t == tag);
        let meets = |list: &[String]| list.iter().any(|tag| has(tag));
        let selected = has("always")
            || (asks(&self.run, "all") && !has("never"))
            || meets(&self.run)
            || (asks(&self.run, "tagged") && !untagged && !has("never"));
        if !selected || self.skip.is_empty() {
            return selected;
        }
        if asks(&self.skip, "all") {
            return has("always") && !asks(&self.skip, "always");
        }
        !(meets(&self.skip) || (asks(&self.skip, "tagged") && !untagged))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[rustfmt::skip] // read in columns
    fn selection() {
        for (run, skip, tags, expected) in [
            ("",         "",       "",            true),
            ("",         "",       "a",           true),
            ("",         "",       "never",       false),
            ("never",    "",       "never",       true),
            ("a",        "",       "never,a",     true),
            ("a",        "",       "",            false),
            ("a",        "",       "always",      true),
            ("a",        "always", "always",      false),
            ("tagged",   "",       "a",           true),
            ("tagged",   "",       "",            false),
            ("untagged", "",       "",            true),
            ("untagged", "",       "a",           false),
            ("all",      "a",      "a,b",         false),
            ("",         "tagged", "a",           false),
            ("",         "tagged", "",            true),
            ("",         "all",    "always",      true),
            ("",         "all",    "a",           false),
        ] {
            let list = |s: &str| -> Vec<String> { s.split(',').filter(|t| !t.is_empty()).map(str::to_owned).collect() };
            let filter = TagFilter::new(&list(run), &list(skip));
            assert_eq!(filter.selects(&list(tags)), expected, "-t {run:?} --skip-tags {skip:?} on {tags:?}");
        }
    }
}
