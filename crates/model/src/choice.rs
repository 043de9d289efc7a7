//! Every decision of a schedule: drawn from a seed, written down, and replayed from what was written.

/// Decides whatever a schedule leaves open. 0 is always the calm answer: no fault, no switch, the first of the
/// possibilities. So a list of decisions stays a list of decisions when some are put to 0, cut out or cut off, and
/// that is how a counter-example is made small.
#[derive(Clone, Debug)]
pub struct Choices {
    source: Source,
    made: Vec<u32>,
    is_calm: bool,
}

#[derive(Clone, Debug)]
enum Source {
    Seed(u64),
    Replay { decisions: Vec<u32>, next: usize },
}

impl Choices {
    #[must_use]
    pub fn seeded(seed: u64) -> Choices {
        Choices::from(Source::Seed(
            seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5DEE_CE66_D1CE_4E5B,
        ))
    }

    /// Behind the last of these decisions, all are calm.
    #[must_use]
    pub fn replaying(decisions: Vec<u32>) -> Choices {
        Choices::from(Source::Replay { decisions, next: 0 })
    }

    fn from(source: Source) -> Choices {
        Choices {
            source,
            made: Vec::new(),
            is_calm: false,
        }
    }

    /// From now on nothing is left open.
    pub fn calm_down(&mut self) {
        self.is_calm = true;
    }

    #[must_use]
    pub fn is_calm(&self) -> bool {
        self.is_calm
    }

    /// The decisions made, without the calm ones at the end.
    #[must_use]
    pub fn made(&self) -> &[u32] {
        let used = self.made.iter().rposition(|decision| *decision != 0);
        &self.made[..used.map_or(0, |last| last + 1)]
    }

    /// One of `0..count`.
    pub fn pick(&mut self, count: usize) -> usize {
        let count = u32::try_from(count).expect("few possibilities");
        if count <= 1 || self.is_calm {
            return 0;
        }
        let decision = match &mut self.source {
            Source::Seed(state) => u32::try_from(draw(state) % u64::from(count)).expect("below a u32"),
            Source::Replay { decisions, next } => {
                *next += 1;
                decisions.get(*next - 1).copied().unwrap_or(0) % count
            }
        };
        self.made.push(decision);
        decision as usize
    }

    /// True in so many of a thousand cases.
    pub fn chance(&mut self, per_mille: u32) -> bool {
        if per_mille == 0 || self.is_calm {
            return false;
        }
        let decision = match &mut self.source {
            Source::Seed(state) => u32::from(draw(state) % 1000 < u64::from(per_mille)),
            Source::Replay { decisions, next } => {
                *next += 1;
                decisions.get(*next - 1).copied().unwrap_or(0).min(1)
            }
        };
        self.made.push(decision);
        decision == 1
    }
}

/// `SplitMix64`, by Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014).
fn draw(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}
