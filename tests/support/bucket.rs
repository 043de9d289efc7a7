//! The bucket of a real S3 server that the environment names, as another client than the program's reads it.

use std::pin::Pin;

use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};
use object_store::path::Path;
use object_store::{Attribute, ClientOptions, GetOptions, ObjectStore as _, ObjectStoreExt as _};
use tokio::runtime::Runtime;

const BUCKET: &str = "eventlake";
const KEY: &str = "eventlake";
const SECRET: &str = "correct/horse+battery";

/// A part of the bucket that nobody else writes to.
pub struct Bucket {
    pub endpoint: String,
    /// `s3://bucket/...`, with a '/' at its end.
    pub url: String,
    prefix: String,
    store: AmazonS3,
    runtime: Runtime,
}

impl Bucket {
    /// # Panics
    /// Where the environment names no server: a case that was asked for is never skipped.
    pub fn shared() -> Bucket {
        let endpoint = std::env::var("EVENTLAKE_TEST_S3").unwrap_or_else(|_| {
            panic!(
                "EVENTLAKE_TEST_S3 is not set, so there is no S3 to test against\n\
                 hint: export EVENTLAKE_TEST_S3=$(scripts/s3.sh start --port 0)"
            )
        });
        Bucket::at(&endpoint)
    }

    pub fn at(endpoint: &str) -> Bucket {
        Bucket::named(
            endpoint,
            &format!("s3://{BUCKET}/{:016x}/", rand::random::<u64>()),
        )
    }

    /// The same part of the bucket as another one's, by its url.
    pub fn named(endpoint: &str, url: &str) -> Bucket {
        let root = format!("s3://{BUCKET}/");
        let prefix = url.strip_prefix(&root).expect("a part of the bucket").to_owned();
        let builder = AmazonS3Builder::new()
            .with_bucket_name(BUCKET)
            .with_endpoint(endpoint)
            .with_allow_http(true)
            .with_access_key_id(KEY)
            .with_secret_access_key(SECRET)
            .with_http_connector(Connector);
        Bucket {
            endpoint: endpoint.to_owned(),
            url: url.to_owned(),
            prefix,
            store: builder.build().expect("a store"),
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .expect("a runtime"),
        }
    }

    /// What the program takes from its environment.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL", self.endpoint.clone()),
            ("AWS_ACCESS_KEY_ID", KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET.to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
        ]
    }

    fn path(&self, name: &str) -> Path {
        Path::parse(format!("{}{name}", self.prefix)).expect("a name")
    }

    /// An object's content; None where there is none.
    pub fn get(&self, name: &str) -> Option<Vec<u8>> {
        let path = self.path(name);
        let got = self.runtime.block_on(async {
            let got = self.store.get_opts(&path, GetOptions::default()).await?;
            got.bytes().await
        });
        match got {
            Ok(bytes) => Some(bytes.to_vec()),
            Err(object_store::Error::NotFound { .. }) => None,
            Err(error) => panic!("{name}: {error}"),
        }
    }

    pub fn text(&self, name: &str) -> String {
        let bytes = self.get(name).unwrap_or_else(|| panic!("there is no {name}"));
        String::from_utf8(bytes).expect("UTF-8")
    }

    /// What is noted with an object under a name.
    pub fn noted(&self, name: &str, key: &'static str) -> Option<String> {
        let path = self.path(name);
        let got = self.store.get_opts(&path, GetOptions::default());
        let got = self.runtime.block_on(got).expect("an object");
        let value = got.attributes.get(&Attribute::Metadata(key.into()));
        value.map(|value| value.to_string())
    }

    pub fn put(&self, name: &str, content: &str) {
        let put = self.path(name);
        let put = self.store.put(&put, content.to_owned().into());
        self.runtime.block_on(put).expect("put");
    }

    pub fn delete(&self, name: &str) {
        let path = self.path(name);
        self.runtime.block_on(self.store.delete(&path)).expect("deleted");
    }

    /// The names of the objects below a folder of it, in order.
    pub fn names(&self, folder: &str) -> Vec<String> {
        let path = self.path(folder);
        let found = self.store.list_with_delimiter(Some(&path));
        let found = self.runtime.block_on(found).expect("a list");
        let mut names: Vec<String> = found
            .objects
            .iter()
            .map(|object| object.location.filename().expect("a name").to_owned())
            .collect();
        names.sort();
        names
    }
}

#[derive(Debug)]
struct Connector;

impl HttpConnector for Connector {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        let agent = ureq::Agent::config_builder().http_status_as_error(false);
        let agent = agent.proxy(None).build().into();
        Ok(HttpClient::new(Client(agent)))
    }
}

#[derive(Debug)]
struct Client(ureq::Agent);

impl HttpService for Client {
    fn call<'s, 'f>(
        &'s self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'f>>
    where
        's: 'f,
        Self: 'f,
    {
        Box::pin(async move {
            let failed = |error| HttpError::new(HttpErrorKind::Connect, error);
            let has_body = request.method() == "PUT" || request.method() == "POST";
            // Small objects alone: they are one piece.
            let body = hyper::body::Body::size_hint(request.body()).exact().unwrap_or(0);
            let (parts, content) = request.into_parts();
            let answer = if has_body {
                let mut content = std::pin::pin!(content);
                let mut context = std::task::Context::from_waker(std::task::Waker::noop());
                let mut bytes = Vec::with_capacity(usize::try_from(body).expect("small"));
                while let std::task::Poll::Ready(Some(Ok(frame))) =
                    hyper::body::Body::poll_frame(content.as_mut(), &mut context)
                {
                    bytes.extend(frame.into_data().expect("data"));
                }
                self.0.run(ureq::http::Request::from_parts(parts, &bytes[..]))
            } else {
                self.0.run(ureq::http::Request::from_parts(parts, ()))
            };
            let (parts, mut body) = answer.map_err(failed)?.into_parts();
            let body = body.with_config().limit(u64::MAX).read_to_vec().map_err(failed)?;
            Ok(HttpResponse::from_parts(parts, body.into()))
        })
    }
}
