//! The shop: who looks at which item next, in sessions that overlap as they do in a real one.
//!
//! Every visit (one person looking at one item) gives rise to one event in each topic that is generated: the view
//! itself, a click, and now and then other items or other matters on the same person's mind. So `--count N` means N events
//! in each topic, and the topics still tell one story: a click's user was looking at that item, or at another one
//! of the same session, moments before.

use super::random::{HumanTime, Share, Skewed, Stream};

pub const USERS: u16 = 1_000;
pub const ITEMS: u16 = 500;

/// Sessions under way at any moment.
const SESSIONS: u64 = 64;

/// Items of one aisle lie next to each other in the catalogue; a session tends to stay in its aisle.
const AISLE: u64 = 25;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    Mobile,
    Desktop,
    Tablet,
}

impl Device {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Device::Mobile => "mobile",
            Device::Desktop => "desktop",
            Device::Tablet => "tablet",
        }
    }
}

/// One person looking at one item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visit {
    /// 1 to [`USERS`]
    pub user_id: u64,
    /// 1 to [`ITEMS`]
    pub item_id: u64,
    /// The item seen before this one in the same session; the same as `item_id` at its start.
    pub previous_item_id: u64,
    pub device: Device,
}

#[derive(Clone, Copy, Debug)]
struct Session {
    visit: Visit,
    visits_left: u64,
}

/// The endless sequence of visits of one seed.
#[derive(Clone, Debug)]
pub struct Visits {
    chance: Stream,
    users: Skewed,
    items: Skewed,
    lengths: HumanTime,
    sessions: Vec<Session>,
}

impl Visits {
    #[must_use]
    pub fn new(seed: u64) -> Visits {
        let mut visits = Visits {
            chance: Stream::new(seed, "visits"),
            users: Skewed::new(USERS),
            items: Skewed::new(ITEMS),
            // A table of a skewed quantity: here not milliseconds but a thousandth of a visit.
            lengths: HumanTime::new(4_000.0, 0.9, 60_000.0),
            sessions: Vec::new(),
        };
        visits.sessions = (0..SESSIONS).map(|_| visits.open()).collect();
        visits
    }

    pub fn next_visit(&mut self) -> Visit {
        let at = self.chance.below(SESSIONS) as usize;
        let Session { visit, visits_left } = self.sessions[at];
        self.sessions[at] = if visits_left == 0 {
            self.open()
        } else {
            Session {
                visit: Visit {
                    item_id: self.next_item(visit.item_id),
                    previous_item_id: visit.item_id,
                    ..visit
                },
                visits_left: visits_left - 1,
            }
        };
        visit
    }

    fn open(&mut self) -> Session {
        // The most active users and the best-selling items should not be the ones with the lowest numbers.
        let user_id = shuffled(self.users.draw(&mut self.chance), 387, USERS);
        let item_id = shuffled(self.items.draw(&mut self.chance), 193, ITEMS);
        let device = [Device::Mobile, Device::Desktop, Device::Tablet][self.chance.weighted(&[57, 35, 8])];
        Session {
            visit: Visit {
                user_id,
                item_id,
                previous_item_id: item_id,
                device,
            },
            visits_left: self.lengths.millis(&mut self.chance) / 1_000,
        }
    }

    fn next_item(&mut self, item_id: u64) -> u64 {
        if self.chance.chance(Share::percent(60)) {
            let aisle = (item_id - 1) / AISLE;
            aisle * AISLE + self.chance.below(AISLE) + 1
        } else {
            shuffled(self.items.draw(&mut self.chance), 193, ITEMS)
        }
    }
}

/// A permutation of `0..count` as numbers from 1, for a multiplier that has no factor in common with `count`.
fn shuffled(rank: u16, multiplier: u64, count: u16) -> u64 {
    (u64::from(rank) * multiplier + 41) % u64::from(count) + 1
}

/// Appends the address of an item's page, which always is the same for the same item but for its query.
pub fn page_url(out: &mut Vec<u8>, item_id: u64, chance: &mut Stream) {
    let index = (item_id - 1) as usize;
    out.extend_from_slice(b"https://boutique.example/");
    out.extend_from_slice(AISLES[index / AISLE as usize].as_bytes());
    out.push(b'/');
    out.extend_from_slice(ARTICLES[index % ARTICLES.len()].as_bytes());
    out.push(b'-');
    out.extend_from_slice(STYLES[index / 7 % STYLES.len()].as_bytes());
    out.push(b'-');
    super::json::integer(out, item_id);
    out.extend_from_slice(QUERIES[chance.weighted(&[55, 14, 10, 9, 6, 6])].as_bytes());
}

const AISLES: [&str; 20] = [
    "cuisine",
    "salon",
    "jardin",
    "bureau",
    "enfants",
    "sport",
    "voyage",
    "musique",
    "livres",
    "jeux",
    "beaute",
    "bricolage",
    "animaux",
    "epicerie",
    "luminaires",
    "textile",
    "bijoux",
    "papeterie",
    "informatique",
    "velo",
];
const ARTICLES: [&str; 12] = [
    "lampe",
    "theiere",
    "coussin",
    "chaise",
    "sac",
    "montre",
    "carnet",
    "plateau",
    "vase",
    "couverture",
    "support",
    "coffret",
];
const STYLES: [&str; 9] = [
    "en-bois",
    "en-fonte",
    "bleu-nuit",
    "compact",
    "pliable",
    "artisanal",
    "recycle",
    "xl",
    "classique",
];
const QUERIES: [&str; 6] = [
    "",
    "?ref=recherche",
    "?ref=accueil",
    "?utm_source=newsletter&utm_medium=email",
    "?utm_source=instagram",
    "?ref=panier",
];

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;

    #[test]
    fn users_and_items_are_skewed_and_in_range() {
        let mut visits = Visits::new(7);
        let (mut users, mut items) = (HashMap::new(), HashMap::new());
        for _ in 0..200_000 {
            let visit = visits.next_visit();
            assert!(
                (1..=1_000).contains(&visit.user_id) && (1..=500).contains(&visit.item_id),
                "{visit:?}"
            );
            *users.entry(visit.user_id).or_insert(0_u64) += 1;
            *items.entry(visit.item_id).or_insert(0_u64) += 1;
        }
        // In a uniform shop, a tenth of the users would make a tenth of the visits.
        let share_of_top_tenth = |counts: &HashMap<u64, u64>, of: usize| {
            let mut counts: Vec<u64> = counts.values().copied().collect();
            counts.sort_unstable_by(|a, b| b.cmp(a));
            counts.iter().take(of / 10).sum::<u64>() as f64 / 200_000.0
        };
        assert!(
            share_of_top_tenth(&users, 1_000) > 0.5,
            "{}",
            share_of_top_tenth(&users, 1_000)
        );
        assert!(
            share_of_top_tenth(&items, 500) > 0.25,
            "{}",
            share_of_top_tenth(&items, 500)
        );
        assert!(
            users.len() > 900 && items.len() == 500,
            "{} {}",
            users.len(),
            items.len()
        );
    }

    #[test]
    fn a_session_follows_one_person_from_item_to_item() {
        let mut visits = Visits::new(7);
        let mut last_seen: HashMap<u64, HashSet<u64>> = HashMap::new();
        let (mut chained, mut begun) = (0, 0);
        for _ in 0..50_000 {
            let visit = visits.next_visit();
            let seen = last_seen.entry(visit.user_id).or_default();
            if visit.previous_item_id != visit.item_id {
                assert!(
                    seen.contains(&visit.previous_item_id),
                    "{visit:?} was never at its previous item"
                );
                chained += 1;
            } else {
                begun += 1;
            }
            seen.insert(visit.item_id);
        }
        assert!(chained > 2 * begun && begun > 5_000, "{chained} {begun}");
    }

    #[test]
    fn every_item_has_one_page() {
        let mut chance = Stream::new(1, "test");
        let mut pages = HashSet::new();
        for item_id in 1..=u64::from(ITEMS) {
            let mut of_item = HashSet::new();
            for _ in 0..20 {
                let mut url = Vec::new();
                page_url(&mut url, item_id, &mut chance);
                let url = String::from_utf8(url).expect("ASCII");
                of_item.insert(url.split('?').next().expect("a first part").to_owned());
            }
            assert_eq!(of_item.len(), 1, "{of_item:?}");
            pages.extend(of_item);
        }
        assert_eq!(pages.len(), 500);
    }
}
