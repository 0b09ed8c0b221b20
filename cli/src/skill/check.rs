//! `moorline skill check`: skills in folders of this machine, by the rules of the worker. Nothing of them is run.

use std::path::PathBuf;

use moorline_worker::skill::{
    Carrier, Found, Skill,
    check::{Checked, check},
};
use serde::Serialize;

use crate::{
    console::{Console, View},
    error::Error,
    exit::Exit,
    names,
};

/// Check skills.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folders of skills, or roots and repositories that have skills in .codex/skills and .agents/skills.
    #[arg(required = true, value_name = "FOLDER")]
    folders: Vec<PathBuf>,
}

/// All that was found, in the order of the folders.
#[derive(Debug, Serialize)]
struct Findings {
    skills: Vec<Finding>,
}

#[derive(Debug, Serialize)]
struct Finding {
    folder: String,
    name: String,
    version: String,
    stages: Vec<String>,
    ready: bool,
    mistakes: Vec<String>,
    remarks: Vec<String>,
}

/// Checks all folders; a mistake in any of them is told by the exit code.
pub fn execute(args: &Args, console: &mut Console<'_>) -> Result<Exit, Error> {
    let mut findings = Findings { skills: Vec::new() };
    for folder in &args.folders {
        match check(folder) {
            Ok(Checked::Skill(found)) => findings.skills.push(Finding::of(&found)),
            Ok(Checked::Root(registry)) => {
                if let Some(trouble) = registry.trouble() {
                    findings.skills.push(Finding::nothing(folder, trouble.to_owned()));
                } else if registry.found().is_empty() {
                    findings
                        .skills
                        .push(Finding::nothing(folder, "there are no skills in it".to_owned()));
                }
                findings.skills.extend(registry.found().values().map(Finding::of));
            }
            Err(error) => findings.skills.push(Finding::nothing(folder, error.to_string())),
        }
    }
    console.show(&findings)?;
    let ready = findings.skills.iter().all(|finding| finding.ready);
    Ok(if ready { Exit::Ok } else { Exit::Refused })
}

impl Finding {
    fn of(found: &Found) -> Self {
        let skill = &found.skill;
        Self {
            folder: skill.folder.display().to_string(),
            name: skill.name.clone(),
            version: skill.version.clone(),
            stages: stages(skill),
            ready: found.is_ready(),
            mistakes: found.told(),
            remarks: found.remarks.iter().map(ToString::to_string).collect(),
        }
    }

    fn nothing(folder: &std::path::Path, why: String) -> Self {
        Self {
            folder: folder.display().to_string(),
            name: String::new(),
            version: String::new(),
            stages: Vec::new(),
            ready: false,
            mistakes: vec![why],
            remarks: Vec::new(),
        }
    }

    fn lines(&self) -> String {
        let word = if self.ready { "ok    " } else { "wrong " };
        let name = if self.name.is_empty() { &self.folder } else { &self.name };
        let mut head = format!("{word}{name} {}", self.version).trim_end().to_owned();
        if !self.stages.is_empty() {
            head += &format!(": {}", self.stages.join(", "));
        }
        let mistakes = self.mistakes.iter().map(|mistake| format!("\n      - {mistake}"));
        let remarks = self.remarks.iter().map(|remark| format!("\n      - (no mistake) {remark}"));
        head + &mistakes.chain(remarks).collect::<String>()
    }
}

fn stages(skill: &Skill) -> Vec<String> {
    let how = |carrier: &Carrier| match carrier {
        Carrier::Instructions => "by its text".to_owned(),
        Carrier::Executable(program) => format!("by {program}"),
    };
    let stages = skill.stages.iter();
    stages
        .map(|(stage, carrier)| format!("{} {}", names::name(*stage), how(carrier)))
        .collect()
}

impl View for Findings {
    fn table(&self, _: bool) -> String {
        let lines: Vec<String> = self.skills.iter().map(Finding::lines).collect();
        lines.join("\n")
    }
}
