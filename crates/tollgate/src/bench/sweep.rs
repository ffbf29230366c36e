//! The run: probe, then one point after the other, until the list ends or the objective is out of reach.

use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use wire::Op;

use super::calibrate::{Calibration, calibrate};
use super::cost::Watch;
use super::drive::{Bounds, Shot, hold};
use super::point::{Point, Terms, measure};
use super::prompts::Prompts;
use super::report::{Report, Settings};
use super::scrape::Counters;
use super::target::{Address, Ask, Target};
use super::{Load, Slo};

/// Everything that a run needs, validated.
#[derive(Debug)]
pub struct Plan {
    /// The model's name there.
    pub model: String,
    /// Chat or completion.
    pub op: Op,
    /// The points, in order.
    pub loads: Vec<Load>,
    /// Requests of a point; `None`: eight for each slot of a closed loop, whatever the duration holds of an open one.
    pub requests: Option<usize>,
    /// Longest time that requests go out in a point.
    pub duration: Duration,
    /// Cut off at the start of a point at least.
    pub warm_up: Duration,
    /// Longest time of a request.
    pub timeout: Duration,
    /// Input tokens wanted.
    pub input_tokens: u64,
    /// Output tokens wanted.
    pub output_tokens: u64,
    /// Share of the prompt that all requests have in common.
    pub warm: f64,
    /// Of arrivals and words.
    pub seed: u64,
    /// Tells this run's prompts from those of earlier runs.
    pub run: String,
    /// Most requests under way in an open loop.
    pub in_flight: usize,
    /// Ends points and the sweep when there is nothing more to learn.
    pub stop_early: bool,
    /// The objective.
    pub slo: Slo,
    /// Dollars per hour of the whole endpoint.
    pub usd_per_hour: Option<f64>,
}

impl Plan {
    /// Most requests of a point.
    pub fn requests_of(&self, load: Load) -> usize {
        match (self.requests, load) {
            (Some(requests), _) => requests,
            (None, Load::Closed { concurrency }) => concurrency.saturating_mul(8).max(16),
            (None, Load::Open { rate }) => {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "bounded by Args"
                )]
                let most = (rate * self.duration.as_secs_f64() * 2.0).ceil() as usize;
                most.max(16)
            }
        }
    }

    fn bounds(&self, load: Load) -> Bounds {
        Bounds {
            requests: self.requests_of(load),
            duration: self.duration,
            in_flight: self.in_flight,
            stop_early: self.stop_early,
        }
    }

    fn terms(&self) -> Terms {
        Terms {
            slo: self.slo,
            output_tokens: self.output_tokens,
            warm_up: u32::try_from(self.warm_up.as_micros()).unwrap_or(u32::MAX),
            usd_per_hour: self.usd_per_hour,
        }
    }
}

/// Runs it against `address`. Errors when the endpoint does not answer at all, or when the bench loses requests.
pub async fn run(address: Address, plan: Plan) -> anyhow::Result<Report> {
    let target = Target::new(address, plan.model.clone(), plan.op, plan.timeout);
    let found = calibrate(&target, &plan.run, plan.seed, plan.input_tokens).await?;
    let mut report = Report::new(settings(&plan, &target, &found));
    let sweep = Sweep {
        prompts: Arc::new(Prompts::new(&plan.run, plan.seed, found.words, plan.warm)),
        target: Arc::new(target),
        plan,
        found,
    };
    if sweep.plan.warm > 0.0 {
        sweep.prime().await;
    }
    for (number, load) in (1..).zip(&sweep.plan.loads) {
        let point = sweep.point(number, *load).await?;
        let stop = sweep.plan.stop_early.then(|| nothing_more(&point)).flatten();
        report.points.push(point);
        if let (Some(why), true) = (stop, number < sweep.plan.loads.len()) {
            report.ended_early = Some(why);
            break;
        }
    }
    Ok(report)
}

/// Why no further point would tell more.
fn nothing_more(point: &Point) -> Option<String> {
    if let Some(why) = &point.stopped {
        return Some(format!("{}: {why}", point.load));
    }
    (point.slo_share < 0.5)
        .then(|| format!("{}: fewer than half of the requests met the objective", point.load))
}

struct Sweep {
    plan: Plan,
    target: Arc<Target>,
    prompts: Arc<Prompts>,
    found: Calibration,
}

impl Sweep {
    /// Puts what all prompts begin with into the server's cache.
    async fn prime(&self) {
        let prompt = self.prompts.common();
        let epoch = std::time::Instant::now();
        let ask = Ask { prompt: &prompt, output_tokens: 1, form: self.found.form, epoch, intended: None };
        self.target.ask(ask).await;
    }

    async fn point(&self, number: usize, load: Load) -> anyhow::Result<Point> {
        let bounds = self.plan.bounds(load);
        let bar = progress(load, bounds.requests);
        let before = self.counters().await;
        let watch = Watch::start();
        let (target, prompts) = (Arc::clone(&self.target), Arc::clone(&self.prompts));
        let (form, output_tokens) = (self.found.form, self.plan.output_tokens);
        let shoot = move |shot: Shot| {
            let (target, prompt) = (Arc::clone(&target), prompts.text(number, shot.number));
            async move {
                let Shot { epoch, intended, .. } = shot;
                target.ask(Ask { prompt: &prompt, output_tokens, form, epoch, intended }).await
            }
        };
        let seed = self.plan.seed.wrapping_add(number as u64);
        let held = hold(load, seed, bounds, &bar, shoot).await;
        let cost = watch.finish().await;
        let after = self.counters().await;
        bar.finish_and_clear();
        let server = after.zip(before).map(|(after, before)| after.since(&before));
        measure(load, held, &self.plan.terms(), cost, server)
    }

    async fn counters(&self) -> Option<Counters> {
        Counters::read(&self.target.metrics().await?)
    }
}

fn settings(plan: &Plan, target: &Target, found: &Calibration) -> Settings {
    Settings {
        url: target.shown().to_owned(),
        model: plan.model.clone(),
        endpoint: plan.op.as_str().to_owned(),
        input_tokens: plan.input_tokens,
        output_tokens: plan.output_tokens,
        warm_share: plan.warm,
        seed: plan.seed,
        run: plan.run.clone(),
        slo: plan.slo,
        full_length: found.form.full_length,
        input_calibrated: found.counted,
        probes: found.requests + usize::from(plan.warm > 0.0),
        usd_per_hour: plan.usd_per_hour,
    }
}

/// A bar on stderr, only on a terminal.
fn progress(load: Load, requests: usize) -> ProgressBar {
    let bar = ProgressBar::new(requests as u64);
    if let Ok(style) =
        ProgressStyle::with_template("{msg} {wide_bar} {pos} of at most {len} requests, {elapsed}")
    {
        bar.set_style(style);
    }
    bar.set_message(load.to_string());
    bar
}
