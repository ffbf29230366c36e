//! Can a candidate serve a request? (interface §3c)
//!
//! The obvious alternative, to send and see, turns every mismatch into a vendor's 400 and a wasted round trip, and a
//! text-only model that ignores an image into a wrong answer. Here a documented "no" excludes, and an unknown is
//! tried last.

use catalog::{Ability, Needs};

use crate::{Candidate, Prompt};

/// Whether a candidate can serve a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// It can, as far as documented.
    Yes,
    /// Nothing speaks against it, but this is not documented: tried after those that surely can.
    Unsure(String),
    /// It cannot: why, and the need's short name.
    No(&'static str, String),
}

/// Names of needs, with how a request states them and what a model that lacks them is said to do.
struct Ask {
    /// Short name: `images` in `needs:images`.
    name: &'static str,
    needed: fn(&Needs) -> bool,
    ability: fn(&catalog::Capabilities) -> Ability,
    lacks: &'static str,
}

const ASKS: [Ask; 9] = [
    Ask { name: "images", needed: |n| n.images, ability: |c| c.images, lacks: "takes no images" },
    Ask { name: "audio", needed: |n| n.audio, ability: |c| c.audio, lacks: "takes no audio" },
    Ask { name: "files", needed: |n| n.files, ability: |c| c.files, lacks: "takes no files" },
    Ask { name: "tools", needed: |n| n.tools, ability: |c| c.tools, lacks: "calls no tools" },
    Ask {
        name: "parallel_tools",
        needed: |n| n.parallel_tools,
        ability: |c| c.parallel_tools,
        lacks: "calls no tools in parallel",
    },
    Ask { name: "json_mode", needed: |n| n.json_mode, ability: |c| c.json_mode, lacks: "has no JSON mode" },
    Ask {
        name: "json_schema",
        needed: |n| n.json_schema,
        ability: |c| c.json_schema,
        lacks: "holds to no JSON schema",
    },
    Ask { name: "logprobs", needed: |n| n.logprobs, ability: |c| c.logprobs, lacks: "gives no logprobs" },
    Ask { name: "n", needed: |n| n.many_choices, ability: |c| c.n, lacks: "gives one choice only (n > 1)" },
];

/// What a request needs, in words, for the explanation.
pub(crate) fn in_words(prompt: &Prompt<'_>) -> Vec<String> {
    ASKS.iter().filter(|ask| (ask.needed)(&prompt.needs)).map(|ask| ask.name.to_owned()).collect()
}

/// Holds a candidate against a request.
pub(crate) fn fit(candidate: &Candidate<'_>, prompt: &Prompt<'_>) -> Fit {
    if candidate.retired {
        return Fit::No("model", "is retired".to_owned());
    }
    let mut unsure = None;
    for outcome in [endpoint(candidate, prompt), abilities(candidate, prompt), window(candidate, prompt)] {
        match outcome {
            Fit::No(need, why) => return Fit::No(need, why),
            Fit::Unsure(what) => unsure = unsure.or(Some(what)),
            Fit::Yes => {}
        }
    }
    unsure.map_or(Fit::Yes, Fit::Unsure)
}

fn endpoint(candidate: &Candidate<'_>, prompt: &Prompt<'_>) -> Fit {
    let can = &candidate.facts.can;
    let (need, ability, noun) = match prompt.op {
        "embedding" => ("embeddings", can.embeddings, "embeddings"),
        "completion" => ("completions", can.completions, "text completions"),
        _ => ("chat", can.chat, "chat"),
    };
    let host_serves = candidate.endpoints.is_empty() || candidate.endpoints.iter().any(|e| e == prompt.op);
    match ability {
        _ if !host_serves => Fit::No(need, format!("is at a host that serves no {noun}")),
        Ability::No => Fit::No(need, format!("serves no {noun}")),
        // A chat model that nobody documents is the usual server of one's own: it keeps its place.
        Ability::Unknown if need != "chat" => Fit::Unsure(format!("{need} not documented")),
        Ability::Unknown | Ability::Yes => Fit::Yes,
    }
}

fn abilities(candidate: &Candidate<'_>, prompt: &Prompt<'_>) -> Fit {
    let mut unsure = None;
    for ask in ASKS.iter().filter(|ask| (ask.needed)(&prompt.needs)) {
        match (ask.ability)(&candidate.facts.can) {
            Ability::No => return Fit::No(ask.name, ask.lacks.to_owned()),
            Ability::Unknown => unsure = unsure.or(Some(ask.name)),
            Ability::Yes => {}
        }
    }
    unsure.map_or(Fit::Yes, |name| Fit::Unsure(format!("{name} not documented")))
}

/// The context window, with the output. The input is an estimate from bytes that can be a fifth too high, so a
/// candidate is excluded only when four fifths of it do not fit either; in between it is tried last. An unknown
/// window excludes nobody: most servers of one's own do not publish theirs. Embeddings are not judged, because
/// their input is a batch of which each text has the window to itself.
fn window(candidate: &Candidate<'_>, prompt: &Prompt<'_>) -> Fit {
    if prompt.op == "embedding" {
        return Fit::Yes;
    }
    let output = prompt.max_output_tokens.unwrap_or(1);
    if let Some(context) = candidate.facts.context {
        let asked = prompt.input_tokens.saturating_add(output);
        let at_least = (prompt.input_tokens - prompt.input_tokens / 5).saturating_add(output);
        if at_least > context {
            return Fit::No("context", format!("context {context} < {asked} tokens"));
        }
        if asked > context {
            return Fit::Unsure(format!("context {context} may be too small for about {asked} tokens"));
        }
    }
    match (candidate.facts.max_output, prompt.max_output_tokens) {
        (Some(most), Some(asked)) if asked > most => {
            Fit::Unsure(format!("is documented to write at most {most} tokens, {asked} asked"))
        }
        _ => Fit::Yes,
    }
}
