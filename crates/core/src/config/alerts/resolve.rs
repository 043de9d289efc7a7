//! From alerts as written to alerts resolved: names, the views they are about, secrets, conditions.

use std::path::Path;
use std::time::Duration;

use super::outputs::WrittenAlertOutput;
use super::written::WrittenAlert;
use super::{AlertConfig, AlertOutput, Severity, WebhookFormat};
use crate::config::named::Names;
use crate::config::outputs::webhook::Webhook;
use crate::config::reader::{Given, Reader};
use crate::config::resolve::Topics;
use crate::config::views::resolve::Views;
use crate::config::{Defined, Surroundings, ViewConfig, settings};
use crate::names::{AlertName, ViewName};

const COOLDOWN_DEFAULT: Duration = Duration::from_secs(300);

/// What alerts are held against.
pub(in crate::config) struct Known<'a> {
    pub around: &'a Surroundings<'a>,
    pub file: &'a Path,
    pub topics: &'a Topics,
    pub views: &'a Views,
}

/// Resolves the alerts. Every fault ends up in the reader; the result counts only when there is none.
pub(in crate::config) fn resolve(
    reader: &mut Reader<'_>,
    written: Vec<WrittenAlert>,
    known: &Known<'_>,
) -> Vec<AlertConfig> {
    let mut names = Names::new(settings::ALERT_NAME, "alert");
    let alerts = written
        .into_iter()
        .filter_map(|alert| resolve_alert(reader, alert, &mut names, known));
    alerts.collect()
}

fn resolve_alert(
    reader: &mut Reader<'_>,
    alert: WrittenAlert,
    names: &mut Names<'_>,
    known: &Known<'_>,
) -> Option<AlertConfig> {
    let name = names.take(reader, &alert.place, &alert.name, AlertName::new);
    let view = view_of(reader, &alert, known);
    if matches!(alert.when, Given::Absent) {
        reader.missing(&alert.place, &settings::WHEN);
    }
    let outputs = outputs_of(reader, &alert, known);
    let (view, when) = (view?, alert.when.ok()?);
    let alert = AlertConfig {
        // A name that is refused hides no fault of the condition.
        name: name.unwrap_or_else(|| AlertName::new("unnamed").expect("it is a name")),
        view: view.name,
        when,
        severity: alert.severity.or(Severity::Warning),
        cooldown: alert.cooldown.or(COOLDOWN_DEFAULT),
        resolve: alert.resolve.or(true),
        outputs,
    };
    if let Some(view) = view.config.filter(|_| known.topics.are_known) {
        check_condition(reader, &alert, view, known);
    }
    Some(alert)
}

fn check_condition(reader: &mut Reader<'_>, alert: &AlertConfig, view: &ViewConfig, known: &Known<'_>) {
    let defined = Defined {
        topics: &known.topics.configs,
        views: &known.views.configs,
        views_are_known: known.views.names_are_known,
    };
    for fault in (known.around.alert)(alert, view, &defined) {
        let message = format!("{}: {}", settings::WHEN, fault.message);
        reader.fault(alert.when.place_of(fault.at), message);
    }
}

/// The view that an alert names.
struct NamedView<'a> {
    name: ViewName,
    /// None when there is a fault in it: its columns are not known.
    config: Option<&'a ViewConfig>,
}

/// None when there is no such view, and that is then recorded, or when it cannot be told.
fn view_of<'a>(reader: &mut Reader<'_>, alert: &WrittenAlert, known: &Known<'a>) -> Option<NamedView<'a>> {
    let setting = settings::ALERT_VIEW;
    let (name, place) = match &alert.view {
        Given::Value { value, place } => (value, place),
        Given::Refused => return None,
        Given::Absent => {
            reader.missing(&alert.place, &setting);
            return None;
        }
    };
    let views = known.views;
    let Some(index) = views.by_name.get(name) else {
        if views.names_are_known {
            let advice = view_advice(name, views);
            reader.fault(
                place.clone(),
                format!("{setting}: there is no view {name:?}; {advice}"),
            );
        }
        return None;
    };
    // A name that no view can have is told where the view has it.
    let name = ViewName::new(name).ok()?;
    let config = index.map(|index| &views.configs[index]);
    Some(NamedView { name, config })
}

fn view_advice(name: &str, views: &Views) -> String {
    let names = || views.by_name.keys().map(String::as_str);
    match settings::nearest(name, names()) {
        Some(near) => format!("did you mean {near:?}?"),
        None if views.by_name.is_empty() => "there are no [[views]]".to_owned(),
        None => format!("expected one of {}", names().collect::<Vec<_>>().join(", ")),
    }
}

fn outputs_of(reader: &mut Reader<'_>, alert: &WrittenAlert, known: &Known<'_>) -> Vec<AlertOutput> {
    let outputs = match &alert.outputs {
        Given::Value { value, .. } => value,
        Given::Refused => return Vec::new(),
        Given::Absent => return vec![AlertOutput::Log],
    };
    let resolved = outputs
        .iter()
        .filter_map(|output| output_of(reader, output, known));
    resolved.collect()
}

/// The output; none when there is a fault, which is then recorded.
fn output_of(
    reader: &mut Reader<'_>,
    written: &WrittenAlertOutput,
    known: &Known<'_>,
) -> Option<AlertOutput> {
    match written {
        WrittenAlertOutput::Log => Some(AlertOutput::Log),
        WrittenAlertOutput::Webhook { webhook, format } => {
            let Webhook { url, secret } = webhook.resolve(reader, known.around, known.file)?;
            let format = format.clone().or(WebhookFormat::Json);
            Some(AlertOutput::Webhook { url, secret, format })
        }
    }
}
