//! A view on standard output: a table that is drawn anew on a terminal, and one after the other elsewhere.

use arrow::array::RecordBatch;

use super::{Emission, Mark, Output};
use crate::cli::output;
use crate::cli::rows::Text;

pub struct Console {
    rows_max: usize,
    /// Lines of the table that stands at the end of the terminal.
    drawn_lines: usize,
}

impl Console {
    pub fn new(rows_max: u64) -> Console {
        Console {
            rows_max: usize::try_from(rows_max).unwrap_or(usize::MAX),
            drawn_lines: 0,
        }
    }
}

impl Output for Console {
    fn emit(&mut self, emission: &Emission<'_>, mark: Mark) -> anyhow::Result<Mark> {
        let text = table(emission, self.rows_max)?;
        if output::can_draw() {
            // Up to where the last table began, and everything below is taken away.
            let up = match self.drawn_lines {
                0 => String::new(),
                lines => format!("\x1b[{lines}A\x1b[J"),
            };
            self.drawn_lines = text.lines().count();
            output::draw(format!("{up}{text}"))?;
        } else {
            output::print_bytes(text.as_bytes())?;
        }
        Ok(mark)
    }
}

fn table(emission: &Emission<'_>, rows_max: usize) -> anyhow::Result<String> {
    let all: usize = emission.rows.iter().map(RecordBatch::num_rows).sum();
    let mut text = format!("{} as of {}", emission.view, emission.as_of);
    if all == 0 {
        text.push_str(": no rows\n");
        return Ok(text);
    }
    text.push('\n');
    let mut shown = Text::new(emission.columns);
    let mut left = rows_max;
    for batch in emission.rows {
        let taken = left.min(batch.num_rows());
        text.push_str(&shown.write(&batch.slice(0, taken))?);
        left -= taken;
    }
    text.push_str(&shown.finish());
    if all > rows_max {
        text.push_str(&format!("and {} more\n", output::count((all - rows_max) as u64)));
    }
    text.push('\n');
    Ok(text)
}
