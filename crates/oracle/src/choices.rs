//! Random choices taken from given bytes, one byte a choice: so a fuzzer that changes a byte changes one choice.

use rand::RngCore;

/// Bytes as a source of randomness. When they are used up, ranges give their start and chances do not happen, so that
/// whatever is generated comes to its end.
#[derive(Debug)]
pub struct Choices<'b> {
    bytes: &'b [u8],
}

impl<'b> Choices<'b> {
    #[must_use]
    pub fn new(bytes: &'b [u8]) -> Choices<'b> {
        Choices { bytes }
    }

    /// The bytes that no choice has taken.
    #[must_use]
    pub fn rest(&self) -> &'b [u8] {
        self.bytes
    }

    /// The next byte; 0 when there is none.
    pub fn byte(&mut self) -> u8 {
        self.next().unwrap_or(0)
    }

    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*first)
    }
}

impl RngCore for Choices<'_> {
    /// What `rand` draws from for ranges of a few: the byte decides alone.
    fn next_u32(&mut self) -> u32 {
        u32::from(self.byte()) * 0x0101_0101
    }

    /// What `rand` draws from for chances, which happen below a threshold.
    fn next_u64(&mut self) -> u64 {
        self.next()
            .map_or(u64::MAX, |byte| u64::from(byte) * 0x0101_0101_0101_0101)
    }

    fn fill_bytes(&mut self, filled: &mut [u8]) {
        filled.fill_with(|| self.byte());
    }
}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::*;

    #[test]
    fn a_byte_is_a_choice_and_no_byte_the_plainest() {
        let mut choices = Choices::new(&[0, 255, 0, 255, 7]);
        assert_eq!(choices.random_range(0..8), 0);
        assert_eq!(choices.random_range(0..8), 7);
        assert!(choices.random_bool(0.5));
        assert!(!choices.random_bool(0.5));
        assert_eq!((choices.byte(), choices.rest()), (7, [].as_slice()));
        assert_eq!(choices.random_range(3..8), 3);
        assert!(!choices.random_bool(0.99));
    }
}
