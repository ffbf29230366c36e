//! What a call consumed, in buckets that do not overlap. Vendors disagree on whether "input tokens" includes
//! cached ones (OpenAI: yes, Anthropic: no) and "output tokens" includes reasoning (OpenAI: yes, Gemini: no);
//! each wire normalises its own convention, so that a bill is a plain sum over buckets.

use serde::{Deserialize, Serialize};

/// Where a count came from. Estimated is never shown as reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// The vendor said so.
    Reported,
    /// Tollgate estimated it, e.g. from the bytes that arrived before a stream was cut.
    #[default]
    Estimated,
}

/// A priced kind of unit. The order is the order of lines on a bill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bucket {
    /// Input text tokens that came from no cache.
    Input,
    /// Input tokens read from the vendor's prompt cache.
    CacheRead,
    /// Input tokens written to a cache that lives 5 minutes (also vendors with one kind of write).
    #[serde(rename = "cache_write_5m")]
    CacheWrite5m,
    /// Input tokens written to a cache that lives 1 hour.
    #[serde(rename = "cache_write_1h")]
    CacheWrite1h,
    /// Input audio tokens that came from no cache.
    InputAudio,
    /// Input audio tokens read from the prompt cache.
    CacheReadAudio,
    /// Input image tokens, where the vendor bills them apart.
    InputImage,
    /// Output text tokens that the caller can see.
    Output,
    /// Output tokens spent on reasoning.
    Reasoning,
    /// Output audio tokens.
    OutputAudio,
    /// Output image tokens.
    OutputImage,
    /// Searches that the vendor ran on the web for the call.
    WebSearch,
    /// The call itself, where a vendor has a fee per request.
    Request,
}

impl Bucket {
    /// Every bucket, in the order of a bill.
    pub const ALL: [Self; 13] = [
        Self::Input,
        Self::CacheRead,
        Self::CacheWrite5m,
        Self::CacheWrite1h,
        Self::InputAudio,
        Self::CacheReadAudio,
        Self::InputImage,
        Self::Output,
        Self::Reasoning,
        Self::OutputAudio,
        Self::OutputImage,
        Self::WebSearch,
        Self::Request,
    ];

    /// The name in JSON, SQL and CSV.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::CacheRead => "cache_read",
            Self::CacheWrite5m => "cache_write_5m",
            Self::CacheWrite1h => "cache_write_1h",
            Self::InputAudio => "input_audio",
            Self::CacheReadAudio => "cache_read_audio",
            Self::InputImage => "input_image",
            Self::Output => "output",
            Self::Reasoning => "reasoning",
            Self::OutputAudio => "output_audio",
            Self::OutputImage => "output_image",
            Self::WebSearch => "web_search",
            Self::Request => "request",
        }
    }
}

/// Units consumed by one call, per disjoint bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// See [`Bucket::Input`].
    pub input: u64,
    /// See [`Bucket::CacheRead`].
    pub cache_read: u64,
    /// See [`Bucket::CacheWrite5m`].
    pub cache_write_5m: u64,
    /// See [`Bucket::CacheWrite1h`].
    pub cache_write_1h: u64,
    /// See [`Bucket::InputAudio`].
    pub input_audio: u64,
    /// See [`Bucket::CacheReadAudio`].
    pub cache_read_audio: u64,
    /// See [`Bucket::InputImage`].
    pub input_image: u64,
    /// See [`Bucket::Output`].
    pub output: u64,
    /// See [`Bucket::Reasoning`].
    pub reasoning: u64,
    /// See [`Bucket::OutputAudio`].
    pub output_audio: u64,
    /// See [`Bucket::OutputImage`].
    pub output_image: u64,
    /// See [`Bucket::WebSearch`].
    pub web_search: u64,
    /// Who counted.
    pub basis: Basis,
}

impl Usage {
    /// The count in one bucket. A call is always one [`Bucket::Request`].
    pub const fn get(&self, bucket: Bucket) -> u64 {
        match bucket {
            Bucket::Input => self.input,
            Bucket::CacheRead => self.cache_read,
            Bucket::CacheWrite5m => self.cache_write_5m,
            Bucket::CacheWrite1h => self.cache_write_1h,
            Bucket::InputAudio => self.input_audio,
            Bucket::CacheReadAudio => self.cache_read_audio,
            Bucket::InputImage => self.input_image,
            Bucket::Output => self.output,
            Bucket::Reasoning => self.reasoning,
            Bucket::OutputAudio => self.output_audio,
            Bucket::OutputImage => self.output_image,
            Bucket::WebSearch => self.web_search,
            Bucket::Request => 1,
        }
    }

    /// All input tokens, cached or not: what decides a long-context bracket.
    pub const fn total_input(&self) -> u64 {
        self.input
            .saturating_add(self.cache_read)
            .saturating_add(self.cache_write_5m)
            .saturating_add(self.cache_write_1h)
            .saturating_add(self.input_audio)
            .saturating_add(self.cache_read_audio)
            .saturating_add(self.input_image)
    }

    /// All output tokens, visible or not.
    pub const fn total_output(&self) -> u64 {
        self.output
            .saturating_add(self.reasoning)
            .saturating_add(self.output_audio)
            .saturating_add(self.output_image)
    }
}
