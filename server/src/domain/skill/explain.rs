//! Decisions in words, for people.

use super::{Decision, DirectReason, Foreseen, Source};

impl Decision {
    /// Why it is so, in one sentence.
    pub fn explanation(&self) -> String {
        let Self {
            stage,
            canary_percent: percent,
            canary_bucket: bucket,
            ..
        } = self;
        let way = match self.direct_reason {
            None if *percent == 100 => format!("{stage} goes by skill {}", self.choice()),
            None => format!(
                "{stage} goes by skill {}, since the run stands at {bucket} in the canary, below {percent}",
                self.choice()
            ),
            Some(DirectReason::SkillsOff) => format!("{stage} goes by the built-in code, since skills are switched off"),
            Some(DirectReason::StageOff) => format!("{stage} goes by the built-in code, since skills are switched off for it"),
            Some(DirectReason::OutsideCanary) if *percent == 0 => format!(
                "{stage} goes by the built-in code and not by skill {}, since no run goes by skills while the canary is at 0",
                self.choice()
            ),
            Some(DirectReason::OutsideCanary) => format!(
                "{stage} goes by the built-in code and not by skill {}, since the run stands at {bucket} in the canary, not below {percent}",
                self.choice()
            ),
        };
        let shadow = match (self.shadow_mode, self.use_skills) {
            (false, _) => "",
            (true, true) => "; the built-in code is run in its shadow and compared",
            (true, false) => "; the skill is run in its shadow and compared",
        };
        format!("{way}{shadow}.")
    }

    /// The skill, and who has chosen it.
    fn choice(&self) -> String {
        let skill = &self.selected_skill;
        match (self.source, self.replaced_skill.as_str()) {
            (_, replaced) if !replaced.is_empty() => format!("{skill} (the default, in place of {replaced}, which isn't allowed)"),
            (Source::Run, _) => format!("{skill} (asked for by the run)"),
            (Source::Stage, _) => format!("{skill} (configured for the stage)"),
            (Source::Default, _) => format!("{skill} (the default)"),
        }
    }
}

impl Foreseen {
    /// Why it is so, in one sentence.
    pub fn explanation(&self) -> String {
        match self {
            Self::Settled(decision) | Self::ForAnyRun(decision) => decision.explanation(),
            Self::Open(decision) => format!(
                "{} goes by skill {} for {} % of runs and by the built-in code for the others: name a run to see its way.",
                decision.stage,
                decision.choice(),
                decision.canary_percent
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use crate::domain::{
        skill::{Policy, StagePolicy, decide, foresee},
        stage::Stage,
    };

    #[test]
    fn a_decision_is_explained_in_one_sentence() {
        let run_id = Uuid::parse_str("ffffffff-ffff-ffff-ffff-ffffffffffff").unwrap();
        let say = |asked: Option<&str>, change: fn(&mut Policy)| {
            let mut policy = Policy::default();
            policy.allowed_skills.insert("own".to_owned());
            change(&mut policy);
            decide(&policy, run_id, Stage::Discover, asked).explanation()
        };
        let open = Policy {
            canary_percent: 5,
            ..Policy::default()
        };
        let open = foresee(&open, Stage::Publish, None).explanation();
        let said = [
            say(None, |_| ()),
            say(Some("own"), |_| ()),
            say(Some("other"), |policy| policy.shadow_mode = true),
            say(None, |policy| policy.canary_percent = 87),
            say(None, |policy| (policy.canary_percent, policy.shadow_mode) = (86, true)),
            say(None, |policy| policy.canary_percent = 0),
            say(None, |policy| policy.use_skills = false),
            say(None, |policy| {
                let stage = StagePolicy {
                    use_skills: false,
                    skill: Some("own".to_owned()),
                };
                policy.stages.insert(Stage::Discover, stage);
            }),
            open,
        ];
        insta::assert_snapshot!(said.join("\n"), @r"
        discover goes by skill speckit (the default).
        discover goes by skill own (asked for by the run).
        discover goes by skill speckit (the default, in place of other, which isn't allowed); the built-in code is run in its shadow and compared.
        discover goes by skill speckit (the default), since the run stands at 86 in the canary, below 87.
        discover goes by the built-in code and not by skill speckit (the default), since the run stands at 86 in the canary, not below 86; the skill is run in its shadow and compared.
        discover goes by the built-in code and not by skill speckit (the default), since no run goes by skills while the canary is at 0.
        discover goes by the built-in code, since skills are switched off.
        discover goes by the built-in code, since skills are switched off for it.
        publish goes by skill speckit (the default) for 5 % of runs and by the built-in code for the others: name a run to see its way.
        ");
    }
}
