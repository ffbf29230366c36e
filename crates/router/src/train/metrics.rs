//! How good a score is: APGR (after `RouteLLM`), and the saving that keeps 95 % of the strong model's quality.

/// One prompt's outcome for a pair of models.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// The score: higher means "needs the strong model".
    pub score: f64,
    /// What the weak model scored, 0 to 1.
    pub weak: f64,
    /// What the strong model scored.
    pub strong: f64,
    /// How much the prompt counts.
    pub weight: f64,
}

/// Area under "share of the gap between the models that is recovered" over "share of strong calls", prompts taken by
/// falling score, equal scores together. 0.5 is random. `None` when the strong model is not better over all.
pub fn apgr(outcomes: &[Outcome]) -> Option<f64> {
    let steps = steps(outcomes);
    let gap = steps.last().map(|s| s.gain)?;
    if gap <= 0.0 {
        return None;
    }
    let mut area = 0.0;
    let mut before = Step::default();
    for step in &steps {
        area += (step.calls - before.calls) * (step.gain + before.gain) / 2.0;
        before = *step;
    }
    Some(area / gap / before.calls)
}

/// The share of calls that the weak model may answer while `keep` of the strong model's quality is kept.
pub fn saving(outcomes: &[Outcome], keep: f64) -> f64 {
    let weak: f64 = outcomes.iter().map(|o| o.weight * o.weak).sum();
    let strong: f64 = outcomes.iter().map(|o| o.weight * o.strong).sum();
    if weak >= keep * strong {
        return 1.0;
    }
    let steps = steps(outcomes);
    let total = steps.last().map_or(1.0, |s| s.calls);
    let reached = steps.iter().find(|s| weak + s.gain >= keep * strong);
    reached.map_or(0.0, |s| 1.0 - s.calls / total)
}

#[derive(Clone, Copy, Default)]
struct Step {
    calls: f64,
    gain: f64,
}

/// Running sums by falling score; prompts of one score are one step.
fn steps(outcomes: &[Outcome]) -> Vec<Step> {
    let mut sorted: Vec<&Outcome> = outcomes.iter().collect();
    sorted.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut steps = Vec::with_capacity(sorted.len());
    let mut sum = Step::default();
    for (at, outcome) in sorted.iter().enumerate() {
        sum.calls += outcome.weight;
        sum.gain += outcome.weight * (outcome.strong - outcome.weak);
        if sorted.get(at + 1).is_none_or(|next| next.score < outcome.score) {
            steps.push(sum);
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes(rows: &[(f64, f64, f64)]) -> Vec<Outcome> {
        rows.iter()
            .map(|(score, weak, strong)| Outcome { score: *score, weak: *weak, strong: *strong, weight: 1.0 })
            .collect()
    }

    #[test]
    fn a_score_that_knows_is_above_half_a_constant_is_half_and_its_reverse_below() {
        let right = outcomes(&[(2.0, 0.0, 1.0), (1.0, 1.0, 1.0)]);
        let flat = outcomes(&[(1.0, 0.0, 1.0), (1.0, 1.0, 1.0)]);
        let wrong = outcomes(&[(1.0, 0.0, 1.0), (2.0, 1.0, 1.0)]);
        assert_eq!((apgr(&right), apgr(&flat), apgr(&wrong)), (Some(0.75), Some(0.5), Some(0.25)));
        assert_eq!(apgr(&outcomes(&[(1.0, 1.0, 1.0)])), None);
    }

    #[test]
    fn saving_is_the_share_left_to_the_weak_model() {
        let rows = outcomes(&[(4.0, 0.0, 1.0), (3.0, 1.0, 1.0), (2.0, 1.0, 1.0), (1.0, 1.0, 1.0)]);
        assert!((saving(&rows, 0.95) - 0.75).abs() < 1e-12);
        assert!((saving(&outcomes(&[(1.0, 1.0, 1.0)]), 0.95) - 1.0).abs() < 1e-12);
    }
}
