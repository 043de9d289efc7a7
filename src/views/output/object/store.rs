//! An object store as the environment describes it: credentials, region and endpoint by the names that the stores' own tools know.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use eventlake_core::config::{ObjectAddress, ObjectStoreKind};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};
use ureq::http::Uri;

use super::connector::{CONNECT, Connector};

/// What tries that fail may take of one request, the last one not counted.
const PATIENCE: Duration = Duration::from_secs(10);

/// Names that others know and `object_store` does not.
const ALIASES: [(&str, &str); 2] = [
    ("AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_ACCOUNT_NAME"),
    ("AZURE_STORAGE_KEY", "AZURE_STORAGE_ACCOUNT_KEY"),
];

/// The variables that say where a store is and what lets us in.
#[derive(Clone)]
pub(super) struct Environment(Vec<(String, String)>);

impl Environment {
    /// Those of the process. One that is empty is not there.
    pub fn of_process() -> Environment {
        let text = |text: std::ffi::OsString| text.into_string().ok();
        let all = std::env::vars_os().filter_map(|(name, value)| Some((text(name)?, text(value)?)));
        Environment::new(all)
    }

    pub fn new(all: impl IntoIterator<Item = (String, String)>) -> Environment {
        let trimmed = all
            .into_iter()
            .map(|(name, value)| (name, value.trim().to_owned()));
        let mut variables: Vec<(String, String)> = trimmed.filter(|(_, value)| !value.is_empty()).collect();
        // Where two names mean the same, the longer one comes last and holds.
        variables.sort();
        Environment(variables)
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(found, _)| found == name)
    }

    /// The values of these names' variables that nobody may read.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        let is_secret = |name: &str| {
            let is_ours = ["AWS_", "AZURE_", "GOOGLE_"]
                .iter()
                .any(|prefix| name.starts_with(prefix));
            let holds = ["KEY", "SECRET", "TOKEN", "SAS", "PASSWORD"];
            is_ours && !name.ends_with("_FILE") && holds.iter().any(|word| name.contains(word))
        };
        let secret = self.0.iter().filter(move |(name, _)| is_secret(name));
        secret.map(|(_, value)| value.as_str())
    }

    /// Hands a builder each setting that the variables of a prefix hold.
    fn apply<B, K: FromStr>(
        &self,
        prefix: &str,
        mut builder: B,
        set: impl Fn(B, K, &str) -> B,
    ) -> anyhow::Result<B> {
        for (name, value) in &self.0 {
            let alias = ALIASES.iter().find(|(alias, _)| alias == name);
            let name = alias.map_or(name.as_str(), |(_, name)| name);
            let Some(key) = name.starts_with(prefix).then(|| name.to_ascii_lowercase()) else {
                continue;
            };
            // Others are none of the store's.
            if let Ok(key) = key.parse() {
                check(name, value)?;
                builder = set(builder, key, value);
            }
        }
        Ok(builder)
    }
}

/// What would break a request apart. The value is not told: it may be a secret in the wrong place.
fn check(name: &str, value: &str) -> anyhow::Result<()> {
    if !name.starts_with("GOOGLE_SERVICE_ACCOUNT") && !value.bytes().all(|byte| (b' '..=b'~').contains(&byte))
    {
        bail!("{name}: expected printable ASCII");
    }
    if name.ends_with("REGION")
        && !value
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    {
        bail!("{name}: expected a region's name, such as \"eu-west-3\"");
    }
    if name.contains("ENDPOINT") || name.ends_with("_URL") || name.ends_with("AUTHORITY_HOST") {
        let uri: Option<Uri> = value.parse().ok();
        let is_web = |uri: &Uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some();
        if !uri.as_ref().is_some_and(is_web) {
            bail!("{name}: expected an address such as \"http://127.0.0.1:9000\"");
        }
    }
    Ok(())
}

/// # Errors
/// When the environment does not describe the store. What is said may hold a secret.
pub(super) fn open(
    address: &ObjectAddress,
    environment: &Environment,
    connector: Connector,
) -> anyhow::Result<Arc<dyn ObjectStore>> {
    let root = address.root.as_str();
    Ok(match address.store {
        ObjectStoreKind::S3 => {
            let builder = environment.apply("AWS_", AmazonS3Builder::new(), |builder, key, value| {
                AmazonS3Builder::with_config(builder, key, value)
            })?;
            let endpoint = builder
                .get_config_value(&AmazonS3ConfigKey::S3Endpoint)
                .or_else(|| builder.get_config_value(&AmazonS3ConfigKey::Endpoint));
            let store = builder
                .with_url(root)
                .with_retry(retries())
                .with_client_options(options(endpoint))
                .with_http_connector(connector);
            Arc::new(store.build().context("AWS_ variables")?)
        }
        ObjectStoreKind::Azure => {
            let builder = MicrosoftAzureBuilder::new();
            let builder = environment.apply("AZURE_", builder, |builder, key, value| {
                MicrosoftAzureBuilder::with_config(builder, key, value)
            })?;
            let endpoint = builder.get_config_value(&AzureConfigKey::Endpoint);
            let store = builder
                .with_url(root)
                .with_retry(retries())
                .with_client_options(options(endpoint))
                .with_http_connector(connector);
            Arc::new(store.build().context("AZURE_ variables")?)
        }
        ObjectStoreKind::Gcs => {
            let builder = GoogleCloudStorageBuilder::new();
            let builder = environment.apply("GOOGLE_", builder, |builder, key, value| {
                GoogleCloudStorageBuilder::with_config(builder, key, value)
            })?;
            let endpoint = builder.get_config_value(&GoogleConfigKey::BaseUrl);
            let store = builder
                .with_url(root)
                .with_retry(retries())
                .with_client_options(options(endpoint))
                .with_http_connector(connector);
            Arc::new(store.build().context("GOOGLE_ variables")?)
        }
    })
}

/// Plain HTTP is spoken to whoever asks for it by their address.
pub(super) fn options(endpoint: Option<String>) -> ClientOptions {
    let is_plain = endpoint.is_some_and(|endpoint| endpoint.to_ascii_lowercase().starts_with("http://"));
    ClientOptions::new()
        .with_connect_timeout(CONNECT)
        .with_allow_http(is_plain)
}

fn retries() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(250),
            max_backoff: Duration::from_secs(3),
            base: 2.0,
        },
        max_retries: 5,
        retry_timeout: PATIENCE,
    }
}
