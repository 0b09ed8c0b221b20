//! The front matter of a `SKILL.md`: YAML between two lines of three dashes.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use serde_saphyr::{Options, UserMessageFormatter, budget, options};

use super::mistake::{Mistake, Remark};
use crate::redact::one_line;

/// Longest description, in characters.
const DESCRIPTION: usize = 1024;
/// Longest note of what a skill needs, in characters.
const COMPATIBILITY: usize = 500;

/// What it says, as far as it can be read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct FrontMatter {
    pub(super) name: Option<String>,
    pub(super) description: Option<String>,
    pub(super) metadata: BTreeMap<String, String>,
}

/// What was read, what is wrong with it, and what is only odd.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) found: FrontMatter,
    pub(super) mistakes: Vec<Mistake>,
    pub(super) remarks: Vec<Remark>,
}

/// The YAML, and the text behind it.
pub(super) fn split(text: &str) -> Result<(&str, &str), Mistake> {
    if text.starts_with('\u{feff}') {
        return Err(Mistake::ByteOrderMark);
    }
    let mut at = 0;
    let mut begin = None;
    for line in text.split_inclusive('\n') {
        let (from, dashes) = (at, line.trim_end() == "---");
        at += line.len();
        match begin {
            None if dashes => begin = Some(at),
            None => return Err(Mistake::NoFrontMatter),
            Some(begin) if dashes => return Ok((&text[begin..from], &text[at..])),
            Some(_) => {}
        }
    }
    Err(match begin {
        None => Mistake::NoFrontMatter,
        Some(_) => Mistake::FrontMatterOpen,
    })
}

/// Reads the YAML.
pub(super) fn read(yaml: &str) -> Read {
    // The line of dashes above it counts, so that an editor shows the same numbers.
    let counted = format!("\n{yaml}");
    let keys: Map<String, Value> = match serde_saphyr::from_str_with_options(&counted, bounds()) {
        Ok(Value::Object(keys)) => keys,
        Ok(Value::Null) => Map::new(),
        Ok(_) => return failed(Mistake::NoMap),
        Err(error) => {
            let why = one_line(&error.without_snippet().render_with_formatter(&UserMessageFormatter), 200);
            return failed(Mistake::Yaml { why });
        }
    };
    let mut read = Read::default();
    for (key, value) in keys {
        read.key(&key, value);
    }
    read
}

fn failed(mistake: Mistake) -> Read {
    Read {
        mistakes: vec![mistake],
        ..Read::default()
    }
}

/// No front matter needs anchors, aliases, or more than a few dozen values; one that has them is out to cost time.
fn bounds() -> Options {
    options! {
        budget: budget! {
            max_events: 4_000,
            max_nodes: 2_000,
            max_depth: 8,
            flow_nesting_limit: 8,
            max_anchors: 0,
            max_aliases: 0,
            max_documents: 1,
            max_merge_keys: 0,
        },
        strict_booleans: true,
        with_snippet: false,
    }
}

impl Read {
    fn key(&mut self, key: &str, value: Value) {
        match key {
            "name" => self.found.name = self.text("name", value),
            "description" => {
                let description = self.text("description", value).filter(|text| {
                    let (blank, length) = (text.trim().is_empty(), text.chars().count());
                    if blank {
                        self.mistakes.push(Mistake::Blank("description"));
                    } else if length > DESCRIPTION {
                        self.mistakes.push(Mistake::TooLong("description", length, DESCRIPTION));
                    }
                    !blank
                });
                self.found.description = description;
            }
            "license" => drop(self.text("license", value)),
            "allowed-tools" => drop(self.text("allowed-tools", value)),
            "compatibility" => {
                let length = self.text("compatibility", value).map_or(1, |text| text.trim().chars().count());
                match length {
                    0 => self.mistakes.push(Mistake::Blank("compatibility")),
                    1..=COMPATIBILITY => {}
                    _ => self.mistakes.push(Mistake::TooLong("compatibility", length, COMPATIBILITY)),
                }
            }
            "metadata" => match value {
                Value::Object(entries) => entries.into_iter().for_each(|(key, value)| self.metadata(key, value)),
                other => self.mistakes.push(Mistake::MetadataNoMap(kind(&other))),
            },
            other => self.remarks.push(Remark::UnknownKey(one_line(other, 80))),
        }
    }

    fn metadata(&mut self, key: String, value: Value) {
        match value {
            Value::String(text) => drop(self.found.metadata.insert(key, text)),
            other => self
                .mistakes
                .push(Mistake::NoText(format!("metadata.{}", one_line(&key, 80)), kind(&other))),
        }
    }

    fn text(&mut self, key: &str, value: Value) -> Option<String> {
        match value {
            Value::String(text) => Some(text),
            other => {
                self.mistakes.push(Mistake::NoText(key.to_owned(), kind(&other)));
                None
            }
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "empty",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of a front matter, mistakes first.
    fn said(yaml: &str) -> String {
        let read = read(yaml);
        let lines = read.mistakes.iter().map(ToString::to_string);
        let remarks = read.remarks.iter().map(|remark| format!("({remark})"));
        let said: Vec<String> = lines.chain(remarks).collect();
        said.join("\n")
    }

    #[test]
    fn front_matter_is_what_lies_between_two_lines_of_dashes() {
        assert_eq!(split("---\na: 1\n---\ntext\n").unwrap(), ("a: 1\n", "text\n"));
        assert_eq!(split("---\r\na: 1\r\n---\r\n\r\ntext").unwrap(), ("a: 1\r\n", "\r\ntext"));
        assert_eq!(split("---\n---").unwrap(), ("", ""));
        for text in ["", "text", "\n---\n---\n", "----\n---\n", "# Title\n---\na: 1\n---\n"] {
            assert!(matches!(split(text), Err(Mistake::NoFrontMatter)), "{text:?}");
        }
        assert!(matches!(split("---\nname: a\n"), Err(Mistake::FrontMatterOpen)));
        assert!(matches!(split("\u{feff}---\n---\n"), Err(Mistake::ByteOrderMark)));
    }

    #[test]
    fn what_the_format_knows_is_read() {
        let yaml = "name: a-b\ndescription: >-\n  Two\n  lines\nlicense: MIT\ncompatibility: needs git\nallowed-tools: Bash(git:*) Read\n\
            metadata:\n  version: \"1.0\"\n  author: us\n";
        let read = read(yaml);
        assert_eq!((read.mistakes.len(), read.remarks.len()), (0, 0), "{read:?}");
        assert_eq!(read.found.name.as_deref(), Some("a-b"));
        assert_eq!(read.found.description.as_deref(), Some("Two lines"));
        let metadata: Vec<_> = read.found.metadata.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(metadata, ["author=us", "version=1.0"]);
        assert_eq!(said(""), "");
    }

    #[test]
    fn each_mistake_says_what_to_write() {
        let long = |key: &str, length: usize| said(&format!("{key}: {}\n", "x".repeat(length)));
        let all = [
            said("name: 12\ndescription: [a]\nlicense:\nmetadata:\n  version: 1.0\n  on: true\n  deep: {a: b}\n"),
            said("description: '  '\ncompatibility: ''\nmetadata: text\n"),
            said("- a\n- b\n"),
            said("text\n"),
            said("name: a\nname: b\n"),
            said("name: a: b\n"),
            said("name: 'a\n"),
            said("nmae: a\nversion: 1\n"),
            long("description", 1025),
            long("compatibility", 501),
        ];
        insta::assert_snapshot!(all.join("\n"), @r#"
        description is a list: write text, in quotes if it is a number or a date
        license is empty: write text, in quotes if it is a number or a date
        metadata.deep is a map: write text, in quotes if it is a number or a date
        metadata.on is true or false: write text, in quotes if it is a number or a date
        metadata.version is a number: write text, in quotes if it is a number or a date
        name is a number: write text, in quotes if it is a number or a date
        compatibility is blank: write some text, or leave it out where it is optional
        description is blank: write some text, or leave it out where it is optional
        metadata is text: write `key: "text"` lines below it, indented
        the front matter is no map: write one `key: value` a line, beginning with `name:` and `description:`
        the front matter is no map: write one `key: value` a line, beginning with `name:` and `description:`
        the front matter can't be read as YAML (duplicate mapping key: name not allowed here at line 3, column 1): mend that line: text with `: ` or `#` in it needs quotes, and anchors are not allowed
        the front matter can't be read as YAML (mapping values are not allowed in this context at line 2, column 8): mend that line: text with `: ` or `#` in it needs quotes, and anchors are not allowed
        the front matter can't be read as YAML (invalid indentation in multiline quoted scalar at line 3, column 1): mend that line: text with `: ` or `#` in it needs quotes, and anchors are not allowed
        (the key nmae is not part of the format and is ignored: check its spelling, or move it below metadata)
        (the key version is not part of the format and is ignored: check its spelling, or move it below metadata)
        description has 1025 characters: shorten it to 1024
        compatibility has 501 characters: shorten it to 500
        "#);
        assert_eq!(long("description", 1024) + &long("compatibility", 500), "");
    }

    #[test]
    fn bombs_are_refused_before_they_cost_anything() {
        let nine = "[*a,*a,*a,*a,*a,*a,*a,*a,*a]";
        let laughs = format!("a: &a [x,x,x,x,x,x,x,x,x]\nb: &b {nine}\nc: {}\n", nine.replace('a', "b"));
        let deep = format!("metadata: {}\n", "[".repeat(100_000));
        let many: String = (0..5_000).map(|n| format!("k{n}: v\n")).collect();
        let merged = "base: &base {a: b}\nmetadata:\n  <<: *base\n".to_owned();
        let several = "name: a\n---\nname: b\n".to_owned();
        let began = std::time::Instant::now();
        let all: Vec<String> = [laughs, deep, many, merged, several].iter().map(|yaml| said(yaml)).collect();
        assert!(began.elapsed().as_secs() < 5);
        insta::assert_snapshot!(all.join("\n"), @"
        the front matter can't be read as YAML (YAML document too large or too complex: limits breached: Anchors { anchors: 1 } at line 2, column 7): mend that line: text with `: ` or `#` in it needs quotes, and anchors are not allowed
        the front matter can't be read as YAML (recursion limit exceeded at line 2, column 19): mend that line: text with `: ` or `#` in it needs quotes, and anchors are not allowed
        the front matter can't be read as YAML (YAML document too large or too complex: limits breached: Nodes { nodes: 2001 } at line 1001, column 7): mend that line: text with `: ` or `#` in it needs quotes, and anchors are not allowed
        the front matter can't be read as YAML (YAML document too large or too complex: limits breached: Anchors { anchors: 1 } at line 2, column 13): mend that line: text with `: ` or `#` in it needs quotes, and anchors are not allowed
        the front matter can't be read as YAML (YAML document too large or too complex: limits breached: Documents { documents: 2 } at line 3, column 1): mend that line: text with `: ` or `#` in it needs quotes, and anchors are not allowed
        ");
    }
}
