//! Settings as rows: the variables that clap knows, and those that are read without a flag.

use clap::{Arg, Args as _, Command, CommandFactory as _};

/// A setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub name: String,
    /// The flag that stands for it, dashes included.
    pub flag: Option<String>,
    /// In words of the variable; empty for none, and `<…>` where another setting decides.
    pub default: String,
    pub secret: bool,
    pub about: String,
}

/// Everything that the server reads.
pub fn server() -> Vec<Row> {
    let mut rows = of_command(&moorline_server::config::Args::command());
    let others = moorline_server::variables::ALL;
    rows.extend(others.map(|v| without_flag(v.name, v.default, v.secret, v.about)));
    rows
}

/// Everything that a worker reads.
pub fn worker() -> Vec<Row> {
    let mut rows = of_command(&moorline_worker::config::Args::augment_args(Command::new("moorline-worker")));
    let others = moorline_worker::variables::ALL;
    rows.extend(others.map(|v| without_flag(v.name, v.default, v.secret, v.about)));
    rows
}

/// What the command line reads, by command.
pub fn cli() -> Vec<(String, Vec<Row>)> {
    let mut found = Vec::new();
    collect(&moorline::args::Cli::command(), "", &mut found);
    found
}

fn collect(command: &Command, above: &str, found: &mut Vec<(String, Vec<Row>)>) {
    let path = format!("{above} {}", command.get_name()).trim().to_owned();
    let mut rows = of_command(command);
    // There it hides values of the environment from help that would differ from machine to machine; none is a secret.
    rows.iter_mut().for_each(|row| row.secret = false);
    if !rows.is_empty() {
        found.push((path.clone(), rows));
    }
    for below in command.get_subcommands() {
        collect(below, &path, found);
    }
}

/// The arguments of a command that a variable stands for.
pub fn of_command(command: &Command) -> Vec<Row> {
    command.get_arguments().filter_map(of_argument).collect()
}

fn of_argument(argument: &Arg) -> Option<Row> {
    let name = argument.get_env()?.to_string_lossy().into_owned();
    let help = argument.get_long_help().or_else(|| argument.get_help());
    let (about, written) = split(&help.map(ToString::to_string).unwrap_or_default());
    let values: Vec<_> = argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    let is_switch = argument.get_action().takes_values();
    Some(Row {
        name,
        flag: argument.get_long().map(|long| format!("--{long}")),
        default: match values.join(",") {
            values if is_switch && !values.is_empty() => values,
            _ => written,
        },
        secret: argument.is_hide_env_values_set(),
        about,
    })
}

/// A help text's sentences, and the default that is in it: "(default: `x`)", with words after the `x` that stay in the text.
fn split(help: &str) -> (String, String) {
    let flat = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let Some((about, rest)) = flat.rsplit_once(" (default: ") else {
        return (flat, String::new());
    };
    let (told, after) = rest.split_once(')').unwrap_or((rest, ""));
    match told.strip_prefix('`').and_then(|told| told.split_once('`')) {
        Some((default, "")) => (format!("{about}{after}"), default.to_owned()),
        Some((default, more)) => (format!("{about}{after}; `{default}`{more}"), default.to_owned()),
        None => (format!("{about}{after}; when unset: {told}"), String::new()),
    }
}

fn without_flag(name: &str, default: &str, secret: bool, about: &str) -> Row {
    Row {
        name: name.to_owned(),
        flag: None,
        default: default.to_owned(),
        secret,
        about: about.to_owned(),
    }
}

#[test]
fn a_default_is_read_off_the_help() {
    let told = |help| {
        let (about, default) = split(help);
        format!("{about} [{default}]")
    };
    assert_eq!(told("Its size (default: `4`)"), "Its size [4]");
    assert_eq!(told("Its size (default: `4`, or more)"), "Its size; `4`, or more [4]");
    assert_eq!(told("Its name (default: the host name)"), "Its name; when unset: the host name []");
    assert_eq!(
        told("Its name (default: the host name); a * counts"),
        "Its name; a * counts; when unset: the host name []"
    );
    assert_eq!(told("Whose name\n  it is."), "Whose name it is. []");
}
