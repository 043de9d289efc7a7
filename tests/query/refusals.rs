//! What is wrong with a statement is said in one message, with the place and what was most likely meant.

use crate::shop::shared;

#[track_caller]
fn refused(sql: &str, said: &[&str]) {
    let ended = shared().run(&["query", sql]);
    assert_eq!(ended.code, Some(2), "{sql}: {}{}", ended.stdout, ended.stderr);
    assert_eq!(ended.stdout, "");
    for part in said {
        assert!(
            ended.stderr.contains(part),
            "{sql}: expected {part:?} in\n{}",
            ended.stderr
        );
    }
    assert_eq!(ended.stderr.matches("error:").count(), 1, "{}", ended.stderr);
}

#[test]
fn an_unknown_column_is_shown_where_it_stands() {
    refused(
        "SELECT id, prise FROM orders",
        &[
            "error: no column prise",
            "\n    SELECT id, prise FROM orders\n               ^^^^^\n",
            "hint: did you mean price?",
            "hint: the columns are id, at, kind, price, \"userName\", tags, place, _kafka_partition",
        ],
    );
    refused(
        "SELECT o.id,\n       o.pric\nFROM orders o",
        &[
            "no column pric in o",
            "line 2:        o.pric\n",
            "did you mean price?",
        ],
    );
    refused(
        "SELECT userName FROM orders",
        &["no column username", "did you mean \"userName\"?"],
    );
}

#[test]
fn an_unknown_table_is_shown_where_it_stands() {
    refused(
        "SELECT count(*) FROM order",
        &["error: ", "SELECT count(*) FROM order"],
    );
    refused(
        "SELECT count(*) FROM oders",
        &[
            "error: no table oders",
            "\n    SELECT count(*) FROM oders\n                         ^^^^^\n",
            "hint: did you mean orders?",
            "hint: the tables are orders, rejected.orders, idle, rejected.idle",
        ],
    );
    refused(
        "SELECT * FROM rejected.oders",
        &["no table rejected.oders", "did you mean rejected.orders?"],
    );
    refused("DESCRIBE oders", &["oders"]);
    refused("SELECT * FROM '/etc/passwd'", &["no table"]);
}

#[test]
fn what_cannot_be_read_is_shown_where_it_stops() {
    refused(
        "SELECT id FROM orders WHER id > 3",
        &["error: ", "\n    SELECT id FROM orders WHER id > 3\n", "^"],
    );
    refused("SELECT (1", &["error: ", "SELECT (1", "^"]);
    refused("SELECT 'open", &["error: ", "SELECT 'open", "^"]);
    refused("", &["there is no SQL"]);
    refused("SELECT 1; SELECT 2", &["several statements"]);
    refused(
        "SELECT coumt(*) FROM orders",
        &["nvalid function 'coumt'", "did you mean count?", "^^^^"],
    );
    refused("SELECT kind, count(*) FROM orders", &["error: "]);
    refused("SELECT id FROM orders WHERE kind + 1", &["error: "]);
    refused(
        "SELECT id FROM orders a JOIN orders b ON a.id = b.id",
        &["column id is in more than one"],
    );
}

#[test]
fn only_what_reads_is_let_through() {
    let shop = shared().copy();
    for sql in [
        "INSERT INTO orders SELECT * FROM orders",
        "CREATE TABLE a AS SELECT 1",
        "CREATE EXTERNAL TABLE a STORED AS PARQUET LOCATION 'a.parquet'",
        "CREATE VIEW a AS SELECT 1",
        "DROP TABLE orders",
        "DELETE FROM orders",
        "COPY orders TO 'a.parquet'",
        "COPY (SELECT 1) TO 'a.csv'",
        "SET datafusion.execution.batch_size = 10",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO 'a.csv'",
        "EXPLAIN ANALYZE INSERT INTO orders SELECT * FROM orders",
        "SELECT 1 INTO a",
    ] {
        let ended = shop.run(&["query", sql]);
        assert_eq!(ended.code, Some(2), "{sql}: {}{}", ended.stdout, ended.stderr);
        assert!(
            ended.stderr.contains("is refused: a query only reads"),
            "{sql}: {}",
            ended.stderr
        );
    }
    assert!(!shop.path("a.parquet").exists() && !shop.path("a.csv").exists());
}

#[test]
fn usage_that_cannot_be_is_refused() {
    let ended = shared().run(&["query", "SELECT 1", "--file", "a.sql"]);
    assert_eq!(ended.code, Some(2));
    let ended = shared().run(&["query", "--file", "none.sql"]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("none.sql"), "{}", ended.stderr);
    let deep = format!("SELECT {}1{}", "(".repeat(10_000), ")".repeat(10_000));
    let ended = shared().run(&["query", &deep]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
}

#[test]
fn a_cluster_needs_its_feature() {
    if cfg!(feature = "cluster") {
        return;
    }
    let url = "df://127.0.0.1:50050";
    for command in [
        &["query", "--cluster", url, "SELECT 1"][..],
        &["cluster", "scheduler"],
        &["cluster", "executor", "--scheduler", url],
    ] {
        let ended = shared().run(command);
        assert_eq!(
            ended.code,
            Some(2),
            "{command:?}: {}{}",
            ended.stdout,
            ended.stderr
        );
        assert!(
            ended.stderr.contains("hint: build it with `--features cluster`"),
            "{command:?}: {}",
            ended.stderr
        );
    }
}
