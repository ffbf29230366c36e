//! Three policies on the same traffic: rules alone, the difficulty score, difficulty and doubt. A gate of its own with the
//! same vendors, without their faults and delays, so that only the policy differs; a folder of its own, so that the demo's
//! books stay the demo's.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use catalog::{Catalogue, Context, Money, Tier};
use gateway::tune::USUAL;
use jiff::Timestamp;
use ledger::{By, Period, Reader, SpendQuery};
use router::Extent;
use router::tune::{Calibration, Choice, Goal, Prices, Scores, tune};
use serde::Serialize;
use tokio::task::JoinSet;

use super::client::Client;
use super::prompts::{Kind, Prompt};
use super::vendors;

/// The share of the flagship's quality for which thresholds are looked up on benchmark data.
const QUALITY: f64 = 0.95;
/// Requests under way at once.
const AT_ONCE: usize = 8;
const CHECKS: &str = r#""empty", "refusal", "repetition", { regex = "(?i)i am not sure" }"#;

/// One policy and what came of it.
#[derive(Debug, Serialize)]
pub struct Policy {
    /// `rules`, `difficulty`, `difficulty-and-doubt`.
    pub name: &'static str,
    /// Its rules, as the config has them.
    pub escalates: String,
    /// Its thresholds, found on benchmark data.
    pub difficulty_over: Option<f64>,
    pub doubt_over: Option<f64>,
    pub requests: u64,
    /// Exact, from the ledger.
    pub cost_usd: Money,
    /// Requests that the flagship answered, before the call or after a check.
    pub escalated: u64,
    /// Right answers by our own key.
    pub right: u64,
}

/// Replays the prompts of the route `auto` against each policy. Errors when the gate cannot start or be read.
pub async fn compare(dir: &Path, prompts: &Arc<Vec<Prompt>>) -> anyhow::Result<Vec<Policy>> {
    let dir = dir.join("policies");
    std::fs::create_dir_all(&dir).with_context(|| format!("{}", dir.display()))?;
    let sims = vendors::start_calm(super::prompts::answer_key(prompts)).await?;
    let mut policies = policies()?;
    let routes: String = policies.iter().map(route).collect();
    let listener = super::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).context("no free port")?;
    let addr = listener.local_addr()?;
    let running = super::gate(&dir, listener, &vendors::config_with(&sims, addr, &dir, &routes))?;
    for policy in &mut policies {
        (policy.escalated, policy.right) = drive(addr, policy.name, prompts).await?;
    }
    running.shutdown().await;
    let query = SpendQuery { by: vec![By::Route], period: Period::default(), ..SpendQuery::default() };
    let spend = Reader::open(&dir)?.spend(&query)?;
    for policy in &mut policies {
        let row = spend.rows.iter().find(|row| row.key == [Some(policy.name.to_owned())]);
        let row = row.with_context(|| format!("no spend of the policy {}", policy.name))?;
        (policy.requests, policy.cost_usd) = (row.totals.requests, row.totals.cost_usd);
    }
    Ok(policies)
}

/// Names and rules, before they are tried. The thresholds are those that `route tune` finds on benchmark data for these
/// prices. Errors when there are none.
fn policies() -> anyhow::Result<Vec<Policy>> {
    let prices = prices();
    let found = |scores| {
        let rows = Calibration::builtin().rows(scores, Extent::Start);
        tune(rows, scores, prices, Goal::Quality(QUALITY))
    };
    let (alone, both) = (found(Scores::Difficulty)?, found(Scores::Both)?);
    let rules =
        "escalate_before = [{ matches = \"(?i)\\\\b(multi-step|prove|derive|optimi[sz]e|architect)\\\\b\" }, \
                 { input_tokens_over = 1_500 }]\nescalate_after = ["
            .to_owned()
            + CHECKS + "]";
    Ok(vec![
        untried("rules", rules, None),
        untried("difficulty", learned(&alone), Some(&alone)),
        untried("difficulty-and-doubt", learned(&both), Some(&both)),
    ])
}

/// A policy of thresholds, as the config has it.
fn learned(choice: &Choice) -> String {
    let before = choice.difficulty_over.map(|over| format!("{{ difficulty_over = {over} }}"));
    let after = choice.doubt_over.map(|over| format!(", {{ doubt_over = {over} }}"));
    format!(
        "escalate_before = [{}]\nescalate_after = [{CHECKS}{}]",
        before.unwrap_or_default(),
        after.unwrap_or_default()
    )
}

fn untried(name: &'static str, escalates: String, choice: Option<&Choice>) -> Policy {
    Policy {
        name,
        escalates,
        difficulty_over: choice.and_then(|choice| choice.difficulty_over),
        doubt_over: choice.and_then(|choice| choice.doubt_over),
        requests: 0,
        cost_usd: Money::ZERO,
        escalated: 0,
        right: 0,
    }
}

/// List prices of a usual call at the simulated vendors, which are those of real models.
fn prices() -> Prices {
    let today = jiff::tz::Offset::UTC.to_datetime(Timestamp::now()).date();
    let catalogue = Catalogue::builtin().with_overlay("prices.toml", &vendors::overlay(today));
    let context = Context { tier: Tier::Standard, region: None, at: Timestamp::now() };
    let price = |flagship| {
        let offer =
            catalogue.as_ref().ok()?.offer(vendors::first(flagship).name, vendors::first(flagship).model)?;
        offer.price(&USUAL, &context).total().map(Money::to_f64_usd)
    };
    let usual = Prices { weak: 1.0, strong: 10.0 };
    price(false).zip(price(true)).map_or(usual, |(weak, strong)| Prices { weak, strong })
}

fn route(policy: &Policy) -> String {
    let Policy { name, escalates, .. } = policy;
    format!("\n[routes.{name}]\ndefault = \"cheap\"\nescalate = \"flagship\"\n{escalates}\n")
}

/// Sends the prompts to one route. Returns how many the flagship answered, and how many answers are right.
async fn drive(
    addr: SocketAddr,
    route: &'static str,
    prompts: &Arc<Vec<Prompt>>,
) -> anyhow::Result<(u64, u64)> {
    let mut workers = JoinSet::new();
    for worker in 0..AT_ONCE {
        let prompts = Arc::clone(prompts);
        workers.spawn(async move {
            let mut client = Client::new(addr);
            let (mut escalated, mut right) = (0_u64, 0_u64);
            let mine = prompts.iter().filter(|prompt| prompt.kind.route() == Kind::Fact.route());
            for prompt in mine.skip(worker).step_by(AT_ONCE) {
                let mut body = prompt.body(false);
                if let Some(fields) = body.as_object_mut() {
                    fields.insert("model".to_owned(), route.into());
                }
                let reply = client.chat(&body, "team=demo,feature=policies").await?;
                let flagship = reply.model.as_deref().is_some_and(vendors::is_flagship);
                escalated += u64::from(flagship);
                right += u64::from(reply.status.is_success() && prompt.right(&reply.said));
            }
            anyhow::Ok((escalated, right))
        });
    }
    let (mut escalated, mut right) = (0, 0);
    while let Some(worker) = workers.join_next().await {
        let (more, good) = worker??;
        (escalated, right) = (escalated + more, right + good);
    }
    Ok((escalated, right))
}
