//! `[[…]]` in prompts and answer keys: tests say there what they want to get.

use serde_json::Value;

/// A tool call to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub name: String,
    /// JSON text.
    pub arguments: String,
}

/// What a text asks for. `rest` is the text without its directives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a directive of its own")]
pub(crate) struct Directives {
    pub text: Option<Text>,
    pub calls: Vec<Call>,
    /// Ends with the dialect's content filter.
    pub filter: bool,
    /// The prompt itself is blocked.
    pub blocked: bool,
    /// The tool call came out malformed.
    pub malformed: bool,
    /// Reasoning is redacted.
    pub redacted: bool,
    pub think: Option<u64>,
    pub cached: u64,
    pub write_5m: u64,
    pub write_1h: u64,
    pub rest: String,
}

/// What the visible text is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Text {
    Say(String),
    Len(u64),
    Json,
    BadJson,
    Refuse,
    Refusal,
    Empty,
    Repeat,
    Unsure,
}

impl Directives {
    /// Reads a text. What is not a directive, brackets included, stays in `rest`.
    pub fn read(text: &str) -> Self {
        let mut found = Self::default();
        let mut left = text;
        while let Some(at) = left.find("[[") {
            let (before, from) = left.split_at(at);
            found.rest.push_str(before);
            if let Some(after) = found.take(from) {
                left = after;
            } else {
                found.rest.push_str("[[");
                left = from.get(2..).unwrap_or_default();
            }
        }
        found.rest.push_str(left);
        found
    }

    /// Takes the directive at the start of `from`; the text after it, or `None` when it is none.
    fn take<'t>(&mut self, from: &'t str) -> Option<&'t str> {
        let inner = from.strip_prefix("[[")?;
        if let Some(call) = inner.strip_prefix("tool:") {
            return self.take_call(call);
        }
        let (word, after) = inner.split_once("]]")?;
        let (name, value) = word.split_once(':').unwrap_or((word, ""));
        match name {
            "say" => self.text = Some(Text::Say(value.to_owned())),
            "len" => self.text = Some(Text::Len(value.parse().ok()?)),
            "json" => self.text = Some(Text::Json),
            "badjson" => self.text = Some(Text::BadJson),
            "refuse" => self.text = Some(Text::Refuse),
            "refusal" => self.text = Some(Text::Refusal),
            "empty" => self.text = Some(Text::Empty),
            "repeat" => self.text = Some(Text::Repeat),
            "unsure" => self.text = Some(Text::Unsure),
            "filter" => self.filter = true,
            "blocked" => self.blocked = true,
            "malformed" => self.malformed = true,
            "redacted" => self.redacted = true,
            "think" => self.think = Some(value.parse().ok()?),
            "cached" => self.cached = value.parse().ok()?,
            "write" => self.write_5m = value.parse().ok()?,
            "write1h" => self.write_1h = value.parse().ok()?,
            _ => return None,
        }
        Some(after)
    }

    /// `NAME {json}]]`; the JSON may itself hold `]]`.
    fn take_call<'t>(&mut self, call: &'t str) -> Option<&'t str> {
        let end = call.find([' ', ']'])?;
        let (name, rest) = call.split_at(end);
        let rest = rest.trim_start();
        let (arguments, rest) = if rest.starts_with('{') {
            let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
            values.next()?.ok()?;
            rest.split_at_checked(values.byte_offset())?
        } else {
            ("{}", rest)
        };
        let after = rest.trim_start().strip_prefix("]]")?;
        self.calls.push(Call { name: name.to_owned(), arguments: arguments.to_owned() });
        Some(after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_brackets_in_tool_arguments_do_not_end_the_directive() {
        let found = Directives::read("go [[tool:plot {\"m\":[[1,2],[3,4]]}]][[tool:now]] now");
        assert_eq!(found.calls.len(), 2);
        assert_eq!(found.calls[0].arguments, "{\"m\":[[1,2],[3,4]]}");
        assert_eq!(found.calls[1], Call { name: "now".into(), arguments: "{}".into() });
        assert_eq!(found.rest, "go  now");
    }

    #[test]
    fn unknown_directives_and_bare_brackets_stay_text() {
        for text in ["[[", "[[nope]] x", "a [[1,2],[3]] b", "[[len:many]]", "[[tool:x {bad]]"] {
            let found = Directives::read(text);
            assert_eq!(found, Directives { rest: text.into(), ..Directives::default() }, "{text}");
        }
    }
}
