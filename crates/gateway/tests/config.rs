//! Configurations: the whole example of the interface, every mistake with its place, names.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::path::Path;
use std::time::Duration;

use router::{Check, How, Pick, Rule, Until};
use tollgate_gateway::config::{Config, ConfigErrors, Resolved, Semconv, Sources, WhenUnwritable};
use tollgate_gateway::keys::{KeyRing, StoredKey, hex};

const ENV: [(&str, &str); 5] = [
    ("TOGETHER_API_KEY", "together-key-0123456789"),
    ("DEEPINFRA_API_KEY", "deepinfra-key-0123456789"),
    ("ANTHROPIC_API_KEY", "anthropic-key-0123456789"),
    ("OPENAI_API_KEY", "openai-key-0123456789"),
    ("APP_KEY", "app-key-0123456789abcdef"),
];

fn env(name: &str) -> Option<String> {
    ENV.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned())
}

fn load(text: &str) -> Result<Config, ConfigErrors> {
    Config::from_toml_with(text, &env)
}

/// `line: message (hint)` of every mistake.
fn mistakes(text: &str) -> Vec<String> {
    let said = |e: &tollgate_gateway::config::ConfigError| {
        let hint = e.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        format!("{}: {}{hint}", e.line, e.message)
    };
    load(text).expect_err("mistakes").0.iter().map(said).collect()
}

/// Exactly one mistake, whose message holds `part`.
fn mistake(text: &str, part: &str) {
    let found = mistakes(text);
    assert!(found.len() == 1 && found[0].contains(part), "{text}\n→ {found:#?}\nwanted: {part}");
}

const FULL: &str = r#"
listen = "127.0.0.1:4010"
data_dir = "state"
allowed_hosts = ["gate.example.com"]
[limits]
body_bytes = 33_554_432
header_bytes = 65_536
connections = 10_000
[timeouts]
connect = 2
first_byte = 0.5
whole = 200
idle = 60
total = 600
[ledger]
when_unwritable = "refuse"
[telemetry]
otlp_endpoint = "http://127.0.0.1:4318/"
semconv = "both"

[keys.app]
secret = "env:APP_KEY"

[providers.together]
api_key = "env:TOGETHER_API_KEY"
[providers.deepinfra]
api_key = "env:DEEPINFRA_API_KEY"
[providers.anthropic]
api_key = ["env:ANTHROPIC_API_KEY", "env:OPENAI_API_KEY"]
[providers.gpu]
wire = "openai"
base_url = "http://10.0.0.5:8000/v1/"
allow_private = true
quirks = { no_stream_options = true }
endpoints = ["chat"]

[models.cheap]
targets = ["together/Qwen/Qwen3-235B-A22B-Instruct-2507", "deepinfra/Qwen/Qwen3-235B-A22B-Instruct-2507", "gpu/qwen"]
pick = "cheapest"
[models.ab]
targets = ["together/a", "deepinfra/a"]
pick = "weighted"
weights = { "together/a" = 3, "deepinfra/a" = 1 }
[models.flagship]
targets = ["anthropic/claude-opus-4-7"]

[routes.auto]
default = "cheap"
escalate = "flagship"
last_resort = "gpu/qwen"
escalate_before = [
  { matches = "(?i)\\b(multi-step|prove|derive|optimi[sz]e|architect)\\b" },
  { input_tokens_over = 30_000 },
]
escalate_after = ["empty", "refusal", "repetition", { regex = "(?i)i am not sure" }]
how = "reconsider"
hold_back = { until = "prefix", tokens = 48, ms = 1000 }
check_tool_turns = true
early_headers = true
[routes.whole]
default = "cheap"
escalate = "flagship"
escalate_after = ["truncated", "broken_json"]
"#;

#[test]
fn the_full_example_loads() {
    let config = load(FULL).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(config.listen.to_string(), "127.0.0.1:4010");
    assert_eq!(config.data_dir.as_deref(), Some(Path::new("state")));
    assert_eq!(config.allowed_hosts, ["gate.example.com"]);
    assert_eq!(config.timeouts.first_byte, Duration::from_millis(500));
    assert_eq!(config.when_unwritable, WhenUnwritable::Refuse);
    let telemetry = config.telemetry.as_ref().unwrap();
    assert_eq!(
        (telemetry.otlp_endpoint.as_str(), telemetry.semconv),
        ("http://127.0.0.1:4318", Semconv::Both)
    );
    assert_eq!(config.key_name("app-key-0123456789abcdef"), Some("app"));
    assert_eq!(config.key_name("app-key-0123456789abcdeg"), None);

    assert_eq!(config.hosts["anthropic"].keys.len(), 2);
    let gpu = &config.hosts["gpu"];
    assert_eq!(
        (gpu.https, gpu.host.as_str(), gpu.port, gpu.base_path.as_str()),
        (false, "10.0.0.5", 8000, "/v1")
    );
    assert!(gpu.allow_private && gpu.keys.is_empty() && gpu.quirks.no_stream_options);

    let weights: Vec<u32> = config.models["ab"].targets.iter().map(|t| t.weight).collect();
    assert_eq!((config.models["ab"].pick, weights), (Pick::Weighted, vec![3, 1]));
    let auto = &config.routes["auto"];
    assert_eq!((auto.default.name.as_str(), auto.default.targets.len()), ("cheap", 3));
    assert_eq!(auto.escalate.as_ref().unwrap().name, "flagship");
    assert_eq!(auto.last_resort.as_ref().unwrap().targets[0].id, "gpu/qwen");
    assert!(matches!(auto.route.before[..], [Rule::Matches(_), Rule::InputTokensOver(30_000)]));
    assert!(matches!(
        auto.route.after[..],
        [Check::Empty, Check::Refusal, Check::Repetition, Check::Regex(_)]
    ));
    assert_eq!((auto.route.how, auto.route.hold_back.until), (How::Reconsider, Until::Prefix { tokens: 48 }));
    assert!(auto.route.check_tool_turns && auto.early_headers);
    assert!(matches!(config.routes["whole"].route.hold_back.until, Until::End { .. }));
}

#[test]
fn five_mistakes_give_five_reports_with_line_and_hint() {
    let text = r#"lisen = "127.0.0.1:4000"
[providers.together]
api_key = "env:TOGETHER_KEY"
[models.cheap]
targets = ["together/x", "deepinfra/y"]
pick = "cheepest"
[routes.auto]
default = "cheep"
"#;
    let found = mistakes(text);
    assert_eq!(
        found,
        [
            "1: unknown key `lisen` in the top level (did you mean `listen`?)",
            "3: `api_key`: the environment variable TOGETHER_KEY is not set (export TOGETHER_KEY=…, or take this section out)",
            "5: `deepinfra/y`: the provider `deepinfra` is not configured (add [providers.deepinfra] with api_key = \"env:DEEPINFRA_API_KEY\")",
            "6: `pick` = \"cheepest\" is none that we know (one of order, weighted, cheapest, fastest, adaptive)",
            "8: `default` = \"cheep\" is no model of this file (did you mean `cheap`?)",
        ]
    );
    let shown = load(text).unwrap_err().to_string();
    assert!(shown.starts_with("tollgate.toml:1:1: unknown key `lisen`"), "{shown}");
    assert!(shown.contains("\n    hint: did you mean `listen`?"));
}

#[test]
fn an_unknown_key_is_told_the_known_ones() {
    let found = mistakes("[ledger]\nzzzzzzzzzz = 1\n[providers.together]\nyyyyyyyyyy = 1");
    assert_eq!(found[0], "2: unknown key `zzzzzzzzzz` in `[ledger]` (known here: when_unwritable)");
    let hint = "known here: wire, allow_private, base_url, api_key, auth, quirks, endpoints";
    assert_eq!(found[1], format!("4: unknown key `yyyyyyyyyy` in `[providers.together]` ({hint})"));
}

#[test]
fn syntax_mistakes_are_reported_together() {
    let found = mistakes("listen = \n[limits]\nbody_bytes = = 3\n");
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].starts_with("1: ") && found[1].starts_with("3: "), "{found:#?}");
}

/// A sound start for texts with one mistake.
const BASE: &str = "[providers.together]\napi_key = \"env:TOGETHER_API_KEY\"\n[models.a]\ntargets = [\"together/a\"]\n[models.b]\ntargets = [\"together/b\"]\n";

#[test]
fn thresholds_of_the_learned_scores_are_shares_and_can_fire() {
    let route = |rest: &str| format!("{BASE}[routes.r]\ndefault = \"a\"\nescalate = \"b\"\n{rest}");
    let sound = load(&route(
        "escalate_before = [{ difficulty_over = 0.62 }]\nescalate_after = [\"empty\", { doubt_over = 0.5 }]",
    ));
    assert!(sound.is_ok(), "{sound:?}");
    for (rest, message) in [
        (
            "escalate_before = [{ difficulty_over = 1.5 }]",
            "`difficulty_over` = 1.5 is out of range: between 0 and 1",
        ),
        ("escalate_before = [{ difficulty_over = 0 }]", "`difficulty_over` = 0 is out of range"),
        ("escalate_after = [{ doubt_over = \"high\" }]", "`doubt_over` must be a number such as 0.02"),
        (
            "escalate_before = [{ difficulty_over = 0.6 }, { difficulty_over = 0.7 }]",
            "this rule can never fire: one like it stands before it",
        ),
        (
            "escalate_after = [{ doubt_over = 0.5, regex = \"x\" }]",
            "a check in braces needs `regex` or `doubt_over`",
        ),
        (
            "escalate_after = [{ doubt_over = 0.5 }]\nhold_back = { until = \"prefix\", tokens = 32 }",
            "`doubt_over` judges after 64 or 256 tokens: it would never decide",
        ),
        ("[classifier]\n", "`[classifier]` needs `weights`"),
    ] {
        mistake(&route(rest), message);
    }
}

#[test]
fn fn1_21_what_this_build_does_not_enforce_is_refused() {
    let route = |rest: &str| format!("{BASE}[routes.r]\ndefault = \"a\"\nescalate = \"b\"\n{rest}");
    mistake(&route("quality = 1.5"), "`quality` = 1.5 is out of range");
    mistake(
        &route("quality = 0.95\nescalate_before = [{ difficulty_over = 0.5 }]"),
        "`quality` finds the thresholds, and `difficulty_over` or `doubt_over` sets one",
    );
    mistake(&route("quality = 1"), "no threshold keeps 1 with confidence on benchmark data");
    mistake(&route("shadow = { share = 0.02, model = \"a\" }"), "it would be compared with itself");
    mistake(
        &route("shadow = { share = 1.5, model = \"b\" }"),
        "`share` = 1.5 is out of range: above 0, at most 1",
    );
    mistake(&route("shadow = { model = \"b\" }"), "needs `share`");
    mistake(
        &route("shadow = { share = 0.1, model = \"b\", usd_per_day = 0.5 }"),
        "`usd_per_day` must be dollars as a string or a whole number",
    );
    mistake(&route("judge = { share = 0.1, model = \"b\" }"), "there is no `shadow`");
    mistake(
        &route("shadow = { share = 0.1, model = \"b\" }\njudge = { share = 0.2, model = \"b\" }"),
        "`judge` has a larger share than `shadow`",
    );
    mistake(&route("[routes.r.residency]\n\"data=eu\" = [\"eu\"]"), "`residency` needs residency rules");
    mistake(
        &BASE.replace("[models.a]", "cost = { usd_per_hour = \"2.80\" }\n[models.a]"),
        "`cost` needs the cost of servers",
    );
    mistake(
        &BASE.replace("[models.a]", "residency = [\"eu\"]\n[models.a]"),
        "`residency` needs residency rules",
    );
    mistake(
        &format!("{BASE}[keys.k]\nsecret = \"env:APP_KEY\"\nusd_per_day = \"5\""),
        "`usd_per_day` needs budgets",
    );
}

#[test]
fn fn1_21_rules_that_can_never_fire_are_refused() {
    let route = |rest: &str| format!("{BASE}[routes.r]\ndefault = \"a\"\n{rest}");
    mistake(&route("escalate_before = [{ matches = \"x\" }]"), "`escalate_before` can never fire");
    mistake(&route("escalate_after = [\"empty\"]"), "`escalate_after` can never fire");
    mistake(&route("escalate = \"a\""), "escalating would change nothing");
    mistake(&route("hold_back = { until = \"prefix\" }"), "`hold_back` has no effect");
    mistake(&route("how = \"reconsider\""), "`how` has no effect");
    let both = |rest: &str| route(&format!("escalate = \"b\"\n{rest}"));
    mistake(&both("escalate_before = [{ matches = \"x\" }, { matches = \"x\" }]"), "can never fire");
    mistake(
        &both("escalate_before = [{ input_tokens_over = 5 }, { input_tokens_over = 9 }]"),
        "can never fire",
    );
    mistake(&both("escalate_before = [{ matches = \"x*\" }]"), "matches every text");
    mistake(&both("escalate_before = [{ matches = \"x\", input_tokens_over = 5 }]"), "exactly one condition");
    mistake(&both("escalate_after = [\"empty\", \"empty\"]"), "listed twice");
    mistake(
        &both("escalate_after = [\"truncated\"]\nhold_back = { until = \"prefix\", tokens = 64 }"),
        "`truncated` reads the whole answer",
    );
    mistake(
        &both("escalate_after = [\"empty\"]\nhold_back = { until = \"prefix\", bytes = 64 }"),
        "`bytes` is not read",
    );
    mistake(&format!("{BASE}[routes.a]\ndefault = \"b\""), "the route `a` hides the model `a`");
    mistake(
        &format!("{BASE}[models.c]\ntargets = [\"together/c\"]\nweights = {{ \"together/c\" = 1 }}"),
        "only",
    );
    mistake(
        &format!("{BASE}[models.c]\ntargets = [\"a\"]"),
        "`a` is no `provider/model` (`a` is a model of this file",
    );
}

#[test]
fn regexes_and_words_are_checked() {
    let route = |rest: &str| format!("{BASE}[routes.r]\ndefault = \"a\"\nescalate = \"b\"\n{rest}");
    mistake(
        &route("escalate_before = [{ matches = \"(prove\" }]"),
        "not a regex: unclosed group (at its character 1)",
    );
    mistake(&route("escalate_before = [{ matches = \"(?!a)b\" }]"), "look-around");
    mistake(&route("escalate_before = [{ matches = \"x{1000}{1000}\" }]"), "too large");
    mistake(&route("escalate_after = [\"refusl\"]"), "\"refusl\" is no check (did you mean \"refusal\"?)");
    mistake(&route("escalate_after = [\"empty\"]\nhow = \"again\""), "`how` = \"again\"");
    mistake(&route("escalate_before = [\"prove\"]"), "a rule is { matches");
    mistake("[timeouts]\nidle = -1\n[providers.together]", "out of range");
    mistake(
        "[limits]\nbody_bytes = 1.5\n[providers.together]",
        "`body_bytes` must be a whole number, not a number with a fraction",
    );
    mistake("[ledger]\nwhen_unwritable = \"panic\"\n[providers.together]", "`when_unwritable`");
    mistake("listen = \"localhost\"\n[providers.together]", "`listen` must be an IP address and a port");
    mistake("allowed_hosts = [\"https://x\"]\n[providers.together]", "no host name");
    mistake("[telemetry]\nsemconv = \"new\"\n[providers.together]", "needs `otlp_endpoint`");
    mistake("[budgets]\n[providers.together]", "`budgets` needs budgets");
}

#[test]
fn providers_are_checked() {
    mistake(
        "[providers.togethr]\nwire = \"openai\"\napi_key = \"x\"",
        "did you mean `[providers.together]`?",
    );
    mistake("[providers.gpu]\nbase_url = \"https://gpu.example/v1\"", "needs `wire`");
    mistake("[providers.gpu]\nwire = \"openai\"\nbase_url = \"http://10.0.0.5/v1\"", "private address");
    mistake("[providers.together]\nbase_url = \"https://u:p@x.example/v1\"", "no user name");
    mistake("[providers.together]\napi_key = \"env:NOPE\"", "NOPE is not set");
    mistake("[providers.together]\napi_key = []", "`api_key` is empty");
    mistake("[providers.together]\napi_key = \"with space\"", "no header can carry");
    mistake("[providers.together]\napi_key = \"file:/nope\"", "cannot be read");
    mistake("[providers.together]\nauth = \"none\"\napi_key = \"abc\"", "never sent");
    mistake("[providers.together]\nquirks = { nope = true }", "nope");
    mistake("[providers.groq]", "has no `api_key` (export GROQ_API_KEY");
    mistake("[providers]", "no provider is configured");
    let config = load("[providers.together]").unwrap();
    assert_eq!(config.hosts["together"].keys.len(), 1, "the usual variable is the default");
}

#[test]
fn no_message_shows_a_secret() {
    let text = "[providers.together]\napi_key = \"sk-canary é\"\n[keys.k]\nsecret = \"canary two\"\n[keys.l]\nsecret = 7";
    let shown = load(text).unwrap_err().to_string();
    assert!(!shown.contains("canary"), "{shown}");
    let config =
        load("[providers.together]\napi_key = \"sk-canary-1\"\n[keys.k]\nsecret = \"canary-2\"").unwrap();
    assert_eq!(
        config.warnings.iter().filter(|w| w.message.contains("plain text")).count(),
        2,
        "{:?}",
        config.warnings
    );
    assert!(!format!("{config:?}").contains("canary"));
}

#[test]
fn faults_28_a_public_address_needs_keys() {
    mistake(
        "listen = \"0.0.0.0:4000\"\n[providers.together]",
        "open to others, and no client key is configured",
    );
    mistake("listen = \"[::]:4000\"\n[providers.together]", "open to others");
    let keyed = "listen = \"0.0.0.0:4000\"\n[providers.together]\n[keys.app]\nsecret = \"env:APP_KEY\"";
    assert!(load(keyed).is_ok());
    assert!(load("listen = \"[::1]:4000\"\n[providers.together]").is_ok());
}

#[test]
fn client_keys_of_file_and_store_are_joined() {
    let ring = KeyRing::new(&[3; 32]);
    let key = |name: &str, secret: &str, revoked: bool| StoredKey {
        name: name.to_owned(),
        hash: ring.hash(secret),
        last4: "abcd".to_owned(),
        created_at: jiff::Timestamp::UNIX_EPOCH,
        revoked_at: revoked.then_some(jiff::Timestamp::UNIX_EPOCH),
    };
    let stored = [key("stored", "s1", false), key("old", "s2", true), key("twice", "s3", true)];
    let text = format!(
        "[providers.together]\n[keys.app]\nhash = \"{}\"\n[keys.copy]\nhash = \"{}\"",
        hex(&ring.hash("a")),
        hex(&ring.hash("s3"))
    );
    let sources = Sources { env: &env, stored_keys: &stored, ..Sources::bare(&ring) };
    let config = Config::read("t.toml".as_ref(), &text, &sources).unwrap();
    let name = |secret| config.key_name(secret);
    assert_eq!((name("a"), name("s1"), name("s2")), (Some("app"), Some("stored"), None));
    assert_eq!(name("s3"), None, "a revocation reaches the same secret in the file");

    let text = "[keys.a]\nsecret = \"env:APP_KEY\"\n[keys.b]\nsecret = \"env:APP_KEY\"\n[providers.together]";
    mistake(text, "`b` has the same secret as `a`");
    mistake("[keys.a]\n[providers.together]", "needs `secret` or `hash`");
    mistake("[keys.a]\nhash = \"12\"\n[providers.together]", "64 hexadecimal digits");
    mistake("[keys.\"a b\"]\nsecret = \"env:APP_KEY\"\n[providers.together]", "no name for a key");
}

#[test]
fn a_server_whose_only_key_is_revoked_does_not_become_keyless() {
    let ring = KeyRing::new(&[3; 32]);
    let stored = [StoredKey {
        name: "only".to_owned(),
        hash: ring.hash("s"),
        last4: "abcd".to_owned(),
        created_at: jiff::Timestamp::UNIX_EPOCH,
        revoked_at: Some(jiff::Timestamp::UNIX_EPOCH),
    }];
    let sources = Sources { env: &env, stored_keys: &stored, ..Sources::bare(&ring) };
    let config = Config::zero(&sources).unwrap();
    assert!(!config.keys.is_empty() && config.key_name("s").is_none());
}

#[test]
fn names_resolve_in_order() {
    let config = load(FULL).unwrap();
    assert!(matches!(config.resolve("auto"), Ok(Resolved::Route(route)) if route.route.name == "auto"));
    assert!(matches!(config.resolve("cheap"), Ok(Resolved::Group(group)) if group.targets.len() == 3));
    let Ok(Resolved::Group(gpu)) = config.resolve("gpu/anything/at-all") else { panic!("not found") };
    assert_eq!(
        (gpu.targets[0].id.as_str(), gpu.targets[0].offer.model.as_str()),
        ("gpu/anything/at-all", "anything/at-all")
    );
    let Ok(Resolved::Group(again)) = config.resolve("gpu/anything/at-all") else { panic!("not found") };
    assert!(std::sync::Arc::ptr_eq(&gpu, &again), "the second time nothing is made");
    let error = config.resolve("flagshp").unwrap_err();
    assert_eq!(error.nearest, ["flagship"]);
    assert_eq!(
        error.to_string(),
        "no route, model or vendor model is called `flagshp`; did you mean flagship?"
    );
    for name in ["", "gpu/", "/", "openai/gpt-5.4-unconfigured-host", &"x".repeat(10_000)] {
        let error = config.resolve(name).unwrap_err();
        assert!(error.name.len() <= 512 && error.nearest.len() <= 3);
    }
}

#[test]
fn zero_config_without_a_key_says_what_to_do() {
    let ring = KeyRing::new(&[3; 32]);
    let error = Config::zero(&Sources::bare(&ring)).unwrap_err();
    assert!(error.to_string().contains("tollgate demo"), "{error}");
    assert!(Config::zero(&Sources { env: &|_| Some(" ".to_owned()), ..Sources::bare(&ring) }).is_err());
}

#[test]
fn zero_config_finds_vendors_and_makes_auto() {
    let ring = KeyRing::new(&[3; 32]);
    let only = |names: &'static [&'static str]| {
        let env = move |name: &str| names.contains(&name).then(|| "key-0123456789".to_owned());
        Config::zero(&Sources { env: &env, ..Sources::bare(&ring) }).expect("vendors")
    };
    let config = only(&["TOGETHER_API_KEY", "ANTHROPIC_API_KEY"]);
    assert_eq!(config.hosts.keys().collect::<Vec<_>>(), ["anthropic", "together"]);
    let auto = &config.routes["auto"];
    assert_eq!(auto.default.targets[0].host.id, "together");
    assert_eq!(auto.escalate.as_ref().expect("a flagship").targets[0].host.id, "anthropic");
    assert_eq!((auto.route.before.len(), auto.route.after.len()), (2, 3));
    assert!(config.notices.iter().any(|n| n.contains("escalates to anthropic/")), "{:?}", config.notices);

    let config = only(&["GROQ_API_KEY"]);
    let auto = &config.routes["auto"];
    assert!(auto.escalate.is_none() && auto.route.before.is_empty() && auto.route.after.is_empty());
    assert!(config.notices.iter().any(|n| n.contains("there is no escalation")), "{:?}", config.notices);
}

#[test]
fn a_config_without_providers_finds_them_and_keeps_its_own_auto() {
    let text = "[models.auto]\ntargets = [\"openai/gpt-5.4\"]";
    let config = load(text).expect("vendors of the environment");
    assert_eq!(config.hosts.len(), 4);
    assert!(config.routes.is_empty(), "the alias `auto` stands");
    assert!(matches!(config.resolve("auto"), Ok(Resolved::Group(_))));
    assert!(load("[providers.openai]").expect("auto is implied").routes.contains_key("auto"));
}

#[test]
fn a_bare_model_name_goes_to_its_maker_first() {
    let config = load("").expect("vendors of the environment");
    let Ok(Resolved::Group(group)) = config.resolve("gpt-5.4") else { panic!("not found") };
    assert_eq!(group.targets[0].id, "openai/gpt-5.4");
    let Ok(Resolved::Group(group)) = config.resolve("claude-opus-4-7") else { panic!("not found") };
    assert_eq!(group.targets[0].host.id, "anthropic");
    let near = config.resolve("gpt-5.4-mni").unwrap_err().nearest;
    assert!(near.iter().any(|name| name.starts_with("openai/gpt-5.4")), "{near:?}");
}

#[test]
fn fn1_22_a_model_that_ends_is_announced() {
    let ring = KeyRing::new(&[3; 32]);
    let catalogue = catalog::Catalogue::builtin();
    let hosts = ["openai", "anthropic", "together", "deepinfra"];
    let retiring = hosts.iter().flat_map(|host| catalogue.offers(host)).find(|o| o.retires.is_some());
    let retiring = retiring.expect("some model of the catalogue ends");
    let end = retiring.retires.as_ref().expect("an end").last_day;
    let text = format!("[models.m]\ntargets = [\"{}\"]", retiring.target());
    let warnings = |now: jiff::civil::Date| {
        let now = now.to_datetime(jiff::civil::Time::midnight());
        let now = jiff::tz::Offset::UTC.to_timestamp(now).expect("a date");
        let sources = Sources { env: &env, now, ..Sources::bare(&ring) };
        let config = Config::read("t.toml".as_ref(), &text, &sources).expect("sound");
        config.warnings.into_iter().map(|w| w.message).collect::<Vec<_>>().join("\n")
    };
    assert!(warnings(end).contains(&format!("retires after {end}")));
    assert!(warnings(end.tomorrow().expect("a day")).contains(&format!("was retired after {end}")));
    let early = end.checked_sub(jiff::Span::new().days(90)).expect("a day");
    assert!(!warnings(early).contains("retire"));
}

#[test]
fn mistakes_of_the_price_overlay_carry_its_own_name() {
    let ring = KeyRing::new(&[3; 32]);
    let text = "lisen = 1\n[catalogue]\noverlay = \"prices.toml\"\n[providers.together]";
    let file = |path: &Path| {
        assert_eq!(path, Path::new("etc/prices.toml"), "relative to the config");
        Ok("= nonsense".to_owned())
    };
    let sources = Sources { env: &env, file: &file, ..Sources::bare(&ring) };
    let errors = Config::read("etc/t.toml".as_ref(), text, &sources).expect_err("mistakes").0;
    let mut files: Vec<&str> = errors.iter().map(|e| e.file.as_str()).collect();
    files.dedup();
    assert_eq!(files, ["etc/prices.toml", "etc/t.toml"], "both files' mistakes at once");
    let gone =
        Config::read("etc/t.toml".as_ref(), &text[9..], &Sources { env: &env, ..Sources::bare(&ring) });
    assert!(gone.expect_err("mistakes").to_string().contains("`overlay`: etc/prices.toml cannot be read"));
}

#[test]
fn the_examples_load() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut read = 0;
    for entry in std::fs::read_dir(folder).expect("examples") {
        let path = entry.expect("a file").path();
        if path.extension().is_some_and(|e| e == "toml") {
            let text = std::fs::read_to_string(&path).expect("text");
            // `tco audit` reads claims; they are no config.
            if text.contains("[[claim]]") {
                continue;
            }
            let config = load(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            assert!(config.warnings.is_empty(), "{}: {:?}", path.display(), config.warnings);
            read += 1;
        }
    }
    assert!(read > 0);
}

#[test]
fn shadow_and_judge_have_budgets_and_the_judges_share_is_of_the_shadowed() {
    let text = format!(
        "{BASE}[routes.r]\ndefault = \"a\"\nescalate = \"b\"\n\
         shadow = {{ share = 0.04, model = \"b\", usd_per_day = \"2.50\" }}\njudge = {{ share = 0.01, model = \"b\" }}\n"
    );
    let config = load(&text).unwrap_or_else(|e| panic!("{e}"));
    let shadow = config.routes["r"].shadow.as_ref().expect("a shadow");
    let judge = shadow.judge.as_ref().expect("a judge");
    assert_eq!((shadow.group.name.as_str(), shadow.usd_per_day.to_string().as_str()), ("b", "2.50"));
    assert!((shadow.share - 0.04).abs() < 1e-12 && (judge.share - 0.25).abs() < 1e-12);
    assert_eq!(judge.usd_per_day.to_string(), "1.00", "a dollar a day unless it says otherwise");
}

#[test]
fn how_much_adaptive_explores_is_said_and_bounded() {
    let model = |keys: &str| format!("{BASE}[models.c]\ntargets = [\"together/c\"]\n{keys}\n");
    let pick = |keys: &str| load(&model(keys)).unwrap_or_else(|e| panic!("{e}")).models["c"].pick;
    assert_eq!(pick("pick = \"adaptive\""), Pick::ADAPTIVE);
    assert_eq!(pick("pick = \"adaptive\"\nexplore = 0.05"), Pick::Adaptive { explored: 50 });
    assert_eq!(pick("pick = \"adaptive\"\nexplore = 0"), Pick::Adaptive { explored: 0 });
    mistake(&model("pick = \"adaptive\"\nexplore = 0.3"), "`explore` = 0.3 is out of range");
    mistake(
        &model("pick = \"cheapest\"\nexplore = 0.05"),
        "`explore` is read with `pick = \"adaptive\"` only",
    );
    mistake(&model("explore = 0.05"), "`explore` is read with `pick = \"adaptive\"` only");
}
