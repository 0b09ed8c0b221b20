//! Which skills carry which stages, until an operator changes that.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;

use super::or_default;
use crate::domain::{
    self,
    skill::{Policy, SPECKIT, StagePolicy, canary_percent, check_name},
    stage::Stage,
};

/// What a database is seeded with that has no policy yet. Afterwards the database wins, and operators change it by
/// `moorline skill policy set`.
#[derive(Debug, Args)]
pub struct SkillArgs {
    /// Whether stages go by skills: on or off. This and what follows of skills is for a database that has no policy yet; afterwards the database
    /// wins.
    #[arg(long, env = "SPEC_WORKFLOW_USE_SKILLS", value_name = "SWITCH", default_value = ON, global = true, action = clap::ArgAction::Set, value_parser = |text: &str| switch(text, ON))]
    pub use_skills: bool,

    /// Skill of every stage that has none of its own.
    #[arg(long, env = "SPEC_WORKFLOW_DEFAULT_SKILL", value_name = "SKILL", default_value = SPECKIT, global = true, value_parser = |text: &str| or_default::<String>(text, SPECKIT))]
    pub default_skill: String,

    /// Skill of discover; the default one when left out.
    #[arg(
        long,
        env = "SPEC_WORKFLOW_DISCOVER_SKILL",
        value_name = "SKILL",
        default_value = "",
        global = true
    )]
    pub discover_skill: String,

    /// Skill of submit; the default one when left out.
    #[arg(long, env = "SPEC_WORKFLOW_SUBMIT_SKILL", value_name = "SKILL", default_value = "", global = true)]
    pub submit_skill: String,

    /// Skill of publish; the default one when left out.
    #[arg(long, env = "SPEC_WORKFLOW_PUBLISH_SKILL", value_name = "SKILL", default_value = "", global = true)]
    pub publish_skill: String,

    /// Skills that may be used, comma-separated. A blank list is refused: unset it for the default.
    #[arg(long, env = "SPEC_WORKFLOW_ALLOWED_SKILLS", value_name = "SKILLS", default_value = SPECKIT, global = true)]
    pub allowed_skills: String,

    /// Share of runs whose stages go by skills, 0 to 100.
    #[arg(long, env = "SPEC_WORKFLOW_SKILLS_CANARY_PERCENT", value_name = "PERCENT", default_value = CANARY, global = true, allow_negative_numbers = true, value_parser = percent)]
    pub skills_canary_percent: u8,

    /// Whether the other way is taken as well, without effect, and compared: on or off.
    #[arg(long, env = "SPEC_WORKFLOW_SKILLS_SHADOW_MODE", value_name = "SWITCH", default_value = OFF, global = true, action = clap::ArgAction::Set, value_parser = |text: &str| switch(text, OFF))]
    pub skills_shadow_mode: bool,

    /// Whether the built-in code takes over when a skill fails by itself: on or off.
    #[arg(long, env = "SPEC_WORKFLOW_SKILLS_FALLBACK_ENABLED", value_name = "SWITCH", default_value = ON, global = true, action = clap::ArgAction::Set, value_parser = |text: &str| switch(text, ON))]
    pub skills_fallback_enabled: bool,

    /// Skills that may come from a run's own repository, comma-separated; they must be allowed as well.
    #[arg(long, env = "MOORLINE_REPOSITORY_SKILLS", value_name = "SKILLS", default_value = "", global = true)]
    pub repository_skills: String,
}

const ON: &str = "on";
const OFF: &str = "off";
const CANARY: &str = "100";

/// Why the settings of skills can't be used.
#[derive(Debug, thiserror::Error)]
#[error("{variable} can't be used: {refusal}")]
pub struct Error {
    /// What is to be set otherwise.
    pub variable: &'static str,
    /// Why.
    refusal: domain::Error,
}

impl SkillArgs {
    /// The policy that these settings come to.
    ///
    /// # Errors
    ///
    /// When nothing could follow it.
    pub fn policy(&self) -> Result<Policy, Error> {
        let of_stages = [
            (Stage::Discover, &self.discover_skill, "SPEC_WORKFLOW_DISCOVER_SKILL"),
            (Stage::Submit, &self.submit_skill, "SPEC_WORKFLOW_SUBMIT_SKILL"),
            (Stage::Publish, &self.publish_skill, "SPEC_WORKFLOW_PUBLISH_SKILL"),
        ];
        let mut stages = BTreeMap::new();
        for (stage, skill, variable) in of_stages {
            let skill = skill.trim();
            if skill.is_empty() {
                continue;
            }
            check_name("stages", skill).map_err(|refusal| Error { variable, refusal })?;
            let of_stage = StagePolicy {
                skill: Some(skill.to_owned()),
                ..StagePolicy::default()
            };
            stages.insert(stage, of_stage);
        }
        let policy = Policy {
            version: 0,
            use_skills: self.use_skills,
            stages,
            default_skill: self.default_skill.clone(),
            allowed_skills: list(&self.allowed_skills),
            canary_percent: self.skills_canary_percent,
            shadow_mode: self.skills_shadow_mode,
            fallback_enabled: self.skills_fallback_enabled,
            repository_skills: list(&self.repository_skills),
        };
        policy.check().map_err(|refusal| Error {
            variable: match refusal.kind {
                domain::error::Kind::Invalid("default_skill") => "SPEC_WORKFLOW_DEFAULT_SKILL",
                domain::error::Kind::Invalid("repository_skills") => "MOORLINE_REPOSITORY_SKILLS",
                _ => "SPEC_WORKFLOW_ALLOWED_SKILLS",
            },
            refusal,
        })?;
        Ok(policy)
    }
}

/// Names in a comma-separated list.
fn list(names: &str) -> BTreeSet<String> {
    let names = names.split(',').map(str::trim).filter(|name| !name.is_empty());
    names.map(str::to_owned).collect()
}

fn percent(text: &str) -> Result<u8, String> {
    const WANTED: &str = "set SPEC_WORKFLOW_SKILLS_CANARY_PERCENT to a whole number from 0 (no run goes by skills) to 100 (every run does)";
    let given = or_default::<i64>(text, CANARY).map_err(|_| WANTED.to_owned())?;
    canary_percent(given).map_err(|_| WANTED.to_owned())
}

fn switch(text: &str, default: &str) -> Result<bool, String> {
    let text = text.trim().to_ascii_lowercase();
    match if text.is_empty() { default } else { &text } {
        "on" | "true" | "yes" | "1" => Ok(true),
        "off" | "false" | "no" | "0" => Ok(false),
        _ => Err("give on or off".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::config::Args;

    fn policy(args: &[&str]) -> Result<Policy, String> {
        let args = Args::try_parse_from([&["moorline-server"], args].concat()).map_err(|error| error.to_string())?;
        args.config().map(|config| config.skills).map_err(|error| error.to_string())
    }

    #[test]
    fn without_settings_every_stage_goes_by_speckit() {
        assert_eq!(policy(&[]), Ok(Policy::default()));
        let blank = [
            "--use-skills=",
            "--default-skill= ",
            "--skills-canary-percent=",
            "--skills-shadow-mode=",
            "--submit-skill= ",
        ];
        assert_eq!(policy(&blank), Ok(Policy::default()));
    }

    #[test]
    fn what_is_set_is_in_the_policy() {
        let set = [
            "--use-skills=FALSE",
            "--default-skill=own",
            "--submit-skill=other",
            "--allowed-skills= own, speckit,,own",
            "--skills-canary-percent=7",
            "--skills-shadow-mode=1",
            "--skills-fallback-enabled=no",
            "--repository-skills=own",
        ];
        let policy = policy(&set).unwrap();
        assert_eq!(policy.allowed(), "own,speckit");
        assert_eq!(policy.stage(Stage::Submit).skill.as_deref(), Some("other"));
        assert_eq!(policy.stage(Stage::Publish), StagePolicy::default());
        assert_eq!(
            (policy.use_skills, policy.shadow_mode, policy.fallback_enabled),
            (false, true, false)
        );
        assert_eq!((policy.canary_percent, policy.repository_skills.len()), (7, 1));
    }

    #[test]
    fn settings_that_nothing_could_follow_are_refused_with_what_to_set() {
        let refused = |args: &[&str]| policy(args).unwrap_err().lines().next().unwrap_or_default().to_owned();
        let said = [
            refused(&["--skills-canary-percent", "-1"]),
            refused(&["--skills-canary-percent=101"]),
            refused(&["--skills-canary-percent=half"]),
            refused(&["--allowed-skills="]),
            refused(&["--allowed-skills= , "]),
            refused(&["--allowed-skills=own"]),
            refused(&["--default-skill=own"]),
            refused(&["--allowed-skills=speckit,No"]),
            refused(&["--publish-skill=a/b"]),
            refused(&["--repository-skills=own"]),
            refused(&["--use-skills=maybe"]),
        ];
        insta::assert_snapshot!(said.join("\n"), @r#"
        error: invalid value '-1' for '--skills-canary-percent <PERCENT>': set SPEC_WORKFLOW_SKILLS_CANARY_PERCENT to a whole number from 0 (no run goes by skills) to 100 (every run does)
        error: invalid value '101' for '--skills-canary-percent <PERCENT>': set SPEC_WORKFLOW_SKILLS_CANARY_PERCENT to a whole number from 0 (no run goes by skills) to 100 (every run does)
        error: invalid value 'half' for '--skills-canary-percent <PERCENT>': set SPEC_WORKFLOW_SKILLS_CANARY_PERCENT to a whole number from 0 (no run goes by skills) to 100 (every run does)
        SPEC_WORKFLOW_ALLOWED_SKILLS can't be used: no skill would be allowed: name at least one, such as speckit; to use none, switch skills off instead
        SPEC_WORKFLOW_ALLOWED_SKILLS can't be used: no skill would be allowed: name at least one, such as speckit; to use none, switch skills off instead
        SPEC_WORKFLOW_DEFAULT_SKILL can't be used: the default skill speckit isn't among those that are allowed (own): allow it too, or choose one of them
        SPEC_WORKFLOW_DEFAULT_SKILL can't be used: the default skill own isn't among those that are allowed (speckit): allow it too, or choose one of them
        SPEC_WORKFLOW_ALLOWED_SKILLS can't be used: "No" can't be a skill's name: give 1 to 64 of a-z, 0-9 and -, with a dash neither at an end nor beside another, such as speckit
        SPEC_WORKFLOW_PUBLISH_SKILL can't be used: "a/b" can't be a skill's name: give 1 to 64 of a-z, 0-9 and -, with a dash neither at an end nor beside another, such as speckit
        MOORLINE_REPOSITORY_SKILLS can't be used: the repository's skill own isn't among those that are allowed (speckit): allow it too, or choose one of them
        error: invalid value 'maybe' for '--use-skills <SWITCH>': give on or off
        "#);
    }
}
