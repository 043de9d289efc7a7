//! A view in a real PostgreSQL that is reached over TLS alone: exact, and going on after the server was away.

use std::collections::BTreeMap;

use crate::server::{OwnServer, psql};
use crate::stream::Stream;
use crate::wait::wait_until;

const VIEW: &str = r#"
[[views]]
name = "by_item"
sql = "SELECT item, count(*) AS n FROM clicks GROUP BY item"
outputs = [{ to = "postgres", url_env = "PG_URL", table = "by_item" }]
"#;

/// The rows of a statement, a line each; none while it cannot be asked.
fn ask(server: &OwnServer, statement: &str) -> Option<Vec<String>> {
    let output = psql(&server.url, statement).output();
    let output = output.expect("psql is installed with the server");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let rows = || text.lines().map(str::to_owned).collect();
    output.status.success().then(rows)
}

#[test]
#[ignore = "needs PostgreSQL's programs: scripts/postgres.sh"]
fn a_view_is_in_postgres_over_tls_and_goes_on_after_the_server_was_away() {
    let server = OwnServer::start_with(&["--secure"]);
    let made = ask(
        &server,
        "CREATE ROLE encrypted LOGIN PASSWORD 'hunter2'; GRANT ALL ON SCHEMA public TO encrypted",
    );
    assert!(made.is_some());
    let (_, port) = server.url.rsplit_once(':').expect("a port");
    let certificate = server.folder.path().join("server/secure/ca.pem");
    let mut stream = Stream::new(VIEW);
    // The server refuses this user without TLS.
    let url = format!(
        "postgres://encrypted:hunter2@localhost:{port}?sslmode=verify-full&sslrootcert={}&channel_binding=require",
        certificate.display()
    );
    stream.variables = vec![("PG_URL", url)];
    stream.send(200);
    let daemon = stream.start();
    let rows = "SELECT item, n FROM by_item ORDER BY item";
    let is_shown = |stream: &Stream| ask(&server, rows).is_some_and(|rows| rows == expected(stream));
    wait_until("the first rows", || is_shown(&stream));
    let lines = "SELECT DISTINCT usename, ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                 WHERE application_name = 'eventlake'";
    assert_eq!(ask(&server, lines).expect("it answers"), ["encrypted|t"]);
    for end in ["stop", "crash"] {
        server.script(&[end]);
        let before = stream.commits();
        wait_until("commits without the server", || {
            stream.send(10);
            stream.commits() > before
        });
        server.script(&["start"]);
        wait_until("all rows", || is_shown(&stream));
        assert_eq!(ask(&server, lines).expect("it answers"), ["encrypted|t"]);
    }
    daemon.stop();
    // A certificate that nobody signed whom we trust: the rows stay in the lake, and the reason is said.
    let other = server.folder.path().join("server/secure/unknown-ca.pem");
    let (_, url) = &mut stream.variables[0];
    *url = url.replace(&certificate.display().to_string(), &other.display().to_string());
    let before = ask(&server, rows).expect("it answers");
    stream.send(100);
    let said = stream.ingest();
    assert!(said.contains("is signed by no authority of"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
    assert_eq!(ask(&server, rows).expect("it answers"), before);
    let (_, url) = &mut stream.variables[0];
    *url = url.replace(&other.display().to_string(), &certificate.display().to_string());
    stream.ingest();
    assert!(is_shown(&stream));
}

/// What the view holds of all that was sent, as psql shows it.
fn expected(stream: &Stream) -> Vec<String> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for sent in stream.sent.iter().filter(|sent| sent.topic == "clicks") {
        *counts.entry(&sent.item).or_default() += 1;
    }
    counts.iter().map(|(item, n)| format!("{item}|{n}")).collect()
}
