//! Style as a test: who may import whom, what may be called where, how long files are. Each ban says why it is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A file longer than this has more than one responsibility.
const FILE_LINES_MAX: usize = 700;

/// Tables of cases may be longer.
const TEST_FILE_LINES_MAX: usize = 1000;

/// Folders that hold what was built, landed or installed, never what we wrote.
const NOT_OURS: [&str; 6] = ["target", ".git", "data", "checkpoints", "output", "node_modules"];

struct SourceFile {
    /// Relative to the repository, with forward slashes.
    path: String,
    text: String,
}

impl SourceFile {
    /// The lines before the unit tests, without comments: a banned word in prose is no call.
    fn production_lines(&self) -> Vec<(usize, &str)> {
        if self.is_test() {
            return Vec::new();
        }
        // An attribute on an import hides nothing: only the test module ends the production part.
        let lines: Vec<&str> = self.text.lines().collect();
        let tests = lines
            .windows(2)
            .position(|pair| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod "));
        let production = lines[..tests.unwrap_or(lines.len())].iter().enumerate();
        production
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
            .map(|(index, line)| (index + 1, *line))
            .collect()
    }

    fn is_test(&self) -> bool {
        let name = self.path.rsplit('/').next().expect("a split has a last part");
        self.path.starts_with("tests/")
            || self.path.contains("examples/")
            || self.path.contains("/tests/")
            || name == "tests.rs"
            || name.ends_with("_tests.rs")
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of the repository can be listed") {
        let path = entry.expect("an entry of the repository can be read").path();
        let name = path.file_name().expect("an entry has a name").to_string_lossy();
        let is_built = name == "target";
        if path.is_symlink() || is_built || NOT_OURS.contains(&name.as_ref()) && folder == root() {
            continue;
        }
        if path.is_dir() {
            files_below(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// Every text file of the repository, what git ignores apart.
fn all_files() -> Vec<SourceFile> {
    let mut paths = Vec::new();
    files_below(&root(), &mut paths);
    paths.sort();
    let mut files = Vec::new();
    for path in paths {
        let relative = path.strip_prefix(root()).expect("listed below the root");
        let relative = relative.to_string_lossy().into_owned();
        if let Ok(text) = fs::read_to_string(&path) {
            files.push(SourceFile { path: relative, text });
        }
    }
    files
}

fn rust_files() -> Vec<SourceFile> {
    let files: Vec<SourceFile> = all_files()
        .into_iter()
        .filter(|file| file.path.ends_with(".rs"))
        .collect();
    assert!(files.len() > 20, "the walk found only {} Rust files", files.len());
    files
}

/// Asserts that no production line of the files under `folder` holds one of the banned texts.
fn assert_banned(folder: &str, banned: &[&str], except: &[&str], reason: &str) {
    let mut found = Vec::new();
    let mut looked_at = 0;
    for file in rust_files() {
        if !file.path.starts_with(folder) || except.iter().any(|allowed| file.path.starts_with(allowed)) {
            continue;
        }
        looked_at += 1;
        for (number, line) in file.production_lines() {
            for word in banned.iter().filter(|word| line.contains(**word)) {
                found.push(format!("{}:{number}: `{word}`: {}", file.path, line.trim()));
            }
        }
    }
    assert!(looked_at > 0, "no file under `{folder}`: has it moved?");
    assert!(found.is_empty(), "{reason}:\n{}", found.join("\n"));
}

/// The names under `[dependencies]` of a crate's manifest.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let text = read(manifest);
    let section = text
        .split("\n[dependencies]\n")
        .nth(1)
        .unwrap_or_else(|| panic!("{manifest}: no [dependencies]"));
    let section = section.split("\n[").next().expect("a split has a first part");
    let names = section
        .lines()
        .filter_map(|line| line.split(['=', '.', ' ']).next());
    names
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

fn assert_no_dependency(manifest: &str, banned: &[&str], reason: &str) {
    let names = dependencies(manifest);
    let found: Vec<&&str> = banned.iter().filter(|name| names.contains(**name)).collect();
    assert!(found.is_empty(), "{manifest} depends on {found:?}: {reason}");
}

#[test]
fn core_knows_nobody() {
    assert_no_dependency(
        "crates/core/Cargo.toml",
        &[
            "eventlake-engine",
            "eventlake-query",
            "eventlake",
            "arrow",
            "parquet",
            "rdkafka",
            "tokio",
            "datafusion",
            "libc",
            "rustix",
            "rand",
            "tracing",
            "clap",
            "axum",
            "chrono-tz",
            "uuid",
        ],
        "core is words and pure decisions",
    );
    assert_banned(
        "crates/core/src/",
        &[
            "eventlake_engine",
            "eventlake_query",
            "arrow::",
            "parquet::",
            "rdkafka::",
            "tokio::",
        ],
        &[],
        "core knows nobody",
    );
}

#[test]
fn core_does_no_io_and_reads_neither_clock_nor_environment() {
    assert_banned(
        "crates/core/src/",
        &[
            "std::fs",
            "std::io",
            "std::process",
            "std::thread",
            "std::env",
            "SystemTime",
            "Instant",
            "Utc::now",
            "Local::now",
            "TcpStream",
            "UdpSocket",
            "File::open",
            "rand::",
        ],
        &[],
        "every rule of core can be tested by calling it",
    );
}

#[test]
fn the_engine_knows_core_but_not_the_program() {
    assert_no_dependency(
        "crates/engine/Cargo.toml",
        &[
            "eventlake",
            "eventlake-query",
            "datafusion",
            "clap",
            "axum",
            "anyhow",
        ],
        "the program ties the parts together; libraries have typed errors",
    );
    assert_banned(
        "crates/engine/src/",
        &[
            "use eventlake::",
            "eventlake_query",
            "datafusion::",
            "clap::",
            "axum::",
            "anyhow::",
        ],
        &[],
        "the engine knows core alone",
    );
}

#[test]
fn the_query_crate_knows_core_and_is_told_the_rest() {
    assert_no_dependency(
        "crates/query/Cargo.toml",
        &[
            "eventlake",
            "eventlake-engine",
            "rdkafka",
            "rustyline",
            "clap",
            "axum",
            "anyhow",
        ],
        "the program reads the log and says in plain words what there is",
    );
    let only_reads = [
        "fs::write",
        "File::create",
        "OpenOptions",
        "fs::rename",
        "fs::remove",
    ];
    assert_banned("crates/query/src/", &only_reads, &[], "a query changes nothing");
    assert_no_dependency(
        "Cargo.toml",
        &["datafusion"],
        "the query crate is all that knows DataFusion",
    );
    assert_banned(
        "src/",
        &["datafusion::"],
        &[],
        "the query crate is all that knows DataFusion",
    );
}

#[test]
fn the_model_knows_core_alone_and_leaves_nothing_to_chance() {
    let names = dependencies("crates/model/Cargo.toml");
    assert_eq!(
        names,
        BTreeSet::from(["eventlake-core".to_owned()]),
        "the model drives core's own decisions, and a plain build never compiles it"
    );
    assert_banned(
        "crates/model/src/",
        &["std::fs", "std::thread", "SystemTime", "HashMap<", "HashSet<"],
        &[],
        "the same seed gives the same schedule, everywhere",
    );
}

#[test]
fn librdkafka_is_never_asked_to_look_an_offset_up() {
    assert_banned(
        "crates/engine/src/ingest/",
        &[
            "Offset::End",
            "Offset::Beginning",
            "Offset::Stored",
            "Offset::OffsetTail",
            "Offset::Invalid",
        ],
        &[],
        "a late answer to a look-up moves the position of a later assignment of the same partition",
    );
}

#[test]
fn the_oracle_is_known_to_tests_alone() {
    for manifest in [
        "Cargo.toml",
        "crates/core/Cargo.toml",
        "crates/engine/Cargo.toml",
        "crates/query/Cargo.toml",
    ] {
        assert_no_dependency(
            manifest,
            &["eventlake-oracle", "jsonschema", "regress"],
            "what judges the program is no part of it",
        );
    }
}

#[test]
fn only_the_command_line_prints() {
    let prints = ["println!", "print!(", "dbg!(", "io::stdout", "io::stderr"];
    let reason =
        "data go to stdout and everything else to stderr: only `cli` and `commands` know which is which";
    // The model is a program of its own.
    assert_banned("crates/", &prints, &["crates/model/src/main.rs"], reason);
    assert_banned("src/", &prints, &["src/cli/", "src/commands/"], reason);
}

#[test]
fn only_main_exits() {
    let reason = "an exit anywhere else skips the roll, the commit and the destructors";
    assert_banned(
        "crates/",
        &["process::exit", "process::abort", "libc::_exit", "libc::exit"],
        &[],
        reason,
    );
    assert_banned(
        "src/",
        &["process::exit", "process::abort"],
        &["src/main.rs"],
        reason,
    );
}

#[test]
fn every_file_states_its_one_responsibility() {
    let mut faults = Vec::new();
    for file in rust_files() {
        let first = file.text.lines().next().unwrap_or("");
        if !first.starts_with("//! ") || first.len() < 16 {
            faults.push(format!(
                "{}: the first line is `{first}`, expected `//! what this file is for`",
                file.path
            ));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn files_stay_short() {
    let mut faults = Vec::new();
    for file in rust_files() {
        let lines = file.text.lines().count();
        let limit = if file.is_test() {
            TEST_FILE_LINES_MAX
        } else {
            FILE_LINES_MAX
        };
        if lines > limit {
            faults.push(format!(
                "{}: {lines} lines, at most {limit}; split it by responsibility",
                file.path
            ));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn no_work_is_left_behind_in_comments() {
    // Spelled in two halves, or this line would be found.
    let words = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:")];
    let mut faults = Vec::new();
    for file in rust_files() {
        for (index, line) in file.text.lines().enumerate() {
            if words.iter().any(|word| line.contains(word)) {
                faults.push(format!("{}:{}: {}", file.path, index + 1, line.trim()));
            }
        }
    }
    assert!(
        faults.is_empty(),
        "either do it or file it:\n{}",
        faults.join("\n")
    );
}

/// Paths of one person's machine do not work on another's.
#[test]
fn nothing_names_the_machine_it_was_written_on() {
    let words = [
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
        concat!("/opt/", "wheels"),
    ];
    let mut faults = Vec::new();
    for file in all_files() {
        for (index, line) in file.text.lines().enumerate() {
            if words.iter().any(|word| line.contains(word)) {
                faults.push(format!("{}:{}: {}", file.path, index + 1, line.trim()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn scripts_stop_at_the_first_error_and_never_kill_by_name() {
    for file in all_files() {
        if file.path != ".ci/run" && !(file.path.starts_with("scripts/") && file.path.ends_with(".sh")) {
            continue;
        }
        assert!(
            file.text.starts_with("#!/usr/bin/env bash\n"),
            "{}: not a bash script",
            file.path
        );
        assert!(
            file.text.contains("\nset -euo pipefail\n"),
            "{}: goes on after an error",
            file.path
        );
        for word in [
            concat!("pki", "ll"),
            concat!("kill", "all"),
            concat!("fus", "er -k"),
        ] {
            assert!(
                !file.text.contains(word),
                "{}: `{word}` ends processes of others",
                file.path
            );
        }
    }
}

/// Running and testing share every compiled dependency only while they agree on its features: the root package counts the
/// features of its dev-dependencies always (the first resolver), so it must name all that members' tests use.
#[test]
fn running_and_testing_compile_dependencies_once() {
    let dev_dependencies = |manifest: &str| -> Vec<String> {
        let text = fs::read_to_string(manifest).expect("a manifest");
        let section = text.split("[dev-dependencies]").nth(1).unwrap_or_default();
        let lines = section.lines().take_while(|line| !line.starts_with('['));
        let name = |line: &str| line.split(['.', ' ', '=']).next().map(str::to_owned);
        lines
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .filter_map(name)
            .collect()
    };
    let root = dev_dependencies("Cargo.toml");
    assert!(
        fs::read_to_string("Cargo.toml")
            .expect("a manifest")
            .contains("resolver = \"1\"")
    );
    for member in [
        "crates/core/Cargo.toml",
        "crates/engine/Cargo.toml",
        "crates/query/Cargo.toml",
    ] {
        for name in dev_dependencies(member) {
            assert!(
                root.contains(&name),
                "{member} tests with {name}; name it in the root's dev-dependencies, too"
            );
        }
    }
}

/// A place that changes files has a name of its own, so that the test which makes the process die at each of them
/// reaches every place and not one of several.
#[test]
fn each_place_that_changes_files_is_named_once() {
    for (words, folder) in [
        ("Site::", "crates/engine/src/lake/"),
        ("Step::", "crates/engine/src/ingest/"),
    ] {
        let mut places: std::collections::BTreeMap<String, Vec<String>> = std::collections::BTreeMap::new();
        for file in rust_files() {
            if !file.path.starts_with(folder) || file.path.ends_with("/site.rs") {
                continue;
            }
            for (number, line) in file.production_lines() {
                for after in line.split(words).skip(1) {
                    let name: String = after.chars().take_while(char::is_ascii_alphanumeric).collect();
                    places
                        .entry(name)
                        .or_default()
                        .push(format!("{}:{number}", file.path));
                }
            }
        }
        assert!(
            places.len() > 10,
            "{words} is found at {} places only",
            places.len()
        );
        for (name, places) in places {
            assert_eq!(places.len(), 1, "{words}{name} names several places: {places:?}");
        }
    }
}
