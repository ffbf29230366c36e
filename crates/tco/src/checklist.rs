//! Eight questions before machines are rented, answered from the scenario and its report where they can be, asked where not.
//!
//! A checklist on paper is ticked by whoever wants the machines. Here each answer carries the figure that it rests on, and
//! what no figure answers stays a question.

use serde::Serialize;

use crate::report::{BreakEven, Report, StackReport};

/// Whether a question is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// Speaks for machines of one's own.
    Yes,
    /// Speaks against them.
    No,
    /// The scenario does not say: somebody has to.
    Ask,
}

/// A question with its answer.
#[derive(Clone, Debug, Serialize)]
pub struct Question {
    /// 1 to 8.
    pub number: usize,
    /// The question.
    pub question: &'static str,
    /// Settled or not.
    pub answer: Answer,
    /// The figure that it rests on, or what to find out.
    pub figure: String,
    /// Which key of the scenario would answer it.
    pub key: &'static str,
}

/// What only people know, stated in the scenario's `[checklist]`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stated {
    pub on_call: Option<bool>,
    pub data_must_stay: Option<bool>,
    pub update_plan: Option<bool>,
    pub fallback: Option<bool>,
}

/// The eight questions. `own` names the stack of machines that is asked about; the first one otherwise.
pub(crate) fn questions(report: &Report, stated: &Stated, items: usize, risk_is_on: bool) -> Vec<Question> {
    let own = report.stacks.iter().find(|stack| stack.kind == "self-hosted");
    let edge = own.and_then(|own| {
        let ours = report.break_even.iter().filter(|edge| edge.stack == own.name);
        ours.min_by(|a, b| worth(a).total_cmp(&worth(b)))
    });
    let answers = [
        volume(edge),
        utilisation(own, edge),
        steadiness(report, own),
        latency(own),
        quality(report, own),
        people(stated, items),
        supply(stated, own, risk_is_on),
        data(stated),
    ];
    let asked = answers.into_iter().enumerate();
    asked
        .map(|(at, (question, key, answer, figure))| Question {
            number: at + 1,
            question,
            answer,
            figure,
            key,
        })
        .collect()
}

type Settled = (&'static str, &'static str, Answer, String);

/// The hardest comparator first: the one that leaves the least for machines.
fn worth(edge: &BreakEven) -> f64 {
    edge.overhead_usd_per_month.map_or(0.0, |usd| usd.0)
}

fn settled(yes: bool) -> Answer {
    if yes { Answer::Yes } else { Answer::No }
}

fn tokens(count: f64) -> String {
    crate::num::tokens(count)
}

fn volume(edge: Option<&BreakEven>) -> Settled {
    const QUESTION: &str =
        "Is the traffic above the break-even, not only now but for the length of the contract?";
    const KEY: &str = "workload, stacks";
    let Some(edge) = edge else {
        return (
            QUESTION,
            KEY,
            Answer::Ask,
            "no stack of machines to compare: add one with `gpu` or `preset`".to_owned(),
        );
    };
    let now = tokens(edge.volume_now.0);
    let needed = edge.last_loss.or(edge.output_tokens_per_day);
    match (&edge.none_because, needed) {
        (Some(why), _) => (QUESTION, KEY, Answer::No, format!("never against {}: {why}", edge.against)),
        (None, Some(needed)) => {
            let figure = format!(
                "{now} output tokens a day against {} for good (over {}); V_min {}",
                tokens(needed.0),
                edge.against,
                edge.v_min.map_or("none".to_owned(), |v_min| tokens(v_min.0))
            );
            (QUESTION, KEY, settled(edge.volume_now.0 > needed.0), figure)
        }
        (None, None) => (QUESTION, KEY, settled(edge.wins_now), edge.now_because.clone()),
    }
}

fn utilisation(own: Option<&StackReport>, edge: Option<&BreakEven>) -> Settled {
    const QUESTION: &str =
        "Will the machines be used enough, mean over the day, to beat the price per token?";
    let key = "workload.hours, stacks";
    let fleet = own.and_then(|own| own.fleet.as_ref());
    let (Some(fleet), Some(edge)) = (fleet, edge) else {
        return (QUESTION, key, Answer::Ask, "no machines that can serve this traffic".to_owned());
    };
    let used = fleet.utilisation.0;
    match edge.utilisation {
        Some(needed) => {
            let figure = format!(
                "{:.1} % of the paid capacity is used; {:.1} % breaks even with {} before any overhead",
                used * 100.0,
                needed.0 * 100.0,
                edge.against
            );
            (QUESTION, key, settled(used >= needed.0), figure)
        }
        None => (QUESTION, key, Answer::No, format!("not even full machines beat {}", edge.against)),
    }
}

fn steadiness(report: &Report, own: Option<&StackReport>) -> Settled {
    const QUESTION: &str = "Is the traffic steady enough that the peak does not buy machines for the night?";
    const STEADY: f64 = 3.0;
    let peak = report.workload.peak_to_mean.0;
    let waiting = own
        .and_then(|own| own.fleet.as_ref())
        .map(|fleet| format!(", {} replicas at the peak", fleet.replicas.0))
        .unwrap_or_default();
    let figure =
        format!("peak {peak:.2} × mean{waiting}; above {STEADY} rent the peak by the hour (rent = \"mix\")");
    (QUESTION, "workload.peak_to_mean", settled(peak <= STEADY), figure)
}

fn latency(own: Option<&StackReport>) -> Settled {
    const QUESTION: &str = "Do the machines hold the model and keep the promised latency at the peak?";
    let key = "slo, stacks";
    match own {
        None => (QUESTION, key, Answer::Ask, "no machines to ask about".to_owned()),
        Some(own) if !own.feasible => (QUESTION, key, Answer::No, own.why.clone()),
        Some(own) => match &own.fleet {
            Some(fleet) if fleet.basis == crate::Basis::Measured => {
                (QUESTION, key, Answer::Yes, own.why.clone())
            }
            _ => {
                let figure = format!("{}; modelled: measure it with `tollgate bench`", own.why);
                (QUESTION, key, Answer::Yes, figure)
            }
        },
    }
}

fn quality(report: &Report, own: Option<&StackReport>) -> Settled {
    const QUESTION: &str = "Is the open model good enough for these tasks, measured on them?";
    let key = "stacks.*.accept, quality";
    let best = report
        .stacks
        .iter()
        .filter_map(|stack| stack.quality.as_ref())
        .map(|q| q.accept.0)
        .fold(0.0, f64::max);
    match own.and_then(|own| own.quality.as_ref()) {
        None => {
            let figure = "no share of accepted outcomes is stated: run your own tasks with `tollgate eval`";
            (QUESTION, key, Answer::Ask, figure.to_owned())
        }
        Some(quality) => {
            let figure = format!(
                "accepts {:.1} % ({}), the best stack {:.1} %; ${:.4} per outcome when people mend the rest",
                quality.accept.0 * 100.0,
                quality.source,
                best * 100.0,
                quality.usd_per_outcome_mended.0
            );
            (QUESTION, key, settled(quality.accept.0 >= best), figure)
        }
    }
}

fn people(stated: &Stated, items: usize) -> Settled {
    const QUESTION: &str = "Is there somebody to run it, on call, and to update the models?";
    let key = "overhead, checklist.on_call";
    let costed = format!("{items} items of overhead are in the bill");
    match stated.on_call {
        Some(yes) => (QUESTION, key, settled(yes), format!("stated; {costed}")),
        None if items == 0 => (
            QUESTION,
            key,
            Answer::No,
            "no overhead is in the bill: machines do not run themselves".to_owned(),
        ),
        None => (QUESTION, key, Answer::Ask, format!("{costed}: who are they, and who is called at night?")),
    }
}

fn supply(stated: &Stated, own: Option<&StackReport>, risk_is_on: bool) -> Settled {
    const QUESTION: &str =
        "What if GPUs become scarce, the vendor raises prices, or the model is replaced: is there a way out?";
    let key = "risk, checklist.fallback, checklist.update_plan";
    let spread = own.and_then(|own| own.monthly_usd).filter(|_| risk_is_on).map_or_else(
        || "run with --risk default to see what a shortage costs".to_owned(),
        |cost| format!("${:.0} to ${:.0} a month over the draws", cost.p10.0, cost.p90.0),
    );
    match (stated.fallback, stated.update_plan) {
        (Some(fallback), Some(plan)) => {
            (QUESTION, key, settled(fallback && plan), format!("stated; {spread}"))
        }
        _ => (
            QUESTION,
            key,
            Answer::Ask,
            format!("{spread}; is there a contract to leave, a second vendor, a plan for the next model?"),
        ),
    }
}

fn data(stated: &Stated) -> Settled {
    const QUESTION: &str = "Must the data stay in your own hands, whatever it costs?";
    let key = "checklist.data_must_stay";
    match stated.data_must_stay {
        Some(yes) => (QUESTION, key, settled(yes), "stated".to_owned()),
        None => (QUESTION, key, Answer::Ask, "law, contract or policy decides this, not a price".to_owned()),
    }
}
