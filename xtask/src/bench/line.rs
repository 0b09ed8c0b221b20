//! A figure, and how figures are shown: JSON lines for programs, a table for people.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;

/// What a figure must reach.
#[derive(Debug, Clone, Copy)]
pub enum Target {
    /// At least this.
    AtLeast(f64),
    /// At most this.
    AtMost(f64),
}

/// One figure.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    workload: &'static str,
    metric: String,
    value: f64,
    unit: &'static str,
    /// What plain SQL (or the floor) came to in the same run.
    ceiling: Option<f64>,
    /// The value as a part of the ceiling.
    ratio: Option<f64>,
    /// What the ratio must be, or the value where there is none.
    target: Option<String>,
    met: Option<bool>,
}

impl Line {
    /// A figure without a ceiling.
    pub fn new(workload: &'static str, metric: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self {
            workload,
            metric: metric.into(),
            value: round(value),
            unit,
            ceiling: None,
            ratio: None,
            target: None,
            met: None,
        }
    }

    /// Beside what it is measured against.
    pub fn of(mut self, ceiling: f64) -> Self {
        self.ceiling = Some(round(ceiling));
        self.ratio = Some(round(self.value / ceiling));
        self
    }

    /// With a target: of the ratio, where there is one, else of the value. It may be missed: a figure is never an assertion.
    pub fn target(mut self, target: Target) -> Self {
        let figure = self.ratio.unwrap_or(self.value);
        let (text, met) = match target {
            Target::AtLeast(least) => (format!(">= {least}"), figure >= least),
            Target::AtMost(most) => (format!("<= {most}"), figure <= most),
        };
        self.target = Some(text);
        self.met = Some(met);
        self
    }

    /// As one line of JSON.
    pub fn json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }
}

/// Three digits after the point are more than any of this can be measured to.
fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// The table for people.
pub fn table(lines: &[Line]) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["workload", "metric", "value", "unit", "ceiling", "ratio", "target", ""]);
    for line in lines {
        let number = |number: Option<f64>| number.map(shown).unwrap_or_default();
        let met = match line.met {
            Some(true) => "met",
            Some(false) => "MISSED",
            None => "",
        };
        table.add_row([
            line.workload.to_owned(),
            line.metric.clone(),
            shown(line.value),
            line.unit.to_owned(),
            number(line.ceiling),
            number(line.ratio),
            line.target.clone().unwrap_or_default(),
            met.to_owned(),
        ]);
    }
    for column in [2, 4, 5] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

fn shown(number: f64) -> String {
    if number.abs() >= 100.0 {
        format!("{number:.0}")
    } else {
        format!("{number:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_for_the_ratio_where_there_is_one() {
        let reached = Line::new("drain", "rate", 700.0, "runs/s").of(1000.0).target(Target::AtLeast(0.6));
        assert_eq!(
            reached.json().unwrap(),
            r#"{"workload":"drain","metric":"rate","value":700.0,"unit":"runs/s","ceiling":1000.0,"ratio":0.7,"target":">= 0.6","met":true}"#
        );
        let missed = Line::new("storm", "back", 11.0, "s").target(Target::AtMost(10.0));
        assert!(
            missed
                .json()
                .unwrap()
                .ends_with(r#""ceiling":null,"ratio":null,"target":"<= 10","met":false}"#)
        );
    }
}
