//! The documents, containers and scripts speak of the program as it is: commands, options, and how tests are run.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// README.md, that of the examples, and everything in docs/, as (path, text).
fn documents() -> Vec<(String, String)> {
    let mut paths = vec![root().join("README.md"), root().join("config/examples/README.md")];
    markdown_below(&root().join("docs"), &mut paths);
    let texts = paths.into_iter().map(|path| {
        let name = path
            .strip_prefix(root())
            .expect("listed below the root")
            .display()
            .to_string();
        let text = read(&name);
        (name, text)
    });
    texts.collect()
}

fn markdown_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of the repository can be listed") {
        let path = entry.expect("an entry of the repository can be read").path();
        if path.is_dir() {
            markdown_below(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
}

/// The code blocks of a Markdown text, line by line, shell prompts and comments taken off.
fn code_lines(markdown: &str) -> Vec<String> {
    let mut inside = false;
    let mut lines = Vec::new();
    for line in markdown.lines() {
        if line.trim_start().starts_with("```") {
            inside = !inside;
        } else if inside {
            let line = line.trim().trim_start_matches("$ ");
            lines.push(
                line.split("  #")
                    .next()
                    .expect("a split has a first part")
                    .trim()
                    .to_owned(),
            );
        }
    }
    lines
}

/// The subcommands that the program's own help lists.
fn commands_of_the_program() -> BTreeSet<String> {
    let help = help_of(&[]);
    let listed = help
        .split("Commands:\n")
        .nth(1)
        .expect("the help lists its commands");
    let listed = listed.lines().take_while(|line| line.starts_with("  "));
    // A wrapped description is indented deeper than a name.
    let names = listed
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next());
    names.map(str::to_owned).collect()
}

fn help_of(command: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_eventlake"))
        .args(command)
        .arg("--help")
        .output()
        .expect("the program starts");
    assert!(
        output.status.success(),
        "eventlake {command:?} --help: {output:?}"
    );
    String::from_utf8(output.stdout).expect("help is UTF-8")
}

/// What follows the program's name wherever a text runs it: `eventlake WORD ...`, in code blocks and `inline code`.
fn invocations(markdown: &str) -> Vec<Vec<String>> {
    let mut pieces = code_lines(markdown);
    for (index, piece) in markdown.split('`').enumerate() {
        if index % 2 == 1 && !piece.contains('\n') {
            pieces.push(piece.to_owned());
        }
    }
    let mut found = Vec::new();
    for piece in pieces {
        let piece = piece
            .replace("cargo run --release -- ", "eventlake ")
            .replace("./target/release/", "");
        for part in piece.split(['|', '&', ';']) {
            if let Some(arguments) = part.trim().strip_prefix("eventlake ") {
                found.push(arguments.split_whitespace().map(str::to_owned).collect());
            }
        }
    }
    found
}

#[test]
fn documents_speak_of_commands_and_options_that_exist() {
    let commands = commands_of_the_program();
    let mut faults = Vec::new();
    let mut looked_at = 0;
    for (path, text) in documents() {
        for arguments in invocations(&text) {
            let Some(command) = arguments.iter().find(|word| commands.contains(*word)) else {
                let names_one = arguments
                    .first()
                    .is_some_and(|word| word.chars().all(|c| c.is_ascii_lowercase()));
                if names_one {
                    faults.push(format!(
                        "{}: `eventlake {}`: no such command",
                        path,
                        arguments.join(" ")
                    ));
                }
                continue;
            };
            looked_at += 1;
            let nested = arguments.iter().skip_while(|word| *word != command).nth(1);
            let mut help = help_of(&[command]);
            if let Some(nested) = nested.filter(|word| help.contains(&format!("\n  {word} "))) {
                help.push_str(&help_of(&[command, nested]));
            }
            for option in arguments
                .iter()
                .filter(|word| word.starts_with("--") && word.len() > 2)
            {
                let option = option
                    .split(['=', ',', '.', ']', '['])
                    .next()
                    .expect("a split has a first part");
                if !help.contains(option) {
                    faults.push(format!("{}: `eventlake {command}` has no option {option}", path));
                }
            }
        }
    }
    assert!(looked_at > 0, "no document runs the program");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn containers_run_commands_that_exist() {
    let commands = commands_of_the_program();
    let compose = read("docker-compose.yml");
    let ours = compose
        .lines()
        .filter_map(|line| line.trim().strip_prefix("command: ["));
    let mut count = 0;
    for arguments in ours {
        let command = arguments
            .split([',', ']'])
            .next()
            .expect("a split has a first part");
        assert!(
            commands.contains(command),
            "docker-compose.yml runs `eventlake {command}`, which does not exist"
        );
        count += 1;
    }
    assert_eq!(count, 3, "topics, generator, ingester");
    for line in compose.lines().filter(|line| line.trim().starts_with("ports:")) {
        assert!(
            line.contains("[\"127.0.0.1:"),
            "published beyond the loopback interface: {}",
            line.trim()
        );
    }
    for line in compose
        .lines()
        .filter_map(|line| line.trim().strip_prefix("image: "))
    {
        let tag = line.rsplit(':').next().expect("a split has a last part");
        assert!(
            line.contains(':') && tag != "latest",
            "{line}: an image without a pinned tag"
        );
    }
}

#[test]
fn ci_runs_the_readme_s_test_command_as_it_stands() {
    let readme = read("README.md");
    let tests: Vec<String> = code_lines(&readme)
        .into_iter()
        .filter(|line| line.starts_with("cargo test"))
        .collect();
    assert_eq!(
        tests.len(),
        1,
        "the README has one command that runs the tests, found {tests:?}"
    );
    let ci = read(".ci/run");
    let step = format!("\nstep test {}\n", tests[0]);
    assert!(ci.contains(&step), ".ci/run has no line `step test {}`", tests[0]);
    assert!(
        tests[0].contains("--release"),
        "one profile, so that the dependencies compile once"
    );
}
