//! Which versions of the agents' CLIs are supported: the one place that says so.

use std::{fmt, sync::LazyLock};

use regex::Regex;

use crate::config::Config;

/// A CLI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cli {
    Codex,
    Gemini,
    SpecKit,
}

/// Major, minor and patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(pub(super) u32, pub(super) u32, pub(super) u32);

/// What is supported of a CLI.
#[derive(Debug, Clone, Copy)]
pub(super) struct Supported {
    /// The oldest version that works.
    pub(super) oldest: Version,
    /// The newest that Moorline is tested with; only major and minor count.
    pub(super) newest: Version,
    /// How to get one.
    pub(super) install: &'static str,
}

impl Cli {
    pub(super) fn supported(self) -> Supported {
        match self {
            Self::Codex => Supported {
                oldest: Version(0, 163, 0),
                newest: Version(0, 169, 0),
                install: "`npm install -g @openai/codex`, or `pip install openai-codex-cli-bin`",
            },
            Self::Gemini => Supported {
                oldest: Version(0, 61, 0),
                newest: Version(0, 61, 0),
                install: "`npm install -g @google/gemini-cli`",
            },
            Self::SpecKit => Supported {
                oldest: Version(1, 2, 0),
                newest: Version(1, 2, 3),
                install: "`pip install specify-cli`",
            },
        }
    }

    /// For people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Codex => "Codex CLI",
            Self::Gemini => "Gemini CLI",
            Self::SpecKit => "Spec Kit CLI",
        }
    }

    /// Its name in the profile.
    pub(super) fn tool(self) -> &'static str {
        match self {
            Self::Codex => "codex",
            Self::Gemini => "gemini",
            Self::SpecKit => "speckit",
        }
    }

    /// Name of its check.
    pub(super) fn check(self) -> &'static str {
        match self {
            Self::Codex => "codex_cli",
            Self::Gemini => "gemini_cli",
            Self::SpecKit => "speckit_cli",
        }
    }

    /// Variable of its program.
    pub(super) fn variable(self) -> &'static str {
        match self {
            Self::Codex => "MOORLINE_CODEX_PROGRAM",
            Self::Gemini => "MOORLINE_GEMINI_PROGRAM",
            Self::SpecKit => "MOORLINE_SPECKIT_PROGRAM",
        }
    }

    /// Its program.
    pub(super) fn program(self, config: &Config) -> &str {
        match self {
            Self::Codex => &config.codex_program,
            Self::Gemini => &config.gemini_program,
            Self::SpecKit => &config.speckit_program,
        }
    }
}

impl Version {
    /// The version in what a CLI answers to `--version`: a bare one, or one behind the CLI's name.
    pub(super) fn find(answer: &str) -> Option<Self> {
        static SHAPE: LazyLock<Option<Regex>> =
            LazyLock::new(|| Regex::new(r"^(?:[A-Za-z][A-Za-z-]* )?v?(\d{1,9})\.(\d{1,9})\.(\d{1,9})\b").ok());
        let number = |text: &str| text.parse().ok();
        answer.lines().find_map(|line| {
            let found = SHAPE.as_ref()?.captures(line.trim())?;
            Some(Self(number(&found[1])?, number(&found[2])?, number(&found[3])?))
        })
    }

    /// Whether it is of a later minor version than another.
    pub(super) fn is_beyond(self, other: Self) -> bool {
        (self.0, self.1) > (other.0, other.1)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}.{}", self.0, self.1, self.2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_found_in_what_the_clis_print_and_in_nothing_else() {
        for (answer, version) in [
            ("codex-cli 0.163.0\n", Some(Version(0, 163, 0))),
            ("specify 1.2.3\n", Some(Version(1, 2, 3))),
            ("0.61.0\n", Some(Version(0, 61, 0))),
            ("a word of warning\n0.62.1-nightly.3\n", Some(Version(0, 62, 1))),
            ("v2.0.0", Some(Version(2, 0, 0))),
            ("", None),
            ("codex-cli unknown", None),
            ("see http://127.0.0.1/", None),
            ("codex-cli 0.163", None),
        ] {
            assert_eq!(Version::find(answer), version, "{answer:?}");
        }
    }

    #[test]
    fn only_a_later_minor_version_is_beyond() {
        assert!(!Version(0, 169, 9).is_beyond(Version(0, 169, 0)));
        assert!(Version(0, 170, 0).is_beyond(Version(0, 169, 0)) && Version(1, 0, 0).is_beyond(Version(0, 169, 0)));
        for cli in [Cli::Codex, Cli::Gemini, Cli::SpecKit] {
            assert!(cli.supported().oldest <= cli.supported().newest);
        }
    }
}
