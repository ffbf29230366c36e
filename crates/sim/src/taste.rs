//! A model that compares two answers, as a gateway's judge asks for it. It reads the gateway's own layout: what stands
//! between `[first answer MARK]` and `[end of first answer MARK]`, and the same for the second.

/// What the judge goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taste {
    /// The longer answer is better; of equal ones, neither.
    Longer,
    /// Whatever stands first: a biased judge.
    First,
    /// It talks instead of giving a verdict.
    Chatty,
}

impl Taste {
    /// The reply to a judge's prompt.
    pub(crate) fn verdict(self, prompt: &str) -> String {
        let length = |name| between(prompt, name).map_or(0, str::len);
        let better = match self {
            Self::Chatty => return "The first one, I would say, but both have their charm.".to_owned(),
            Self::First => "first",
            Self::Longer => match length("first answer").cmp(&length("second answer")) {
                std::cmp::Ordering::Greater => "first",
                std::cmp::Ordering::Less => "second",
                std::cmp::Ordering::Equal => "neither",
            },
        };
        format!("{{\"better\": \"{better}\"}}")
    }
}

fn between<'p>(prompt: &'p str, name: &str) -> Option<&'p str> {
    let (_, rest) = prompt.split_once(&format!("[{name} "))?;
    let (mark, rest) = rest.split_once(']')?;
    rest.split_once(&format!("[end of {name} {mark}]")).map(|(inner, _)| inner)
}
