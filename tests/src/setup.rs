//! What a gateway finds on disk in a test: a config that names the simulated vendors, their key, and an overlay with
//! prices that a test can recompute.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sim::{Bill, Dialect, ModelSpec, Sim};

use crate::pico;

/// The key that simulated vendors take.
pub const VENDOR_KEY: &str = "sk-7c41e9a05d3f8b26c1f4";

/// Writes `tollgate.toml` into `dir`, with the overlay and the files that it names, and returns its path. `rest` is the
/// part that the test is about; `files` are further files as `(name, text)`. Writing again changes the running config.
pub fn write(dir: &Path, sims: &[&Sim], rest: &str, files: &[(&str, &str)]) -> PathBuf {
    for (name, text) in [("vendor-key", VENDOR_KEY), ("overlay.toml", &overlay(sims))].iter().chain(files) {
        std::fs::write(dir.join(name), text).expect("writable");
    }
    let mut config = String::from("listen = \"127.0.0.1:0\"\n[catalogue]\noverlay = \"overlay.toml\"\n");
    for sim in sims {
        config.push_str(&provider(sim));
    }
    config.push_str(rest);
    let file = dir.join("tollgate.toml");
    // Renamed into place, as editors do: a reader never sees half of it.
    let fresh = dir.join("tollgate.toml.new");
    std::fs::write(&fresh, config).expect("writable");
    std::fs::rename(&fresh, &file).expect("writable");
    file
}

fn provider(sim: &Sim) -> String {
    let wire = match sim.spec().dialect {
        Dialect::OpenAi => "openai",
        Dialect::Anthropic => "anthropic",
        Dialect::Gemini => "gemini",
    };
    let (name, url) = (sim.name(), sim.base_url());
    format!(
        "[providers.{name}]\nwire = \"{wire}\"\nbase_url = \"{url}\"\nallow_private = true\napi_key = \"file:vendor-key\"\n"
    )
}

/// Two chat models under names that the dialect's vendors use, since what can be asked of a model goes by its name: one
/// that answers at once, and one that reasons first.
pub fn models(dialect: Dialect) -> (ModelSpec, ModelSpec) {
    let (chat, thinker) = match dialect {
        Dialect::OpenAi => ("chat", "thinker"),
        Dialect::Anthropic => ("claude-opus-4-7", "claude-sonnet-4-6"),
        Dialect::Gemini => ("gemini-2.5-flash", "gemini-2.5-pro"),
    };
    (large(chat), ModelSpec { reasoning: true, ..large(thinker) })
}

/// A model whose bounds no test meets.
pub fn large(id: &str) -> ModelSpec {
    ModelSpec { context: 10_000_000, max_output: 5_000_000, ..ModelSpec::new(id) }
}

/// A model of this id has no price.
pub const UNPRICED: &str = "nobody-knows";

/// What a million units cost at every simulated vendor, by bucket: rates whose products show every digit.
pub const RATES: [(&str, &str); 6] = [
    ("input", "0.37"),
    ("cache_read", "0.041"),
    ("cache_write_5m", "0.463"),
    ("cache_write_1h", "0.739"),
    ("output", "1.93"),
    ("reasoning", "1.93"),
];

/// What a simulated vendor's own bill comes to at these rates, in pico-dollars.
pub fn billed(bill: &Bill) -> i128 {
    let tally = bill.tally;
    let units = [tally.fresh, tally.cached, tally.write_5m, tally.write_1h, tally.output, tally.reasoning];
    // A dollar per million is a million pico-dollars each.
    let rates = RATES.map(|(_, usd)| pico(&Value::from(usd)) / 1_000_000);
    units.into_iter().zip(rates).map(|(units, rate)| i128::from(units) * rate).sum()
}

fn overlay(sims: &[&Sim]) -> String {
    let mut text = String::new();
    for sim in sims {
        for model in sim.spec().models.iter().filter(|model| model.id != UNPRICED) {
            let _ = writeln!(text, "[[price]]\ntarget = \"{}/{}\"", sim.name(), model.id);
            for (bucket, usd) in RATES {
                let _ = writeln!(text, "{bucket} = \"{usd}\"");
            }
        }
    }
    text
}
