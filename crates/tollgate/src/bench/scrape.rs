//! The server's own counters, from its Prometheus page: what usage does not tell (preemptions), and a second witness for
//! what it does (tokens).

use serde::Serialize;

use super::stats::{rounded, share};

/// Counters of one engine, by the names of its page. The first name that a page has is taken.
struct Names {
    preemptions: &'static [&'static str],
    prompt: &'static [&'static str],
    output: &'static [&'static str],
    cached: &'static [&'static str],
    asked: &'static [&'static str],
}

/// vLLM (both generations), SGLang, llama.cpp. vLLM counts cached and looked-up tokens; SGLang cached tokens, with all
/// prompt tokens as the whole; llama.cpp only the prompt tokens that it computed.
const NAMES: Names = Names {
    preemptions: &["vllm:num_preemptions_total", "sglang:num_retracted_requests_total"],
    prompt: &["vllm:prompt_tokens_total", "sglang:prompt_tokens_total", "llamacpp:prompt_tokens_total"],
    output: &[
        "vllm:generation_tokens_total",
        "sglang:generation_tokens_total",
        "llamacpp:tokens_predicted_total",
    ],
    cached: &[
        "vllm:prefix_cache_hits_total",
        "vllm:gpu_prefix_cache_hits_total",
        "sglang:cached_tokens_total",
        "llamacpp:prompt_tokens_cached_total",
    ],
    asked: &[
        "vllm:prefix_cache_queries_total",
        "vllm:gpu_prefix_cache_queries_total",
        "sglang:prompt_tokens_total",
    ],
};

/// Counters at one moment, or the difference of two moments. `None`: the server does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Counters {
    /// Requests that lost their place and were computed again.
    pub preemptions: Option<f64>,
    /// Prompt tokens by the server's count. llama.cpp leaves cached ones out, the others do not.
    pub prompt_tokens: Option<f64>,
    /// Output tokens by the server's count.
    pub output_tokens: Option<f64>,
    /// Prompt tokens found in the prefix cache.
    pub cached_tokens: Option<f64>,
    /// Share of the prompt tokens looked up that were found.
    pub cache_hit_share: Option<f64>,
    #[serde(skip)]
    asked: Option<f64>,
}

impl Counters {
    /// Reads a page; `None` when it has none of the counters.
    pub fn read(page: &str) -> Option<Self> {
        let find = |names: &[&str]| names.iter().find_map(|name| sum(page, name));
        let counters = Self {
            preemptions: find(NAMES.preemptions),
            prompt_tokens: find(NAMES.prompt),
            output_tokens: find(NAMES.output),
            cached_tokens: find(NAMES.cached),
            cache_hit_share: None,
            asked: find(NAMES.asked),
        };
        (counters != Self::default()).then_some(counters)
    }

    /// What was counted since `before`; `None` where a counter went back, because the server began anew.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let grown =
            |now: Option<f64>, then: Option<f64>| Some(now? - then?).filter(|difference| *difference >= 0.0);
        let (cached, asked) =
            (grown(self.cached_tokens, before.cached_tokens), grown(self.asked, before.asked));
        let hit = cached.zip(asked).filter(|(_, asked)| *asked > 0.0);
        Self {
            preemptions: grown(self.preemptions, before.preemptions),
            prompt_tokens: grown(self.prompt_tokens, before.prompt_tokens),
            output_tokens: grown(self.output_tokens, before.output_tokens),
            cached_tokens: cached,
            cache_hit_share: hit.map(|(cached, asked)| rounded(share(cached, asked), 4)),
            asked,
        }
    }
}

/// The sum of a metric over its label sets; `None` when the page does not have it.
fn sum(page: &str, name: &str) -> Option<f64> {
    let values = page.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let rest = match rest.strip_prefix('{') {
            // label values may hold any character, quotes escaped; a number follows the last brace
            Some(labels) => labels.rsplit_once('}')?.1,
            None => rest.strip_prefix(' ')?,
        };
        rest.split_whitespace().next()?.parse::<f64>().ok().filter(|value| value.is_finite())
    });
    values.fold(None, |sum, value| Some(sum.unwrap_or(0.0) + value))
}

#[cfg(test)]
mod tests {
    use super::*;

    const VLLM: &str = "# TYPE vllm:num_preemptions_total counter\n\
        vllm:num_preemptions_total{engine=\"0\",model_name=\"a {b} c\"} 3.0\n\
        vllm:num_preemptions_total{engine=\"1\",model_name=\"a\"} 4.0\n\
        vllm:prompt_tokens_total{engine=\"0\"} 1000.0\nvllm:generation_tokens_total 5e2 1700000000\n\
        vllm:prefix_cache_queries_total 1000\nvllm:prefix_cache_hits_total 250\n\
        vllm:prompt_tokens_total_other 9\n";

    #[test]
    fn counters_are_summed_over_engines() {
        let read = Counters::read(VLLM).unwrap();
        assert_eq!(
            (read.preemptions, read.prompt_tokens, read.output_tokens),
            (Some(7.0), Some(1000.0), Some(500.0))
        );
        let since = read.since(&Counters {
            preemptions: Some(5.0),
            cached_tokens: Some(50.0),
            asked: Some(600.0),
            ..read
        });
        assert_eq!(
            (since.preemptions, since.cache_hit_share, since.prompt_tokens),
            (Some(2.0), Some(0.5), Some(0.0))
        );
    }

    #[test]
    fn a_strange_page_tells_nothing_and_a_restart_is_no_negative_count() {
        assert_eq!(Counters::read("<html>hello</html>"), None);
        let read = Counters::read("llamacpp:tokens_predicted_total 10\n").unwrap();
        let before = Counters { output_tokens: Some(900.0), ..read };
        assert_eq!(read.since(&before).output_tokens, None);
        assert_eq!(read.preemptions, None, "not told is not zero");
    }
}
