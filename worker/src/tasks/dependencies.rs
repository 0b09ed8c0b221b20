//! Which phases must be done before which, as far as the section on dependencies says it for sure. It never fails.
//!
//! Two forms are understood, a line at a time: `Phase 4 depends on Phase 3` (also `can start after`), and chains, `Setup -> Phase 2 -> US1`.

use std::collections::BTreeSet;

use super::{
    Phase,
    markdown::Hidden,
    phase_heading,
    words::{SENTENCE, SEPARATOR, is_task_id, tokens},
};

const ARROW: &str = "->";
/// The last one is what some editors have made of the first.
const OTHER_ARROWS: [&str; 2] = ["→", "‚Üí"];
/// Words that make a statement less than sure.
const HEDGES: [&str; 11] = [
    "or",
    "may",
    "might",
    "could",
    "if",
    "optional",
    "optionally",
    "not",
    "never",
    "no",
    "t",
];
/// Names that Spec Kit's template gives to phases, which are their titles' first words.
const NAMES: [&str; 3] = ["setup", "foundational", "polish"];
/// Most phases and lines of the section, and most characters of a line: a list that has more was written to cost time.
const PHASES: usize = 50;
const LINES: usize = 200;
const LENGTH: usize = 1000;
/// Shortest word by which a link of a chain is known as the phase at its place.
const SHORTEST: usize = 3;

/// A phase and one that it depends on, by their places in the file.
type Pair = (usize, usize);

/// For each phase the numbers of those that it depends on, in the order of the file.
pub(super) fn read(text: &str, phases: &[Phase]) -> Vec<Vec<String>> {
    if phases.len() > PHASES {
        return vec![Vec::new(); phases.len()];
    }
    let known = Phases::new(phases);
    let mut before = vec![BTreeSet::new(); phases.len()];
    for (later, earlier) in section(text).into_iter().flat_map(|line| known.statements(line)) {
        before[later].insert(earlier);
    }
    let numbers = |(own, earlier): (usize, &BTreeSet<usize>)| {
        let mut told: Vec<String> = Vec::new();
        for number in earlier.iter().map(|at| &phases[*at].number) {
            if *number != phases[own].number && !told.contains(number) {
                told.push(number.clone());
            }
        }
        told
    };
    before.iter().enumerate().map(numbers).collect()
}

/// Lines below a heading such as `## Dependencies & Execution Order`.
fn section(text: &str) -> Vec<&str> {
    let (mut found, mut inside, mut hidden) = (Vec::new(), false, Hidden::default());
    for line in text.lines() {
        if hidden.hides(line) {
            continue;
        }
        if let Some(heading) = line.strip_prefix("## ").map(str::trim) {
            let about = tokens(heading).iter().any(|word| word == "dependencies" || word == "dependency");
            inside = about && phase_heading(heading).is_none();
        } else if line.starts_with("# ") {
            inside = false;
        } else if inside {
            found.push(line);
        }
    }
    found.truncate(LINES);
    found.retain(|line| line.chars().count() <= LENGTH);
    found
}

/// The phases of a list, and the ways in which text speaks of them.
struct Phases {
    numbers: Vec<String>,
    titles: Vec<Vec<String>>,
    /// Number of the user story that a phase is for; empty for others.
    stories: Vec<String>,
}

impl Phases {
    fn new(phases: &[Phase]) -> Self {
        let titles: Vec<_> = phases.iter().map(|phase| tokens(&phase.title)).collect();
        let story = |title: &Vec<String>| match title.as_slice() {
            [user, story, number, ..] if user == "user" && story == "story" => number.clone(),
            _ => String::new(),
        };
        Self {
            numbers: phases.iter().map(|phase| phase.number.to_ascii_lowercase()).collect(),
            stories: titles.iter().map(story).collect(),
            titles,
        }
    }

    fn statements(&self, line: &str) -> Vec<Pair> {
        let line = OTHER_ARROWS.iter().fold(line.to_owned(), |line, arrow| line.replace(arrow, ARROW));
        if line.contains(ARROW) {
            return self.chain(&line.split(ARROW).map(tokens).collect::<Vec<_>>());
        }
        let words = tokens(&line);
        let sentences = words.split(|word| word == SENTENCE).filter_map(depends);
        let sure = sentences.filter(|(what, on)| is_sure(what, &[]) && is_sure(on, &[]));
        sure.flat_map(|(what, on)| all_pairs(&self.named(what), &self.named(on))).collect()
    }

    /// Each link after the one before it.
    fn chain(&self, links: &[Vec<String>]) -> Vec<Pair> {
        if !links.iter().all(|link| is_sure(link, &["can"])) {
            return Vec::new();
        }
        let mut named: Vec<_> = links.iter().map(|link| self.named(link)).collect();
        if named.iter().any(BTreeSet::is_empty) {
            // One link for each phase, in loose words: each must share a word with the phase at its place.
            let shares =
                |(link, title): (&Vec<String>, &Vec<String>)| link.iter().any(|word| word.len() >= SHORTEST && title.contains(word));
            if links.len() != self.titles.len() || !links.iter().zip(&self.titles).all(shares) {
                return Vec::new();
            }
            named = (0..links.len()).map(|at| BTreeSet::from([at])).collect();
        }
        named.windows(2).flat_map(|pair| all_pairs(&pair[1], &pair[0])).collect()
    }

    /// The phases that a few words name.
    fn named(&self, words: &[String]) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        for (at, word) in words.iter().enumerate() {
            let following = &words[at + 1..];
            match word.as_str() {
                "phase" | "phases" => {
                    let stories_only = words.iter().any(|word| word == "stories");
                    found.extend(self.numbered(&self.numbers, following, stories_only));
                }
                "story" | "stories" => {
                    let numbered = self.numbered(&self.stories, following, true);
                    if numbered.is_empty() && word == "stories" && at > 0 && words[at - 1] == "user" {
                        found.extend(self.places(|at| !self.stories[at].is_empty()));
                    }
                    found.extend(numbered);
                }
                "final" if following.first().is_some_and(|next| next == "phase") => {
                    found.extend(self.numbers.len().checked_sub(1));
                }
                name if NAMES.contains(&name) => found.extend(self.places(|at| self.titles[at].first().is_some_and(|first| first == name))),
                label => {
                    let number = label
                        .strip_prefix("us")
                        .filter(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()));
                    found.extend(self.places(|at| number == Some(self.stories[at].as_str())));
                }
            }
        }
        found
    }

    /// Phases by a list of numbers, such as `1, 2 and 4`, `2-4` or `3+`, at the beginning of some words.
    fn numbered(&self, names: &[String], mut words: &[String], stories_only: bool) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        while let Some(number) = words.first().filter(|word| is_number(word)) {
            let first = names.iter().position(|name| name == number);
            let between = match words {
                [_, plus, ..] if plus == "+" => {
                    words = &words[2..];
                    first.unwrap_or(names.len())..names.len()
                }
                [_, dash, end, ..] if dash == "-" && is_number(end) => {
                    words = &words[3..];
                    let last = names.iter().rposition(|name| name == end);
                    first.zip(last).map_or(0..0, |(first, last)| first..last + 1)
                }
                _ => {
                    words = &words[1..];
                    found.extend(self.places(|at| names[at] == *number));
                    0..0
                }
            };
            found.extend(between.filter(|at| !stories_only || !self.stories[*at].is_empty()));
            let further = words.iter().take_while(|word| *word == "," || *word == "and").count();
            words = if further > 0 { &words[further..] } else { &[] };
        }
        found
    }

    fn places(&self, is: impl Fn(usize) -> bool) -> impl Iterator<Item = usize> {
        (0..self.numbers.len()).filter(move |at| is(*at))
    }
}

fn is_number(word: &str) -> bool {
    word == "n" || word.starts_with(|c: char| c.is_ascii_digit())
}

/// Whether nothing weakens the words. What is said of a task is not said of its phase.
fn is_sure(words: &[String], further: &[&str]) -> bool {
    let weakens = |word: &&String| HEDGES.contains(&word.as_str()) || further.contains(&word.as_str()) || is_task_id(word);
    !words.iter().any(|word| weakens(&word))
}

/// What depends, and on what, in one sentence.
fn depends(words: &[String]) -> Option<(&[String], &[String])> {
    (0..words.len()).find_map(|at| {
        let following: Vec<&str> = words[at..].iter().take(3).map(String::as_str).collect();
        let length = match following.as_slice() {
            ["depend" | "depends", "on", ..] | ["start" | "starts" | "begin" | "begins", "after", ..] => 2,
            ["start" | "starts" | "begin" | "begins", "only", "after"] => 3,
            _ => return None,
        };
        let on = words[at + length..].split(|word| word == SEPARATOR).next()?;
        Some((&words[..at], on))
    })
}

fn all_pairs(later: &BTreeSet<usize>, earlier: &BTreeSet<usize>) -> Vec<Pair> {
    let pairs = later.iter().flat_map(|one| earlier.iter().map(|other| (*one, *other)));
    pairs.filter(|(one, other)| one != other).collect()
}
