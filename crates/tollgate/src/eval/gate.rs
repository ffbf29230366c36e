//! Asks models through the gate: a running one at a URL, or one that is started here for the time of the run. Either way
//! every call has its row in a ledger and its exact cost in a header, so an evaluation never talks to a vendor itself.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use catalog::Money;
use gateway::config::store::{ConfigStore, Origin};
use gateway::config::{Config, Host, Secret, Timeouts};
use gateway::upstream::{Reply, Upstream};
use gateway::{Running, StartOptions};
use http::{HeaderMap, HeaderValue, StatusCode};
use jiff::Timestamp;
use ledger::{Ledger, OpenError};
use serde_json::Value;
use tokio::net::TcpListener;
use wire::{Dialect, Outbound};

use super::answers::Answer;
use crate::cli::Global;
use crate::{catalogue, place};

/// Largest answer that is read.
const ANSWER_BYTES: usize = 16 << 20;
/// How long one question may take; the gate's own deadlines are shorter.
const PATIENCE: Duration = Duration::from_mins(15);

/// Which gate.
#[derive(Debug, Clone, Default)]
pub struct Where<'a> {
    /// Its URL; `None`: the one that serves this data directory, else one started here.
    pub url: Option<&'a str>,
    /// `env:NAME` or `file:PATH` of a client key for it.
    pub key: Option<&'a str>,
}

/// A gate that can be asked.
pub struct Gate {
    upstream: Upstream,
    host: Host,
    timeouts: Timeouts,
    headers: HeaderMap,
    /// Where it is, for people.
    pub place: String,
    /// Started here.
    own: Option<Running>,
    /// The configuration that this machine reads; `None` where there is none that loads.
    pub config: Option<Arc<Config>>,
}

/// Why there is no answer.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Unanswered {
    /// The HTTP status, where one came.
    pub status: Option<u16>,
    /// In words, at most a line.
    pub message: String,
}

/// What a decision would cost.
#[derive(Debug, Clone, Copy, Default)]
pub struct Estimate {
    /// The first target's price; `None` when unknown.
    pub first: Option<Money>,
    /// With the escalation's on top, where there may be one.
    pub most: Option<Money>,
}

impl Estimate {
    /// Both together; unknown when either is.
    pub fn plus(self, other: Self) -> Self {
        let add = |a: Option<Money>, b: Option<Money>| a.zip(b).map(|(a, b)| a + b);
        Self { first: add(self.first, other.first), most: add(self.most, other.most) }
    }
}

impl Gate {
    /// Finds or starts it. `tags` go with every request. Errors when there is none and none can be started.
    pub async fn open(global: &Global, at: Where<'_>, tags: &str) -> anyhow::Result<Self> {
        let file = place::config_file(global);
        let data_dir = place::data_dir(global, file.as_deref())?;
        let key = at.key.map(secret).transpose()?;
        let mut headers = HeaderMap::new();
        headers.insert("x-tollgate-tags", HeaderValue::from_str(tags).context("the tags")?);
        if let Some(url) = at.url {
            let prices = data_dir.clone();
            let config = Origin::reading(file, Some(data_dir))?
                .with_catalogue(move || catalogue::with_updates(&prices))
                .load(1, Timestamp::now());
            return Self::at(url, key, headers, config.ok().map(Arc::new));
        }
        Self::here(file.as_deref(), &data_dir, key, headers).await
    }

    fn at(
        url: &str,
        key: Option<Secret>,
        headers: HeaderMap,
        config: Option<Arc<Config>>,
    ) -> anyhow::Result<Self> {
        let host = host(url, key)?;
        let timeouts = Timeouts {
            connect: Duration::from_secs(5),
            first_byte: PATIENCE,
            whole: PATIENCE,
            idle: PATIENCE,
            total: PATIENCE,
        };
        let place = url.to_owned();
        Ok(Self { upstream: Upstream::default(), host, timeouts, headers, place, own: None, config })
    }

    /// The gate of this data directory: the one that serves it, else one of our own until we are done.
    async fn here(
        file: Option<&Path>,
        data_dir: &Path,
        key: Option<Secret>,
        headers: HeaderMap,
    ) -> anyhow::Result<Self> {
        let prices = data_dir.to_owned();
        let origin = Origin::serving(file.map(Path::to_owned), data_dir.to_owned())?
            .with_catalogue(move || catalogue::with_updates(&prices));
        let store = ConfigStore::open(origin).map_err(|errors| anyhow::anyhow!("{errors}"))?;
        let config = store.load();
        let ledger = match Ledger::open(data_dir, ledger::Options::default()) {
            Ok((ledger, _)) => ledger,
            Err(OpenError::InUse { .. }) => {
                let url = format!("http://{}", config.listen);
                let admin = match key {
                    Some(key) => key,
                    None => Secret::new(place::admin_token(data_dir)?),
                };
                return Self::at(&url, Some(admin), headers, Some(config));
            }
            Err(error) => return Err(error.into()),
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("no free port")?;
        let token = gateway::keys::new_secret()?;
        let running = gateway::start(StartOptions {
            config: Arc::new(store),
            ledger,
            listener,
            data_dir: data_dir.to_owned(),
            admin_token: token.clone(),
            grace: Duration::from_secs(2),
        })?;
        let url = format!("http://{}", running.addr());
        let mut gate = Self::at(&url, Some(Secret::new(token)), headers, Some(config))?;
        "a gate of its own".clone_into(&mut gate.place);
        gate.own = Some(running);
        Ok(gate)
    }

    /// Ends what was started here; the ledger's last rows are written.
    pub async fn close(self) {
        if let Some(own) = self.own {
            own.shutdown().await;
        }
    }

    /// Asks a model. `body` is the request without its model.
    pub async fn ask(&self, key: String, model: &str, body: &Value) -> Result<Answer, Unanswered> {
        let begun = Instant::now();
        let mut reply = self.post("/v1/chat/completions", model, body).await?;
        let bytes = reply.body.collect(ANSWER_BYTES).await.map_err(|e| unanswered(None, &e.to_string()))?;
        let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if reply.status != StatusCode::OK {
            return Err(unanswered(Some(reply.status), message(&value)));
        }
        let header = |name: &str| reply.headers.get(name)?.to_str().ok().map(str::to_owned);
        let choice = value.pointer("/choices/0").cloned().unwrap_or_default();
        let Some(message) = choice.get("message") else {
            return Err(unanswered(Some(reply.status), "the answer holds no message"));
        };
        let count = |name: &str| value.pointer(&format!("/usage/{name}")).and_then(Value::as_u64);
        Ok(Answer {
            key,
            at: Timestamp::now(),
            model: model.to_owned(),
            answered_by: header("x-tollgate-model"),
            reason: header("x-tollgate-reason"),
            attempts: header("x-tollgate-attempts").and_then(|n| n.parse().ok()).unwrap_or(1),
            text: message.get("content").and_then(Value::as_str).unwrap_or_default().to_owned(),
            finish: choice.get("finish_reason").and_then(Value::as_str).map(str::to_owned),
            input_tokens: count("prompt_tokens"),
            output_tokens: count("completion_tokens"),
            cost_usd: header("x-tollgate-cost").and_then(|cost| Money::parse_usd(&cost).ok()),
            request_id: header("x-request-id"),
            ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        })
    }

    /// What the gate would do, and its price: an estimate from the length of the prompt and the bound on the answer.
    /// Errors as the gate would refuse the request.
    pub async fn explain(&self, model: &str, body: &Value) -> Result<Estimate, Unanswered> {
        let mut reply = self.post("/api/v1/explain", model, body).await?;
        let bytes = reply.body.collect(ANSWER_BYTES).await.map_err(|e| unanswered(None, &e.to_string()))?;
        let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if reply.status != StatusCode::OK {
            return Err(unanswered(Some(reply.status), message(&value)));
        }
        let price = |step: &str| {
            let target = value.get(step)?.get(0)?;
            let candidates = value.pointer("/decision/candidates")?.as_array()?;
            let candidate = candidates.iter().find(|c| c.get("target") == Some(target))?;
            Money::parse_usd(candidate.get("price_usd")?.as_str()?).ok()
        };
        let first = price("first");
        let has_second = value.pointer("/escalation/0").is_some();
        let most = if has_second { first.zip(price("escalation")).map(|(a, b)| a + b) } else { first };
        Ok(Estimate { first, most })
    }

    async fn post(&self, path: &str, model: &str, body: &Value) -> Result<Reply, Unanswered> {
        let mut body = body.clone();
        if let Some(fields) = body.as_object_mut() {
            fields.insert("model".to_owned(), Value::from(model));
        }
        let outbound = Outbound {
            path: path.to_owned(),
            headers: HeaderMap::new(),
            body: vec![body.to_string().into_bytes().into()],
        };
        let sent = self.upstream.send(&self.host, 0, outbound, &self.headers, &self.timeouts).await;
        sent.map_err(|e| unanswered(None, &format!("{}: {}", self.place, e.excerpt)))
    }
}

fn unanswered(status: Option<StatusCode>, message: &str) -> Unanswered {
    let message: String = message.chars().take(300).map(|c| if c.is_control() { ' ' } else { c }).collect();
    Unanswered { status: status.map(|status| status.as_u16()), message }
}

fn message(body: &Value) -> &str {
    body.pointer("/error/message").and_then(Value::as_str).unwrap_or("refused without a message")
}

/// A secret that is named, not spelled: a command line can be read by others.
fn secret(named: &str) -> anyhow::Result<Secret> {
    let text = if let Some(name) = named.strip_prefix("env:") {
        std::env::var(name).with_context(|| format!("--key: the environment variable {name}"))?
    } else if let Some(path) = named.strip_prefix("file:") {
        std::fs::read_to_string(path).with_context(|| format!("--key: {path}"))?
    } else {
        anyhow::bail!("--key takes env:NAME or file:PATH; a key on the command line could be read by others")
    };
    Ok(Secret::new(text.trim().to_owned()))
}

/// The gate as a host that can be called, at its address as clients use it (with `/v1`) or without. Errors when `url` is
/// none.
fn host(url: &str, key: Option<Secret>) -> anyhow::Result<Host> {
    let mut host = Host::typed("gate", Dialect::OpenAi, url, key).map_err(anyhow::Error::msg)?;
    if let Some(root) = host.base_path.strip_suffix("/v1") {
        host.base_path = root.to_owned();
    }
    Ok(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_is_named_as_clients_name_it() {
        let gate = host("http://127.0.0.1:4000/v1/", None).unwrap();
        assert_eq!(
            (gate.host.as_str(), gate.port, gate.base_path.as_str(), gate.https),
            ("127.0.0.1", 4000, "", false)
        );
        let gate = host("https://gate.example/team", None).unwrap();
        assert_eq!((gate.port, gate.base_path.as_str(), gate.https), (443, "/team", true));
        assert_eq!(host("http://[::1]:9", None).unwrap().host, "::1");
        assert!(host("gate.example", None).is_err() && host("ftp://a/", None).is_err());
    }

    #[test]
    fn a_key_is_named_and_never_spelled() {
        let said = secret("sk-123").unwrap_err().to_string();
        assert!(said.contains("env:NAME") && !said.contains("sk-123"), "{said}");
    }
}
