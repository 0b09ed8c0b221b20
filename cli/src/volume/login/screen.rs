//! What a person sees who logs a volume in by device code.

use comfy_table::{Attribute, Cell, CellAlignment, Table, presets};

use crate::table::one_line;

/// Said before anything begins, since without it the page refuses a good code.
pub fn warning(volume: &str) -> String {
    format!(
        "Device login must be allowed: in the security settings of the account, or by the admin of its workspace.\n\
         Where it isn't, an API key does: moorline volume login {volume} --api-key-stdin\n"
    )
}

/// The page to open and the code to enter.
pub fn text(url: &str, code: &str, bold: bool) -> String {
    format!(
        "\nOpen this page in a browser, on any machine:\n\n    {}\n\n\
         and enter this code there, for a login that you began yourself and for no other:\n\n{}",
        one_line(url),
        boxed(&one_line(code), bold)
    )
}

fn boxed(code: &str, bold: bool) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL);
    if bold {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    let padded = format!("\n    {code}    \n ");
    let cell = Cell::new(padded).set_alignment(CellAlignment::Center);
    table.add_row([if bold { cell.add_attribute(Attribute::Bold) } else { cell }]);
    let lines: Vec<String> = table.to_string().lines().map(|line| format!("    {line}")).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_stands_out() {
        let shown = text("https://issuer.example/codex/device", "ABCD-12345", false);
        insta::assert_snapshot!(shown, @"
        Open this page in a browser, on any machine:

            https://issuer.example/codex/device

        and enter this code there, for a login that you began yourself and for no other:

            ┌────────────────────┐
            │                    │
            │     ABCD-12345     │
            │                    │
            └────────────────────┘
        ");
        assert!(text("u", "ABCD-12345", true).contains("\u{1b}[1m"), "bold on a terminal");
    }

    #[test]
    fn what_a_worker_sends_never_steers_a_terminal() {
        assert!(!text("https://x\u{1b}[2J", "A\u{1b}[31mB", false).contains('\u{1b}'));
    }
}
