//! `tollgate init`: writes a commented `tollgate.toml` for the keys that the environment holds. It names variables, never
//! their values.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use catalog::Catalogue;
use gateway::config::{Config, Group, Sources};
use gateway::keys::KeyRing;
use jiff::Timestamp;

use crate::cli::Global;

/// Flags of `init`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Where to write (else `--config`, else ./tollgate.toml)
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Writes the file; refuses to overwrite one.
pub fn run(args: Args, global: &Global) -> anyhow::Result<ExitCode> {
    let path = args.file.or_else(|| global.config.clone()).unwrap_or_else(|| PathBuf::from("tollgate.toml"));
    let shown = path.display();
    let text = text(&|name| std::env::var(name).ok())?;
    match create(&path, &text) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            anyhow::bail!(
                "{shown} exists and is left as it is\n    hint: name another file: tollgate init FILE"
            );
        }
        written => written.with_context(|| format!("{shown} cannot be written"))?,
    }
    crate::say(format_args!(
        "{shown} is written; `tollgate check {shown}`, then `tollgate serve --config {shown}`\n"
    ));
    Ok(ExitCode::SUCCESS)
}

fn create(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(text.as_bytes())
}

const HEAD: &str = r#"# Tollgate's configuration. Every key is described in docs/config.md; what is commented out shows its default.
# A running server takes changes over by itself; `tollgate check` names every mistake.

# listen = "127.0.0.1:4000"          # an address that others can reach needs client keys
# data_dir = "…"                     # the ledger and other state; default: $XDG_STATE_HOME/tollgate

# [limits]
# body_bytes = 33_554_432            # largest request
# connections = 10_000

# [timeouts]                         # seconds
# connect = 2
# first_byte = 60                    # to the first content of a stream
# whole = 300                        # to the head of a whole answer
# idle = 60                          # between two pieces of a stream
# total = 600                        # for all attempts of a request

# [keys.app]                         # a client key; without any, only loopback is served
# secret = "env:APP_KEY"             # or let `tollgate keys create app` make one

"#;

const ROUTE: &str = r#"
[routes.auto]                        # what a client names as its model
default = "cheap"
"#;

const ESCALATION: &str = r#"escalate = "flagship"
escalate_before = [                  # ask the flagship at once when any of these holds
  { matches = "(?i)\\b(multi-step|prove|derive|optimi[sz]e|architect)\\b" },
  { input_tokens_over = 30_000 },
]
escalate_after = ["empty", "refusal", "repetition"]    # or when the cheap answer fails one of these
how = "fresh"                        # the flagship gets the request as it came; or "reconsider"
hold_back = { until = "prefix", tokens = 64, ms = 1500 }   # held while the checks decide
"#;

/// The text of the file for what `env` holds.
fn text(env: &dyn Fn(&str) -> Option<String>) -> anyhow::Result<String> {
    let ring = KeyRing::ephemeral()?;
    let sources = Sources { env, now: Timestamp::now(), ..Sources::bare(&ring) };
    let mut text = HEAD.to_owned();
    let Ok(config) = Config::zero(&sources) else {
        text.push_str(
            "# No vendor's key was found in the environment. Fill one in:\n\
             # [providers.openai]\n# api_key = \"env:OPENAI_API_KEY\"\n",
        );
        return Ok(text);
    };
    let catalogue = Catalogue::builtin();
    for id in config.hosts.keys() {
        let names = catalogue.provider(id).map(|known| known.key_env.as_slice()).unwrap_or_default();
        let name = names.iter().find(|name| env(name).is_some_and(|value| !value.trim().is_empty()));
        // Writing to a String cannot fail.
        let _ = writeln!(text, "[providers.{id}]\napi_key = \"env:{}\"", name.map_or("", String::as_str));
    }
    if let Some(auto) = config.routes.get("auto") {
        model(&mut text, "cheap", &auto.default, "several vendors: the next answers when one fails");
        if let Some(flagship) = &auto.escalate {
            model(&mut text, "flagship", flagship, "for the hard ones");
        }
        text.push_str(ROUTE);
        text.push_str(if auto.escalate.is_some() { ESCALATION } else { "" });
    }
    Ok(text)
}

fn model(text: &mut String, name: &str, group: &Group, comment: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "\n{:<37}# {comment}\ntargets = [", format!("[models.{name}]"));
    for target in &group.targets {
        let _ = writeln!(text, "  {:?},", target.id);
    }
    text.push_str("]\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loads(names: &[&str]) -> Config {
        let env = |name: &str| names.contains(&name).then(|| format!("secret-canary-{name}"));
        let text = text(&env).unwrap();
        assert!(!text.contains("canary"), "{text}");
        Config::from_toml_with(&text, &env).unwrap_or_else(|errors| panic!("{text}\n{errors}"))
    }

    #[test]
    fn what_is_written_is_sound() {
        let config = loads(&["TOGETHER_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY"]);
        assert_eq!(config.hosts.len(), 3);
        assert!(config.warnings.is_empty(), "{:?}", config.warnings);
        assert_eq!(config.routes["auto"].escalate.as_ref().unwrap().name, "flagship");
        assert!(loads(&["GROQ_API_KEY"]).routes["auto"].escalate.is_none());
    }

    #[test]
    fn every_commented_default_is_a_key_that_exists() {
        let mut text =
            text(&|name| (name == "APP_KEY").then(|| "0123456789abcdefghijkl".to_owned())).unwrap();
        for line in [
            "# listen",
            "# [limits]",
            "# body",
            "# connections",
            "# [timeouts]",
            "# connect ",
            "# first",
            "# whole",
            "# idle",
            "# total",
            "# [keys",
            "# secret",
            "# [providers",
            "# api_key",
        ] {
            assert!(text.contains(line), "{line}");
            text = text.replace(line, &line[2..]);
        }
        let env = |name: &str| Some(format!("0123456789-{name}"));
        Config::from_toml_with(&text, &env).unwrap_or_else(|errors| panic!("{text}\n{errors}"));
    }
}
