//! A document whose commands are run: its procedures, and what a test must do between their blocks.
//!
//! A procedure is a section (`## …`) with fenced `sh` blocks. A comment before a block tells the test what is not written in it:
//!
//! | comment | means |
//! | --- | --- |
//! | `<!-- test: approve -->` | while the block runs, a person enters the code that it shows |
//! | `<!-- test: revoke -->` | before it, somebody revokes every login |
//! | `<!-- test: exits 8 -->` | its last command ends with this exit code |
//! | `<!-- test: docker -->` | it is for Docker, and run by another test |
//! | `<!-- test: not run, why -->` | it isn't run, and why |

use std::{fs, path::Path};

use crate::architecture::ROOT;

/// A section with commands.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Procedure {
    pub heading: String,
    pub blocks: Vec<Block>,
}

/// A fenced block.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Block {
    /// Where it begins in the document.
    pub line: usize,
    pub commands: String,
    pub approve: bool,
    pub revoke: bool,
    pub exit: i32,
    pub place: Place,
}

/// Where a block is run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Place {
    #[default]
    Here,
    Docker,
    Nowhere,
}

/// The procedures of a document of this project.
pub fn procedures(path: &str) -> Vec<Procedure> {
    parse(&fs::read_to_string(Path::new(ROOT).join(path)).unwrap_or_else(|error| panic!("{path}: {error}")))
}

/// One of them.
pub fn procedure(path: &str, heading: &str) -> Procedure {
    let found = procedures(path).into_iter().find(|procedure| procedure.heading == heading);
    found.unwrap_or_else(|| panic!("{path} has no procedure {heading:?}"))
}

fn parse(text: &str) -> Vec<Procedure> {
    let (mut procedures, mut next) = (Vec::<Procedure>::new(), Block::default());
    let mut lines = (1..).zip(text.lines());
    while let Some((number, line)) = lines.next() {
        if let Some(heading) = line.strip_prefix("## ") {
            procedures.push(Procedure {
                heading: heading.to_owned(),
                ..Procedure::default()
            });
        } else if let Some(comment) = line.strip_prefix("<!-- test: ") {
            note(&mut next, comment.trim_end_matches(" -->"), number);
        } else if line == "```sh" {
            next.line = number;
            next.commands = lines
                .by_ref()
                .map(|(_, line)| line)
                .take_while(|line| *line != "```")
                .map(|line| format!("{line}\n"))
                .collect();
            let block = std::mem::take(&mut next);
            procedures.last_mut().expect("a heading before the commands").blocks.push(block);
        } else {
            // Nothing of another language may hold commands that nobody runs.
            assert!(
                !line.starts_with("```") || !line.contains("sh"),
                "line {number}: {line}: a block of commands is `sh`"
            );
        }
    }
    procedures.retain(|procedure| !procedure.blocks.is_empty());
    procedures
}

fn note(block: &mut Block, comment: &str, line: usize) {
    match comment.split_once([' ', ',']).unwrap_or((comment, "")) {
        ("approve", "") => block.approve = true,
        ("revoke", "") => block.revoke = true,
        ("docker", "") => block.place = Place::Docker,
        ("exits", code) => block.exit = code.parse().unwrap_or_else(|_| panic!("line {line}: {code:?} is no exit code")),
        ("not", why) if why.starts_with("run, ") => block.place = Place::Nowhere,
        _ => panic!("line {line}: a test doesn't know {comment:?}"),
    }
}

#[test]
fn commands_are_found_under_their_headings() {
    let text = "\
# T

## None

Words.

## One

```sh
a
b
```

<!-- test: revoke -->
<!-- test: exits 8 -->
```sh
c
```

## Two

<!-- test: approve -->
```sh
d
```

<!-- test: not run, it takes an hour -->
```sh
e
```
";
    let block = |line, commands: &str| Block {
        line,
        commands: commands.to_owned(),
        ..Block::default()
    };
    let bad = Block {
        revoke: true,
        exit: 8,
        ..block(16, "c\n")
    };
    let approved = Block {
        approve: true,
        ..block(23, "d\n")
    };
    let idle = Block {
        place: Place::Nowhere,
        ..block(28, "e\n")
    };
    let (one, two) = (vec![block(9, "a\nb\n"), bad], vec![approved, idle]);
    let expected = [("One", one), ("Two", two)].map(|(heading, blocks)| Procedure {
        heading: heading.to_owned(),
        blocks,
    });
    assert_eq!(parse(text), expected);
}

#[test]
#[should_panic(expected = "a test doesn't know")]
fn an_unknown_comment_is_a_mistake() {
    parse("## One\n<!-- test: aprove -->\n");
}
