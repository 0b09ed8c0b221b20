//! The agents' CLIs: there, working, and of a version that is supported. They are asked where jobs run them, all in one container.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use moorline_proto::v1::{StartupCheck, StartupTool};

use super::{
    kind::Kind,
    missing, passed,
    versions::{Cli, Version},
};
use crate::{
    config::Config,
    engine::{ContainerSpec, Engine, Exit, Limits},
    redact::{chain, one_line},
};

const SCRIPT: &str = include_str!("versions.sh");
/// Longest words of a CLI that are passed on, in characters.
const WORDS: usize = 200;

/// A CLI that was looked at.
pub(super) struct Found {
    pub(super) check: StartupCheck,
    pub(super) tool: Option<StartupTool>,
}

/// CLIs that a kind of worker needs.
pub(super) fn needed(kind: Kind) -> &'static [Cli] {
    match kind {
        Kind::Default => &[],
        Kind::Codex => &[Cli::Codex, Cli::SpecKit],
        Kind::Gemini => &[Cli::Gemini, Cli::SpecKit],
    }
}

/// Looks at all of them.
pub(super) async fn check(config: &Config, engine: &Arc<dyn Engine>, clis: &[Cli]) -> Vec<Found> {
    if clis.is_empty() {
        return Vec::new();
    }
    let all = |detail: String| {
        let failed = |cli: &Cli| Found {
            check: missing(cli.check(), detail.clone()),
            tool: None,
        };
        clis.iter().map(failed).collect()
    };
    match engine.capture(&spec(config, clis), None).await {
        Ok(captured) if captured.exit == Exit::Code(0) => {
            let answers: BTreeMap<&str, (&str, &str)> = captured.stdout.lines().filter_map(answer).collect();
            clis.iter()
                .map(|cli| judge(config, *cli, answers.get(cli.tool()).copied()))
                .collect()
        }
        Ok(captured) => all(format!(
            "the CLIs could not be asked for their versions ({:?}: {}): look at the job image, which needs sh and coreutils, and at the load of \
             this machine",
            captured.exit,
            one_line(&captured.stderr, WORDS)
        )),
        Err(error) => all(chain(&error)),
    }
}

/// Not now: it would cost seconds on a busy machine, and the server waits for word of the agent.
pub(super) fn unasked(clis: &[Cli]) -> Vec<Found> {
    let why = "not run: an agent that an earlier start has left is at work with it";
    let found = |cli: &Cli| Found {
        check: passed(cli.check(), why),
        tool: None,
    };
    clis.iter().map(found).collect()
}

/// A line's name, exit code and words.
fn answer(line: &str) -> Option<(&str, (&str, &str))> {
    let (name, rest) = line.split_once(' ')?;
    Some((name, rest.split_once(' ').unwrap_or((rest, ""))))
}

fn judge(config: &Config, cli: Cli, answer: Option<(&str, &str)>) -> Found {
    let (supported, program, variable) = (cli.supported(), cli.program(config), cli.variable());
    let remedy = format!(
        "install {} {} or later where jobs run ({}), or set {variable}",
        cli.name(),
        supported.oldest,
        supported.install
    );
    let failed = |what: String| Found {
        check: missing(cli.check(), format!("{what}: {remedy}")),
        tool: None,
    };
    let (code, said) = answer.unwrap_or(("", ""));
    let said = one_line(said, WORDS);
    match code {
        "0" => {}
        "127" => return failed(format!("{program} was not found")),
        "124" => return failed(format!("`{program} --version` has not answered within 60 s")),
        _ => return failed(format!("`{program} --version` does not work (exit code {code}: {said})")),
    }
    let Some(version) = Version::find(&said) else {
        return failed(format!(
            "`{program} --version` says {said:?}, which is no version that is understood"
        ));
    };
    let tool = |supported| {
        Some(StartupTool {
            name: cli.tool().to_owned(),
            version: version.to_string(),
            supported,
        })
    };
    if version < supported.oldest {
        return Found {
            tool: tool(false),
            ..failed(format!("{} {version} is too old", cli.name()))
        };
    }
    let newer = match version.is_beyond(supported.newest) {
        true => format!(", newer than {}, the newest that this release is tested with", supported.newest),
        false => String::new(),
    };
    Found {
        check: passed(cli.check(), format!("{} {version}{newer}", cli.name())),
        tool: tool(true),
    }
}

fn spec(config: &Config, clis: &[Cli]) -> ContainerSpec {
    let mut argv: Vec<String> = ["sh", "-c", SCRIPT, "sh"].map(str::to_owned).to_vec();
    argv.extend(clis.iter().flat_map(|cli| [cli.tool().to_owned(), cli.program(config).to_owned()]));
    ContainerSpec {
        name: format!("moorline-startup-{}", uuid::Uuid::now_v7().simple()),
        image: config.job_image.clone(),
        argv,
        env: BTreeMap::from([
            ("HOME".to_owned(), "/nonexistent".into()),
            // Gemini would start itself a second time, for more memory than its version takes.
            ("GEMINI_CLI_NO_RELAUNCH".to_owned(), "true".into()),
        ]),
        labels: BTreeMap::from([("moorline.purpose".to_owned(), "startup".to_owned())]),
        run_dir: None,
        workdir: None,
        volume: None,
        limits: Limits {
            memory_bytes: 1 << 30,
            cpu_millis: config.job_cpu_millis,
            pids: 256,
            // Each has a minute, and again for its words: on a busy machine Gemini has taken more than half of one.
            time: Duration::from_secs(135),
        },
        network: "none".to_owned(),
        stdin: None,
        stdout: None,
        stderr: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(cli: Cli, answer: Option<(&str, &str)>) -> String {
        let config = Config {
            codex_program: "codex".to_owned(),
            gemini_program: "gemini".to_owned(),
            speckit_program: "specify".to_owned(),
            ..Config::try_parse_from(["moorline-worker"]).unwrap()
        };
        let found = judge(&config, cli, answer);
        let tool = found
            .tool
            .map(|tool| format!(" [{} {} {}]", tool.name, tool.version, tool.supported));
        format!("{}: {}{}", found.check.ok, found.check.detail, tool.unwrap_or_default())
    }

    #[test]
    fn a_cli_is_judged_by_its_version() {
        let said = [
            judged(Cli::Codex, Some(("0", "codex-cli 0.163.0"))),
            judged(Cli::SpecKit, Some(("0", "specify 1.3.0"))),
            judged(Cli::Codex, Some(("0", "codex-cli 0.162.9"))),
            judged(Cli::Gemini, Some(("0", "hello"))),
            judged(Cli::Gemini, Some(("127", ""))),
            judged(Cli::SpecKit, Some(("1", "ModuleNotFoundError: no module named 'typer'"))),
            judged(Cli::Codex, Some(("124", ""))),
            judged(Cli::Codex, None),
        ];
        insta::assert_snapshot!(said.join("\n"), @r#"
        true: Codex CLI 0.163.0 [codex 0.163.0 true]
        true: Spec Kit CLI 1.3.0, newer than 1.2.3, the newest that this release is tested with [speckit 1.3.0 true]
        false: Codex CLI 0.162.9 is too old: install Codex CLI 0.163.0 or later where jobs run (`npm install -g @openai/codex`, or `pip install openai-codex-cli-bin`), or set MOORLINE_CODEX_PROGRAM [codex 0.162.9 false]
        false: `gemini --version` says "hello", which is no version that is understood: install Gemini CLI 0.61.0 or later where jobs run (`npm install -g @google/gemini-cli`), or set MOORLINE_GEMINI_PROGRAM
        false: gemini was not found: install Gemini CLI 0.61.0 or later where jobs run (`npm install -g @google/gemini-cli`), or set MOORLINE_GEMINI_PROGRAM
        false: `specify --version` does not work (exit code 1: ModuleNotFoundError: no module named 'typer'): install Spec Kit CLI 1.2.0 or later where jobs run (`pip install specify-cli`), or set MOORLINE_SPECKIT_PROGRAM
        false: `codex --version` has not answered within 60 s: install Codex CLI 0.163.0 or later where jobs run (`npm install -g @openai/codex`, or `pip install openai-codex-cli-bin`), or set MOORLINE_CODEX_PROGRAM
        false: `codex --version` does not work (exit code : ): install Codex CLI 0.163.0 or later where jobs run (`npm install -g @openai/codex`, or `pip install openai-codex-cli-bin`), or set MOORLINE_CODEX_PROGRAM
        "#);
    }

    #[test]
    fn an_answer_is_a_name_a_code_and_words() {
        assert_eq!(answer("codex 0 codex-cli 0.163.0"), Some(("codex", ("0", "codex-cli 0.163.0"))));
        assert_eq!(answer("gemini 127 "), Some(("gemini", ("127", ""))));
        assert_eq!(answer("gemini"), None);
    }
}
