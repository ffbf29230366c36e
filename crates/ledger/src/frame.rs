//! Frames: how records lie in a spool file, one after another, each with its length and checksum.
//!
//! The obvious alternative is a JSON line per record. A line that a crash cut in half can still look whole, and
//! nothing says that a byte in its middle is wrong. A frame says both, and costs a tenth of the time.
//!
//! Layout: two marker bytes, payload length (`u32`, little-endian), checksum (`u32`), payload.

/// Version of frames and records.
pub(crate) const SEGMENT_VERSION: u8 = 1;
/// First bytes of every segment: what it is and in which version.
pub(crate) const SEGMENT_MAGIC: [u8; 8] = *b"TGSPOOL\x01";
/// The part of [`SEGMENT_MAGIC`] that every version shares.
pub(crate) const MAGIC_NAME: &[u8] = b"TGSPOOL";
/// Largest payload that is believed; a length above it is damage.
pub(crate) const MAX_PAYLOAD: usize = 1 << 20;

const MARKER: [u8; 2] = [0xa7, 0x6c];
const HEAD: usize = 10;

/// Appends one frame around what `write` appends. A payload above [`MAX_PAYLOAD`] is taken back; returns whether
/// the frame was added.
pub(crate) fn append(buffer: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> bool {
    let start = buffer.len();
    buffer.extend_from_slice(&MARKER);
    buffer.extend_from_slice(&[0; HEAD - MARKER.len()]);
    write(buffer);
    let body = start.saturating_add(HEAD).min(buffer.len());
    let (head, payload) = buffer.split_at_mut(body);
    let length = u32::try_from(payload.len()).ok().filter(|_| payload.len() <= MAX_PAYLOAD);
    let slot =
        head.get_mut(start.saturating_add(MARKER.len())..).and_then(|h| h.split_first_chunk_mut::<4>());
    if let (Some(length), Some((length_slot, sum_slot))) = (length, slot) {
        *length_slot = length.to_le_bytes();
        sum_slot.copy_from_slice(&checksum(payload).to_le_bytes());
        return true;
    }
    buffer.truncate(start);
    false
}

/// What lies at the start of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    /// A whole frame: its payload, and its length with the head.
    Frame(&'a [u8], usize),
    /// No whole frame: cut off, or damaged.
    Nothing,
}

/// Reads the frame that starts at the first byte.
pub(crate) fn first(bytes: &[u8]) -> Found<'_> {
    let Some((head, rest)) = bytes.split_first_chunk::<HEAD>() else { return Found::Nothing };
    let [m0, m1, l0, l1, l2, l3, c0, c1, c2, c3] = *head;
    let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
    if [m0, m1] != MARKER || length > MAX_PAYLOAD {
        return Found::Nothing;
    }
    match rest.get(..length) {
        Some(payload) if checksum(payload) == u32::from_le_bytes([c0, c1, c2, c3]) => {
            Found::Frame(payload, HEAD.saturating_add(length))
        }
        _ => Found::Nothing,
    }
}

/// What reading a whole segment came upon besides frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Damage {
    /// Bytes after the last whole frame: a write that a crash cut off.
    pub torn: usize,
    /// Bytes skipped between whole frames: the file was altered.
    pub skipped: usize,
}

/// Hands every whole frame of a segment's body to `each`, in order. A damaged stretch is skipped: reading goes on at
/// the next whole frame.
pub(crate) fn scan(body: &[u8], mut each: impl FnMut(&[u8])) -> Damage {
    let mut damage = Damage::default();
    let mut at = 0_usize;
    let mut lost_since: Option<usize> = None;
    while let Some(rest) = body.get(at..).filter(|r| !r.is_empty()) {
        match first(rest) {
            Found::Frame(payload, length) => {
                if let Some(since) = lost_since.take() {
                    damage.skipped = damage.skipped.saturating_add(at.saturating_sub(since));
                }
                each(payload);
                at = at.saturating_add(length);
            }
            Found::Nothing => {
                lost_since.get_or_insert(at);
                at = at.saturating_add(skip(rest));
            }
        }
    }
    damage.torn = lost_since.map_or(0, |since| body.len().saturating_sub(since));
    damage
}

/// Bytes from a damaged place to the next one where a frame may start, or to the end.
pub(crate) fn skip(damaged: &[u8]) -> usize {
    let next = damaged.iter().skip(1).position(|b| *b == MARKER[0]);
    next.map_or(damaged.len(), |n| n.saturating_add(1))
}

/// A 32-bit checksum over eight bytes at a time. Each step is a bijection of the state, so a change confined to one
/// word always changes the 64-bit state; the fold to 32 bits leaves one chance in 2³² that damage goes unseen.
/// A table-driven CRC is as good and four times as slow; it guards against accidents, not against forgers.
fn checksum(bytes: &[u8]) -> u32 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |state: u64, word: u64| {
        let product = (state ^ word).wrapping_mul(FACTOR);
        product ^ (product >> 29)
    };
    let mut state = mix(FACTOR, bytes.len() as u64);
    let (words, tail) = bytes.as_chunks::<8>();
    for word in words {
        state = mix(state, u64::from_le_bytes(*word));
    }
    let mut last = [0; 8];
    last.iter_mut().zip(tail).for_each(|(to, from)| *to = *from);
    state = mix(state, u64::from_le_bytes(last));
    let folded = state ^ (state >> 32);
    u32::try_from(folded & u64::from(u32::MAX)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn framed(payloads: &[Vec<u8>]) -> Vec<u8> {
        let mut out = Vec::new();
        for payload in payloads {
            assert!(append(&mut out, |b| b.extend_from_slice(payload)));
        }
        out
    }

    fn scanned(body: &[u8]) -> (Vec<Vec<u8>>, Damage) {
        let mut seen = Vec::new();
        let damage = scan(body, |p| seen.push(p.to_vec()));
        (seen, damage)
    }

    #[test]
    fn a_payload_that_is_too_long_leaves_nothing_behind() {
        let mut out = framed(&[vec![1, 2, 3]]);
        let before = out.clone();
        assert!(!append(&mut out, |b| b.resize(b.len() + MAX_PAYLOAD + 1, 0)));
        assert_eq!(out, before);
    }

    proptest! {
        #[test]
        fn frames_cut_at_any_byte_give_the_whole_ones(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..6),
        ) {
            let body = framed(&payloads);
            let mut ends = vec![0];
            for payload in &payloads {
                ends.push(ends.last().unwrap() + HEAD + payload.len());
            }
            for cut in 0..=body.len() {
                let whole = ends.iter().filter(|e| **e <= cut).count() - 1;
                let (seen, damage) = scanned(&body[..cut]);
                prop_assert_eq!(&seen[..], &payloads[..whole]);
                prop_assert_eq!(damage, Damage { torn: cut - ends[whole], skipped: 0 });
            }
        }

        #[test]
        fn one_flipped_bit_costs_one_frame(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 2..6),
            which in any::<prop::sample::Index>(), bit in 0..8_u32,
        ) {
            let mut body = framed(&payloads);
            let at = which.index(body.len());
            body[at] ^= 1 << bit;
            let (seen, damage) = scanned(&body);
            prop_assert!(damage.torn + damage.skipped > 0);
            prop_assert_eq!(seen.len(), payloads.len() - 1);
        }
    }
}
