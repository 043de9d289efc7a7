//! Every seed in `fuzz/seeds`, inputs that once found a bug among them, through its check.

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use eventlake_oracle::checks::{ALL, Check};

fn seeds_of(name: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/seeds")
        .join(name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut seeds: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    seeds.sort();
    seeds
}

#[test]
fn every_seed_passes_its_check() {
    let mut failed = Vec::new();
    for (name, check) in ALL {
        let seeds = seeds_of(name);
        assert!(!seeds.is_empty(), "{name} has no seeds");
        for seed in seeds {
            let input = fs::read(&seed).expect("a seed");
            if catch_unwind(|| check(&input)).is_err() {
                failed.push(seed.display().to_string());
            }
        }
    }
    assert!(failed.is_empty(), "inputs that fail:\n{}", failed.join("\n"));
}

#[test]
fn every_check_is_a_target_and_every_target_a_check() {
    let targets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/fuzz_targets");
    let entries = fs::read_dir(targets).expect("the folder of targets");
    let mut targets: Vec<String> = entries
        .map(|entry| {
            entry
                .expect("an entry")
                .path()
                .file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    targets.sort();
    let names: Vec<&str> = ALL.iter().map(|(name, _): &Check| *name).collect();
    assert_eq!(targets, names);
    for (name, _) in ALL {
        let text = fs::read_to_string(
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../fuzz/fuzz_targets/{name}.rs")),
        );
        assert!(
            text.expect("a target")
                .contains(&format!("checks::{name}::check")),
            "{name}"
        );
    }
}
