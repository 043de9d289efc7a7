//! Names that no field may have: taken by the lake, by its folders, or by another field in other letters.

/// Column names that are taken at the root, whatever their case.
const KAFKA_PREFIX: &str = "_kafka_";
const TAKEN_NAMES: &[(&str, &str)] = &[
    ("_extra", "the column of undeclared fields"),
    ("date", "a key of the lake's time partitions"),
    ("hour", "a key of the lake's time partitions"),
];

/// Why a property's name cannot be a column's, beside those `before` it. None when it can.
pub fn name_fault<'n>(
    name: &str,
    mut before: impl Iterator<Item = &'n str>,
    is_root: bool,
) -> Option<String> {
    let lower = name.to_lowercase();
    if name.is_empty() || name.chars().any(char::is_control) {
        return Some(format!(
            "{name:?} cannot name a column; hint: take it out and keep it with extra = true"
        ));
    }
    if let Some(other) = before.find(|other| other.to_lowercase() == lower) {
        return Some(format!(
            "{name:?} and {other:?} differ by case only, which many readers of the lake do not tell apart"
        ));
    }
    if !is_root {
        return None;
    }
    if lower.starts_with(KAFKA_PREFIX) {
        return Some(format!(
            "{name:?} cannot be a column: names that begin with {KAFKA_PREFIX:?} are the lake's own"
        ));
    }
    TAKEN_NAMES
        .iter()
        .find(|(taken, _)| *taken == lower)
        .map(|(_, owner)| {
            format!(
                "{name:?} cannot be a column: it is {owner}; hint: take it out and keep it with extra = true"
            )
        })
}
