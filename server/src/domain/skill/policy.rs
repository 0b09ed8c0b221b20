//! Which skills carry which stages. A policy is never changed: each change makes a new version.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::name::check_name;
use crate::domain::{Error, stage::Stage};

/// A version of the policy, stored as one document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// From 1; in a column of its own.
    #[serde(skip)]
    pub version: i64,
    /// Whether skills are used at all.
    pub use_skills: bool,
    /// What is said of single stages; of one that is left out, nothing.
    #[serde(default)]
    pub stages: BTreeMap<Stage, StagePolicy>,
    /// The skill of stages that name none.
    pub default_skill: String,
    /// Skills that may be used.
    pub allowed_skills: BTreeSet<String>,
    /// Share of runs that go by skills, 0 to 100.
    pub canary_percent: u8,
    /// Whether the other way is taken as well, and compared.
    pub shadow_mode: bool,
    /// Whether the built-in code takes over when a skill fails by itself.
    pub fallback_enabled: bool,
    /// Allowed skills that may come from a run's own repository.
    #[serde(default)]
    pub repository_skills: BTreeSet<String>,
}

/// What the policy says of one stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StagePolicy {
    /// Whether skills are used for it.
    pub use_skills: bool,
    /// Its skill; `None` for the default. One that isn't allowed is replaced by the default, and said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skill: Option<String>,
}

impl Default for StagePolicy {
    fn default() -> Self {
        Self {
            use_skills: true,
            skill: None,
        }
    }
}

/// The skill that every worker has.
pub const SPECKIT: &str = "speckit";

/// Most skills that a list may hold.
const SKILLS_MAX: usize = 100;

impl Default for Policy {
    fn default() -> Self {
        Self {
            version: 0,
            use_skills: true,
            stages: BTreeMap::new(),
            default_skill: SPECKIT.to_owned(),
            allowed_skills: BTreeSet::from([SPECKIT.to_owned()]),
            canary_percent: 100,
            shadow_mode: false,
            fallback_enabled: true,
            repository_skills: BTreeSet::new(),
        }
    }
}

impl Policy {
    /// What is said of a stage.
    pub fn stage(&self, stage: Stage) -> StagePolicy {
        self.stages.get(&stage).cloned().unwrap_or_default()
    }

    /// Whether a skill may be used.
    pub fn allows(&self, skill: &str) -> bool {
        self.allowed_skills.contains(skill)
    }

    /// Checks that it can be followed.
    ///
    /// # Errors
    ///
    /// `INVALID_CANARY_PERCENT`, `NO_SKILL_ALLOWED`, `INVALID_SKILL_NAME`, `TOO_MANY_SKILLS`, `SKILL_NOT_ALLOWED`; the field is the policy's.
    pub fn check(&self) -> Result<(), Error> {
        canary_percent(i64::from(self.canary_percent))?;
        if self.allowed_skills.is_empty() {
            let message = "no skill would be allowed: name at least one, such as speckit; to use none, switch skills off instead";
            return Err(Error::invalid("allowed_skills", "NO_SKILL_ALLOWED", message));
        }
        for (field, skills) in [
            ("allowed_skills", &self.allowed_skills),
            ("repository_skills", &self.repository_skills),
        ] {
            if skills.len() > SKILLS_MAX {
                let message = format!("{field} holds {} skills, and may hold {SKILLS_MAX}: leave some out", skills.len());
                return Err(Error::invalid(field, "TOO_MANY_SKILLS", message));
            }
            skills.iter().try_for_each(|skill| check_name(field, skill))?;
        }
        check_name("default_skill", &self.default_skill)?;
        for skill in self.stages.values().filter_map(|stage| stage.skill.as_deref()) {
            check_name("stages", skill)?;
        }
        if !self.allows(&self.default_skill) {
            return Err(self.not_allowed("default_skill", &self.default_skill, "the default skill"));
        }
        match self.repository_skills.iter().find(|skill| !self.allows(skill)) {
            Some(skill) => Err(self.not_allowed("repository_skills", skill, "the repository's skill")),
            None => Ok(()),
        }
    }

    fn not_allowed(&self, field: &'static str, skill: &str, what: &str) -> Error {
        let allowed = self.allowed();
        let message = format!("{what} {skill} isn't among those that are allowed ({allowed}): allow it too, or choose one of them");
        Error::invalid(field, "SKILL_NOT_ALLOWED", message)
            .with("skill", skill)
            .with("allowed", allowed)
    }

    /// The refusal of a run's choice that isn't allowed.
    pub fn refusal(&self, stage: Stage, skill: &str) -> Error {
        let allowed = self.allowed();
        let message = format!(
            "skill {skill} isn't allowed for {stage}: choose one of {allowed}, or have it allowed (`moorline skill policy set --allow {allowed},{skill}`)"
        );
        Error::invalid("options.stage_skills", "SKILL_NOT_ALLOWED", message)
            .with("stage", stage.to_string())
            .with("skill", skill)
            .with("allowed", allowed)
    }

    /// Those that are allowed, comma-separated.
    pub fn allowed(&self) -> String {
        self.allowed_skills.iter().map(String::as_str).collect::<Vec<_>>().join(",")
    }
}

/// A share of runs out of a number that anyone may have given.
///
/// # Errors
///
/// `INVALID_CANARY_PERCENT`.
pub fn canary_percent(given: i64) -> Result<u8, Error> {
    let refusal = || {
        let message =
            format!("canary_percent is {given}, and must be a whole number from 0 (no run goes by skills) to 100 (every run does)");
        Error::invalid("canary_percent", "INVALID_CANARY_PERCENT", message)
    };
    u8::try_from(given).ok().filter(|percent| *percent <= 100).ok_or_else(refusal)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(change: impl FnOnce(&mut Policy)) -> Result<(), &'static str> {
        let mut policy = Policy::default();
        change(&mut policy);
        policy.check().map_err(|refusal| refusal.reason)
    }

    #[test]
    fn what_can_t_be_followed_is_refused() {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(with(|_| ()), Ok(()));
        assert_eq!(with(|policy| policy.canary_percent = 101), Err("INVALID_CANARY_PERCENT"));
        assert_eq!(with(|policy| policy.allowed_skills.clear()), Err("NO_SKILL_ALLOWED"));
        assert_eq!(with(|policy| policy.allowed_skills = set(&["other"])), Err("SKILL_NOT_ALLOWED"));
        assert_eq!(with(|policy| policy.default_skill = "other".to_owned()), Err("SKILL_NOT_ALLOWED"));
        assert_eq!(with(|policy| policy.default_skill = "No".to_owned()), Err("INVALID_SKILL_NAME"));
        assert_eq!(with(|policy| policy.repository_skills = set(&["own"])), Err("SKILL_NOT_ALLOWED"));
        assert_eq!(
            with(|policy| policy.allowed_skills = set(&["speckit", "-"])),
            Err("INVALID_SKILL_NAME")
        );
        let many = (0..=SKILLS_MAX).map(|n| format!("s{n}"));
        assert_eq!(with(|policy| policy.allowed_skills.extend(many)), Err("TOO_MANY_SKILLS"));
        // A stage's skill may be one that isn't allowed, since that is settled when a run is decided; but it is one.
        let stage = |skill: &str| StagePolicy {
            use_skills: true,
            skill: Some(skill.to_owned()),
        };
        assert_eq!(with(|policy| drop(policy.stages.insert(Stage::Submit, stage("other")))), Ok(()));
        assert_eq!(
            with(|policy| drop(policy.stages.insert(Stage::Submit, stage("")))),
            Err("INVALID_SKILL_NAME")
        );
    }

    #[test]
    fn a_share_is_0_to_100() {
        for given in [-1, 101, 256, 356, i64::MIN, i64::MAX] {
            assert_eq!(canary_percent(given).unwrap_err().reason, "INVALID_CANARY_PERCENT", "{given}");
        }
        assert_eq!((canary_percent(0), canary_percent(100)), (Ok(0), Ok(100)));
    }

    #[test]
    fn a_policy_comes_out_as_it_went_in() {
        let mut policy = Policy::default();
        policy.stages.insert(
            Stage::Submit,
            StagePolicy {
                use_skills: false,
                skill: Some("own".to_owned()),
            },
        );
        let stored = serde_json::to_value(&policy).unwrap();
        assert_eq!(serde_json::from_value::<Policy>(stored.clone()).unwrap(), policy);
        let document = r#"{"allowed_skills":["speckit"],"canary_percent":100,"default_skill":"speckit","fallback_enabled":true,"repository_skills":[],"shadow_mode":false,"stages":{"submit":{"skill":"own","use_skills":false}},"use_skills":true}"#;
        assert_eq!(stored.to_string(), document);
    }
}
