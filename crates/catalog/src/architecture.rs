//! The shape of open models: what a server must hold, read and compute for one token.
//!
//! Most calculators take "a 70B model" and one number of heads. Here attention is a list of kinds of layers, because
//! what a token leaves in memory differs by a factor of fifty between plain, grouped, latent (MLA), sliding-window,
//! compressed and linear attention, and newer models mix them.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jiff::civil::Date;
use serde::Deserialize;

use crate::hardware::UnknownName;
use crate::{embedded, nearest};

/// An open model's architecture.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelFacts {
    /// Short and lower case, e.g. `llama-3.3-70b`.
    pub id: String,
    /// Repositories and other spellings of checkpoints with this architecture.
    #[serde(default)]
    pub names: Vec<String>,
    /// All parameters, in billions.
    pub params_b: f64,
    /// Parameters used for one token, in billions, as the maker states it. None if the model is dense.
    pub active_b: Option<f64>,
    /// Decoder layers.
    pub layers: u32,
    /// Width of the residual stream.
    pub hidden: u32,
    /// Size of the vocabulary.
    pub vocab: u32,
    /// Longest input and output together, in tokens.
    pub context: Option<u64>,
    /// Kinds of attention layers.
    pub attention: Vec<Attention>,
    /// The routed experts. None if the model is dense.
    pub experts: Option<Experts>,
    /// What was simplified.
    pub note: Option<String>,
    /// Where the facts are from.
    pub source: String,
    /// The day on which they were read.
    pub as_of: Date,
}

/// Some layers with the same kind of attention.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Attention {
    /// How many.
    pub layers: u32,
    /// Query heads.
    pub heads: u32,
    /// Heads of keys and values; 0 for latent and linear attention.
    pub kv_heads: u32,
    /// Width of a head.
    pub head_dim: u32,
    /// Latent attention (MLA): values held per token, rank plus rotary part.
    pub latent: Option<u32>,
    /// Sliding or chunked attention: only so many tokens are kept.
    pub window: Option<u32>,
    /// Compressed attention: one entry for so many tokens.
    pub compress: Option<u32>,
    /// Linear attention: values of state per sequence and layer, whatever its length.
    pub state: Option<u32>,
}

/// Routed experts of a mixture. Shared experts are read by every token and count with the rest of the model.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Experts {
    /// Experts in a layer.
    pub count: u32,
    /// How many of them a token visits.
    pub per_token: u32,
    /// Inner width of one.
    pub width: u32,
    /// Layers that have them.
    pub layers: u32,
    /// Matrices in one: gate, up and down, or two without a gate.
    #[serde(default = "three")]
    pub matrices: u32,
    /// Width of what goes in, where it is not the residual stream.
    pub input: Option<u32>,
}

fn three() -> u32 {
    3
}

impl ModelFacts {
    /// Parameters of all routed experts; 0 for a dense model.
    pub fn expert_params(&self) -> f64 {
        self.experts.map_or(0.0, |e| {
            let one = f64::from(e.matrices) * f64::from(e.input.unwrap_or(self.hidden)) * f64::from(e.width);
            one * f64::from(e.count) * f64::from(e.layers)
        })
    }

    /// Parameters that every token uses: all but the routed experts and the table of input embeddings, of which a
    /// token reads one row.
    pub fn shared_params(&self) -> f64 {
        let all = self.params_b * 1e9 - self.expert_params();
        // Below about 5 billion parameters the output layer is usually the same table.
        if self.params_b < 5.0 { all } else { all - f64::from(self.vocab) * f64::from(self.hidden) }
    }

    /// Parameters used to compute one token.
    pub fn active_params(&self) -> f64 {
        let visited = self.experts.map_or(0.0, |e| f64::from(e.per_token) / f64::from(e.count));
        self.shared_params() + self.expert_params() * visited
    }

    /// Parameters read from memory in one step of a batch of `tokens`.
    ///
    /// Each token picks k of E experts; if they picked independently, an expert is touched by at least one of b
    /// tokens with probability 1 − (1 − k/E)^b.
    pub fn params_read(&self, tokens: f64) -> f64 {
        let touched = self
            .experts
            .map_or(0.0, |e| 1.0 - (1.0 - f64::from(e.per_token) / f64::from(e.count)).powf(tokens.max(1.0)));
        self.shared_params() + self.expert_params() * touched
    }

    /// Values (not bytes) that a sequence of `tokens` holds in the cache of keys and values.
    pub fn kv_values(&self, tokens: f64) -> f64 {
        self.attention.iter().map(|a| a.values(tokens)).sum()
    }

    /// Values of fixed state that a sequence holds in linear-attention layers, usually kept at 32 bits.
    pub fn state_values(&self) -> f64 {
        self.attention.iter().map(|a| f64::from(a.layers) * f64::from(a.state.unwrap_or(0))).sum()
    }

    /// Multiply-adds of attention itself (scores and weighted sum) for a prompt of `tokens`: 2·h·d·n²/2 a layer and
    /// pass, with the causal half left out.
    pub fn attention_flops(&self, tokens: f64) -> f64 {
        self.attention
            .iter()
            .map(|a| {
                let reach = a.window.map_or(tokens, |w| tokens.min(2.0 * f64::from(w)));
                let reach = if a.state.is_some() { f64::from(a.head_dim) * 2.0 } else { reach };
                2.0 * f64::from(a.layers) * f64::from(a.heads) * f64::from(a.head_dim) * tokens * reach
            })
            .sum()
    }

    /// A model whose every token uses every parameter.
    pub fn is_dense(&self) -> bool {
        self.experts.is_none()
    }

    fn complaints(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let id = &self.id;
        if !(0.05..=20_000.0).contains(&self.params_b) {
            wrong.push(format!("{id}: params_b = {} is not between 0.05 and 20000", self.params_b));
        }
        if self.attention.is_empty() || self.attention.iter().any(|a| a.layers == 0 || a.head_dim == 0) {
            wrong.push(format!("{id}: attention needs layers and head_dim"));
        }
        if self.attention.iter().any(|a| a.kv_heads == 0 && a.latent.is_none() && a.state.is_none()) {
            wrong.push(format!("{id}: attention needs kv_heads, latent or state"));
        }
        if self.attention.iter().map(|a| a.layers).sum::<u32>() > self.layers {
            wrong.push(format!("{id}: more attention layers than layers"));
        }
        if self.experts.is_some_and(|e| e.per_token == 0 || e.per_token > e.count || e.layers > self.layers) {
            wrong.push(format!("{id}: experts do not add up"));
        }
        if self.experts.is_some() != self.active_b.is_some() {
            wrong.push(format!("{id}: a mixture states `experts` and `active_b`, a dense model neither"));
        }
        if self.shared_params() <= 0.0 {
            wrong.push(format!("{id}: the experts alone have more parameters than params_b"));
        }
        wrong
    }
}

impl Attention {
    fn values(&self, tokens: f64) -> f64 {
        if self.state.is_some() {
            return 0.0;
        }
        let per_token =
            self.latent.map_or(2.0 * f64::from(self.kv_heads) * f64::from(self.head_dim), f64::from);
        let kept = self.window.map_or(tokens, |w| tokens.min(f64::from(w)));
        f64::from(self.layers) * per_token * kept / f64::from(self.compress.unwrap_or(1))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    model: Vec<ModelFacts>,
}

/// Reads a file of architectures: the shipped ones, or a user's own model in the same form. All errors at once.
pub fn parse(name: &str, text: &str) -> Result<Vec<ModelFacts>, Vec<String>> {
    let file: File = toml::from_str(text).map_err(|error| vec![format!("{name}: {error}")])?;
    let wrong: Vec<String> =
        file.model.iter().flat_map(ModelFacts::complaints).map(|why| format!("{name}: {why}")).collect();
    if wrong.is_empty() { Ok(file.model) } else { Err(wrong) }
}

static SHIPPED: LazyLock<Vec<ModelFacts>> = LazyLock::new(|| {
    // A file that does not parse fails `every_file_is_valid`; at run time its models are simply unknown.
    embedded::ARCHITECTURES.iter().filter_map(|(name, text)| parse(name, text).ok()).flatten().collect()
});

static BY_NAME: LazyLock<BTreeMap<String, usize>> = LazyLock::new(|| {
    let all = SHIPPED.iter().enumerate();
    all.flat_map(|(at, model)| {
        std::iter::once(&model.id).chain(&model.names).flat_map(move |name| {
            let full = fold(name);
            let bare = full.rsplit('/').next().unwrap_or(&full).to_owned();
            [(full, at), (bare, at)]
        })
    })
    .collect()
});

/// A model, and what to tell whoever asked under a name that does not exist.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The architecture.
    pub model: &'static ModelFacts,
    /// Set when the name is a known mistake.
    pub warning: Option<&'static str>,
}

/// Every architecture that we know.
pub fn all() -> &'static [ModelFacts] {
    &SHIPPED
}

/// The architecture of the checkpoint with that name.
pub fn find(name: &str) -> Result<Found, UnknownName> {
    let folded = fold(name);
    let get = |name: &str| BY_NAME.get(name).and_then(|at| SHIPPED.get(*at));
    if let Some(model) = get(&folded).or_else(|| get(folded.rsplit('/').next().unwrap_or_default())) {
        return Ok(Found { model, warning: None });
    }
    if folded.contains("llama-3.3-405b")
        && let Some(model) = get("llama-3.1-405b")
    {
        let warning = "there is no Llama 3.3 405B; Llama 3.1 405B is taken in its place";
        return Ok(Found { model, warning: Some(warning) });
    }
    let names = SHIPPED.iter().flat_map(|model| std::iter::once(&model.id).chain(&model.names));
    let nearest = nearest(name, names.map(String::as_str), 3).into_iter().map(str::to_owned).collect();
    Err(UnknownName { what: "model", name: name.to_owned(), nearest })
}

/// Lower case, without what a quantised copy or a chat tuning adds to the name.
fn fold(name: &str) -> String {
    let mut plain = name.trim().to_ascii_lowercase().replace([' ', '_'], "-");
    loop {
        let shorter = [
            "-instruct",
            "-chat",
            "-hf",
            "-it",
            "-fp8",
            "-nvfp4",
            "-fp4",
            "-mxfp4",
            "-bf16",
            "-int4",
            "-awq",
            "-gptq",
        ]
        .iter()
        .find_map(|tail| plain.strip_suffix(tail).map(str::to_owned));
        match shorter {
            Some(shorter) => plain = shorter,
            None => return plain,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_valid() {
        for (name, text) in embedded::ARCHITECTURES {
            assert_eq!(parse(name, text).err(), None, "{name}");
        }
    }

    #[test]
    fn a_name_means_one_model() {
        for (at, model) in all().iter().enumerate() {
            for name in std::iter::once(&model.id).chain(&model.names) {
                assert_eq!(BY_NAME.get(&fold(name)), Some(&at), "{name}");
            }
        }
    }

    #[test]
    fn the_experts_add_up_to_what_the_makers_state() {
        for model in all().iter().filter(|model| !model.is_dense()) {
            let stated = model.active_b.unwrap();
            let off = model.active_params() / 1e9 / stated - 1.0;
            // Makers count the embeddings or leave them out, and round.
            assert!(off.abs() < 0.2, "{}: {:.2} against {stated}", model.id, model.active_params() / 1e9);
        }
    }

    #[test]
    fn keys_and_values_of_each_kind_of_attention() {
        let per_token = |name| find(name).unwrap().model.kv_values(1.0);
        assert!((per_token("llama-3.3-70b") - 2.0 * 80.0 * 8.0 * 128.0).abs() < 1e-9);
        assert!((per_token("deepseek-ai/DeepSeek-R1") - 61.0 * 576.0).abs() < 1e-9, "latent");
        let oss = find("openai/gpt-oss-120b").unwrap().model;
        let full = 2.0 * 18.0 * 8.0 * 64.0;
        assert!(
            (oss.kv_values(1_128.0) - full * (1_128.0 + 128.0)).abs() < 1e-6,
            "half of the layers forget"
        );
    }

    #[test]
    fn a_batch_touches_more_experts_than_a_token_and_never_more_than_all() {
        let model = find("Qwen/Qwen3-235B-A22B").unwrap().model;
        let one = model.params_read(1.0);
        assert!((one - model.active_params()).abs() / one < 1e-9);
        assert!(model.params_read(32.0) > 4.0 * one);
        assert!(model.params_read(1e4) <= model.params_b * 1e9);
    }

    #[test]
    fn the_articles_model_that_never_was_becomes_the_one_that_is() {
        let found = find("Llama 3.3 405B").unwrap();
        assert_eq!(found.model.id, "llama-3.1-405b");
        assert!(found.warning.is_some());
        assert!(find("meta-llama/Llama-3.1-405B-Instruct").unwrap().warning.is_none());
    }

    #[test]
    fn a_wrong_name_hears_the_nearest() {
        let unknown = find("llama-3.3-7ob").unwrap_err();
        assert!(unknown.nearest.contains(&"llama-3.3-70b".to_owned()), "{unknown}");
    }
}
