//! The page as it is written.

use std::fmt::Write as _;

use super::{
    compose,
    rows::{self, Row},
};

const HEAD: &str = "\
# Configuration

<!-- Made from the code. Write it anew: MOORLINE_BLESS=1 cargo test -p moorline-tests --test it configuration -->

Every setting is an environment variable, and most are also an option of the program. The option wins over the variable; a blank variable counts
as not set. A value that can't be used stops the start with exit code 64 and a message that names the variable and what to set.

[.env-template](../.env-template) is the same list to fill in, [.env.vllm-template](../.env.vllm-template) the part of it for a model that you serve
yourself. What is marked *secret* turns up in no log, error, event or label. Set it as a variable: the process list shows options.
";

/// All of `docs/configuration.md`.
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    section(&mut page, "Server: `moorline-server`", &rows::server());
    section(&mut page, "Worker: `moorline-worker`", &rows::worker());
    for (command, rows) in rows::cli() {
        section(&mut page, &format!("Command line: `{command}`"), &rows);
        if command == "moorline dev" {
            page.push_str("\nIts workers read the worker's settings too, and its log the worker's two.\n");
        }
    }
    section(&mut page, "Compose files", &compose::rows());
    page.push_str("\nBeside these the files pass the settings of server and workers on, from `.env` or from the shell.\n");
    page
}

fn section(page: &mut String, heading: &str, rows: &[Row]) {
    let _ = write!(
        page,
        "\n## {heading}\n\n| variable | option | default | what it is |\n| --- | --- | --- | --- |\n"
    );
    for row in rows {
        let code = |text: &str| if text.is_empty() { String::new() } else { format!("`{text}`") };
        let secret = if row.secret { " *(secret)*" } else { "" };
        let option = code(row.flag.as_deref().unwrap_or_default());
        // As in a sentence, whichever way the definition ends.
        let about = row.about.trim_end_matches('.').replace('|', "\\|").replace('<', "&lt;");
        let _ = writeln!(page, "| `{}` | {option} | {} | {about}{secret} |", row.name, code(&row.default));
    }
}
