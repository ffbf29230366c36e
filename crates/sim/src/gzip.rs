//! Gzip without compression (stored blocks, RFC 1951 §3.2.4): enough to test who decodes what nobody asked for.

/// Wraps `data` as a gzip member (RFC 1952).
pub(crate) fn stored(data: &[u8]) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    let blocks = data.chunks(0xffff);
    let last = blocks.len().saturating_sub(1);
    if data.is_empty() {
        out.extend([1, 0, 0, 0xff, 0xff]);
    }
    for (i, block) in blocks.enumerate() {
        // a chunk is at most 0xffff long
        let len = u16::try_from(block.len()).unwrap_or(u16::MAX);
        out.push(u8::from(i == last));
        out.extend(len.to_le_bytes());
        out.extend((!len).to_le_bytes());
        out.extend(block);
    }
    out.extend(crc32(data).to_le_bytes());
    // RFC 1952: the length modulo 2^32
    out.extend(u32::try_from(data.len() & 0xffff_ffff).unwrap_or(0).to_le_bytes());
    out
}

fn crc32(data: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in data {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_of_the_standard_check_string() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn long_data_is_cut_in_blocks() {
        let out = stored(&vec![7; 70_000]);
        assert_eq!(out.len(), 10 + 5 + 0xffff + 5 + (70_000 - 0xffff) + 8);
        assert_eq!(&out[10..15], [0, 0xff, 0xff, 0, 0]);
    }
}
