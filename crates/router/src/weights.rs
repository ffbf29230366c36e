//! The weights file: one versioned binary, checked before a byte of it is believed.
//!
//! Layout, little-endian: magic, version (u32), length of the card (u32), the card as JSON, the parameters, and a
//! 64-bit checksum of all before it. JSON throughout would be three times as large and slower to load; a serialisation
//! crate would tie the format to its own version.

use serde::{Deserialize, Serialize};

const MAGIC: &[u8; 8] = b"TOLLGATE";
/// The format that this build reads and writes.
pub const VERSION: u32 = 1;
/// A weights file is never larger.
pub const MAX_BYTES: usize = 8 << 20;

/// Why a weights file was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadWeights {
    /// It does not begin as one.
    #[error("this is no Tollgate weights file")]
    Foreign,
    /// A later build wrote it.
    #[error("the weights file has format {found}, and this build reads format {VERSION}; update tollgate")]
    Newer {
        /// Its format.
        found: u32,
    },
    /// It is cut off or altered.
    #[error("the weights file is damaged ({0}); copy it again or rebuild it with `tollgate route train`")]
    Damaged(&'static str),
}

/// What a weights file says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// Its name, e.g. `tollgate-route-v1`.
    pub name: String,
    /// Notices that its data ask for.
    pub notices: Vec<String>,
    /// The seed of its training.
    pub seed: u64,
    /// File name and SHA-256 of each input.
    pub inputs: Vec<(String, String)>,
}

/// Packs a card and parameters.
pub(crate) fn pack(card: &Card, body: &[u8]) -> Vec<u8> {
    // A struct of strings and numbers always serialises.
    let card = serde_json::to_vec(card).unwrap_or_default();
    let mut out = Writer::default();
    out.bytes.extend_from_slice(MAGIC);
    out.u32(VERSION);
    out.count(card.len());
    out.bytes.extend_from_slice(&card);
    out.bytes.extend_from_slice(body);
    let sum = checksum(&out.bytes);
    out.bytes.extend_from_slice(&sum.to_le_bytes());
    out.bytes
}

/// Checks a file and gives its card and a reader of its parameters.
pub(crate) fn unpack(file: &[u8]) -> Result<(Card, Reader<'_>), BadWeights> {
    let mut head = Reader { rest: file };
    if head.take(MAGIC.len()).ok() != Some(MAGIC.as_slice()) {
        return Err(BadWeights::Foreign);
    }
    let found = head.u32()?;
    if found > VERSION {
        return Err(BadWeights::Newer { found });
    }
    if found == 0 || file.len() > MAX_BYTES {
        return Err(BadWeights::Damaged("its head"));
    }
    let (content, sum) = file.split_last_chunk::<8>().ok_or(BadWeights::Damaged("cut off"))?;
    if checksum(content) != u64::from_le_bytes(*sum) {
        return Err(BadWeights::Damaged("its checksum does not fit"));
    }
    let mut reader = Reader { rest: content };
    reader.take(MAGIC.len() + 4)?;
    let length = reader.count()?;
    let card = serde_json::from_slice(reader.take(length)?).map_err(|_| BadWeights::Damaged("its card"))?;
    Ok((card, reader))
}

/// Every byte counts, and its place: against accidents, not against malice.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum: u64, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// Writes parameters.
#[derive(Default)]
pub(crate) struct Writer {
    pub(crate) bytes: Vec<u8>,
}

impl Writer {
    pub(crate) fn u32(&mut self, value: u32) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// A length; none comes near four billion in eight megabytes.
    pub(crate) fn count(&mut self, value: usize) {
        self.u32(u32::try_from(value).unwrap_or(u32::MAX));
    }

    pub(crate) fn f32(&mut self, value: f32) {
        self.u32(value.to_bits());
    }

    pub(crate) fn f32s(&mut self, values: &[f32]) {
        self.count(values.len());
        for value in values {
            self.f32(*value);
        }
    }

    pub(crate) fn i8s(&mut self, values: &[i8]) {
        self.count(values.len());
        self.bytes.extend(values.iter().map(|v| v.cast_unsigned()));
    }

    pub(crate) fn u64s(&mut self, values: &[u64]) {
        self.count(values.len());
        for value in values {
            self.bytes.extend_from_slice(&value.to_le_bytes());
        }
    }
}

/// Reads parameters; never past the end, and no number that is not finite.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], BadWeights> {
        let (head, rest) = self.rest.split_at_checked(n).ok_or(BadWeights::Damaged("cut off"))?;
        self.rest = rest;
        Ok(head)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, BadWeights> {
        let bytes = self.take(4)?.try_into().map_err(|_| BadWeights::Damaged("cut off"))?;
        Ok(u32::from_le_bytes(bytes))
    }

    pub(crate) fn count(&mut self) -> Result<usize, BadWeights> {
        usize::try_from(self.u32()?).map_err(|_| BadWeights::Damaged("a length"))
    }

    pub(crate) fn f32(&mut self) -> Result<f32, BadWeights> {
        let value = f32::from_bits(self.u32()?);
        if value.is_finite() { Ok(value) } else { Err(BadWeights::Damaged("a number")) }
    }

    pub(crate) fn f32s(&mut self) -> Result<Vec<f32>, BadWeights> {
        let n = self.count()?;
        let mut values = Vec::with_capacity(n.min(self.rest.len() / 4));
        for _ in 0..n {
            values.push(self.f32()?);
        }
        Ok(values)
    }

    pub(crate) fn i8s(&mut self) -> Result<Vec<i8>, BadWeights> {
        let n = self.count()?;
        Ok(self.take(n)?.iter().map(|v| v.cast_signed()).collect())
    }

    pub(crate) fn u64s(&mut self) -> Result<Vec<u64>, BadWeights> {
        let n = self.count()?;
        let bytes = self.take(n.checked_mul(8).ok_or(BadWeights::Damaged("a length"))?)?;
        Ok(bytes.as_chunks::<8>().0.iter().map(|chunk| u64::from_le_bytes(*chunk)).collect())
    }

    /// Nothing may follow.
    pub(crate) fn end(&self) -> Result<(), BadWeights> {
        if self.rest.is_empty() { Ok(()) } else { Err(BadWeights::Damaged("it is too long")) }
    }
}
