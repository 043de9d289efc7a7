//! Charts as SVG inside of a page: rows over time, histograms, shares.

use std::fmt::Write as _;

use super::figures::{Column, Moment, Step, Volume};
use super::html::escaped;
use super::shown;
use super::volume::{between, coarsened, coarser};
use crate::cli::output::count;

/// Bars that can still be told apart.
const BARS_MAX: u64 = 400;
const VALUE_MAX: usize = 40;

/// Rows over time, a bar a step; wider steps than the report's where there would be too many.
pub fn volume(volume: &Volume) -> String {
    const WIDTH: f64 = 960.0;
    const HEIGHT: f64 = 120.0;
    let (mut unit, mut steps) = (volume.unit, volume.steps.clone());
    let (Some(first), Some(last)) = (steps.first().copied(), steps.last().copied()) else {
        return String::new();
    };
    while between(unit, first.from, last.from) >= BARS_MAX
        && let Some(wider) = coarser(unit)
    {
        unit = wider;
        steps = coarsened(&steps, unit);
    }
    let origin = steps.first().map_or(first.from, |step| step.from);
    let place = |at: Moment| between(unit, origin, at) as f64;
    let places = steps.last().map_or(0.0, |last| place(last.from)) + 1.0;
    let greatest = steps.iter().map(|step| step.rows).max().unwrap_or(1);
    let slot = WIDTH / places.max(12.0);
    let mut bars = String::new();
    for Step { from, rows } in &steps {
        let height = (*rows as f64 / greatest as f64 * HEIGHT).max(1.0);
        let (x, y) = (place(*from) * slot, HEIGHT - height);
        let width = (slot * 0.86).max(0.5);
        let title = format!("{}: {} rows", shown::step(unit, *from), count(*rows));
        write!(
            bars,
            "<rect x=\"{x:.2}\" y=\"{y:.2}\" width=\"{width:.2}\" height=\"{height:.2}\"><title>{}</title></rect>",
            escaped(&title)
        )
        .expect("writing to a String never fails");
    }
    let label = |at: Moment| escaped(&shown::step(unit, at));
    let end = place(last.from).max(11.0) * slot + slot * 0.86;
    format!(
        "<svg class=\"volume\" viewBox=\"0 -16 {WIDTH} 156\" role=\"img\" aria-label=\"rows by {}\">\
         <text x=\"0\" y=\"-5\">up to {} rows a {}</text>\
         <line x1=\"0\" x2=\"{end:.2}\" y1=\"{HEIGHT}\" y2=\"{HEIGHT}\"/>{bars}\
         <text x=\"0\" y=\"136\">{}</text><text x=\"{end:.2}\" y=\"136\" text-anchor=\"end\">{}</text></svg>",
        unit.as_str(),
        count(greatest),
        unit.as_str(),
        label(origin),
        label(steps.last().map_or(last.from, |last| last.from)),
    )
}

/// A column's histogram.
pub fn histogram(column: &Column) -> String {
    const WIDTH: f64 = 128.0;
    const HEIGHT: f64 = 28.0;
    let bins = &column.histogram;
    if bins.is_empty() {
        return String::new();
    }
    let greatest = bins.iter().map(|bin| bin.rows).max().unwrap_or(1).max(1);
    let slot = WIDTH / bins.len() as f64;
    let mut bars = String::new();
    for (index, bin) in bins.iter().enumerate().filter(|(_, bin)| bin.rows > 0) {
        let height = (bin.rows as f64 / greatest as f64 * HEIGHT).max(1.0);
        let title = format!(
            "{} to {}: {} rows",
            shown::value(&bin.from, VALUE_MAX),
            shown::value(&bin.to, VALUE_MAX),
            count(bin.rows)
        );
        write!(
            bars,
            "<rect x=\"{:.2}\" y=\"{:.2}\" width=\"{:.2}\" height=\"{height:.2}\"><title>{}</title></rect>",
            index as f64 * slot,
            HEIGHT - height,
            slot * 0.86,
            escaped(&title)
        )
        .expect("writing to a String never fails");
    }
    format!(
        "<svg class=\"histogram\" width=\"{WIDTH}\" height=\"{HEIGHT}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         aria-label=\"histogram\">{bars}</svg>"
    )
}

/// A bar in a track of so many pixels; nothing where there is no part.
pub fn share(part: u64, whole: u64, width: u32) -> String {
    if part == 0 || whole == 0 {
        return String::new();
    }
    let filled = (part as f64 / whole as f64 * f64::from(width)).clamp(1.0, f64::from(width));
    format!(
        "<svg class=\"share\" width=\"{width}\" height=\"10\" viewBox=\"0 0 {width} 10\" aria-hidden=\"true\">\
         <rect class=\"track\" width=\"{width}\" height=\"10\"/><rect width=\"{filled:.1}\" height=\"10\"/></svg>"
    )
}
