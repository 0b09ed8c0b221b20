//! Whether skills are well: their programs can be run where jobs run, and those that look after them say so.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{Carrier, Skill, mistake::Mistake, registry::Found};
use crate::{
    config::Config,
    engine::{ContainerSpec, Engine, Exit, Limits},
    redact::{chain, one_line},
};

const SCRIPT: &str = include_str!("health.sh");
/// Longest time of one program, as in the script.
const LIMIT: Duration = Duration::from_secs(30);
/// Longest words of a program that are passed on, in characters.
const WORDS: usize = 300;

/// A program of a skill, and whether it is run or only looked at.
struct Program {
    skill: String,
    path: String,
    folder: String,
    is_health: bool,
}

/// Asks all that are in order so far, in one container.
pub(super) async fn ask(config: &Config, engine: &Arc<dyn Engine>, found: &mut BTreeMap<String, Found>) {
    let ready = found.values().filter(|found| found.is_ready());
    let programs: Vec<Program> = ready.flat_map(|found| programs(&found.skill)).collect();
    if programs.is_empty() {
        return;
    }
    let answers = match engine.capture(&spec(config, &programs), None).await {
        Ok(captured) if captured.exit == Exit::Code(0) => Ok(captured.stdout),
        Ok(captured) => Err(format!("{:?}: {}", captured.exit, one_line(&captured.stderr, WORDS))),
        Err(error) => Err(chain(&error)),
    };
    for (index, program) in programs.iter().enumerate() {
        let mistake = match &answers {
            Ok(answers) => judge(program, answer(answers, index)),
            Err(why) => Some(Mistake::Unasked(why.clone())),
        };
        if let (Some(mistake), Some(found)) = (mistake, found.get_mut(&program.skill))
            && !found.mistakes.contains(&mistake)
        {
            found.mistakes.push(mistake);
        }
    }
}

fn programs(skill: &Skill) -> impl Iterator<Item = Program> {
    let program = |path: &String, is_health| Program {
        skill: skill.name.clone(),
        path: path.clone(),
        folder: skill.folder.display().to_string(),
        is_health,
    };
    let of_stage = |carrier: &Carrier| match carrier {
        Carrier::Executable(path) => Some(program(path, false)),
        Carrier::Instructions => None,
    };
    let stages: Vec<Program> = skill.stages.values().filter_map(of_stage).collect();
    stages.into_iter().chain(skill.health.as_ref().map(|path| program(path, true)))
}

/// The exit code and the words of one of them.
fn answer(answers: &str, index: usize) -> Option<(&str, &str)> {
    let wanted = index.to_string();
    answers.lines().find_map(|line| {
        let (number, rest) = line.split_once(' ')?;
        (number == wanted).then(|| rest.split_once(' ').unwrap_or((rest, "")))
    })
}

fn judge(program: &Program, answer: Option<(&str, &str)>) -> Option<Mistake> {
    let path = program.path.clone();
    let unwell = |how: String| {
        Some(Mistake::Unwell {
            program: path.clone(),
            how,
        })
    };
    match answer {
        None => unwell("gave no answer".to_owned()),
        Some(("0", _)) => None,
        Some(("closed", _)) => Some(Mistake::Closed(path)),
        Some(("124" | "137", _)) => unwell(format!("did not end within {} s", LIMIT.as_secs())),
        Some((code, said)) => {
            let said = one_line(said, WORDS);
            let said = if said.is_empty() { "nothing said".to_owned() } else { said };
            unwell(format!("ended with code {} ({said})", one_line(code, 8)))
        }
    }
}

fn spec(config: &Config, programs: &[Program]) -> ContainerSpec {
    let mut argv: Vec<String> = ["sh", "-c", SCRIPT, "sh"].map(str::to_owned).to_vec();
    argv.extend(programs.iter().flat_map(|program| {
        let what = if program.is_health { "run" } else { "look" };
        [what.to_owned(), program.folder.clone(), program.path.clone()]
    }));
    ContainerSpec {
        name: format!("moorline-skills-{}", uuid::Uuid::now_v7().simple()),
        image: config.job_image.clone(),
        argv,
        env: BTreeMap::from([("HOME".to_owned(), "/nonexistent".into()), ("LANG".to_owned(), "C.UTF-8".into())]),
        labels: BTreeMap::from([("moorline.purpose".to_owned(), "startup".to_owned())]),
        run_dir: None,
        workdir: None,
        volume: None,
        limits: Limits {
            memory_bytes: 1 << 30,
            cpu_millis: config.job_cpu_millis,
            pids: 256,
            // They run side by side, and have ten seconds more to go.
            time: LIMIT + Duration::from_secs(15),
        },
        network: "none".to_owned(),
        stdin: None,
        stdout: None,
        stderr: None,
    }
}
