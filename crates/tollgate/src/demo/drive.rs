//! Sends the prompts through the gate, several at once, as an application would.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::JoinSet;

use super::client::{Client, Reply};
use super::prompts::{Kind, Prompt};

/// Requests under way at once.
const AT_ONCE: usize = 8;

/// What became of one prompt.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Index of the prompt.
    pub prompt: usize,
    /// Requests that it took: two for an agent's loop.
    pub requests: u64,
    /// Every request was answered.
    pub answered: bool,
    /// The answer is the key's.
    pub right: bool,
    /// What the client was told, where it was told an error.
    pub error: Option<String>,
}

/// Sends all prompts. Errors when the gate does not answer at all.
pub async fn drive(addr: SocketAddr, prompts: Arc<Vec<Prompt>>) -> anyhow::Result<Vec<Outcome>> {
    let order = Arc::new(shuffled(prompts.len()));
    let next = Arc::new(AtomicUsize::new(0));
    let bar = progress(prompts.len());
    let mut workers = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (prompts, order, next, bar) =
            (Arc::clone(&prompts), Arc::clone(&order), Arc::clone(&next), bar.clone());
        workers.spawn(async move {
            let mut client = Client::new(addr);
            let mut outcomes = Vec::new();
            while let Some(&at) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                let Some(prompt) = prompts.get(at) else { continue };
                outcomes.push(ask(&mut client, prompt, at).await?);
                bar.inc(1);
            }
            anyhow::Ok(outcomes)
        });
    }
    let mut all = Vec::new();
    while let Some(worker) = workers.join_next().await {
        all.extend(worker??);
    }
    bar.finish_and_clear();
    all.sort_by_key(|outcome| outcome.prompt);
    Ok(all)
}

/// One prompt: every other one streamed; tools in two turns.
async fn ask(client: &mut Client, prompt: &Prompt, at: usize) -> anyhow::Result<Outcome> {
    let stream = at % 2 == 1 && prompt.kind != Kind::Tool;
    let tags = format!("team=demo,feature={}", prompt.kind.feature());
    let body = prompt.body(stream);
    let first = client.chat(&body, &tags).await?;
    let mut outcome = Outcome {
        prompt: at,
        requests: 1,
        answered: answered(&first),
        right: prompt.right(&first.said),
        error: first.error.clone(),
    };
    if let (true, Some(next)) = (outcome.answered, prompt.follow_up(body, &first.said)) {
        let second = client.chat(&next, &tags).await?;
        outcome.requests += 1;
        outcome.answered = answered(&second);
        outcome.right &= prompt.concludes(&second.said);
        outcome.error = second.error;
    }
    outcome.right &= outcome.answered;
    Ok(outcome)
}

fn answered(reply: &Reply) -> bool {
    reply.status.is_success() && reply.error.is_none()
}

/// The same mixed order on every run: a stride that visits each index once.
fn shuffled(len: usize) -> Vec<usize> {
    let stride = (37..38 + len).find(|stride| coprime(*stride, len)).unwrap_or(1);
    (0..len).map(|i| i * stride % len.max(1)).collect()
}

fn coprime(a: usize, b: usize) -> bool {
    let (mut a, mut b) = (a, b);
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a <= 1
}

/// A bar on stderr, only on a terminal.
fn progress(len: usize) -> ProgressBar {
    let bar = ProgressBar::new(len as u64);
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} prompts");
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar.set_message("simulated vendors, the real gate");
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_prompt_is_visited_once() {
        for len in [0, 1, 2, 36, 37, 74, 116] {
            let mut order = shuffled(len);
            order.sort_unstable();
            assert_eq!(order, (0..len).collect::<Vec<_>>(), "{len}");
        }
    }
}
