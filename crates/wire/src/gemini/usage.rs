//! Gemini's usage in disjoint buckets.
//!
//! `promptTokenCount` includes what came from the cache; `thoughtsTokenCount` stands beside `candidatesTokenCount`
//! (field notes §2.16). Counts are cumulative on every chunk of a stream: the last object is the whole truth (§2.5).

use catalog::{Basis, Usage};
use serde::Deserialize;

/// The vendor's object. A count that is left out is 0.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct UsageMetadata {
    prompt_token_count: u64,
    cached_content_token_count: u64,
    candidates_token_count: u64,
    thoughts_token_count: u64,
    tool_use_prompt_token_count: u64,
    total_token_count: u64,
    prompt_tokens_details: Vec<Modality>,
    cache_tokens_details: Vec<Modality>,
    candidates_tokens_details: Vec<Modality>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Modality {
    modality: String,
    token_count: u64,
}

fn of(details: &[Modality], modality: &str) -> u64 {
    let counts = details.iter().filter(|detail| detail.modality == modality).map(|detail| detail.token_count);
    counts.fold(0, u64::saturating_add)
}

impl UsageMetadata {
    /// Disjoint buckets. Images, video and documents in the input are billed as text and stay in `input`.
    pub fn usage(&self) -> Usage {
        let prompt = self.prompt_token_count;
        let cached = self.cached_content_token_count.min(prompt);
        let fresh = prompt - cached;
        let cached_audio = of(&self.cache_tokens_details, "AUDIO").min(cached);
        let audio = of(&self.prompt_tokens_details, "AUDIO").saturating_sub(cached_audio).min(fresh);
        let visible = self.visible();
        let output_audio = of(&self.candidates_tokens_details, "AUDIO").min(visible);
        let output_image = of(&self.candidates_tokens_details, "IMAGE").min(visible - output_audio);
        Usage {
            // Results of the vendor's own tools are input too, counted apart.
            input: (fresh - audio).saturating_add(self.tool_use_prompt_token_count),
            cache_read: cached - cached_audio,
            input_audio: audio,
            cache_read_audio: cached_audio,
            output: visible - output_audio - output_image,
            reasoning: self.thoughts_token_count,
            output_audio,
            output_image,
            basis: Basis::Reported,
            ..Usage::default()
        }
    }

    /// Candidates without thoughts. Some early versions counted thoughts in: then the total says so.
    fn visible(&self) -> u64 {
        let outside = self
            .prompt_token_count
            .saturating_add(self.tool_use_prompt_token_count)
            .saturating_add(self.candidates_token_count);
        if self.thoughts_token_count > 0 && self.total_token_count == outside {
            return self.candidates_token_count.saturating_sub(self.thoughts_token_count);
        }
        self.candidates_token_count
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn usage(value: Value) -> Usage {
        serde_json::from_value::<UsageMetadata>(value).unwrap().usage()
    }

    #[test]
    fn fn2_16_thoughts_stand_beside_candidates() {
        let usage = usage(json!({
            "promptTokenCount": 10, "candidatesTokenCount": 20, "thoughtsTokenCount": 300, "totalTokenCount": 330
        }));
        assert_eq!((usage.output, usage.reasoning, usage.total_output()), (20, 300, 320));
    }

    #[test]
    fn fn2_16_thoughts_inside_candidates_are_not_counted_twice() {
        let usage = usage(json!({
            "promptTokenCount": 10, "candidatesTokenCount": 320, "thoughtsTokenCount": 300, "totalTokenCount": 330
        }));
        assert_eq!((usage.output, usage.reasoning), (20, 300));
    }

    #[test]
    fn fn1_03_cached_tokens_lie_inside_the_prompt() {
        let usage = usage(json!({"promptTokenCount": 1000, "cachedContentTokenCount": 900}));
        assert_eq!((usage.input, usage.cache_read, usage.total_input()), (100, 900, 1000));
    }

    #[test]
    fn audio_is_billed_apart_and_images_are_not() {
        let usage = usage(json!({
            "promptTokenCount": 1000, "cachedContentTokenCount": 400, "candidatesTokenCount": 60,
            "promptTokensDetails": [
                {"modality": "TEXT", "tokenCount": 500}, {"modality": "AUDIO", "tokenCount": 300},
                {"modality": "IMAGE", "tokenCount": 200}],
            "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 100}, {"modality": "TEXT", "tokenCount": 300}],
            "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 50}, {"modality": "IMAGE", "tokenCount": 4}]
        }));
        assert_eq!((usage.input, usage.input_audio), (400, 200));
        assert_eq!((usage.cache_read, usage.cache_read_audio), (300, 100));
        assert_eq!((usage.output, usage.output_audio, usage.output_image), (6, 50, 4));
    }

    proptest! {
        #[test]
        fn fn1_03_buckets_sum_to_what_the_vendor_counted(
            prompt in 0u64..10_000, cached in 0u64..10_000, tools in 0u64..100, candidates in 0u64..10_000,
            thoughts in 0u64..10_000, audio in 0u64..10_000, cached_audio in 0u64..10_000, spoken in 0u64..10_000,
            drawn in 0u64..10_000
        ) {
            let usage = usage(json!({
                "promptTokenCount": prompt, "cachedContentTokenCount": cached, "toolUsePromptTokenCount": tools,
                "candidatesTokenCount": candidates, "thoughtsTokenCount": thoughts,
                "totalTokenCount": prompt + tools + candidates + thoughts,
                "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": audio}],
                "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": cached_audio}],
                "candidatesTokensDetails": [
                    {"modality": "AUDIO", "tokenCount": spoken}, {"modality": "IMAGE", "tokenCount": drawn}],
            }));
            prop_assert_eq!(usage.total_input(), prompt + tools);
            prop_assert_eq!(usage.total_output(), candidates + thoughts);
        }
    }
}
