//! A request after its dialect is read: what the answer depends on.

use serde_json::Value;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Chat,
    Completion,
    Embedding,
}

/// Whether a tool must be called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Choice {
    #[default]
    Auto,
    None,
    Required,
    Named(String),
}

/// The form of the answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Format {
    #[default]
    Text,
    Json,
    Schema(Value),
}

/// A tool on offer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tool {
    pub name: String,
    pub parameters: Value,
}

/// The request.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent options of a request")]
pub(crate) struct Ask {
    pub op: Op,
    pub model: String,
    pub stream: bool,
    /// `stream_options.include_usage` (OpenAI).
    pub include_usage: bool,
    /// Texts of the user's messages, oldest first; texts to embed.
    pub asked: Vec<String>,
    /// The last message is a tool result: its text.
    pub tool_result: Option<String>,
    /// Tokens of all input.
    pub input_tokens: u64,
    pub images: u64,
    pub tools: Vec<Tool>,
    pub choice: Choice,
    /// More than one tool call is fine.
    pub parallel: bool,
    pub format: Format,
    pub max_output: Option<u64>,
    pub stop: Vec<String>,
    /// Choices.
    pub n: u64,
    /// The caller asked to see reasoning.
    pub think: bool,
    /// Vector length asked for.
    pub dimensions: Option<usize>,
    /// Vectors as base64.
    pub base64: bool,
    /// A function call of this turn came back without its seal (Gemini).
    pub unsealed: bool,
    /// Texts came as a batch, even if it is one (Gemini).
    pub batch: bool,
}

impl Ask {
    pub fn new(op: Op, model: &str) -> Self {
        Self {
            op,
            model: model.to_owned(),
            stream: false,
            include_usage: false,
            asked: Vec::new(),
            tool_result: None,
            input_tokens: 0,
            images: 0,
            tools: Vec::new(),
            choice: Choice::Auto,
            parallel: true,
            format: Format::Text,
            max_output: None,
            stop: Vec::new(),
            n: 1,
            think: false,
            dimensions: None,
            base64: false,
            unsealed: false,
            batch: false,
        }
    }
}

/// Tokens of a text: four bytes each, rounded up.
pub(crate) fn tokens(text: &str) -> u64 {
    (text.len() as u64).div_ceil(4)
}

/// Tokens of an image, whatever its size.
pub(crate) const IMAGE_TOKENS: u64 = 258;
