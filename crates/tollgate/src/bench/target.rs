//! One request to the endpoint, and when its tokens came. It uses the gate's own client and reader of streams: no
//! connection cap of an SDK stands between, and usage is read as the ledger reads it.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use gateway::config::{Host, Secret, Timeouts};
use gateway::upstream::{Reply, Upstream};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use wire::sse::Splitter;
use wire::{Dialect, ErrorKind, Op, UpstreamError};

use super::record::{Outcome, Record, Tokens};

/// Largest event of a stream, and largest page of metrics.
const MOST_BYTES: usize = 16 << 20;
/// Largest error answer that is read.
const REFUSAL_BYTES: usize = 64 << 10;
/// Most times that a request goes out again.
const RESENT: u32 = 3;

/// Where the endpoint and its metrics are.
#[derive(Debug)]
pub struct Address {
    /// The base URL as it was understood, for the report.
    pub shown: String,
    api: Host,
    metrics: Option<Host>,
}

impl Address {
    /// Reads the base URL; `/v1` is added where it names no path. `metrics` is the URL of a Prometheus page, `none`
    /// for no page, and by default `/metrics` of the same server. Errors when one is no URL.
    pub fn read(url: &str, key: Option<Secret>, metrics: Option<&str>) -> anyhow::Result<Self> {
        let open =
            |url: &str, key| Host::typed("bench", Dialect::OpenAi, url, key).map_err(anyhow::Error::msg);
        let mut api = open(url, key)?;
        if api.base_path.is_empty() {
            "/v1".clone_into(&mut api.base_path);
        }
        let metrics = match metrics {
            Some("none") => None,
            Some(page) => Some(open(page, None).context("--metrics")?),
            None => {
                let mut same = open(url, None)?;
                "/metrics".clone_into(&mut same.base_path);
                Some(same)
            }
        };
        let scheme = if api.https { "https" } else { "http" };
        let host = if api.host.contains(':') { format!("[{}]", api.host) } else { api.host.clone() };
        let shown = format!("{scheme}://{host}:{}{}", api.port, api.base_path);
        Ok(Self { shown, api, metrics })
    }
}

/// Reads `env:NAME` or `file:PATH`. A key on the command line itself would be seen by every user of the machine.
pub fn secret(text: &str) -> anyhow::Result<Secret> {
    let secret = if let Some(name) = text.strip_prefix("env:") {
        std::env::var(name).with_context(|| format!("--api-key: the environment variable {name}"))?
    } else if let Some(path) = text.strip_prefix("file:") {
        std::fs::read_to_string(path).with_context(|| format!("--api-key: the file {path}"))?
    } else {
        bail!("--api-key takes env:NAME or file:PATH, so that no key stands in the list of processes");
    };
    Ok(Secret::new(secret.trim().to_owned()))
}

/// Which fields the server takes beside the plain ones; found by asking it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// `ignore_eos` and `min_tokens`, so that an answer is as long as it should be.
    pub full_length: bool,
    /// `max_completion_tokens` instead of `max_tokens`.
    pub completion_tokens: bool,
}

impl Form {
    /// In the order in which they are tried.
    pub const ALL: [Self; 3] = [
        Self { full_length: true, completion_tokens: false },
        Self { full_length: false, completion_tokens: false },
        Self { full_length: false, completion_tokens: true },
    ];
}

/// The endpoint, ready to be asked.
pub struct Target {
    client: Upstream,
    address: Address,
    model: String,
    op: Op,
    timeouts: Timeouts,
}

/// What one request asks for.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'p> {
    /// The user's message, or the text to go on with.
    pub prompt: &'p str,
    /// Output tokens wanted.
    pub output_tokens: u64,
    /// How to want them.
    pub form: Form,
    /// The start of the point, from which all times count.
    pub epoch: Instant,
    /// When it was meant to go out; `None`: now.
    pub intended: Option<Duration>,
}

impl Target {
    /// An endpoint for chats or completions. A request may take `timeout` in all.
    pub fn new(address: Address, model: String, op: Op, timeout: Duration) -> Self {
        let timeouts = Timeouts {
            connect: timeout.min(Duration::from_secs(10)),
            first_byte: timeout,
            whole: timeout,
            idle: timeout,
            total: timeout,
        };
        Self { client: Upstream::default(), address, model, op, timeouts }
    }

    /// The base URL as it was understood.
    pub fn shown(&self) -> &str {
        &self.address.shown
    }

    /// The server's metrics as text; `None` where it has no such page.
    pub async fn metrics(&self) -> Option<String> {
        let page = self.address.metrics.as_ref()?;
        let mut reply = self.client.get(page, 0, "", &self.timeouts).await;
        for _ in 0..RESENT {
            if !reply.as_ref().is_err_and(closed_at_rest) {
                break;
            }
            reply = self.client.get(page, 0, "", &self.timeouts).await;
        }
        let mut reply = reply.ok()?;
        if reply.status != StatusCode::OK {
            return None;
        }
        let bytes = reply.body.collect(MOST_BYTES).await.ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn body(&self, ask: &Ask<'_>) -> Bytes {
        let most = if ask.form.completion_tokens { "max_completion_tokens" } else { "max_tokens" };
        let mut body =
            json!({"model": self.model, "stream": true, "stream_options": {"include_usage": true}});
        if let Value::Object(fields) = &mut body {
            if self.op == Op::Chat {
                let message = json!([{"role": "user", "content": ask.prompt}]);
                fields.insert("messages".to_owned(), message);
            } else {
                fields.insert("prompt".to_owned(), ask.prompt.into());
            }
            fields.insert(most.to_owned(), ask.output_tokens.into());
            if ask.form.full_length {
                fields.insert("ignore_eos".to_owned(), true.into());
                fields.insert("min_tokens".to_owned(), ask.output_tokens.into());
            }
        }
        body.to_string().into()
    }

    /// Sends one request and reads its answer to the end. Never fails: what went wrong is in the record.
    pub async fn ask(&self, ask: Ask<'_>) -> Record {
        let body = self.body(&ask);
        let sent = micros(ask.epoch);
        let mut record = Record {
            intended: ask.intended.map_or(sent, |at| u32::try_from(at.as_micros()).unwrap_or(u32::MAX)),
            sent,
            events: Vec::new(),
            end: sent,
            outcome: Outcome::Ok,
            usage: None,
            resent: 0,
        };
        let mut done = self.exchange(body.clone(), ask.epoch, &mut record).await;
        while record.resent < RESENT && done.as_ref().is_err_and(closed_at_rest) {
            record.resent += 1;
            done = self.exchange(body.clone(), ask.epoch, &mut record).await;
        }
        if let Err(error) = done {
            let why = reason(&error);
            record.outcome =
                if record.events.is_empty() { Outcome::Error(why) } else { Outcome::Incomplete(why) };
        }
        record.end = micros(ask.epoch);
        record
    }

    async fn exchange(&self, body: Bytes, epoch: Instant, record: &mut Record) -> Result<(), UpstreamError> {
        let unsound = |why: String| UpstreamError::new(ErrorKind::BadRequest, None, why);
        let door = wire::door(Dialect::OpenAi).ok_or_else(|| unsound("no such door".to_owned()))?;
        let wire = wire::wire(Dialect::OpenAi).ok_or_else(|| unsound("no such wire".to_owned()))?;
        let request = door.read(self.op, body).map_err(|error| unsound(error.to_string()))?;
        let endpoint = wire::Endpoint {
            model: &self.model,
            quirks: &self.address.api.quirks,
            facts: &catalog::Facts::default(),
            read_text: false,
            moved: false,
        };
        let sent = wire.begin(&request, &endpoint).map_err(|error| unsound(error.to_string()))?;
        let mut reader = sent.reply;
        let deadline = Instant::now() + self.timeouts.total;
        let host = &self.address.api;
        let mut reply = self.client.send(host, 0, sent.outbound, &HeaderMap::new(), &self.timeouts).await?;
        reply.body.set_deadline(Some(deadline));
        if reply.status != StatusCode::OK {
            let text = reply.body.collect(REFUSAL_BYTES).await.unwrap_or_default();
            return Err(reader.refusal(reply.status, &reply.headers, &text));
        }
        let read = events(&mut reply, reader.as_mut(), epoch, &mut record.events).await;
        let ending = reader.end();
        record.usage = ending.usage.map(|usage| Tokens {
            input: usage.total_input(),
            cached: usage.cache_read.saturating_add(usage.cache_read_audio),
            output: usage.total_output(),
        });
        read?;
        if ending.complete {
            return Ok(());
        }
        Err(UpstreamError::new(ErrorKind::Truncated, Some(200), "the stream ended without its end"))
    }
}

/// The connection opened and broke without a byte of an answer: most likely a server that closes connections which it
/// had promised to keep (llama.cpp does), in the moment in which the next request goes out. A gateway must not send
/// such a request again, since it may have been billed; here it costs a little time, which counts.
fn closed_at_rest(error: &UpstreamError) -> bool {
    error.kind == ErrorKind::Connect && error.maybe_billed
}

/// Reads a stream to its end and writes down when content came.
async fn events(
    reply: &mut Reply,
    reader: &mut dyn wire::Reply,
    epoch: Instant,
    times: &mut Vec<u32>,
) -> Result<(), UpstreamError> {
    let mut splitter = Splitter::new(MOST_BYTES);
    let mut chunks = Vec::new();
    while let Some(piece) = reply.body.next().await {
        let piece = piece?;
        // one time for all events of a read: they came together
        let now = micros(epoch);
        splitter.push(piece);
        for frame in splitter.by_ref() {
            let frame = frame
                .map_err(|error| UpstreamError::new(ErrorKind::Garbled, Some(200), error.to_string()))?;
            reader.frame(frame, &mut chunks)?;
            times.extend(chunks.drain(..).filter(|chunk| chunk.content).map(|_| now));
        }
    }
    if let Some(frame) = splitter.finish() {
        reader.frame(frame, &mut chunks)?;
        times.extend(chunks.drain(..).filter(|chunk| chunk.content).map(|_| micros(epoch)));
    }
    Ok(())
}

/// The kind of an error, and the status where there is one: few different words, so that they can be counted.
fn reason(error: &UpstreamError) -> String {
    match error.status {
        Some(status) if status != 200 => format!("{} ({status})", error.kind.as_str()),
        _ => error.kind.as_str().to_owned(),
    }
}

/// Since the start of the point; an hour and more fits.
pub fn micros(epoch: Instant) -> u32 {
    u32::try_from(epoch.elapsed().as_micros()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_without_a_path_gets_the_version() {
        let read = |url| Address::read(url, None, None).unwrap();
        let plain = read("http://127.0.0.1:8000");
        assert_eq!((plain.shown.as_str(), plain.api.base_path.as_str()), ("http://127.0.0.1:8000/v1", "/v1"));
        assert_eq!(plain.metrics.unwrap().base_path, "/metrics");
        assert_eq!(read("https://gpu.example/openai/v1/").shown, "https://gpu.example:443/openai/v1");
        assert_eq!(read("http://[::1]:9/v1").shown, "http://[::1]:9/v1");
        assert!(Address::read("http://a.example", None, Some("none")).unwrap().metrics.is_none());
        for bad in ["gpu:8000", "ftp://gpu/v1", "http://user:pw@gpu/v1"] {
            let said = Address::read(bad, None, None).unwrap_err().to_string();
            assert!(said.starts_with("the URL ") && !said.contains("pw"), "{said}");
        }
    }

    #[test]
    fn a_bare_key_is_refused_without_being_repeated() {
        let said = secret("sk-very-secret").unwrap_err().to_string();
        assert!(said.contains("env:NAME") && !said.contains("very-secret"), "{said}");
    }
}
