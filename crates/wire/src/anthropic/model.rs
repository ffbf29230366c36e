//! What differs between Claude generations, read off the model's name.
//!
//! The catalogue says what a model can do; this says how to ask for it (field notes §2.14, §2.15). Sources: the
//! vendor's migration guides of Claude 4.6 to 5.5 and its pages on thinking and structured outputs.

/// How a model is asked to reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Thinking {
    /// It cannot.
    No,
    /// `{"type": "enabled", "budget_tokens": N}`.
    Budget,
    /// `{"type": "adaptive"}` with `output_config.effort`; off unless asked for.
    OnRequest,
    /// Adaptive, and on unless `{"type": "disabled"}` is said.
    Default,
    /// Adaptive, on by default; the least is `{"type": "between_tools"}`.
    BetweenTools,
    /// Adaptive, always.
    Always,
}

/// A model's traits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each trait came and went on its own")]
pub(super) struct Traits {
    pub thinking: Thinking,
    /// `temperature`, `top_p` and `top_k` are refused.
    pub fixed_sampling: bool,
    /// `temperature` and `top_p` exclude each other.
    pub one_sampler: bool,
    /// A forced `tool_choice` is refused.
    pub no_forced_tools: bool,
    /// Takes `output_config.format` and strict tools.
    pub structured: bool,
    /// Efforts above `high` exist.
    pub high_efforts: bool,
    /// Reasoning text is left out unless `display` asks for it.
    pub hides_reasoning: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Opus,
    Sonnet,
    Haiku,
    /// Fable and Mythos, which always reason.
    Fable,
    Other,
}

impl Traits {
    /// The traits of a model by its id, in any host's spelling (`claude-opus-4-7`, `anthropic.claude-opus-4-7-v1:0`,
    /// `claude-3-7-sonnet@20250219`). A Claude that is not recognised is taken for one that accepts the most; a
    /// model of another maker behind this dialect for one that takes a budget.
    pub fn of(model: &str) -> Self {
        let Some((_, name)) = model.rsplit_once("claude") else {
            return Self::new(Family::Other, (4, 0), Thinking::Budget);
        };
        let mut family = Family::Other;
        let mut numbers = Vec::new();
        for word in name.split(['-', '.', '@', ':', '_', '/']) {
            match word {
                "opus" => family = Family::Opus,
                "sonnet" => family = Family::Sonnet,
                "haiku" => family = Family::Haiku,
                "fable" | "mythos" => family = Family::Fable,
                // Dates have eight digits.
                _ if word.len() <= 2 => numbers.extend(word.parse::<u32>().ok()),
                _ => {}
            }
        }
        let version = match numbers.as_slice() {
            [] => (4, 6),
            [major] => (*major, 0),
            [major, minor, ..] => (*major, *minor),
        };
        let thinking = match (family, version) {
            (Family::Fable, _) => Thinking::Always,
            (Family::Opus, v) if v >= (5, 5) => Thinking::Always,
            (Family::Sonnet, v) if v >= (5, 5) => Thinking::BetweenTools,
            (_, v) if v >= (5, 0) => Thinking::Default,
            (_, v) if v >= (4, 6) => Thinking::OnRequest,
            (_, v) if v >= (3, 7) => Thinking::Budget,
            _ => Thinking::No,
        };
        Self::new(family, version, thinking)
    }

    fn new(family: Family, version: (u32, u32), thinking: Thinking) -> Self {
        let newest = family == Family::Fable;
        Self {
            thinking,
            fixed_sampling: newest || version >= if family == Family::Opus { (4, 7) } else { (5, 0) },
            one_sampler: version >= (4, 1),
            no_forced_tools: match family {
                Family::Opus | Family::Sonnet => version >= (5, 5),
                Family::Fable => version >= (5, 1),
                Family::Haiku | Family::Other => false,
            },
            structured: newest || version >= (4, 5),
            high_efforts: newest || version >= (4, 7),
            hides_reasoning: newest || version >= (4, 7),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fn2_15_thinking_is_asked_for_by_generation() {
        let of = |model| Traits::of(model).thinking;
        assert_eq!(of("claude-3-5-haiku-20241022"), Thinking::No);
        assert_eq!(of("claude-3-7-sonnet@20250219"), Thinking::Budget);
        assert_eq!(of("claude-sonnet-4-20250514"), Thinking::Budget);
        assert_eq!(of("claude-opus-4-5-20251101"), Thinking::Budget);
        assert_eq!(of("anthropic/claude-opus-4.6"), Thinking::OnRequest);
        assert_eq!(of("claude-opus-4-7"), Thinking::OnRequest);
        assert_eq!(of("anthropic.claude-sonnet-5-v1:0"), Thinking::Default);
        assert_eq!(of("claude-haiku-5-5"), Thinking::Default);
        assert_eq!(of("claude-sonnet-5-5"), Thinking::BetweenTools);
        assert_eq!(of("claude-opus-5-5"), Thinking::Always);
        assert_eq!(of("claude-fable-5"), Thinking::Always);
        assert_eq!(of("some-other-model"), Thinking::Budget);
        assert_eq!(of("claude-next"), Thinking::OnRequest);
    }

    #[test]
    fn fn2_14_sampling_and_forced_tools_by_generation() {
        assert!(!Traits::of("claude-opus-4-6").fixed_sampling);
        assert!(Traits::of("claude-opus-4-7").fixed_sampling);
        assert!(!Traits::of("claude-sonnet-4-6").fixed_sampling);
        assert!(Traits::of("claude-sonnet-5").fixed_sampling);
        assert!(!Traits::of("claude-opus-5").no_forced_tools);
        assert!(Traits::of("claude-opus-5-5").no_forced_tools);
        assert!(!Traits::of("claude-haiku-5-5").no_forced_tools);
        assert!(!Traits::of("claude-sonnet-4-20250514").structured);
        assert!(Traits::of("claude-haiku-4-5").structured);
    }
}
