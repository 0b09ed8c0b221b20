//! The Agent Skills format, and what Moorline adds to it below `metadata`.

use std::{collections::BTreeMap, path::PathBuf};

use moorline_proto::v1::Stage;

use super::{
    Carrier, Skill, Source,
    files::Files,
    front_matter::{self, FrontMatter},
    mistake::{Mistake, Remark},
};
use crate::redact::one_line;

/// Says which stages a skill carries: words, each a stage or `stage=program`.
const STAGES: &str = "moorline-stages";
/// Says which program knows whether all is well.
const HEALTH: &str = "moorline-health";
/// What keys of Moorline's own begin with.
const OWN: &str = "moorline-";

/// The stages, by the names that people write.
const NAMES: [(&str, Stage); 3] = [
    ("discover", Stage::Discover),
    ("submit", Stage::Submit),
    ("publish", Stage::Publish),
];

/// A skill as far as it could be read, with what is wrong with it.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) skill: Skill,
    pub(super) mistakes: Vec<Mistake>,
    pub(super) remarks: Vec<Remark>,
}

/// Whether a name follows the format's rule.
pub fn is_name(name: &str) -> bool {
    let letters = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    name.len() <= 64 && name.split('-').all(letters)
}

/// Nothing but a name and a place.
pub(super) fn unread(name: &str, folder: PathBuf, source: Source) -> Judged {
    Judged {
        skill: Skill {
            name: name.to_owned(),
            description: String::new(),
            version: String::new(),
            digest: String::new(),
            stages: BTreeMap::new(),
            health: None,
            text: String::new(),
            folder,
            source,
        },
        mistakes: Vec::new(),
        remarks: Vec::new(),
    }
}

impl Judged {
    /// Reads the skill's files.
    pub(super) fn read(&mut self, files: &Files) {
        self.skill.digest = files.digest();
        let text = match &files.text {
            None => return self.mistakes.push(Mistake::NoFile),
            Some(bytes) => match std::str::from_utf8(bytes) {
                Err(_) => return self.mistakes.push(Mistake::NotText),
                Ok(text) => text,
            },
        };
        let (yaml, text) = match front_matter::split(text) {
            Err(mistake) => return self.mistakes.push(mistake),
            Ok(parts) => parts,
        };
        self.skill.text = text.trim().to_owned();
        let read = front_matter::read(yaml);
        let unread = read
            .mistakes
            .iter()
            .any(|mistake| matches!(mistake, Mistake::Yaml { .. } | Mistake::NoMap));
        self.mistakes.extend(read.mistakes);
        self.remarks.extend(read.remarks);
        if !unread {
            self.front_matter(read.found, files);
        }
    }

    fn front_matter(&mut self, found: FrontMatter, files: &Files) {
        let told_of = |mistakes: &[Mistake], key: &str| {
            let of_key = |mistake: &Mistake| match mistake {
                Mistake::NoText(named, _) => named == key,
                Mistake::Blank(named) => *named == key,
                _ => false,
            };
            mistakes.iter().any(of_key)
        };
        let folder = self.skill.name.clone();
        match found.name {
            None if told_of(&self.mistakes, "name") => {}
            None => self.mistakes.push(Mistake::KeyMissing("name")),
            Some(name) if !is_name(&name) => self.mistakes.push(Mistake::Name(one_line(&name, 80))),
            Some(name) if name != folder => self.mistakes.push(Mistake::OtherName { name, folder }),
            Some(_) => {}
        }
        match found.description {
            None if told_of(&self.mistakes, "description") => {}
            None => self.mistakes.push(Mistake::KeyMissing("description")),
            Some(description) => self.skill.description = description.trim().to_owned(),
        }
        for (key, value) in found.metadata {
            match key.as_str() {
                "version" => self.skill.version = one_line(&value, 64),
                STAGES => self.stages(&value, files),
                HEALTH => {
                    let is_one = self.is_program(HEALTH, &value, files);
                    self.skill.health = is_one.then_some(value);
                }
                _ if key.starts_with(OWN) => self.remarks.push(Remark::UnknownMetadata(one_line(&key, 80))),
                _ => {}
            }
        }
        let instructs = self.skill.stages.values().any(|carrier| *carrier == Carrier::Instructions);
        match self.skill.text.is_empty() {
            true if instructs => self.mistakes.push(Mistake::NoInstructions),
            true => self.remarks.push(Remark::NoText),
            false => {}
        }
    }

    fn stages(&mut self, value: &str, files: &Files) {
        for word in value.split_whitespace() {
            let (name, program) = match word.split_once('=') {
                None => (word, None),
                Some((name, program)) => (name, Some(program)),
            };
            let Some((name, stage)) = NAMES.into_iter().find(|(known, _)| *known == name) else {
                self.mistakes.push(Mistake::Stage(one_line(word, 80)));
                continue;
            };
            let carrier = match program {
                None if stage != Stage::Submit => {
                    self.mistakes.push(Mistake::NoProgram(name));
                    continue;
                }
                None => Carrier::Instructions,
                Some(program) if self.is_program(STAGES, program, files) => Carrier::Executable(program.to_owned()),
                Some(_) => continue,
            };
            if self.skill.stages.insert(stage, carrier).is_some() {
                self.mistakes.push(Mistake::StageTwice(name));
            }
        }
    }

    fn is_program(&mut self, key: &str, path: &str, files: &Files) -> bool {
        let (key, shown) = (key.to_owned(), one_line(path, 120));
        let plain = !path.is_empty() && path.split('/').all(|part| !matches!(part, "" | "." | ".."));
        let mistake = match files.files.get(path) {
            _ if !plain => Mistake::ProgramPath { key, path: shown },
            None => Mistake::ProgramMissing { key, path: shown },
            Some(file) if !file.executable => Mistake::NotExecutable { key, path: shown },
            Some(_) => return true,
        };
        // Several stages may have one program.
        if !self.mistakes.contains(&mistake) {
            self.mistakes.push(mistake);
        }
        false
    }
}
