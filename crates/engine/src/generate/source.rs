//! The sequence of records of one set of options: visits become events, and some of them come late or broken.

use super::broken::{self, Fault};
use super::clock::{Spread, SpreadClock};
use super::event::{EventWriter, Kind};
use super::json;
use super::random::{HumanTime, Share, Stream};
use super::shop::{Visit, Visits};

/// What is generated. The same plan gives the same records, but for the times when there is no spread.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// One event of each for every visit, in this order.
    pub kinds: Vec<Kind>,
    pub seed: u64,
    /// Spreads the event times over a stretch of time. None: they are the time at which they are made.
    pub spread: Option<Spread>,
    /// Shares of broken and of late records, 0.0 to 1.0, together not above 1.0.
    pub invalid: f64,
    pub late: f64,
}

/// How a record is, as far as its generator knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    OnTime,
    /// Valid, but its event time is minutes to hours before its record timestamp.
    Late,
    Broken(Fault),
}

/// One record, ready to be sent. Borrowed from its source: good until the next one.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The index in the plan's kinds.
    pub kind: usize,
    pub key: &'a [u8],
    pub payload: &'a [u8],
    /// Kafka's timestamp in milliseconds. None: the moment of sending.
    pub timestamp_millis: Option<i64>,
    pub nature: Nature,
}

pub struct Source {
    visits: Visits,
    clock: Option<SpreadClock>,
    clock_chance: Stream,
    invalid: Share,
    invalid_or_late: Share,
    topics: Vec<TopicSource>,
    /// Whose turn it is; at 0 a new visit begins.
    turn: usize,
    visit: Visit,
    visit_micros: i64,
    key: Vec<u8>,
    payload: Vec<u8>,
}

struct TopicSource {
    kind: Kind,
    writer: EventWriter,
    /// A stream of its own, so that the shares of broken and late records leave all the others as they are.
    nature_chance: Stream,
    fault_chance: Stream,
    lateness: HumanTime,
}

impl Source {
    #[must_use]
    pub fn new(plan: &Plan) -> Source {
        let mut visits = Visits::new(plan.seed);
        let visit = visits.next_visit();
        let topic = |kind: &Kind| TopicSource {
            kind: *kind,
            writer: EventWriter::new(*kind, plan.seed),
            nature_chance: Stream::new(plan.seed, &format!("{}/nature", kind.topic())),
            fault_chance: Stream::new(plan.seed, &format!("{}/faults", kind.topic())),
            // Half of the late events are more than 25 minutes late, the worst 12 hours.
            lateness: HumanTime::new(25.0 * 60_000.0, 1.2, 12.0 * 3_600_000.0),
        };
        Source {
            visits,
            clock: plan.spread.map(SpreadClock::new),
            clock_chance: Stream::new(plan.seed, "clock"),
            invalid: Share::new(plan.invalid),
            invalid_or_late: Share::new(plan.invalid + plan.late),
            topics: plan.kinds.iter().map(topic).collect(),
            turn: 0,
            visit,
            visit_micros: 0,
            key: Vec::new(),
            payload: Vec::new(),
        }
    }

    /// Does the next record begin a new visit? Before it is the place to stop or to wait.
    #[must_use]
    pub fn at_visit_start(&self) -> bool {
        self.turn == 0
    }

    /// Makes the next record. `now_micros` is the time now, of which a spread has no need.
    pub fn next_record(&mut self, now_micros: i64) -> Record<'_> {
        let turn = self.turn;
        self.turn = (turn + 1) % self.topics.len();
        if turn == 0 {
            self.visit = self.visits.next_visit();
            self.visit_micros = match &mut self.clock {
                Some(clock) => clock.next_time(&mut self.clock_chance),
                None => now_micros,
            };
        }
        let topic = &mut self.topics[turn];
        let delay = topic.writer.delay_micros();
        let on_time = match &self.clock {
            Some(clock) => clock.inside(self.visit_micros + delay, self.visit_micros),
            // What happens now was on its way for up to a quarter of a second.
            None => now_micros - delay % 250_000,
        };
        // One draw decides both: below the first bound the record is broken, from there to the second it is late.
        let draw = topic.nature_chance.bits();
        let is_broken = self.invalid.holds(draw);
        let is_late = !is_broken && self.invalid_or_late.holds(draw);
        let event_micros = if is_late {
            on_time - topic.lateness_micros()
        } else {
            on_time
        };
        self.payload.clear();
        topic.writer.write(&mut self.payload, &self.visit, event_micros);
        let nature = if is_broken {
            let fault = broken::break_event(&mut self.payload, topic.kind, on_time, &mut topic.fault_chance);
            Nature::Broken(fault)
        } else if is_late {
            Nature::Late
        } else {
            Nature::OnTime
        };
        self.key.clear();
        json::integer(&mut self.key, self.visit.user_id);
        Record {
            kind: turn,
            key: &self.key,
            payload: &self.payload,
            timestamp_millis: self.clock.is_some().then(|| on_time.div_euclid(1_000)),
            nature,
        }
    }
}

impl TopicSource {
    fn lateness_micros(&mut self) -> i64 {
        60_000_000 + (self.lateness.millis(&mut self.fault_chance) * 1_000).cast_signed()
    }
}
