//! The table of seams in `docs/testing.md`, made from the code and from what the scenarios reach.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::Place;
use super::scenarios::Scenario;

const BEGIN: &str = "<!-- seams: begin -->\n";
const END: &str = "<!-- seams: end -->";

/// Asserts that the document holds the table as the code has it; prints the table.
pub fn assert_is_current(
    document: &str,
    places: &[Place],
    scenarios: &[Scenario],
    reached: &[BTreeMap<String, u64>],
) {
    let table = table(places, scenarios, reached);
    println!("{BEGIN}{table}{END}");
    let (_, rest) = document
        .split_once(BEGIN)
        .expect("docs/testing.md has the table's begin");
    let (committed, _) = rest.split_once(END).expect("docs/testing.md has the table's end");
    assert!(
        committed == table,
        "docs/testing.md has another table of seams than the code; hint: put the one printed above between its marks"
    );
}

/// A row a site or step: its calls, and the first scenario that reaches it.
fn table(places: &[Place], scenarios: &[Scenario], reached: &[BTreeMap<String, u64>]) -> String {
    let mut table = String::from("| scenario | the program meets |\n| --- | --- |\n");
    for scenario in scenarios {
        line(&mut table, &format!("| {} | {} |", scenario.name, scenario.what));
    }
    table.push_str("\n| seam | what happens there | dies at | first in |\n| --- | --- | --- | --- |\n");
    let mut sites: Vec<(String, &'static str, Vec<&Place>)> = Vec::new();
    for place in places {
        let site = place
            .name
            .split(':')
            .next()
            .expect("a split has a first part")
            .to_owned();
        match sites.iter_mut().find(|(known, ..)| *known == site) {
            Some((.., of)) => of.push(place),
            None => sites.push((site, place.what, vec![place])),
        }
    }
    for (site, what, of) in sites {
        // The first alone: whether a later one reaches it too may differ from run to run.
        let by = scenarios
            .iter()
            .zip(reached)
            .find(|(_, reached)| of.iter().any(|place| reached.contains_key(&place.traced_as)));
        let by = by.expect("every seam is reached").0.name;
        line(
            &mut table,
            &format!("| `{site}` | {what} | {} | {by} |", moments(&of)),
        );
    }
    table
}

/// `create-file` before after, `write` before during after.
fn moments(places: &[&Place]) -> String {
    let mut calls: Vec<(String, Vec<String>)> = Vec::new();
    for place in places {
        let parts: Vec<&str> = place.name.split(':').collect();
        let [_, call, moment] = parts[..] else {
            return "it".to_owned();
        };
        match calls.iter_mut().find(|(known, _)| known == call) {
            Some((_, moments)) => moments.push(moment.to_owned()),
            None => calls.push((call.to_owned(), vec![moment.to_owned()])),
        }
    }
    let of_call = |(call, moments): &(String, Vec<String>)| format!("{call} ({})", moments.join(", "));
    calls.iter().map(of_call).collect::<Vec<_>>().join("; ")
}

fn line(table: &mut String, text: &str) {
    writeln!(table, "{text}").expect("writing to a string cannot fail");
}
