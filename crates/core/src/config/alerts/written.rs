//! `[[alerts]]` as written: every value has its type and its place.

use std::time::Duration;

use toml::de::DeTable;

use super::outputs::{self, WrittenAlertOutput};
use crate::config::Severity;
use crate::config::fault::Place;
use crate::config::named::{self, Named};
use crate::config::reader::{Given, Reader};
use crate::config::settings::{self, Section};
use crate::config::transform::SqlText;
use crate::config::values;

pub(in crate::config) struct WrittenAlert {
    /// Where its `[[alerts]]` stands.
    pub place: Place,
    pub name: Given<String>,
    pub view: Given<String>,
    pub when: Given<SqlText>,
    pub severity: Given<Severity>,
    pub cooldown: Given<Duration>,
    pub resolve: Given<bool>,
    /// Those that nothing is wrong with.
    pub outputs: Given<Vec<WrittenAlertOutput>>,
}

const COOLDOWN_MAX: Duration = Duration::from_secs(31 * 86_400);

pub(in crate::config) fn read(reader: &mut Reader<'_>, document: &DeTable<'_>) -> Vec<WrittenAlert> {
    let alerts = named::read(reader, document, Section::Alerts, &settings::ALERT_NAME);
    alerts
        .into_iter()
        .map(|alert| read_alert(reader, alert))
        .collect()
}

fn read_alert(reader: &mut Reader<'_>, alert: Named<'_, '_>) -> WrittenAlert {
    let Named {
        place, name, table, ..
    } = alert;
    WrittenAlert {
        place,
        name,
        view: reader.setting(&table, &settings::ALERT_VIEW, values::text),
        when: reader.sql(&table, &settings::WHEN),
        severity: reader.setting(&table, &settings::SEVERITY, values::severity),
        cooldown: reader.setting(&table, &settings::COOLDOWN, |raw| {
            values::duration_within(raw, Duration::ZERO, COOLDOWN_MAX)
        }),
        resolve: reader.setting(&table, &settings::RESOLVE, values::flag),
        outputs: outputs::read(reader, &table),
    }
}
