//! How paths of a configuration lie to each other, judged by their text alone: nothing here touches the disk.

use std::path::{Component, Path, PathBuf};

/// How a path lies to another one that it is not apart from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overlap {
    Same,
    Inside,
    Around,
}

pub(super) fn overlap(path: &Path, other: &Path) -> Option<Overlap> {
    let (path, other) = (normal(path), normal(other));
    if path == other {
        Some(Overlap::Same)
    } else if path.starts_with(&other) {
        Some(Overlap::Inside)
    } else if other.starts_with(&path) {
        Some(Overlap::Around)
    } else {
        None
    }
}

/// A path without `.` and with `..` taken at its word. Links are not followed.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if matches!(normal.components().next_back(), Some(Component::Normal(_))) => {
                normal.pop();
            }
            other => normal.push(other),
        }
    }
    normal
}

/// Paths in a configuration file count from that file.
pub(super) fn beside(file: &Path, path: &Path) -> PathBuf {
    file.parent()
        .map_or_else(|| path.to_owned(), |folder| folder.join(path))
}
