//! The learned scores together, as a weights file holds them.

use std::fmt;
use std::sync::{Arc, LazyLock};

use crate::difficulty::Difficulty;
use crate::doubt::Doubt;
use crate::weights::{self, BadWeights, Card, Writer};

/// Made by `tollgate route train` (data/README.md is its card).
static BUILTIN: &[u8] = include_bytes!("../data/Llama-tollgate-route-v1.weights");

/// A weights file, read and checked.
#[derive(Clone, PartialEq)]
pub struct Learned {
    /// What it says of itself.
    pub card: Card,
    /// The score of a prompt.
    pub difficulty: Difficulty,
    /// The score of an answer; `None` when it was trained without answers.
    pub doubt: Option<Doubt>,
}

impl fmt::Debug for Learned {
    /// Its card: millions of numbers help nobody.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Learned").field("card", &self.card).finish_non_exhaustive()
    }
}

impl Learned {
    /// The weights in this build, read once.
    pub fn builtin() -> Result<Arc<Self>, BadWeights> {
        static READ: LazyLock<Result<Arc<Learned>, BadWeights>> =
            LazyLock::new(|| Learned::read(BUILTIN).map(Arc::new));
        READ.clone()
    }

    /// Reads a weights file.
    pub fn read(file: &[u8]) -> Result<Self, BadWeights> {
        let (card, mut from) = weights::unpack(file)?;
        let difficulty = Difficulty::read(&mut from)?;
        let doubt = match from.u32()? {
            0 => None,
            _ => Some(Doubt::read(&mut from)?),
        };
        let learned = Self { card, difficulty, doubt };
        from.end()?;
        Ok(learned)
    }

    /// Its file: the same weights give the same bytes.
    pub fn write(&self) -> Vec<u8> {
        let mut out = Writer::default();
        self.difficulty.write(&mut out);
        out.u32(u32::from(self.doubt.is_some()));
        if let Some(doubt) = &self.doubt {
            doubt.write(&mut out);
        }
        weights::pack(&self.card, &out.bytes)
    }
}
