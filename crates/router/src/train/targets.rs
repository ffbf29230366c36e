//! What is learned: the gain of the strong model over the weak one, with less noise than one recorded outcome has.
//!
//! An outcome is one draw; the means of two tiers of models around the pair are many. The target is the mean of three
//! estimates: wide tiers, narrow tiers, and the pair's own outcome (which models differ in is partly their own).

use std::collections::BTreeMap;

use super::data::{Data, PromptRow};
use crate::features::float;

/// How far from a model of the pair its tier reaches, as a share of the gap between the pair's means.
const TIERS: [f64; 2] = [0.1, 0.3];
/// Models below this mean fail on format, not on difficulty (tool calls in plain text).
const BROKEN: f64 = 0.3;
const BREAKS_ON_FORMAT: &str = "bfcl";

/// The target of each prompt, in order.
pub(super) fn gains(data: &Data) -> Vec<f64> {
    let tiers = tiers(data);
    let gain = |prompt: &PromptRow| {
        let own = data.outcome(prompt).map(|(weak, strong)| strong - weak);
        let wide = tiers.get(prompt.dataset.as_str()).into_iter().flatten();
        let estimates: Vec<f64> = wide.filter_map(|tier| tier.gain(prompt)).chain(own).collect();
        estimates.iter().sum::<f64>() / float(estimates.len().max(1))
    };
    data.prompts.iter().map(gain).collect()
}

#[derive(Default)]
struct Tier<'a> {
    weak: Vec<&'a str>,
    strong: Vec<&'a str>,
}

impl Tier<'_> {
    fn gain(&self, prompt: &PromptRow) -> Option<f64> {
        Some(mean(&self.strong, prompt)? - mean(&self.weak, prompt)?)
    }
}

fn mean(models: &[&str], prompt: &PromptRow) -> Option<f64> {
    let scores: Vec<f64> = models.iter().filter_map(|m| prompt.scores.get(*m).copied()).collect();
    (!scores.is_empty()).then(|| scores.iter().sum::<f64>() / float(scores.len()))
}

/// By dataset, a tier of each width.
fn tiers(data: &Data) -> BTreeMap<&str, Vec<Tier<'_>>> {
    let mut found = BTreeMap::new();
    for (dataset, pair) in &data.pairs {
        let means = means(data, dataset);
        let (Some(weak), Some(strong)) = (means.get(pair.weak.as_str()), means.get(pair.strong.as_str()))
        else {
            continue;
        };
        let (gap, middle) = (strong - weak, f64::midpoint(*strong, *weak));
        let usable = |mean: f64| dataset != BREAKS_ON_FORMAT || mean >= BROKEN;
        let tier = |width: f64| {
            let near = |to: f64| {
                means.iter().filter(move |(_, mean)| (**mean - to).abs() <= width * gap && usable(**mean))
            };
            Tier {
                weak: near(*weak).filter(|(_, m)| **m < middle).map(|(name, _)| *name).collect(),
                strong: near(*strong).filter(|(_, m)| **m > middle).map(|(name, _)| *name).collect(),
            }
        };
        found.insert(dataset.as_str(), TIERS.map(tier).into());
    }
    found
}

/// The mean score of each model that answered at least half of a dataset.
fn means<'a>(data: &'a Data, dataset: &str) -> BTreeMap<&'a str, f64> {
    let mut sums: BTreeMap<&str, (f64, usize)> = BTreeMap::new();
    let mut prompts = 0;
    for prompt in data.prompts.iter().filter(|p| p.dataset == dataset) {
        prompts += 1;
        for (model, score) in &prompt.scores {
            let sum = sums.entry(model).or_default();
            *sum = (sum.0 + score, sum.1 + 1);
        }
    }
    sums.retain(|_, (_, n)| *n * 2 > prompts);
    sums.into_iter().map(|(model, (sum, n))| (model, sum / float(n))).collect()
}
