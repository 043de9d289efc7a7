//! Where a text comes from that may be a secret: the configuration itself, a variable, or a file.

use std::path::{Path, PathBuf};

use super::Surroundings;
use super::paths::beside;

#[derive(Clone)]
pub(super) enum Source {
    Plain(String),
    /// The variable of this name.
    Variable(String),
    /// The file, without the line break at its end; relative to the configuration file.
    File(PathBuf),
}

impl Source {
    /// The text, or why there is none, in words that do not hold it.
    pub fn text(&self, around: &Surroundings<'_>, file: &Path) -> Result<String, String> {
        match self {
            Self::Plain(text) => Ok(text.clone()),
            Self::Variable(name) => {
                (around.env)(name).ok_or_else(|| format!("the variable {name} is not set"))
            }
            Self::File(path) => {
                let path = beside(file, path);
                let text = (around.read)(&path);
                text.map(|text| text.trim_end_matches(['\r', '\n']).to_owned())
                    .map_err(|reason| format!("cannot read {}: {reason}", path.display()))
            }
        }
    }
}
