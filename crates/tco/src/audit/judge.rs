//! Verdicts, derived from what is stated and what was worked out.

use std::collections::BTreeMap;

use super::bounds::{bounded, reached};
use super::claim::Claim;
use super::eval::{Names, Truth, Value};
use super::figure::{Figure, Match, Style};
use super::file::ClaimError;
use super::interval::Interval;
use super::parse::{Expr, FormulaError};
use super::stated::{Kind, Stated, same_name};
use super::work::{Outcome, Worked, work};

/// What a claim comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Equal as printed, after rounding or truncation.
    Ok,
    /// Off by less than 5 %.
    Rounded,
    /// Does not follow from the inputs.
    Wrong,
    /// Another stack is the cheapest.
    Reversed,
    /// Only follows from an input that the source never states.
    HiddenInput,
    /// Holds for no admissible value.
    Infeasible,
    /// Another passage says otherwise.
    Contradicts,
}

impl Verdict {
    /// As it is printed.
    pub fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Rounded => "rounded",
            Self::Wrong => "wrong",
            Self::Reversed => "reversed",
            Self::HiddenInput => "hidden input",
            Self::Infeasible => "infeasible",
            Self::Contradicts => "contradicts",
        }
    }

    /// Whether the claim fails.
    pub fn fails(self) -> bool {
        !matches!(self, Self::Ok | Self::Rounded)
    }
}

/// A claim with its verdict.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Judged {
    /// As in the file.
    pub id: String,
    /// As in the file.
    pub quote: String,
    /// As the source prints it; `None` for a finding.
    pub stated: Option<String>,
    /// What follows from the inputs, for people.
    pub recomputed: String,
    /// The same as numbers in base units (dollars, tokens, shares): one, one a row, or both ends of a range. `null` is no
    /// finite number.
    pub figures: Vec<Option<f64>>,
    /// `None` for a finding, which states no figure to judge.
    pub verdict: Option<Verdict>,
    /// What helps to read it: why, and what other inputs would give.
    pub reading: String,
}

/// Judges all claims. Errors with every formula that has no answer.
pub(super) fn all(claims: &[Claim], names: &Names) -> Result<Vec<Judged>, Vec<ClaimError>> {
    let mut errors = Vec::new();
    let mut worked = BTreeMap::new();
    for claim in claims {
        match work(claim, names) {
            Ok(work) => {
                worked.insert(claim.id.as_str(), (claim, work));
            }
            Err(error) => errors.push(claim.formula.failed(error)),
        }
    }
    let mut judged = Vec::new();
    for claim in claims {
        if let Some((_, work)) = worked.get(claim.id.as_str()) {
            match judge(claim, work, &worked, names) {
                Ok(one) => judged.push(one),
                Err(error) => errors.push(error),
            }
        }
    }
    errors.sort();
    if errors.is_empty() { Ok(judged) } else { Err(errors) }
}

type All<'c> = BTreeMap<&'c str, (&'c Claim, Worked)>;

fn judge(claim: &Claim, work: &Worked, all: &All<'_>, names: &Names) -> Result<Judged, ClaimError> {
    let mut reading = Vec::new();
    let verdict = verdict(claim, work, all, names, &mut reading).map_err(|message| ClaimError {
        line: claim.formula.line,
        column: claim.formula.column,
        message,
        hint: None,
    })?;
    if verdict == Some(Verdict::Infeasible) {
        reading.extend(work.reasons.first().cloned());
    }
    for extra in &claim.readings {
        let (value, _) = bounded(&extra.formula.expr, names).map_err(|error| extra.formula.failed(error))?;
        reading.push(format!("{}: {}", extra.label, shown(&value, &extra.style)));
    }
    reading.extend(claim.note.clone());
    let figures = work.outcome.figures();
    let ends =
        figures.iter().flat_map(|one| if one.is_point() { vec![one.low] } else { vec![one.low, one.high] });
    Ok(Judged {
        id: claim.id.clone(),
        quote: claim.quote.clone(),
        stated: claim.shown.clone(),
        recomputed: recomputed(claim, work, names).map_err(|error| claim.formula.failed(error))?,
        figures: margins(&work.outcome).unwrap_or_else(|| ends.collect()).into_iter().map(finite).collect(),
        verdict,
        reading: reading.join("; "),
    })
}

fn finite(number: f64) -> Option<f64> {
    number.is_finite().then_some(number)
}

/// The rules in their order. `Err` when stated and worked-out figures cannot be compared.
fn verdict(
    claim: &Claim,
    work: &Worked,
    all: &All<'_>,
    names: &Names,
    reading: &mut Vec<String>,
) -> Result<Option<Verdict>, String> {
    if infeasible(claim, work) {
        return Ok(Some(Verdict::Infeasible));
    }
    if !claim.needs.is_empty() {
        reading.push(format!("never stated: {}", claim.needs.join(", ")));
        return Ok(Some(Verdict::HiddenInput));
    }
    if let (Stated::Winner { name, .. }, Outcome::Value(Value::Costs(costs))) = (&claim.stated, &work.outcome)
    {
        if !costs.iter().any(|(known, _)| same_name(known, name)) {
            return Err(format!("the stated winner \"{name}\" is not among the costs"));
        }
        if !winners(costs).iter().any(|winner| same_name(winner, name)) {
            return Ok(Some(Verdict::Reversed));
        }
    }
    let against = disagreements(claim, work, all, names)?;
    if !against.is_empty() {
        reading.push(against.join("; "));
        return Ok(Some(Verdict::Contradicts));
    }
    if claim.implies.is_some() {
        // It was compared with the claims that it names, if it names any.
        return Ok((!claim.contradicts.is_empty()).then_some(Verdict::Ok));
    }
    let matched = match (&claim.stated, &work.outcome, claim.kind) {
        (Stated::Nothing, _, Kind::Feasible) => Match::Printed,
        (Stated::Nothing, ..) => return Ok(None),
        (_, _, Kind::Feasible) => Match::Printed,
        (Stated::Winner { by: Some(by), .. }, outcome, _) => by_match(by.low, by.high, outcome)?,
        (Stated::Winner { .. }, Outcome::Value(Value::Costs(_)), _) => Match::Printed,
        (Stated::Winner { .. }, ..) => return Err("a winner needs `cheapest(…)`".to_owned()),
        (stated, outcome, _) => stated.against(&outcome.figures())?,
    };
    Ok(Some(match matched {
        Match::Printed => Verdict::Ok,
        Match::Near => Verdict::Rounded,
        Match::Off => Verdict::Wrong,
    }))
}

/// Whether no admissible value allows the claim.
fn infeasible(claim: &Claim, work: &Worked) -> bool {
    match &work.outcome {
        Outcome::NoSuchInput { admissible, .. } => *admissible,
        Outcome::Value(Value::Truth(truth)) => *truth == Truth::Never,
        // A break-even that does not exist, unless that is what is stated.
        Outcome::Value(Value::Number(number)) if number.low == f64::INFINITY => {
            !work.reasons.is_empty() && !claim.stated.possible(*number)
        }
        Outcome::Value(Value::Number(number)) if claim.implies.is_none() => {
            (claim.kind == Kind::Feasible || !number.is_point()) && !claim.stated.possible(*number)
        }
        _ => false,
    }
}

/// With which named claims it disagrees, each with the figure that says so.
fn disagreements(claim: &Claim, work: &Worked, all: &All<'_>, names: &Names) -> Result<Vec<String>, String> {
    let rests_on = reached(&claim.formula.expr, names);
    let mut found = Vec::new();
    for id in &claim.contradicts {
        let Some((other, other_work)) = all.get(id.as_str()) else { continue };
        // The formula says what that other passage makes of this claim.
        if *id == claim.id || rests_on.contains(id.as_str()) {
            if claim.stated.against(&work.outcome.figures())? != Match::Printed {
                found.push(if *id == claim.id {
                    "disagrees with itself".to_owned()
                } else {
                    format!("disagrees with {id}")
                });
            }
            continue;
        }
        let (mine, theirs) =
            (figure_of(claim, work, None), figure_of(other, other_work, claim.implies.as_deref()));
        let style = claim.style();
        if !alike(&mine, &theirs, claim.implies.is_some()) {
            let theirs: Vec<String> = theirs.iter().map(|figure| style.shown(figure.value)).collect();
            found.push(format!(
                "{id} has {}",
                if theirs.is_empty() { "none".to_owned() } else { theirs.join("–") }
            ));
        }
    }
    Ok(found)
}

/// The figures on which claims are compared: what they imply for `quantity`, or what they state.
fn figure_of(claim: &Claim, work: &Worked, quantity: Option<&str>) -> Vec<Figure> {
    let exact = || work.outcome.figures().iter().map(|one| Figure::exact(one.middle())).collect();
    match (&work.outcome, &claim.implies, quantity) {
        // Its own implied quantity.
        (_, Some(_), None) => exact(),
        (_, Some(mine), Some(wanted)) if mine == wanted => exact(),
        (Outcome::Implied { name, .. }, _, Some(wanted)) if name == wanted => exact(),
        _ => claim.stated.figures(),
    }
}

/// Implied figures rest on rounded ones, so they agree within 5 %; stated ones must agree as printed.
fn alike(mine: &[Figure], theirs: &[Figure], implied: bool) -> bool {
    let worst = if implied { Match::Near } else { Match::Printed };
    mine.len() == theirs.len()
        && mine.iter().zip(theirs).all(|(a, b)| a.against(b.value).min(b.against(a.value)) <= worst)
}

/// Those that can be the cheapest within the bounds of the costs.
fn winners(costs: &[(String, Interval)]) -> Vec<&str> {
    let bar = costs.iter().map(|(_, cost)| cost.high).fold(f64::INFINITY, f64::min);
    costs.iter().filter(|(_, cost)| cost.low <= bar).map(|(name, _)| name.as_str()).collect()
}

/// How many times as much each other costs, from the nearest to the farthest; `None` unless all costs are known.
fn margins(outcome: &Outcome) -> Option<Vec<f64>> {
    let Outcome::Value(Value::Costs(costs)) = outcome else { return None };
    if costs.iter().any(|(_, cost)| !cost.is_point()) {
        return Some(Vec::new());
    }
    let mut all: Vec<f64> = costs.iter().map(|(_, cost)| cost.low).collect();
    all.sort_by(f64::total_cmp);
    let (best, others) = all.split_first()?;
    Some(others.iter().map(|other| other / best).collect())
}

fn by_match(low: Figure, high: Option<Figure>, outcome: &Outcome) -> Result<Match, String> {
    let margins = margins(outcome).unwrap_or_default();
    let (Some(nearest), Some(farthest)) = (margins.first(), margins.last()) else {
        return Err("a margin can only be checked where every cost is known".to_owned());
    };
    Ok(match high {
        Some(high) => low.against(*nearest).max(high.against(*farthest)),
        None => low.against(*nearest),
    })
}

fn recomputed(claim: &Claim, work: &Worked, names: &Names) -> Result<String, FormulaError> {
    let style = claim.style();
    Ok(match &work.outcome {
        Outcome::Implied { name, value } => {
            // The stated figure's unit is not that of the input.
            let style = claim.style.clone().unwrap_or_else(Style::plain);
            format!("{name} = {}", style.shown(*value))
        }
        Outcome::NoSuchInput { attainable: Some(attainable), .. } => {
            one_sided(*attainable, &claim.stated, &style)
        }
        Outcome::NoSuchInput { name, .. } => format!("no {name} gives it"),
        Outcome::Value(Value::Number(number)) if claim.kind == Kind::Feasible => {
            one_sided(*number, &claim.stated, &style)
        }
        Outcome::Value(value @ Value::Truth(_)) => {
            let Expr::Compare { left, right, .. } = &claim.formula.expr else {
                return Ok(shown(value, &style));
            };
            let (left, right) = (bounded(left, names)?.0, bounded(right, names)?.0);
            format!("{} against {}", shown(&left, &style), shown(&right, &style))
        }
        Outcome::Value(value) => shown(value, &style),
    })
}

/// Bounds, told by the end that the stated figure lies beyond.
fn one_sided(bounds: Interval, stated: &Stated, style: &Style) -> String {
    let figures = stated.figures();
    match (figures.first(), figures.last()) {
        _ if bounds.is_point() => interval(bounds, style),
        (Some(low), _) if low.value > bounds.high => format!("at most {}", style.shown(bounds.high)),
        (_, Some(high)) if high.value < bounds.low => format!("at least {}", style.shown(bounds.low)),
        _ => shown(&Value::Number(bounds), style),
    }
}

fn shown(value: &Value, style: &Style) -> String {
    match value {
        Value::Number(number) => interval(*number, style),
        Value::List(list) => list.iter().map(|one| interval(*one, style)).collect::<Vec<_>>().join(" / "),
        Value::Truth(Truth::Always) => "holds".to_owned(),
        Value::Truth(Truth::Sometimes) => "can hold".to_owned(),
        Value::Truth(Truth::Never) => "never holds".to_owned(),
        Value::Costs(costs) => {
            let times = Style::from_unit("×");
            let by = margins(&Outcome::Value(value.clone())).unwrap_or_default();
            let by: Vec<String> = by.iter().map(|margin| times.shown(*margin)).collect();
            let names = winners(costs).join(" or ").replace('_', "-");
            if by.is_empty() { names } else { format!("{names} {}", by.join(" / ")) }
        }
    }
}

fn interval(number: Interval, style: &Style) -> String {
    match () {
        () if number.low == f64::INFINITY => "none".to_owned(),
        () if number.is_point() => style.shown(number.low),
        () if number.high == f64::INFINITY => format!("at least {}", style.shown(number.low)),
        () => format!("{}–{}", style.bare().shown(number.low), style.shown(number.high)),
    }
}
