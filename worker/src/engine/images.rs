//! Images that containers may run.

use regex::Regex;

/// A list of patterns, in which `*` stands for any characters.
#[derive(Debug, Clone)]
pub struct Images(Vec<Regex>);

impl Images {
    /// Reads patterns with commas between them.
    ///
    /// # Errors
    ///
    /// The pattern that can't be one.
    pub fn parse(patterns: &str) -> Result<Self, String> {
        let patterns = patterns.split(',').map(str::trim);
        patterns
            .map(|pattern| expression(pattern).ok_or_else(|| pattern.to_owned()))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// These images alone, whatever is in their names.
    pub fn only<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let exactly = |name| Regex::new(&format!("^{}$", regex::escape(&tagged(name)))).ok();
        Self(names.into_iter().filter_map(exactly).collect())
    }

    /// Whether an image is one of them. One without a tag is the one with the tag `latest`, as for the engine.
    pub fn allow(&self, image: &str) -> bool {
        let image = tagged(image);
        self.0.iter().any(|pattern| pattern.is_match(&image))
    }
}

fn expression(pattern: &str) -> Option<Regex> {
    if pattern.is_empty() || pattern.contains(char::is_whitespace) {
        return None;
    }
    let whole = match pattern.ends_with('*') {
        true => pattern.to_owned(),
        false => tagged(pattern),
    };
    let parts: Vec<String> = whole.split('*').map(regex::escape).collect();
    Regex::new(&format!("^{}$", parts.join(".*"))).ok()
}

fn tagged(image: &str) -> String {
    let name = image.rsplit('/').next().unwrap_or(image);
    match name.contains([':', '@']) {
        true => image.to_owned(),
        false => format!("{image}:latest"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_the_whole_name() {
        let images = Images::parse("moorline-job, registry.example:5000/team/*,pinned@sha256:0123").unwrap();
        for image in [
            "moorline-job",
            "moorline-job:latest",
            "registry.example:5000/team/a:1",
            "pinned@sha256:0123",
        ] {
            assert!(images.allow(image), "{image}");
        }
        for image in [
            "moorline-job:2",
            "evil/moorline-job",
            "moorline-jobs",
            "registryxexample:5000/team/a",
            "pinned",
            "registry.example:5000/teams",
        ] {
            assert!(!images.allow(image), "{image}");
        }
        assert_eq!(Images::parse("a,,b").unwrap_err(), "");
    }

    #[test]
    fn a_name_stands_for_itself_alone() {
        let images = Images::only(["job*"]);
        assert!(!images.allow("jobs") && images.allow("job*:latest"));
    }
}
