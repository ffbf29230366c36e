//! A number that no formula can take.

/// A number outside its range: negative, not finite, absurd.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("`{name}` is {value}; it must be {wanted}")]
pub struct Invalid {
    /// The quantity, as the code spells it.
    pub name: &'static str,
    /// What it was.
    pub value: f64,
    /// What it may be.
    pub wanted: &'static str,
}

impl Invalid {
    /// `name` was `value` and must be `wanted`.
    pub fn new(name: &'static str, value: f64, wanted: &'static str) -> Self {
        Self { name, value, wanted }
    }

    /// Errors unless the value is finite and `good`.
    pub(crate) fn unless(
        good: bool,
        name: &'static str,
        value: f64,
        wanted: &'static str,
    ) -> Result<(), Self> {
        if good && value.is_finite() { Ok(()) } else { Err(Self::new(name, value, wanted)) }
    }
}
