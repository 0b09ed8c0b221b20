//! `moorline skill policy set`.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use moorline_proto::v1::{SkillNames, StagePolicyChange, UpdateSkillPolicyRequest};

use super::{super::choice, answered};
use crate::{args::Global, client, console::Console, error::Error, exit::Exit};

/// Change which skills carry which stages. What isn't given stays as it is.
#[derive(Debug, clap::Args)]
#[group(id = "change", required = true, multiple = true, args = ["use_skills", "canary", "shadow", "fallback", "allow", "default", "stages", "repository_skills"])]
pub struct Args {
    /// Whether skills are used at all.
    #[arg(long, value_name = "on|off", value_parser = switch())]
    use_skills: Option<bool>,
    /// Share of runs that go by skills, 0 to 100.
    #[arg(long, value_name = "PERCENT", allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(0..=100))]
    canary: Option<i32>,
    /// Whether the other way is taken as well, without effect, and compared.
    #[arg(long, value_name = "on|off", value_parser = switch())]
    shadow: Option<bool>,
    /// Whether the built-in code takes over when a skill fails by itself.
    #[arg(long, value_name = "on|off", value_parser = switch())]
    fallback: Option<bool>,
    /// The whole list of skills that may be used.
    #[arg(long, value_name = "SKILL,…", value_delimiter = ',', num_args = 1)]
    allow: Option<Vec<String>>,
    /// The skill of stages that name none.
    #[arg(long, value_name = "SKILL")]
    default: Option<String>,
    /// A skill for one stage, nothing for the default one, or whether skills are used for it; can be given for each.
    #[arg(long = "stage", value_name = "STAGE=SKILL|on|off", value_parser = choice::parse_change)]
    stages: Vec<StagePolicyChange>,
    /// The whole list of allowed skills that may come from a run's own repository; empty for none.
    #[arg(long, value_name = "SKILL,…", value_delimiter = ',', num_args = 1)]
    repository_skills: Option<Vec<String>>,
    /// Only if this is still the policy's version.
    #[arg(long, value_name = "VERSION", value_parser = clap::value_parser!(i64).range(1..))]
    if_version: Option<i64>,
    /// Why, for the record.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Changes the policy.
pub async fn execute(args: &Args, global: &Global, console: &mut Console<'_>) -> Result<Exit, Error> {
    let answer = client::skills(global)?.update_skill_policy(request(args)).await?.into_inner();
    console.show(&answered(answer.policy)?)?;
    console.note("\nRuns that are created or retried from now on follow it; all others keep what was decided for them.")?;
    Ok(Exit::Ok)
}

fn request(args: &Args) -> UpdateSkillPolicyRequest {
    UpdateSkillPolicyRequest {
        use_skills: args.use_skills,
        stages: in_one(&args.stages),
        default_skill: args.default.clone(),
        allowed_skills: args.allow.as_deref().map(names),
        canary_percent: args.canary,
        shadow_mode: args.shadow,
        fallback_enabled: args.fallback,
        repository_skills: args.repository_skills.as_deref().map(names),
        expected_version: args.if_version.unwrap_or_default(),
        reason: args.reason.clone().unwrap_or_default(),
    }
}

/// A stage may be given twice, once with a skill and once with a switch.
fn in_one(changes: &[StagePolicyChange]) -> Vec<StagePolicyChange> {
    let mut stages: Vec<StagePolicyChange> = Vec::new();
    for change in changes {
        match stages.iter_mut().find(|other| other.stage == change.stage) {
            Some(other) => {
                other.use_skills = change.use_skills.or(other.use_skills);
                other.skill = change.skill.clone().or_else(|| other.skill.take());
            }
            None => stages.push(change.clone()),
        }
    }
    stages
}

fn names(given: &[String]) -> SkillNames {
    let names = given.iter().map(|name| name.trim()).filter(|name| !name.is_empty());
    SkillNames {
        names: names.map(str::to_owned).collect(),
    }
}

fn switch() -> impl TypedValueParser<Value = bool> {
    PossibleValuesParser::new(["on", "off"]).map(|said| said == "on")
}
