//! A webhook's address and the secret it is signed with, as every section writes them.

use std::path::Path;

use super::OutputTable;
use super::secrets::{SECRET, Secret, WEBHOOK_URL, WrittenSecret};
use crate::config::Surroundings;
use crate::config::reader::{Given, Reader};

pub(in crate::config) struct WrittenWebhook {
    url: Given<WrittenSecret>,
    secret: Given<WrittenSecret>,
}

/// A webhook whose texts are there.
pub(in crate::config) struct Webhook {
    pub url: Secret,
    pub secret: Option<Secret>,
}

impl WrittenWebhook {
    pub fn read(reader: &mut Reader<'_>, output: &OutputTable<'_, '_>) -> WrittenWebhook {
        WrittenWebhook {
            url: WEBHOOK_URL.require(reader, output),
            secret: SECRET.read(reader, output),
        }
    }

    /// None when there is a fault in either text, which is then recorded.
    pub fn resolve(
        &self,
        reader: &mut Reader<'_>,
        around: &Surroundings<'_>,
        file: &Path,
    ) -> Option<Webhook> {
        let url = WrittenSecret::resolve(&self.url, reader, around, file);
        let secret = WrittenSecret::resolve(&self.secret, reader, around, file);
        let is_known = !matches!(secret, Given::Refused);
        let url = url.ok().filter(|_| is_known)?;
        Some(Webhook {
            url,
            secret: secret.ok(),
        })
    }
}
