//! Finding where the plain part of a string ends, many bytes at a time.

/// How many bytes from the start on are neither a quote, nor a backslash, nor a control character.
#[inline(always)]
pub(super) fn plain_run(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(block) = bytes[at..].first_chunk::<BLOCK>() {
        let special = special_in_block(block);
        if special != 0 {
            return at + special.trailing_zeros() as usize;
        }
        at += BLOCK;
    }
    at + plain_run_of_rest(&bytes[at..])
}

/// As `plain_run`, for the last bytes of a record, too few for a block.
fn plain_run_of_rest(bytes: &[u8]) -> usize {
    const WORD: usize = 8;
    let mut at = 0;
    while let Some(word) = bytes[at..].first_chunk::<WORD>() {
        let special = special_bytes(u64::from_le_bytes(*word));
        if special != 0 {
            return at + special.trailing_zeros() as usize / 8;
        }
        at += WORD;
    }
    let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    let rest = &bytes[at..];
    at + rest.iter().position(is_special).unwrap_or(rest.len())
}

const BLOCK: usize = 16;

/// A bit for each byte of a block that is a quote, a backslash or a control character.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn special_in_block(block: &[u8; BLOCK]) -> u32 {
    // SAFETY: SSE2 is part of x86-64 itself: there is no such processor without it.
    unsafe { special_by_sse2(u128::from_le_bytes(*block)) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse2")]
#[inline]
fn special_by_sse2(bits: u128) -> u32 {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x, _mm_set1_epi8,
    };
    let bytes = _mm_set_epi64x((bits >> 64) as i64, bits as i64);
    let quotes = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'"' as i8));
    let backslashes = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\\' as i8));
    // What is left by the smaller of itself and the last control character is one.
    let controls = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1F)), bytes);
    _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quotes, backslashes), controls)) as u32
}

/// As above; bits behind the first one may be wrong.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn special_in_block(block: &[u8; BLOCK]) -> u32 {
    let bits = u128::from_le_bytes(*block);
    for (place, word) in [bits as u64, (bits >> 64) as u64].into_iter().enumerate() {
        let special = special_bytes(word);
        if special != 0 {
            return 1 << (8 * place as u32 + special.trailing_zeros() / 8);
        }
    }
    0
}

/// The high bit of each byte of a word that is a quote, a backslash or a control character. Bytes behind the
/// first such one may be marked wrongly; nothing looks at them.
#[inline(always)]
fn special_bytes(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 0xFF;
    const HIGHS: u64 = ONES * 0x80;
    let zero_bytes = |word: u64| word.wrapping_sub(ONES) & !word;
    let quotes = zero_bytes(word ^ (ONES * b'"' as u64));
    let backslashes = zero_bytes(word ^ (ONES * b'\\' as u64));
    let controls = word.wrapping_sub(ONES * 0x20) & !word;
    (quotes | backslashes | controls) & HIGHS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_told_apart_at_every_place() {
        for length in 0..50 {
            for place in 0..length {
                for byte in 0..=255_u8 {
                    let mut bytes = vec![b'a'; length];
                    bytes[place] = byte;
                    let special = matches!(byte, b'"' | b'\\' | 0..0x20);
                    let expected = if special { place } else { length };
                    assert_eq!(plain_run(&bytes), expected, "byte {byte} at {place} of {length}");
                    assert_eq!(
                        plain_run_of_rest(&bytes),
                        expected,
                        "byte {byte} at {place} of {length}"
                    );
                }
            }
        }
    }
}
