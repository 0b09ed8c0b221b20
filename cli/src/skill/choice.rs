//! What is said of a stage on the command line: `submit=speckit`.

use moorline_proto::v1;

use crate::names;

/// Reads a skill for a stage, such as `submit=speckit`.
///
/// # Errors
///
/// What to give instead.
pub fn parse(text: &str) -> Result<v1::StageSkill, String> {
    let (stage, skill) = of_stage(text)?;
    if skill.is_empty() {
        return Err(format!(
            "name a skill for {}, such as {}=speckit",
            names::name(stage),
            names::name(stage)
        ));
    }
    Ok(v1::StageSkill {
        stage: stage.into(),
        skill: skill.to_owned(),
    })
}

/// Reads what is to change of a stage: a skill, nothing for the default one, or whether skills are used for it.
///
/// # Errors
///
/// What to give instead.
pub fn parse_change(text: &str) -> Result<v1::StagePolicyChange, String> {
    let (stage, said) = of_stage(text)?;
    let (use_skills, skill) = match said {
        "on" => (Some(true), None),
        "off" => (Some(false), None),
        skill => (None, Some(skill.to_owned())),
    };
    Ok(v1::StagePolicyChange {
        stage: stage.into(),
        use_skills,
        skill,
    })
}

fn of_stage(text: &str) -> Result<(v1::Stage, &str), String> {
    let wanted = "give discover, submit or publish, `=` and what is meant for it, such as submit=speckit";
    let (stage, said) = text.split_once('=').ok_or(wanted)?;
    let stage = names::parse::<v1::Stage>(stage.trim()).filter(|stage| *stage != v1::Stage::Unspecified);
    Ok((stage.ok_or(wanted)?, said.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_and_what_is_meant_for_it_are_told_apart() {
        let choice = parse("submit=speckit").expect("a choice");
        assert_eq!((choice.stage(), choice.skill.as_str()), (v1::Stage::Submit, "speckit"));
        for wrong in ["submit", "submit=", "unspecified=x", "build=x", "=x"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        let change = |text| {
            parse_change(text)
                .map(|change| (change.use_skills, change.skill))
                .expect("a change")
        };
        assert_eq!(change("publish=off"), (Some(false), None));
        assert_eq!(change("publish=on"), (Some(true), None));
        assert_eq!(change("publish="), (None, Some(String::new())));
        assert_eq!(change("publish=own"), (None, Some("own".to_owned())));
    }
}
