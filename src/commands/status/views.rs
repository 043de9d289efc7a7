//! The live views in a report: a line each, and which of their outputs need attention.

use eventlake_engine::telemetry::{OutputSnapshot, ViewSnapshot, ViewState};

use crate::cli::output::{self, Align, bytes, count};
use crate::cli::time;

const NONE: &str = "-";

/// A line for each view; nothing where there are none.
pub fn table(views: &[ViewSnapshot], now_micros: i64) -> String {
    if views.is_empty() {
        return String::new();
    }
    let mut table = output::Table::new([
        ("VIEW", Align::Left),
        ("STATE", Align::Left),
        ("AS OF", Align::Right),
        ("BEHIND", Align::Right),
        ("GROUPS", Align::Right),
        ("KEPT", Align::Right),
        ("EVENT TIME", Align::Right),
        ("TOO LATE", Align::Right),
        ("OUTPUTS", Align::Left),
    ]);
    for view in views {
        let is_by_time = view.watermark_unix_micros.is_some() || view.too_late_rows > 0;
        let state = match view.state {
            ViewState::Running => "running",
            ViewState::Elsewhere => "elsewhere",
            ViewState::Failing { .. } => "failing",
        };
        let watermark = view
            .watermark_unix_micros
            .map(|micros| time::ago(micros, now_micros));
        table.row([
            view.view.to_string(),
            state.to_owned(),
            count(view.as_of),
            count(view.behind_commits),
            or_none(view.groups > 0, || count(view.groups)),
            or_none(view.state_bytes > 0, || bytes(view.state_bytes)),
            watermark.unwrap_or_else(|| NONE.to_owned()),
            or_none(is_by_time, || count(view.too_late_rows)),
            outputs(&view.outputs),
        ]);
    }
    table.to_string()
}

fn or_none(is_known: bool, text: impl Fn() -> String) -> String {
    if is_known { text() } else { NONE.to_owned() }
}

fn outputs(outputs: &[OutputSnapshot]) -> String {
    let behind = outputs.iter().filter(|output| !output.up_to_date).count();
    match (outputs.len(), behind) {
        (0, _) => NONE.to_owned(),
        (all, 0) => format!("{all} up to date"),
        (all, behind) => format!("{behind} of {all} behind"),
    }
}

/// What a person should look at.
pub fn notes(views: &[ViewSnapshot]) -> Vec<String> {
    let mut notes = Vec::new();
    for view in views {
        if let ViewState::Failing { why } = &view.state {
            notes.push(format!("view {} does not go on: {why}", view.view));
        }
        for output in &view.outputs {
            if let Some(why) = &output.trouble {
                notes.push(format!(
                    "view {}: {} takes no rows and catches up later: {why}",
                    view.view, output.output
                ));
            }
        }
    }
    notes
}

#[cfg(test)]
mod tests {
    use eventlake_core::names::ViewName;

    use super::*;

    fn view(state: ViewState, trouble: Option<&str>) -> ViewSnapshot {
        ViewSnapshot {
            view: ViewName::new("by_item").expect("a name"),
            state,
            as_of: 1_234,
            behind_commits: 2,
            groups: 13,
            state_bytes: 4_096,
            watermark_unix_micros: None,
            too_late_rows: 0,
            outputs: vec![OutputSnapshot {
                output: "json:out/by_item.json".to_owned(),
                up_to_date: trouble.is_none(),
                trouble: trouble.map(str::to_owned),
                rows: 7,
            }],
        }
    }

    #[test]
    fn a_view_is_a_line() {
        let text = table(&[view(ViewState::Running, None)], 0);
        let line = text.lines().nth(1).expect("below the header");
        let cells: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(
            cells,
            [
                "by_item", "running", "1,234", "2", "13", "4.0", "KiB", "-", "-", "1", "up", "to", "date"
            ]
        );
        assert_eq!(table(&[], 0), "");
    }

    #[test]
    fn what_does_not_go_on_is_told_with_its_reason() {
        let failing = ViewState::Failing {
            why: "too many groups".to_owned(),
        };
        let notes = notes(&[view(failing, Some("no room")), view(ViewState::Elsewhere, None)]);
        assert_eq!(
            notes,
            [
                "view by_item does not go on: too many groups",
                "view by_item: json:out/by_item.json takes no rows and catches up later: no room",
            ]
        );
    }
}
