//! What commands print to standard output: text that survives a closed pipe, aligned tables, readable numbers.

use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use super::errors::OutputClosed;
use super::{columns, visible};
pub use eventlake_core::grouped::grouped as count;

/// `NO_COLOR` (<https://no-color.org>): any value but the empty one turns colours off.
pub fn colour_is_wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Whether standard output is a terminal that can be drawn on.
pub fn can_draw() -> bool {
    io::stdout().is_terminal() && colour_is_wanted()
}

/// Writes text to standard output and flushes. Use this and not `println!`, which panics when the reader has gone.
///
/// Wherever its parts came from, nothing but line breaks moves the terminal.
///
/// # Errors
/// When standard output cannot be written; pass it on with `?`, a reader that left early then ends the command quietly.
pub fn print(text: impl fmt::Display) -> anyhow::Result<()> {
    print_bytes(visible::text(&text.to_string()).as_bytes())
}

/// Writes one JSON object on a line of its own; what JSON lets through and a terminal should not see is escaped.
///
/// # Errors
/// As for [`print`].
pub fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    let text = serde_json::to_string(value).expect("plain data with text keys");
    print_bytes(format!("{}\n", visible::json(&text)).as_bytes())
}

/// Draws on the terminal: `text` holds escape codes of our own, and nothing that came from elsewhere unless it was made
/// visible before.
///
/// # Errors
/// As for [`print`].
pub fn draw(text: impl fmt::Display) -> anyhow::Result<()> {
    print_bytes(text.to_string().as_bytes())
}

/// Writes bytes to standard output as they are, and flushes.
///
/// # Errors
/// As for [`print`].
pub fn print_bytes(bytes: &[u8]) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(bytes).and_then(|()| stdout.flush());
    written.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => OutputClosed.into(),
        _ => anyhow::Error::new(error).context("standard output"),
    })
}

/// Writes to standard error: what a person should know and a pipe should not carry. `text` may hold escape codes of our
/// own; what came from elsewhere is made visible before.
///
/// # Errors
/// When standard error cannot be written.
pub fn note(text: impl fmt::Display) -> anyhow::Result<()> {
    write!(io::stderr().lock(), "{text}")?;
    Ok(())
}

/// Rows under headers, each column as wide as its widest cell. Displayed, every line ends in a newline.
pub struct Table {
    headers: Vec<Header>,
    rows: Vec<Vec<String>>,
}

struct Header {
    name: &'static str,
    align: Align,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    Left,
    Right,
}

impl Table {
    pub fn new(headers: impl IntoIterator<Item = (&'static str, Align)>) -> Self {
        let headers = headers.into_iter().map(|(name, align)| Header { name, align });
        Self {
            headers: headers.collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row; a missing cell is empty, and no cell leaves its line.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells = cells.into_iter().map(|cell| visible::line(&cell));
        self.rows.push(cells.collect());
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn width(&self, column: usize) -> usize {
        let cells = self
            .rows
            .iter()
            .filter_map(|row| row.get(column))
            .map(|cell| columns::of(cell));
        cells
            .chain([columns::of(self.headers[column].name)])
            .max()
            .unwrap_or(0)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths: Vec<usize> = (0..self.headers.len()).map(|column| self.width(column)).collect();
        let line = |cell: &dyn Fn(usize) -> String| {
            let mut line = String::new();
            for (column, header) in self.headers.iter().enumerate() {
                let text = cell(column);
                // Not by the formatter, which counts characters and not columns.
                let space = " ".repeat(widths[column].saturating_sub(columns::of(&text)));
                let padded = match header.align {
                    Align::Left => text + &space,
                    Align::Right => space + &text,
                };
                line.push_str(if column == 0 { "" } else { "  " });
                line.push_str(&padded);
            }
            line.trim_end().to_owned()
        };
        writeln!(f, "{}", line(&|column| self.headers[column].name.to_owned()))?;
        for row in &self.rows {
            writeln!(
                f,
                "{}",
                line(&|column| row.get(column).cloned().unwrap_or_default())
            )?;
        }
        Ok(())
    }
}

/// Bytes in the largest binary unit that leaves at least one: `1.5 MiB`.
pub fn bytes(number: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if number < 1024 {
        return format!("{number} B");
    }
    let mut value = number as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A duration as the configuration writes it: `10s`, `1h30m`, `500ms`.
pub fn duration(duration: Duration) -> String {
    const UNITS: [(u128, &str); 5] = [
        (86_400_000, "d"),
        (3_600_000, "h"),
        (60_000, "m"),
        (1_000, "s"),
        (1, "ms"),
    ];
    let mut rest = duration.as_millis();
    let mut text = String::new();
    for (millis, unit) in UNITS {
        if rest >= millis {
            text.push_str(&format!("{}{unit}", rest / millis));
            rest %= millis;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_lines_end_in_no_blanks() {
        let mut table = Table::new([
            ("TOPIC", Align::Left),
            ("ROWS", Align::Right),
            ("NOTE", Align::Left),
        ]);
        table.row(["clicks".into(), "1,000".into(), "é".into()]);
        table.row(["a".into(), "1".into()]);
        assert_eq!(
            table.to_string(),
            "TOPIC    ROWS  NOTE\nclicks  1,000  é\na           1\n"
        );
        let mut table = Table::new([("CITY", Align::Left), ("ROWS", Align::Right)]);
        table.row(["東京都".into(), "1".into()]);
        table.row(["Rabat".into(), "2".into()]);
        assert_eq!(table.to_string(), "CITY    ROWS\n東京都     1\nRabat      2\n");
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            [0, 1023, 1536, 512 << 20].map(bytes),
            ["0 B", "1023 B", "1.5 KiB", "512.0 MiB"]
        );
        let written =
            [0, 500, 10_000, 5_400_000, 604_800_000].map(|millis| duration(Duration::from_millis(millis)));
        assert_eq!(written, ["0s", "500ms", "10s", "1h30m", "7d"]);
    }
}
