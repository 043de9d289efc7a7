//! The output against receivers of this process, on a loopback port; and, in `server`, against a real S3.

mod server;

use std::sync::Arc;
use std::time::Instant;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use eventlake_core::names::ViewName;
use object_store::client::{HttpConnector as _, HttpRequest, HttpRequestBody};

use super::super::json_file::JsonFile;
use super::super::receiver::{Post, answer, receiver};
use super::connector::{Connector, Told};
use super::*;

const SECRET: &str = "hunter2/hunter2";
const S: i64 = 1_000_000;

fn rows(counts: &[i64]) -> RecordBatch {
    let fields = vec![
        Field::new("type", DataType::Utf8, false),
        Field::new("n", DataType::Int64, true),
    ];
    let names = (0..counts.len()).map(|n| format!("type {n}"));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(names)),
        Arc::new(Int64Array::from(counts.to_vec())),
    ];
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("rows")
}

/// Rows of windows, each with when its window begins, in seconds.
fn windows(starts: &[i64]) -> RecordBatch {
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let fields = vec![
        Field::new("window_start", time, false),
        Field::new("n", DataType::Int64, false),
    ];
    let times = TimestampMicrosecondArray::from_iter_values(starts.iter().map(|start| start * S));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(times.with_timezone("UTC")),
        Arc::new(Int64Array::from_iter_values(0..starts.len() as i64)),
    ];
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("rows")
}

/// What an output is shown.
struct Shown {
    as_of: u64,
    lake: &'static str,
    batch: RecordBatch,
    covers: Covers,
    windows: Vec<i64>,
}

impl Shown {
    fn whole(as_of: u64, counts: &[i64]) -> Shown {
        Shown {
            as_of,
            lake: "log-1",
            batch: rows(counts),
            covers: Covers::Everything,
            windows: Vec::new(),
        }
    }

    fn new_rows(counts: &[i64]) -> Shown {
        Shown {
            covers: Covers::NewRows,
            ..Shown::whole(7, counts)
        }
    }

    fn windows(as_of: u64, starts: &[i64]) -> Shown {
        Shown {
            covers: Covers::Windows,
            batch: windows(starts),
            windows: starts.iter().map(|start| start * S).collect(),
            ..Shown::whole(as_of, &[])
        }
    }

    fn to(&self, output: &mut dyn Output, mark: Mark) -> Result<Mark, String> {
        self.to_of(output, mark, "totals")
    }

    fn to_of(&self, output: &mut dyn Output, mark: Mark, view: &str) -> Result<Mark, String> {
        let view = ViewName::new(view).expect("a name");
        let columns = self.batch.schema();
        let emission = Emission {
            view: &view,
            as_of: self.as_of,
            lake: self.lake,
            columns: &columns,
            key: &[0],
            rows: std::slice::from_ref(&self.batch),
            covers: self.covers,
            windows: &self.windows,
        };
        let outcome = output.emit(&emission, mark);
        outcome.map_err(|error| format!("{error:#}"))
    }
}

fn environment(variables: &[(&str, &str)]) -> Environment {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Environment::new(variables.iter().map(owned))
}

/// An output whose store is what these variables say, whatever those of the process say.
fn output(url: &str, variables: &[(&str, &str)]) -> Object {
    let address = ObjectAddress::parse(url).expect("an address");
    let told = Told::default();
    let connector = Connector::without_proxy(told.clone());
    let client = Client::with(&address, environment(variables), told, connector);
    let ending = url.rsplit('.').next();
    let format = match ending {
        Some("csv") => ObjectFormat::Csv,
        Some("parquet") => ObjectFormat::Parquet,
        _ => ObjectFormat::JsonLines,
    };
    let mut object = Object::new(address, format);
    object.client = Some(client.unwrap_or_else(|error| panic!("{error:#}")));
    object
}

fn s3(url: &str, address: &str) -> Object {
    let endpoint = format!("http://{address}");
    let variables = [
        ("AWS_ENDPOINT_URL", endpoint.as_str()),
        ("AWS_ACCESS_KEY_ID", "AKIAHUNTER2"),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
        // As a file of variables has it.
        ("AWS_SESSION_TOKEN", " "),
    ];
    output(url, &variables)
}

fn taken() -> String {
    answer("200 OK", "etag: \"e1\"\r\n", "")
}

/// What a HEAD finds of an object that a view has put.
fn found(view: &str, as_of: u64, lake: &str) -> String {
    let head = format!(
        "etag: \"e0\"\r\nlast-modified: Tue, 21 Oct 2025 07:28:00 GMT\r\nx-amz-meta-eventlakeview: {view}\r\n\
         x-amz-meta-eventlakeasof: {as_of}\r\nx-amz-meta-eventlakelake: {lake}\r\n"
    );
    answer("200 OK", &head, "")
}

fn refused(status: &str, code: &str) -> String {
    let body = format!(
        "<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><Message>The {SECRET} of AKIAHUNTER2 is no good.\nRequestId: 7</Message></Error>"
    );
    answer(status, "", &body)
}

fn absent() -> String {
    answer("404 Not Found", "", "")
}

#[test]
fn a_view_is_one_object_with_the_bytes_of_the_file_and_its_books() {
    let (address, requests) = receiver(&[&absent(), &taken(), &taken()]);
    let mut object = s3("s3://bucket/a b/totals.json", &address);
    Shown::whole(7, &[3, 4]).to(&mut object, None).expect("shown");
    let asked: Post = requests.recv().expect("a look");
    assert_eq!(asked.head[0], "HEAD /bucket/a%20b/totals.json HTTP/1.1");
    let put = requests.recv().expect("a put");
    assert_eq!(put.head[0], "PUT /bucket/a%20b/totals.json HTTP/1.1");
    assert_eq!(put.header("if-none-match"), Some("*"));
    assert_eq!(put.header("content-type"), Some("application/x-ndjson"));
    assert_eq!(put.header("x-amz-meta-eventlakeview"), Some("totals"));
    assert_eq!(put.header("x-amz-meta-eventlakeasof"), Some("7"));
    assert_eq!(put.header("x-amz-meta-eventlakelake"), Some("log-1"));
    assert_eq!(
        put.header("x-amz-security-token"),
        None,
        "an empty variable is none"
    );
    let signed = put.header("authorization").expect("a signature");
    assert!(
        signed.starts_with("AWS4-HMAC-SHA256 Credential=AKIAHUNTER2/"),
        "{signed}"
    );
    assert!(!put.head.iter().any(|line| line.contains(SECRET)));
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("totals.json");
    Shown::whole(7, &[3, 4])
        .to(&mut JsonFile::new(file.clone()), None)
        .expect("written");
    assert_eq!(put.body, std::fs::read(file).expect("a file"));
    // The next one is put in its place, without a look.
    Shown::whole(8, &[5]).to(&mut object, None).expect("shown");
    let put = requests.recv().expect("a put");
    assert_eq!(put.header("if-match"), Some("\"e1\""));
    assert_eq!(put.body, b"{\"type\":\"type 0\",\"n\":5}\n");
}

#[test]
fn a_newer_state_stays_and_so_does_another_views() {
    // A store of one answer: a put would find none.
    let (address, _requests) = receiver(&[&found("totals", 9, "log-1")]);
    Shown::whole(8, &[1])
        .to(&mut s3("s3://bucket/x.json", &address), None)
        .expect("passed over");
    let (address, _requests) = receiver(&[&found("others", 1, "log-1")]);
    let said = Shown::whole(8, &[1]).to(&mut s3("s3://bucket/x.json", &address), None);
    let said = said.expect_err("another's");
    assert!(
        said.starts_with("view totals: s3://bucket/x.json: it shows the view others. hint:"),
        "{said}"
    );
    // The numbers of another lake say nothing.
    let (address, requests) = receiver(&[&found("totals", 9, "log-0"), &taken()]);
    Shown::whole(8, &[1])
        .to(&mut s3("s3://bucket/x.json", &address), None)
        .expect("shown");
    let put = requests.iter().nth(1).expect("a put");
    assert_eq!(put.header("if-match"), Some("\"e0\""));
}

#[test]
fn an_object_that_changed_meanwhile_is_looked_at_before_it_is_replaced() {
    let conflict = refused("412 Precondition Failed", "PreconditionFailed");
    let (address, _requests) = receiver(&[&absent(), &conflict, &found("totals", 9, "log-1")]);
    Shown::whole(8, &[1])
        .to(&mut s3("s3://bucket/x.json", &address), None)
        .expect("passed over");
    let (address, requests) = receiver(&[&absent(), &conflict, &found("totals", 8, "log-1"), &taken()]);
    Shown::whole(8, &[1])
        .to(&mut s3("s3://bucket/x.json", &address), None)
        .expect("shown");
    assert_eq!(
        requests.iter().nth(3).expect("a put").header("if-match"),
        Some("\"e0\"")
    );
}

#[test]
fn refusals_name_the_store_and_the_next_step_and_no_secret() {
    let cases = [
        (
            "404 Not Found",
            "NoSuchBucket",
            "make the bucket, or correct the url",
        ),
        (
            "403 Forbidden",
            "InvalidAccessKeyId",
            "are AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY those of this store?",
        ),
        (
            "403 Forbidden",
            "SignatureDoesNotMatch",
            "are AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY those of this store?",
        ),
        (
            "403 Forbidden",
            "AccessDenied",
            "must be allowed to read and write it",
        ),
        (
            "400 Bad Request",
            "AuthorizationHeaderMalformed",
            "set AWS_REGION to the bucket's region",
        ),
        (
            "501 Not Implemented",
            "NotImplemented",
            "AWS_CONDITIONAL_PUT=disabled",
        ),
    ];
    for (status, code, hint) in cases {
        let looked = match &status[..3] {
            "403" | "400" => answer(status, "", ""),
            _ => absent(),
        };
        // What may change is tried again.
        let put = refused(status, code);
        let mut answers = vec![looked.as_str()];
        answers.resize(8, &put);
        let (address, _requests) = receiver(&answers);
        let said = Shown::whole(8, &[1]).to(&mut s3("s3://bucket/x.json", &address), None);
        let said = said.expect_err(code);
        let expected = format!(
            "view totals: s3://bucket/x.json: S3 at {address} answered {status} ({code}): The (secret) of (secret) is no good. hint: "
        );
        assert!(
            said.starts_with(&expected) && said.ends_with(hint),
            "{code}: {said}"
        );
    }
}

#[test]
fn a_store_that_is_away_is_given_up_soon() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    drop(listener);
    let began = Instant::now();
    let said = Shown::whole(8, &[1]).to(&mut s3("s3://bucket/x.json", &address), None);
    let said = said.expect_err("nobody is there");
    let expected = format!("view totals: s3://bucket/x.json: S3 at {address}: it cannot be reached: ");
    assert!(said.starts_with(&expected), "{said}");
    assert!(
        said.ends_with("hint: does it run, and is AWS_ENDPOINT_URL right?"),
        "{said}"
    );
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[test]
fn without_credentials_the_machine_is_asked_once_and_not_for_long() {
    // Takes connections, and never answers.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let metadata = format!("http://{}", listener.local_addr().expect("an address"));
    let mut object = output("s3://bucket/x.json", &[("AWS_METADATA_ENDPOINT", &metadata)]);
    let began = Instant::now();
    let said = Shown::whole(8, &[1])
        .to(&mut object, None)
        .expect_err("no credentials");
    assert_eq!(
        said,
        "view totals: s3://bucket/x.json: S3: there are no credentials in the environment, and no metadata service of this \
         machine answers. hint: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    );
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[test]
fn what_would_break_a_request_is_said_before_one_is_made() {
    let address = ObjectAddress::parse("s3://bucket/x.json").expect("an address");
    for (name, value) in [
        ("AWS_ENDPOINT_URL", "127.0.0.1:9000"),
        ("AWS_ENDPOINT_URL_S3", "hunter2"),
        ("AWS_REGION", "hunter2 west"),
        ("AWS_ACCESS_KEY_ID", "hunter2\u{e9}"),
    ] {
        let environment = environment(&[(name, value), ("AWS_SECRET_ACCESS_KEY", SECRET)]);
        let told = Told::default();
        let connector = Connector::without_proxy(told.clone());
        let error = Client::with(&address, environment, told, connector)
            .err()
            .expect(name);
        let said = format!("{error:#}");
        assert!(said.starts_with(&format!("S3: {name}: expected ")), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
    let half = environment(&[("AWS_SECRET_ACCESS_KEY", SECRET)]);
    let told = Told::default();
    let error = Client::with(&address, half, told.clone(), Connector::without_proxy(told));
    let said = format!("{:#}", error.err().expect("half of the credentials"));
    assert!(
        said.contains("Missing AccessKeyId") && !said.contains("hunter2"),
        "{said}"
    );
}

#[test]
fn plain_http_is_spoken_to_who_asks_for_it_alone() {
    let (address, requests) = receiver(&[&taken()]);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let connect = |endpoint: Option<&str>| {
        let options = store::options(endpoint.map(str::to_owned));
        let client = Connector::without_proxy(Told::default())
            .connect(&options)
            .expect("a client");
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.uri_mut() = format!("http://{address}/").parse().expect("an address");
        runtime
            .block_on(client.execute(request))
            .map(|answer| answer.status())
    };
    for endpoint in [None, Some("https://127.0.0.1")] {
        let said = connect(endpoint).expect_err("no TLS").to_string();
        assert!(said.contains("no plain HTTP is spoken"), "{said}");
    }
    assert!(connect(Some("HTTP://127.0.0.1")).expect("an answer").is_success());
    assert_eq!(requests.iter().count(), 1);
}

#[test]
fn azure_and_google_are_spoken_to_as_they_are() {
    let (address, requests) = receiver(&[&absent(), &taken()]);
    let endpoint = format!("http://{address}/acc");
    let variables = [
        ("AZURE_STORAGE_ENDPOINT", endpoint.as_str()),
        ("AZURE_STORAGE_ACCOUNT", "acc"),
        ("AZURE_STORAGE_KEY", "aHVudGVyMg=="),
    ];
    let mut object = output("az://c/x.csv", &variables);
    Shown::whole(7, &[3]).to(&mut object, None).expect("shown");
    let put = requests.iter().nth(1).expect("a put");
    assert!(put.head[0].starts_with("PUT /acc/c/x.csv"), "{}", put.head[0]);
    assert_eq!(put.header("x-ms-meta-eventlakeview"), Some("totals"));
    assert_eq!(put.header("x-ms-blob-type"), Some("BlockBlob"));
    assert_eq!(put.header("if-none-match"), Some("*"));
    let signed = put.header("authorization").expect("a signature");
    assert!(signed.starts_with("SharedKey acc:"), "{signed}");
    assert_eq!(put.body, b"type,n\ntype 0,3\n");

    let (address, requests) = receiver(&[&absent(), &taken()]);
    let endpoint = format!("http://{address}");
    // An account of an emulator, which asks nobody for a token.
    let account =
        "{\"disable_oauth\":true,\"client_email\":\"\",\"private_key\":\"\",\"private_key_id\":\"\"}";
    let variables = [
        ("GOOGLE_BASE_URL", endpoint.as_str()),
        ("GOOGLE_SERVICE_ACCOUNT_KEY", account),
    ];
    let mut object = output("gs://b/x.json", &variables);
    Shown::whole(7, &[3]).to(&mut object, None).expect("shown");
    let put = requests.iter().nth(1).expect("a put");
    // Its dots are escaped, which means the same.
    assert_eq!(put.head[0], "PUT /b/x%2Ejson HTTP/1.1");
    assert_eq!(put.header("x-goog-meta-eventlakeasof"), Some("7"));
    assert_eq!(put.header("x-goog-if-generation-match"), Some("0"));
}

#[test]
fn secrets_of_a_signature_are_cut_in_each_of_their_forms() {
    let variables = [
        ("AZURE_STORAGE_SAS_TOKEN", "?sv=2024&sig=hunter2%2Fhunter3&sp=rw"),
        ("AWS_SECRET_ACCESS_KEY", "abc"),
        ("HOME_KEY", "stays as it is"),
    ];
    let secrets = faults::Secrets::of(&environment(&variables));
    let said = secrets.cut("sig hunter2/hunter3, hunter2%2Fhunter3; abc stays as it is");
    assert_eq!(said, "sig (secret), (secret); abc stays as it is");
}

#[test]
fn names_are_in_order_and_free_of_colons() {
    let name = |micros| name_of_window(micros, ObjectFormat::Parquet);
    assert_eq!(name(60 * S), "window-19700101T000100Z.parquet");
    assert_eq!(name(1_500_000), "window-19700101T000001.500Z.parquet");
    assert_eq!(
        name_of_part(7, ObjectFormat::JsonLines),
        "part-00000000000000000007.jsonl"
    );
}
