//! The simulated vendors of the demo: invented names, declared latencies and faults, the list prices of real models.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::civil::Date;
use serde::Serialize;
use sim::{AnswerKey, Dialect, Fault, FaultRule, ModelSpec, RetryAfter, Sim, Timing, VendorSpec, When};

/// What is declared of one vendor, and shown to the user.
#[derive(Clone, Debug, Serialize)]
pub struct Declared {
    /// Its invented name.
    pub name: &'static str,
    /// Its dialect.
    pub wire: &'static str,
    /// The model that it serves.
    pub model: &'static str,
    /// The target whose list price it takes.
    pub priced_as: &'static str,
    /// Milliseconds to its first token.
    pub first_token_ms: u64,
    /// What goes wrong there.
    pub fault: &'static str,
    #[serde(skip)]
    dialect: Dialect,
    #[serde(skip)]
    flagship: bool,
    #[serde(skip)]
    images: bool,
    #[serde(skip)]
    retires: bool,
    #[serde(skip)]
    faults: fn() -> Vec<FaultRule>,
}

/// Seconds to the first content after which the gate gives up on a vendor, in the demo's config.
const FIRST_BYTE: &str = "1.2";

/// The routes of the demo.
const ROUTES: &str = r#"
[routes.auto]
default = "cheap"
escalate = "flagship"
escalate_before = [
  { matches = "(?i)\\b(multi-step|prove|derive|optimi[sz]e|architect)\\b" },
  { input_tokens_over = 1_500 },
]
escalate_after = ["empty", "refusal", "repetition", { regex = "(?i)i am not sure" }]
hold_back = { until = "prefix", tokens = 64, ms = 1_500 }

[routes.extract]
default = "cheap"
escalate = "flagship"
escalate_after = ["empty", "broken_json", "truncated"]

[routes.agent]
default = "cheap"
escalate = "flagship"
escalate_after = ["empty"]
"#;

/// Everything that happens is written down here.
pub const VENDORS: [Declared; 6] = [
    Declared {
        name: "sim-north",
        wire: "openai",
        model: "small-1",
        priced_as: "together/openai/gpt-oss-120b",
        first_token_ms: 60,
        fault: "slow: the first token of calls 6 to 11 comes 3 s late",
        dialect: Dialect::OpenAi,
        flagship: false,
        images: false,
        retires: false,
        faults: || vec![Fault::SlowFirstToken(Duration::from_secs(3)).when(When::Requests(5..11))],
    },
    Declared {
        name: "sim-south",
        wire: "openai",
        model: "small-1",
        priced_as: "groq/openai/gpt-oss-120b",
        first_token_ms: 35,
        fault: "a storm of 429 with Retry-After: 2 on calls 8 to 14",
        dialect: Dialect::OpenAi,
        flagship: false,
        images: false,
        retires: false,
        faults: || vec![Fault::RateLimited(RetryAfter::Seconds(2)).when(When::Requests(7..14))],
    },
    Declared {
        name: "sim-east",
        wire: "gemini",
        model: "small-1",
        priced_as: "gemini/gemini-2.5-flash-lite",
        first_token_ms: 80,
        fault: "an error inside HTTP 200 on calls 5 to 6, streams cut after two events on calls 10 to 14",
        dialect: Dialect::Gemini,
        flagship: false,
        images: true,
        retires: false,
        faults: || {
            vec![
                Fault::ErrorInOk { after: 0 }.when(When::Requests(4..6)),
                Fault::Cut { after: 2, clean: true }.when(When::Requests(9..14)),
            ]
        },
    },
    Declared {
        name: "sim-west",
        wire: "openai",
        model: "small-0",
        priced_as: "together/openai/gpt-oss-120b",
        first_token_ms: 90,
        fault: "its model retires: 404 from call 13 on",
        dialect: Dialect::OpenAi,
        flagship: false,
        images: false,
        retires: true,
        faults: || vec![Fault::Retired.when(When::Requests(12..u64::MAX))],
    },
    Declared {
        name: "sim-flagship",
        wire: "anthropic",
        model: "large-1",
        priced_as: "anthropic/claude-opus-4-7",
        first_token_ms: 150,
        fault: "overloaded (529) on calls 9 and 10",
        dialect: Dialect::Anthropic,
        flagship: true,
        images: true,
        retires: false,
        faults: || vec![Fault::Overloaded.when(When::Requests(8..10))],
    },
    Declared {
        name: "sim-crown",
        wire: "openai",
        model: "large-1",
        priced_as: "openai/gpt-5.4",
        first_token_ms: 140,
        fault: "none",
        dialect: Dialect::OpenAi,
        flagship: true,
        images: true,
        retires: false,
        faults: Vec::new,
    },
];

impl Declared {
    fn spec(&self, answers: &Arc<AnswerKey>) -> VendorSpec {
        let model = ModelSpec { strong: self.flagship, images: self.images, ..ModelSpec::new(self.model) };
        VendorSpec {
            timing: Timing {
                first_token: Duration::from_millis(self.first_token_ms),
                gap: Duration::from_millis(2),
                jitter: 0.4,
                ..Timing::default()
            },
            answers: Arc::clone(answers),
            faults: (self.faults)(),
            models: vec![model],
            keep_requests: 0,
            ..VendorSpec::new(self.name, self.dialect)
        }
    }

    /// `provider/model`.
    pub fn target(&self) -> String {
        format!("{}/{}", self.name, self.model)
    }
}

/// Starts all of them. Errors when no port can be had.
pub async fn start(answers: AnswerKey) -> std::io::Result<Vec<Sim>> {
    let answers = Arc::new(answers);
    let mut sims = Vec::with_capacity(VENDORS.len());
    for declared in &VENDORS {
        sims.push(Sim::start(declared.spec(&answers)).await?);
    }
    Ok(sims)
}

/// The same without faults and delays.
pub async fn start_calm(answers: AnswerKey) -> std::io::Result<Vec<Sim>> {
    let answers = Arc::new(answers);
    let mut sims = Vec::with_capacity(VENDORS.len());
    for declared in &VENDORS {
        let calm = VendorSpec { timing: Timing::default(), faults: Vec::new(), ..declared.spec(&answers) };
        sims.push(Sim::start(calm).await?);
    }
    Ok(sims)
}

/// The first flagship, or the first of the others.
pub fn first(flagship: bool) -> &'static Declared {
    let [first, ..] = &VENDORS;
    VENDORS.iter().find(|declared| declared.flagship == flagship).unwrap_or(first)
}

/// A flagship's `provider/model`.
pub fn is_flagship(target: &str) -> bool {
    VENDORS.iter().any(|declared| declared.flagship && declared.target() == target)
}

/// The gate's configuration: the source article's router over these vendors.
pub fn config(sims: &[Sim], listen: SocketAddr, data_dir: &Path) -> String {
    config_with(sims, listen, data_dir, ROUTES)
}

/// The same with other routes.
pub fn config_with(sims: &[Sim], listen: SocketAddr, data_dir: &Path, routes: &str) -> String {
    let mut out = format!(
        "# Written by `tollgate demo`. The vendors are simulated.\nlisten = \"{listen}\"\ndata_dir = {}\n\n\
         [timeouts]\nconnect = 1\nfirst_byte = {FIRST_BYTE}\nidle = 2\ntotal = 20\n\n\
         [catalogue]\noverlay = \"prices.toml\"\n",
        toml::Value::from(data_dir.display().to_string())
    );
    for (declared, sim) in VENDORS.iter().zip(sims) {
        let _ = write!(
            out,
            "\n[providers.{}]\nwire = \"{}\"\nbase_url = \"{}\"\napi_key = \"file:sim.key\"\nallow_private = true\n",
            declared.name,
            declared.wire,
            sim.base_url()
        );
        match declared.dialect {
            Dialect::OpenAi => {}
            Dialect::Anthropic => out.push_str("auth = { header = \"x-api-key\" }\n"),
            Dialect::Gemini => out.push_str("auth = { header = \"x-goog-api-key\" }\n"),
        }
    }
    let targets = |flagship: bool| {
        let targets = VENDORS.iter().filter(|declared| declared.flagship == flagship);
        targets.map(|declared| format!("\"{}\"", declared.target())).collect::<Vec<_>>().join(", ")
    };
    let _ = write!(
        out,
        "\n[models.cheap]\ntargets = [{}]\npick = \"weighted\"\n\n[models.flagship]\ntargets = [{}]\npick = \"order\"\n",
        targets(false),
        targets(true)
    );
    out.push_str(routes);
    out
}

/// The prices and facts of the simulated models: list prices of real ones. The model that retires has its last day
/// `today`.
pub fn overlay(today: Date) -> String {
    let mut out =
        String::from("# Written by `tollgate demo`: simulated models with the list prices of real ones.\n");
    for declared in &VENDORS {
        let images = if declared.images { "yes" } else { "no" };
        let _ = write!(
            out,
            "\n[[model]]\ntarget = \"{}\"\npriced_as = \"{}\"\ncontext = 131_072\n\
             can = {{ chat = \"yes\", tools = \"yes\", parallel_tools = \"yes\", json_mode = \"yes\", \
             json_schema = \"yes\", images = \"{images}\" }}\n",
            declared.target(),
            declared.priced_as,
        );
        if declared.retires {
            let _ = write!(out, "last_day = \"{today}\"\nsuccessor = \"small-1\"\n");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_invented_and_every_dialect_is_there() {
        assert!(VENDORS.iter().all(|declared| declared.name.starts_with("sim-")));
        for dialect in [Dialect::OpenAi, Dialect::Anthropic, Dialect::Gemini] {
            assert!(VENDORS.iter().any(|declared| declared.dialect == dialect));
        }
    }

    #[test]
    fn every_price_is_a_real_one() {
        let bare = catalog::Catalogue::builtin();
        let own =
            catalog::Catalogue::builtin().with_overlay("prices.toml", &overlay(Date::constant(2026, 11, 24)));
        let own = own.unwrap();
        let usage = catalog::Usage { input: 1_000, output: 500, ..catalog::Usage::default() };
        let at = Date::constant(2026, 11, 24).in_tz("UTC").unwrap().timestamp();
        for declared in &VENDORS {
            let (host, model) = declared.priced_as.split_once('/').unwrap();
            let real = bare.offer(host, model).expect(declared.priced_as);
            let simulated = own.offer(declared.name, declared.model).expect(declared.name);
            let context = catalog::Context { tier: catalog::Tier::Standard, region: None, at };
            assert_eq!(real.price(&usage, &context), simulated.price(&usage, &context), "{}", declared.name);
            assert_eq!(simulated.retires.is_some(), declared.retires);
        }
    }

    #[tokio::test]
    async fn the_config_is_toml_and_names_every_vendor() {
        let sims = start(AnswerKey::default()).await.unwrap();
        let config: toml::Table =
            toml::from_str(&config(&sims, "127.0.0.1:4000".parse().unwrap(), Path::new("/a \"b\""))).unwrap();
        let cheap = config["models"]["cheap"]["targets"].as_array().unwrap();
        let flagship = config["models"]["flagship"]["targets"].as_array().unwrap();
        assert_eq!(cheap.len() + flagship.len(), VENDORS.len());
        assert_eq!(config["providers"].as_table().unwrap().len(), VENDORS.len());
    }
}
