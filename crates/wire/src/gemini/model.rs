//! What differs between Gemini generations, read off the model's name (field notes §2.15).

use serde_json::{Value, json};

use crate::chat::{Dropped, Effort};

/// A model's traits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Traits {
    version: (u32, u32),
    pro: bool,
}

impl Traits {
    /// The traits of a model by its id. A Gemini without a version (`gemini-flash-latest`) is taken for the newest;
    /// another maker's model for one that cannot reason.
    pub fn of(model: &str) -> Self {
        let name = model.rsplit('/').next().unwrap_or(model);
        let version = name.strip_prefix("gemini-").map(|rest| {
            let number = rest.split('-').next().unwrap_or_default();
            let (major, minor) = number.split_once('.').unwrap_or((number, "0"));
            match (major.parse(), minor.parse()) {
                (Ok(major), Ok(minor)) => (major, minor),
                _ => (u32::MAX, 0),
            }
        });
        Self { version: version.unwrap_or((0, 0)), pro: name.contains("pro") }
    }

    /// It refuses a function call that comes back without its signature (§2.13).
    pub fn checks_signatures(self) -> bool {
        self.version >= (3, 0)
    }

    /// It takes `frequencyPenalty` and `presencePenalty`; later models answer 400.
    pub fn takes_penalties(self) -> bool {
        self.version < (2, 5)
    }

    /// It takes tools and an answer schema in one request.
    pub fn takes_tools_with_schema(self) -> bool {
        self.version >= (3, 0)
    }

    /// The `thinkingConfig` for an effort; `None` when the model has none. Efforts that the model lacks become the
    /// nearest, and the field is noted. Reasoning is shown when it was asked for.
    pub fn thinking(self, effort: Effort, dropped: &mut Dropped) -> Option<Value> {
        let field = "reasoning_effort";
        if self.version < (2, 5) {
            dropped.note(field);
            return None;
        }
        if self.version < (3, 0) {
            let (least, most) = if self.pro { (128, 32_768) } else { (0, 24_576) };
            let budget = effort.budget().clamp(least, most);
            if budget != effort.budget() {
                dropped.note(field);
            }
            return Some(json!({"thinkingBudget": budget, "includeThoughts": budget > least}));
        }
        let level = match effort {
            Effort::None | Effort::Minimal if self.pro => "low",
            Effort::None | Effort::Minimal => "minimal",
            Effort::Low => "low",
            // The first of the line has two levels.
            Effort::Medium if self.pro && self.version == (3, 0) => "high",
            Effort::Medium => "medium",
            Effort::High | Effort::Xhigh | Effort::Max => "high",
        };
        let exact = match effort {
            Effort::None | Effort::Xhigh | Effort::Max => false,
            Effort::Minimal => level == "minimal",
            Effort::Medium => level == "medium",
            Effort::Low | Effort::High => true,
        };
        if !exact {
            dropped.note(field);
        }
        Some(json!({"thinkingLevel": level, "includeThoughts": effort != Effort::None}))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thinking(model: &str, effort: Effort) -> (Option<Value>, Vec<String>) {
        let mut dropped = Dropped::default();
        let config = Traits::of(model).thinking(effort, &mut dropped);
        (config, dropped.into_vec())
    }

    fn level(model: &str, effort: Effort) -> (String, bool) {
        let (config, dropped) = thinking(model, effort);
        (config.unwrap()["thinkingLevel"].as_str().unwrap().to_owned(), dropped.is_empty())
    }

    #[test]
    fn fn2_15_budget_for_2_5_and_level_from_3() {
        let (config, dropped) = thinking("gemini-2.5-flash", Effort::Medium);
        assert_eq!(config, Some(json!({"thinkingBudget": 8192, "includeThoughts": true})));
        assert!(dropped.is_empty());
        assert_eq!(level("gemini-3-flash-preview", Effort::Medium), ("medium".to_owned(), true));
        assert_eq!(level("models/gemini-3.1-pro-preview", Effort::High), ("high".to_owned(), true));
        assert_eq!(level("gemini-flash-latest", Effort::Minimal), ("minimal".to_owned(), true));
        assert_eq!(level("gemini-4-flash", Effort::Low), ("low".to_owned(), true));
    }

    #[test]
    fn fn2_15_what_a_model_lacks_becomes_the_nearest_and_is_said() {
        assert_eq!(thinking("gemini-2.0-flash", Effort::Low), (None, vec!["reasoning_effort".to_owned()]));
        assert_eq!(thinking("gemma-3-27b-it", Effort::Low), (None, vec!["reasoning_effort".to_owned()]));
        assert_eq!(level("gemini-3-pro-preview", Effort::Medium), ("high".to_owned(), false));
        assert_eq!(level("gemini-3-pro-preview", Effort::None), ("low".to_owned(), false));
        let (config, dropped) = thinking("gemini-2.5-flash", Effort::None);
        assert_eq!(config, Some(json!({"thinkingBudget": 0, "includeThoughts": false})));
        assert!(dropped.is_empty(), "off is off");
        let (config, dropped) = thinking("gemini-2.5-pro", Effort::None);
        assert_eq!(config, Some(json!({"thinkingBudget": 128, "includeThoughts": false})));
        assert_eq!(dropped, ["reasoning_effort"]);
    }
}
