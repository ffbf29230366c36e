//! Units: a figure about tokens always says which tokens.

/// Whole output tokens of the workload per day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(transparent)]
pub struct OutputTokensPerDay(pub u64);

impl OutputTokensPerDay {
    /// For formulas; exact up to 2⁵³.
    #[expect(
        clippy::cast_precision_loss,
        reason = "no day holds 2⁵³ tokens, and a bill needs no more digits"
    )]
    pub fn as_f64(self) -> f64 {
        self.0 as f64
    }
}

impl std::fmt::Display for OutputTokensPerDay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} output tokens/day", self.0)
    }
}

/// Which tokens a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenKind {
    /// Produced by the model.
    Output,
    /// Sent to the model.
    Input,
    /// Both.
    Total,
}

impl TokenKind {
    /// As it stands beside a figure.
    pub fn label(self) -> &'static str {
        match self {
            Self::Output => "output tokens",
            Self::Input => "input tokens",
            Self::Total => "total tokens",
        }
    }
}

/// How many input tokens come with an output token: per request, per day or as shares, since only the ratio counts.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct TokenMix {
    /// Input tokens.
    pub input: f64,
    /// Output tokens, in the same measure; above 0.
    pub output: f64,
}

impl TokenMix {
    /// So many output tokens, expressed in tokens of another kind.
    pub fn from_output(self, output_tokens: f64, kind: TokenKind) -> f64 {
        match kind {
            TokenKind::Output => output_tokens,
            TokenKind::Input => output_tokens * self.input / self.output,
            TokenKind::Total => output_tokens * (self.input + self.output) / self.output,
        }
    }

    /// So many tokens of a kind, expressed in output tokens.
    pub fn to_output(self, tokens: f64, kind: TokenKind) -> f64 {
        match kind {
            TokenKind::Output => tokens,
            TokenKind::Input => tokens * self.output / self.input,
            TokenKind::Total => tokens * self.output / (self.input + self.output),
        }
    }
}

/// What one more million *output* tokens cost with all that comes with them, in USD: their input share too, and the
/// escalated share where there is one. Never the bare price of output tokens, unless input is free.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, serde::Serialize)]
#[serde(transparent)]
pub struct OutputPrice(f64);

impl OutputPrice {
    /// From USD per million output tokens, input share included.
    pub fn new(usd_per_million: f64) -> Self {
        Self(usd_per_million)
    }

    /// From list prices in USD per million and the mix: `output + input · (input tokens / output tokens)`.
    pub fn from_list(input_usd_per_million: f64, output_usd_per_million: f64, mix: TokenMix) -> Self {
        Self(output_usd_per_million + input_usd_per_million * mix.input / mix.output)
    }

    /// A mean of two stacks by routing: a share of the tokens goes to `other`, `(1 − share) · self + share · other`.
    #[must_use]
    pub fn escalating(self, share: f64, other: Self) -> Self {
        Self((1.0 - share) * self.0 + share * other.0)
    }

    /// USD per million output tokens.
    pub fn usd_per_million(self) -> f64 {
        self.0
    }
}
