//! Text from the lake is text in every format; a table without rows has a report all the same.

use crate::shop::shared;

fn text(arguments: &[&str]) -> String {
    let ended = shared().run(&[&["report"], arguments].concat());
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(ended.stderr, "", "no progress where there is no terminal");
    ended.stdout
}

#[test]
fn no_format_holds_an_escape_code_of_the_lake() {
    for format in ["terminal", "markdown", "html", "json"] {
        let text = text(&["--format", format]);
        assert!(text.contains("car"), "{format}: the hostile value is shown");
        assert!(!text.contains('\u{1b}'), "{format}: {text}");
    }
}

#[test]
fn the_terminal_s_lines_fit_into_80_columns() {
    for line in text(&["--key", "orders=id"]).lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

#[test]
fn the_page_runs_and_fetches_nothing() {
    let page = text(&["--format", "html"]);
    assert!(page.contains("<svg") && page.contains("default-src 'none'"));
    for word in ["<script", "http://", "https://", "url(", "<link", "<img"] {
        assert!(!page.contains(word), "{word}");
    }
}

#[test]
fn a_table_or_a_period_without_rows_is_reported() {
    assert!(text(&["--table", "idle"]).contains("0 rows, none rejected"));
    assert!(text(&["--table", "orders", "--to", "2020-01-01"]).contains("0 rows, none rejected"));
}

#[test]
fn a_lake_in_which_nothing_has_landed_is_reported() {
    let shop = shared().copy();
    std::fs::remove_dir_all(shop.path("checkpoints")).expect("removed");
    for format in ["terminal", "markdown", "html"] {
        let ended = shop.run(&["report", "--format", format]);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(
            ended
                .stdout
                .contains("0 rows, none rejected, nothing has landed yet")
                || format == "html" && ended.stdout.contains("no rows"),
            "{}",
            ended.stdout
        );
    }
}

#[test]
fn what_cannot_be_written_is_said_and_a_report_that_fails_leaves_no_file() {
    let shop = shared().copy();
    let ended = shop.run(&["report", "--output", "nowhere/r.html"]);
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("--output nowhere/r.html"),
        "{}",
        ended.stderr
    );
    std::fs::write(shop.path("r.html"), "the one before").expect("written");
    std::fs::remove_file(&shop.files("data")[0]).expect("removed");
    let ended = shop.run(&["report", "--output", "r.html"]);
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    assert!(ended.stderr.contains("the live file is gone"), "{}", ended.stderr);
    let kept = std::fs::read_to_string(shop.path("r.html")).expect("there");
    assert_eq!(kept, "the one before");
    let names = std::fs::read_dir(shop.path("")).expect("a folder");
    let left: Vec<_> = names
        .map(|entry| entry.expect("an entry").file_name())
        .filter(|name| name.to_string_lossy().ends_with(".part"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn the_output_s_name_chooses_the_format() {
    let shop = shared().copy();
    for (name, begin) in [
        ("r.html", "<!doctype html>"),
        ("r.md", "# Data quality"),
        ("r.json", "{"),
    ] {
        let ended = shop.run(&["report", "--output", name]);
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(0), ""),
            "{}",
            ended.stderr
        );
        let written = std::fs::read_to_string(shop.path(name)).expect("written");
        assert!(written.starts_with(begin), "{name}: {written}");
    }
}
