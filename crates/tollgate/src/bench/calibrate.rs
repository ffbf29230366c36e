//! Before the sweep: does the endpoint answer, which fields does it take, and how many words make the wanted number of
//! input tokens in its tokenizer?

use std::time::Instant;

use anyhow::bail;

use super::prompts::Prompts;
use super::record::{Outcome, Record};
use super::stats::{len, real};
use super::target::{Ask, Form, Target};

/// Words of the two probes.
const PROBES: [usize; 2] = [32, 160];
/// Tokens a word where the server does not count: usual for everyday English.
const TOKENS_A_WORD: f64 = 1.3;

/// What the probes showed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Calibration {
    /// Fields that the server takes.
    pub form: Form,
    /// Words that make the wanted input.
    pub words: usize,
    /// The server counts tokens: without that, the length of the input is assumed.
    pub counted: bool,
    /// Requests that the probes took.
    pub requests: usize,
}

/// Asks the endpoint. Errors when it answers none of the forms.
pub async fn calibrate(
    target: &Target,
    run: &str,
    seed: u64,
    input_tokens: u64,
) -> anyhow::Result<Calibration> {
    let mut requests = 0;
    let mut tokens = Vec::new();
    let mut form = None;
    for (number, words) in PROBES.into_iter().enumerate() {
        let prompt = Prompts::new(run, seed, words, 0.0).text(0, number);
        let forms = form.map_or(Form::ALL.to_vec(), |form| vec![form]);
        let (taken, record) = first_taken(target, &prompt, &forms, &mut requests).await?;
        form = Some(taken);
        tokens.push(record.usage.map(|usage| usage.input));
    }
    let Some(form) = form else { bail!("no probe was sent") };
    let counts = match tokens.as_slice() {
        [Some(short), Some(long)] if long > short => Some((*short, *long)),
        _ => None,
    };
    let words = words(counts, input_tokens);
    Ok(Calibration { form, words, counted: counts.is_some(), requests })
}

/// The first form that the endpoint does not refuse as a bad request.
async fn first_taken(
    target: &Target,
    prompt: &str,
    forms: &[Form],
    requests: &mut usize,
) -> anyhow::Result<(Form, Record)> {
    let mut refused = String::new();
    for form in forms {
        *requests += 1;
        let ask = Ask { prompt, output_tokens: 1, form: *form, epoch: Instant::now(), intended: None };
        let record = target.ask(ask).await;
        match &record.outcome {
            Outcome::Ok => return Ok((*form, record)),
            Outcome::Error(why) if why.starts_with("bad_request") => refused.clone_from(why),
            Outcome::Error(why) | Outcome::Incomplete(why) => {
                bail!("{} does not answer a first request: {why}", target.shown())
            }
        }
    }
    bail!("{} refuses a plain streaming request: {refused}", target.shown())
}

/// Words for `wanted` tokens, from the tokens of the two probes: a line through both.
fn words(counts: Option<(u64, u64)>, wanted: u64) -> usize {
    let [few, many] = PROBES.map(len);
    let (slope, frame) = match counts {
        Some((short, long)) => {
            let slope = (real(long) - real(short)) / (many - few);
            (slope, real(short) - slope * few)
        }
        None => (TOKENS_A_WORD, 0.0),
    };
    let words = ((real(wanted) - frame) / slope).round().clamp(1.0, 10_000_000.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped above zero")]
    let words = words as usize;
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_follow_the_servers_own_count() {
        // a template of 20 tokens, 1.5 tokens a word
        assert_eq!(words(Some((68, 260)), 500), 320);
        assert_eq!(words(None, 520), 400);
        assert_eq!(words(Some((68, 260)), 5), 1, "never an empty prompt");
    }
}
