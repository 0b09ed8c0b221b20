//! Integration tests on real parts: Postgres, the Docker engine, the Codex CLI; then the soaks, for a short while, and the demo, once per
//! engine.

use std::{ffi::OsString, path::PathBuf};

use super::{Session, runner::cargo_test, smoke};
use crate::{
    images::{
        self, Images,
        engine::{self, Engine},
        postgres,
    },
    install::{self, Need, buf, codex, codex::Codex, gemini, python, speckit},
    soak,
};

/// What the tests are given.
#[derive(Debug)]
struct Parts {
    codex: Option<Codex>,
    gemini: Option<PathBuf>,
    speckit: Option<PathBuf>,
    python: Option<PathBuf>,
    buf: Option<PathBuf>,
    engine: Option<Engine>,
    images: Option<Images>,
    postgres: Option<String>,
}

/// Installs and starts what the tests need, and runs them all.
pub fn run(session: &mut Session) {
    let parts = prepare(session);
    let env = parts.variables();
    cargo_test(session, "unit tests", &["--lib", "--bins"], &[], &env);
    cargo_test(session, "doc tests", &["--doc"], &[], &env);
    cargo_test(session, "integration tests", &["--test", "*"], &[], &env);
    let paths = session.paths.clone();
    // The integration tests have built its programs.
    session.steps.attempt("soak (1 min)", || soak::minute(&paths));
    match (&parts.codex, &parts.speckit) {
        (Some(codex), Some(speckit)) => drop(
            session
                .steps
                .attempt("soak of logins (20 runs)", || soak::few_logins(&paths, codex, speckit)),
        ),
        _ => session
            .steps
            .not_run("soak of logins (20 runs)", "it needs the CLIs of Codex and Spec Kit"),
    }
    smoke::run(session, "process");
    match parts.engine.is_some() {
        true => smoke::run(session, "docker"),
        false => session.steps.not_run("demo (docker)", "no Docker engine"),
    }
    if let Some(Engine {
        docker,
        started: Some(service),
    }) = &parts.engine
    {
        engine::stop(docker, service);
    }
}

impl Parts {
    /// The variables by which tests find them. A part that is missing is not named, and the tests that need it say so.
    fn variables(&self) -> Vec<(&'static str, OsString)> {
        let image = |which: fn(&Images) -> &String| self.images.as_ref().map(which).map(OsString::from);
        let variables = [
            (
                "MOORLINE_CODEX_PROGRAM",
                self.codex.as_ref().map(|codex| codex.program.clone().into_os_string()),
            ),
            ("MOORLINE_GEMINI_PROGRAM", self.gemini.clone().map(OsString::from)),
            ("MOORLINE_SPECKIT_PROGRAM", self.speckit.clone().map(OsString::from)),
            ("MOORLINE_TEST_PYTHON", self.python.clone().map(OsString::from)),
            ("MOORLINE_TEST_BUF", self.buf.clone().map(OsString::from)),
            ("MOORLINE_TEST_JOB_IMAGE", image(|images| &images.job)),
            ("MOORLINE_TEST_SERVER_IMAGE", image(|images| &images.server)),
            ("MOORLINE_TEST_WORKER_IMAGE", image(|images| &images.worker)),
            ("MOORLINE_TEST_POSTGRES_IMAGE", self.postgres.clone().map(OsString::from)),
        ];
        variables.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

fn prepare(session: &mut Session) -> Parts {
    let (paths, yes, steps) = (session.paths.clone(), session.yes, &mut session.steps);
    let needs = [
        Need::Git,
        Need::Postgres,
        Need::Python,
        Need::Docker,
        Need::Compose,
        Need::Busybox,
        Need::Network,
    ];
    steps.attempt("system packages", || install::system(&needs, yes));
    let codex = steps.attempt("Codex CLI", || {
        let _lock = paths.lock("install")?;
        codex::install(&paths, yes)
    });
    let gemini = steps.attempt("Gemini CLI", || {
        let _lock = paths.lock("install")?;
        gemini::install(&paths, yes)
    });
    let speckit = steps.attempt("Spec Kit CLI", || {
        let _lock = paths.lock("install")?;
        speckit::install(&paths, yes)
    });
    let tools = steps.attempt("test tools", || {
        let _lock = paths.lock("install")?;
        Ok((python::for_tests(&paths, yes)?, buf::install(&paths, yes)?))
    });
    let (python, buf) = tools.unzip();
    let engine = steps.attempt("Docker engine", || engine::ensure(&paths));
    let images = match (&engine, &codex) {
        (Some(engine), Some(codex)) => steps.attempt("images", || images::ensure_all(&engine.docker, &paths, codex, yes)),
        _ => {
            steps.not_run("images", "they need the Docker engine and the Codex CLI");
            None
        }
    };
    let postgres = match &engine {
        Some(engine) => steps.attempt("Postgres image", || postgres::ensure(&engine.docker, &paths, yes)),
        None => {
            steps.not_run("Postgres image", "it needs the Docker engine");
            None
        }
    };
    Parts {
        codex,
        gemini,
        speckit,
        python,
        buf,
        engine,
        images,
        postgres,
    }
}
