//! Anthropic's usage in disjoint buckets.
//!
//! The vendor's own convention is disjoint on the input side: `input_tokens` leaves out what was read from and
//! written to the cache (field notes §2.1). In streams usage comes twice; the later object replaces the earlier,
//! field by field, and is never added to it (§2.2). A zero is a value (§2.3).

use catalog::{Basis, Tier, Usage};
use serde::Deserialize;

/// The vendor's object. `None` means "not said", so that a later object changes only what it says.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Counts {
    input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_creation: Option<Creation>,
    output_tokens: Option<u64>,
    output_tokens_details: Option<OutputDetails>,
    server_tool_use: Option<ServerTools>,
    service_tier: Option<String>,
}

/// Cache writes by life.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct Creation {
    ephemeral_5m_input_tokens: Option<u64>,
    ephemeral_1h_input_tokens: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct OutputDetails {
    thinking_tokens: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct ServerTools {
    web_search_requests: Option<u64>,
}

impl Counts {
    /// Takes over what a later object says.
    pub fn replace(&mut self, later: Self) {
        self.input_tokens = later.input_tokens.or(self.input_tokens);
        self.cache_read_input_tokens = later.cache_read_input_tokens.or(self.cache_read_input_tokens);
        if later.cache_creation.is_some() || later.cache_creation_input_tokens.is_some() {
            self.cache_creation_input_tokens = later.cache_creation_input_tokens;
            self.cache_creation = later.cache_creation.or(self.cache_creation);
        }
        self.output_tokens = later.output_tokens.or(self.output_tokens);
        self.output_tokens_details = later.output_tokens_details.or(self.output_tokens_details);
        self.server_tool_use = later.server_tool_use.or(self.server_tool_use);
        if later.service_tier.is_some() {
            self.service_tier = later.service_tier;
        }
    }

    /// Disjoint buckets; `None` when the vendor counted nothing.
    pub fn usage(&self) -> Option<Usage> {
        if self.input_tokens.is_none() && self.output_tokens.is_none() {
            return None;
        }
        let (short, long) = self.writes();
        let output = self.output_tokens.unwrap_or(0);
        // Reasoning lies inside the output count.
        let details = self.output_tokens_details.and_then(|details| details.thinking_tokens);
        let reasoning = details.unwrap_or(0).min(output);
        Some(Usage {
            input: self.input_tokens.unwrap_or(0),
            cache_read: self.cache_read_input_tokens.unwrap_or(0),
            cache_write_5m: short,
            cache_write_1h: long,
            output: output - reasoning,
            reasoning,
            web_search: self.server_tool_use.and_then(|tools| tools.web_search_requests).unwrap_or(0),
            basis: Basis::Reported,
            ..Usage::default()
        })
    }

    /// Cache writes that live 5 minutes and 1 hour. The total decides: the split only divides it, so that the two
    /// never exceed it, and a total without a split is all of the short kind.
    fn writes(&self) -> (u64, u64) {
        let split = self.cache_creation.unwrap_or_default();
        let short = split.ephemeral_5m_input_tokens.unwrap_or(0);
        let long = split.ephemeral_1h_input_tokens.unwrap_or(0);
        match self.cache_creation_input_tokens {
            None => (short, long),
            Some(total) => {
                let long = long.min(total);
                (total - long, long)
            }
        }
    }

    /// The tier that was granted.
    pub fn tier(&self) -> Option<Tier> {
        match self.service_tier.as_deref() {
            Some("standard") => Some(Tier::Standard),
            Some("priority") => Some(Tier::Priority),
            Some("batch") => Some(Tier::Batch),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn counts(value: serde_json::Value) -> Counts {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn fn2_01_input_excludes_the_cache() {
        let usage = counts(json!({
            "input_tokens": 10, "cache_read_input_tokens": 700, "cache_creation_input_tokens": 30,
            "output_tokens": 5
        }));
        let usage = usage.usage().unwrap();
        assert_eq!((usage.input, usage.cache_read, usage.cache_write_5m), (10, 700, 30));
        assert_eq!(usage.total_input(), 740);
        assert_eq!(usage.basis, Basis::Reported);
    }

    #[test]
    fn fn2_02_anthropic_delta_usage_replaces_never_adds() {
        let mut seen = counts(json!({
            "input_tokens": 100, "cache_read_input_tokens": 40, "output_tokens": 1
        }));
        seen.replace(counts(
            json!({"input_tokens": 100, "cache_read_input_tokens": 40, "output_tokens": 55}),
        ));
        let usage = seen.usage().unwrap();
        assert_eq!((usage.input, usage.cache_read, usage.output), (100, 40, 55));
    }

    #[test]
    fn fn2_03_cache_writes_split_by_life_and_zeros_overwrite() {
        let mut seen = counts(json!({
            "input_tokens": 1, "cache_creation_input_tokens": 90,
            "cache_creation": {"ephemeral_5m_input_tokens": 90, "ephemeral_1h_input_tokens": 0}
        }));
        seen.replace(counts(json!({
            "cache_creation_input_tokens": 90,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 90}
        })));
        let usage = seen.usage().unwrap();
        assert_eq!((usage.cache_write_5m, usage.cache_write_1h), (0, 90));
        seen.replace(counts(json!({"cache_creation_input_tokens": 0})));
        let usage = seen.usage().unwrap();
        assert_eq!((usage.cache_write_5m, usage.cache_write_1h), (0, 0));
    }

    #[test]
    fn fn2_16_reasoning_lies_inside_the_output_count() {
        let usage = counts(json!({
            "input_tokens": 1, "output_tokens": 239, "output_tokens_details": {"thinking_tokens": 148}
        }));
        let usage = usage.usage().unwrap();
        assert_eq!((usage.output, usage.reasoning), (91, 148));
    }

    proptest! {
        #[test]
        fn fn1_03_writes_never_exceed_the_creation_total(
            total in 0u64..1_000, short in 0u64..1_000, long in 0u64..1_000
        ) {
            let usage = counts(json!({
                "input_tokens": 0, "cache_creation_input_tokens": total,
                "cache_creation": {"ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": long}
            }));
            let usage = usage.usage().unwrap();
            prop_assert_eq!(usage.cache_write_5m + usage.cache_write_1h, total);
        }
    }
}
