//! A topic's transform as configured: two pieces of SQL, and where a fault in them lies in the file.

use super::fault::Place;

/// What is done to a topic's events before they are rows of its table.
#[derive(Clone, Debug)]
pub struct TransformConfig {
    /// What stands between SELECT and FROM; none: all columns as they are.
    pub select: Option<SqlText>,
    /// What stands after WHERE; none: every event is a row.
    pub condition: Option<SqlText>,
}

/// A piece of SQL in the configuration.
#[derive(Clone, Debug)]
pub struct SqlText {
    pub text: String,
    /// Of the setting's value.
    place: Place,
    /// Of the text's first character, where the text is written without an escape.
    begins: Option<Place>,
}

/// Which piece of a transform is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransformPart {
    Select,
    Where,
}

/// A fault of a transform's SQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransformFault {
    pub part: TransformPart,
    /// Line and column in the piece's text, from 1, the column in characters; none where no place can be named.
    pub at: Option<(usize, usize)>,
    pub message: String,
}

impl SqlText {
    pub(super) fn new(text: String, place: Place, begins: Option<Place>) -> SqlText {
        SqlText { text, place, begins }
    }

    /// A text that stands in no file.
    #[must_use]
    pub fn unplaced(text: &str) -> SqlText {
        let place = Place::WholeFile {
            file: std::path::PathBuf::new(),
        };
        SqlText::new(text.to_owned(), place, None)
    }

    /// The place of a character of the text, as far as it can be told.
    #[must_use]
    pub fn place_of(&self, at: Option<(usize, usize)>) -> Place {
        match (&self.begins, at) {
            (Some(Place::File { file, line, column }), Some((sql_line, sql_column))) => Place::File {
                file: file.clone(),
                line: line + sql_line - 1,
                column: match sql_line {
                    1 => column + sql_column - 1,
                    _ => sql_column,
                },
            },
            _ => self.place.clone(),
        }
    }
}
