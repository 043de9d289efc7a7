//! The events themselves: one writer a topic, from a visit to the bytes of its JSON.

use super::json::{self, Precision};
use super::random::{HumanTime, Share, Stream};
use super::shop::{self, Visit};
use super::text::{self, PRIORITIES, TicketType};

/// What a topic holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Clicks,
    Views,
    Ratings,
    Tickets,
}

impl Kind {
    pub const ALL: [Kind; 4] = [Kind::Clicks, Kind::Views, Kind::Ratings, Kind::Tickets];

    /// The topic it goes to unless told otherwise, and its name on the command line.
    #[must_use]
    pub fn topic(self) -> &'static str {
        match self {
            Kind::Clicks => "clicks",
            Kind::Views => "views",
            Kind::Ratings => "ratings",
            Kind::Tickets => "client_tickets",
        }
    }

    #[must_use]
    pub fn of_topic(topic: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.topic() == topic)
    }

    /// The field that holds the event time.
    #[must_use]
    pub fn time_field(self) -> &'static str {
        if self == Kind::Tickets {
            "created_at"
        } else {
            "timestamp"
        }
    }

    /// The field that the record's key repeats.
    #[must_use]
    pub fn key_field(self) -> &'static str {
        if self == Kind::Tickets {
            "client_id"
        } else {
            "user_id"
        }
    }

    #[must_use]
    pub fn precision(self) -> Precision {
        match self {
            Kind::Clicks | Kind::Ratings => Precision::Millis,
            Kind::Views | Kind::Tickets => Precision::Micros,
        }
    }
}

/// Writes the events of one kind. Holds its own stream of chance, so that a topic's events are the same whichever
/// other topics are generated beside it.
#[derive(Clone, Debug)]
pub struct EventWriter {
    kind: Kind,
    chance: Stream,
    /// How long a click or a view lasts.
    durations: HumanTime,
    /// How long after the visit the event happens.
    delays: HumanTime,
    /// Tells apart the tickets of different seeds.
    ticket_series: u64,
    written: u64,
    scratch: String,
}

impl EventWriter {
    #[must_use]
    pub fn new(kind: Kind, seed: u64) -> EventWriter {
        const MINUTE: f64 = 60_000.0;
        let mut chance = Stream::new(seed, kind.topic());
        let (durations, delays) = match kind {
            Kind::Clicks => (
                HumanTime::new(850.0, 0.8, 30_000.0),
                HumanTime::new(6_000.0, 0.9, 5.0 * MINUTE),
            ),
            Kind::Views => (
                HumanTime::new(19_000.0, 1.1, 30.0 * MINUTE),
                HumanTime::new(1.0, 0.0, 1.0),
            ),
            Kind::Ratings => (
                HumanTime::new(1.0, 0.0, 1.0),
                HumanTime::new(3.0 * MINUTE, 1.0, 240.0 * MINUTE),
            ),
            Kind::Tickets => (
                HumanTime::new(1.0, 0.0, 1.0),
                HumanTime::new(12.0 * MINUTE, 1.2, 600.0 * MINUTE),
            ),
        };
        EventWriter {
            kind,
            ticket_series: chance.bits() >> 32,
            chance,
            durations,
            delays,
            written: 0,
            scratch: String::new(),
        }
    }

    /// How long after its visit the next event happens, in microseconds.
    pub fn delay_micros(&mut self) -> i64 {
        (self.delays.millis(&mut self.chance) * 1_000).cast_signed() + self.chance.below(1_000).cast_signed()
    }

    /// Appends one event's JSON.
    pub fn write(&mut self, out: &mut Vec<u8>, visit: &Visit, event_micros: i64) {
        match self.kind {
            Kind::Clicks => self.click(out, visit, event_micros),
            Kind::Views => self.view(out, visit, event_micros),
            Kind::Ratings => self.rating(out, visit, event_micros),
            Kind::Tickets => self.ticket(out, visit, event_micros),
        }
        self.written += 1;
    }

    fn click(&mut self, out: &mut Vec<u8>, visit: &Visit, event_micros: i64) {
        // Some clicks go back to the item before: not every view leads to one.
        let back = self.chance.chance(Share::percent(30));
        let item_id = if back {
            visit.previous_item_id
        } else {
            visit.item_id
        };
        self.head(out, "click", visit.user_id, item_id, event_micros);
        out.extend_from_slice(b",\"page_url\":\"");
        shop::page_url(out, item_id, &mut self.chance);
        out.extend_from_slice(b"\",\"click_duration\":");
        json::seconds(out, self.durations.millis(&mut self.chance));
        out.push(b'}');
    }

    fn view(&mut self, out: &mut Vec<u8>, visit: &Visit, event_micros: i64) {
        self.head(out, "view", visit.user_id, visit.item_id, event_micros);
        out.extend_from_slice(b",\"view_duration\":");
        json::seconds(out, self.durations.millis(&mut self.chance));
        out.extend_from_slice(b",\"device_type\":\"");
        out.extend_from_slice(visit.device.as_str().as_bytes());
        out.extend_from_slice(b"\"}");
    }

    fn rating(&mut self, out: &mut Vec<u8>, visit: &Visit, event_micros: i64) {
        let back = self.chance.chance(Share::percent(20));
        let item_id = if back {
            visit.previous_item_id
        } else {
            visit.item_id
        };
        self.head(out, "rating", visit.user_id, item_id, event_micros);
        let rating = self.chance.weighted(&[10, 6, 12, 27, 45]) as u64 + 1;
        out.extend_from_slice(b",\"rating\":");
        json::integer(out, rating);
        // Who writes nothing sends no field, an empty text or null, as the app's versions have it.
        match self.chance.weighted(&[68, 24, 3, 5]) {
            0 => {
                self.scratch.clear();
                text::review(&mut self.scratch, rating, &mut self.chance);
                out.extend_from_slice(b",\"review_text\":");
                if self.chance.chance(Share::percent(10)) {
                    json::ascii_text(out, &self.scratch);
                } else {
                    json::text(out, &self.scratch);
                }
            }
            1 => {}
            2 => out.extend_from_slice(b",\"review_text\":\"\""),
            _ => out.extend_from_slice(b",\"review_text\":null"),
        }
        out.push(b'}');
    }

    fn ticket(&mut self, out: &mut Vec<u8>, visit: &Visit, event_micros: i64) {
        let ticket_type = TicketType::ALL[self.chance.weighted(&[42, 27, 21, 10])];
        let priority = self.chance.weighted(&ticket_type.priority_weights());
        out.extend_from_slice(b"{\"ticket_id\":\"TCK-");
        json::padded(out, self.ticket_series, 10);
        out.push(b'-');
        json::padded(out, self.written + 1, 8);
        out.extend_from_slice(b"\",\"client_id\":");
        json::integer(out, visit.user_id);
        out.extend_from_slice(b",\"created_at\":");
        json::time(out, event_micros, self.kind.precision());
        self.scratch.clear();
        text::request(
            &mut self.scratch,
            ticket_type,
            priority,
            visit.item_id,
            &mut self.chance,
        );
        out.extend_from_slice(b",\"request\":");
        json::text(out, &self.scratch);
        out.extend_from_slice(b",\"type\":\"");
        out.extend_from_slice(ticket_type.as_str().as_bytes());
        out.extend_from_slice(b"\",\"priority\":\"");
        out.extend_from_slice(PRIORITIES[priority].as_bytes());
        out.extend_from_slice(b"\"}");
    }

    fn head(&self, out: &mut Vec<u8>, event_type: &str, user_id: u64, item_id: u64, event_micros: i64) {
        out.extend_from_slice(b"{\"event_type\":\"");
        out.extend_from_slice(event_type.as_bytes());
        out.extend_from_slice(b"\",\"user_id\":");
        json::integer(out, user_id);
        out.extend_from_slice(b",\"item_id\":");
        json::integer(out, item_id);
        out.extend_from_slice(b",\"timestamp\":");
        json::time(out, event_micros, self.kind.precision());
    }
}
