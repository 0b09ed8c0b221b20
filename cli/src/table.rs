//! Tables for people: columns without borders, as wide as their content, so that they are the same on every terminal.

use comfy_table::{Cell, Color, ContentArrangement, Table, presets};

/// Rows under a header.
pub fn grid<const N: usize>(header: [&str; N], rows: impl IntoIterator<Item = [String; N]>, color: bool) -> String {
    let mut table = plain(color);
    table.set_header(header);
    for row in rows {
        table.add_row(row.iter().map(|text| cell(text)));
    }
    finish(table)
}

/// Names beside their values, one a line; those without a value are left out.
pub fn card<'a>(rows: impl IntoIterator<Item = (&'a str, String)>, color: bool) -> String {
    let mut table = plain(color);
    for (name, value) in rows.into_iter().filter(|(_, value)| !value.is_empty()) {
        table.add_row([Cell::new(name), cell(&value)]);
    }
    finish(table)
}

/// One line without control characters: what comes from an agent or a repository must not steer a terminal.
pub fn one_line(text: &str) -> String {
    text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn plain(color: bool) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    if color {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    table
}

fn finish(mut table: Table) -> String {
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}

/// A cell, coloured when its text is a state.
fn cell(text: &str) -> Cell {
    let cell = Cell::new(one_line(text));
    match text {
        "succeeded" | "passed" | "ready" | "active" | "connected" => cell.fg(Color::Green),
        "failed" | "error" | "offline" | "away" => cell.fg(Color::Red),
        "running" | "retrying" | "draining" | "needs_auth" => cell.fg(Color::Yellow),
        "cancelled" | "skipped" | "no_work" => cell.fg(Color::DarkGrey),
        _ => cell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grid_is_as_wide_as_its_content() {
        let text = grid(
            ["ID", "STATUS"],
            [["a".repeat(90), "failed".into()], ["b".into(), "ünïcode".into()]],
            false,
        );
        insta::assert_snapshot!(text, @"
        ID                                                                                          STATUS
        aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa  failed
        b                                                                                           ünïcode
        ");
    }

    #[test]
    fn a_card_leaves_out_what_is_empty() {
        insta::assert_snapshot!(card([("run id", "r1".into()), ("notes", String::new()), ("status", "failed".into())], false), @"
        run id  r1
        status  failed
        ");
    }

    #[test]
    fn states_are_coloured_only_when_asked_for() {
        assert!(card([("status", "failed".into())], true).contains("\u{1b}["));
        assert!(!card([("status", "failed".into())], false).contains('\u{1b}'));
    }

    #[test]
    fn control_characters_of_others_never_reach_a_terminal() {
        assert_eq!(one_line("a\u{1b}[2Jb\nc\r\n"), "a [2Jb c");
    }
}
