//! What a vendor refuses, before it is spelled in a dialect.

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub kind: Kind,
    pub message: String,
    /// The field to blame.
    pub param: Option<String>,
}

/// Its kind; each dialect has its own status and words for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The request is wrong.
    Bad,
    /// A field is missing.
    Missing,
    /// A field that this model does not take.
    UnsupportedField,
    /// Too large.
    TooLarge,
    /// No key or a wrong one.
    Key,
    /// No such model, or it is retired.
    Model,
    /// No such path.
    Path,
    /// No such method there.
    Method,
    /// Throttled.
    RateLimited,
    /// Out of credit.
    Quota,
    /// The input filter said no.
    Filter,
    /// Longer than the model takes.
    Context,
    /// Any other status.
    Status(u16),
}

impl Problem {
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), param: None }
    }

    /// A wrong field.
    pub fn bad(param: &str, message: impl Into<String>) -> Self {
        Self::new(Kind::Bad, message).at(param)
    }

    /// A missing field.
    pub fn missing(param: &str) -> Self {
        Self::new(Kind::Missing, format!("Missing required parameter: '{param}'.")).at(param)
    }

    pub fn at(mut self, param: &str) -> Self {
        self.param = Some(param.to_owned());
        self
    }
}
