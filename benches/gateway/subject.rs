//! What is measured: nginx as the baseline, the gateway, and the bare parts of the gateway.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::load::Client;
use crate::mock::UPSTREAM_KEY;
use crate::process::Process;

/// The key that the clients send.
pub const KEY: &str = "sk-bench-000000000000000000000000000000000000000000000000";

/// What the mock knows, without the prefix `bench-`.
const MODELS: [&str; 5] = ["whole", "burst", "timed", "first", "idle"];

/// Which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Nginx,
    Bare,
    Gateway,
}

/// A running process with its two addresses.
pub struct Subject {
    pub kind: Kind,
    pub process: Process,
    /// For whole answers.
    pub whole: SocketAddr,
    /// For streams: nginx needs another setting for them.
    pub streams: SocketAddr,
    /// From the start of the process to its first answer.
    pub first_answer: Duration,
}

impl Kind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Bare => "bare parts",
            Self::Gateway => "tollgate",
        }
    }

    /// Starts it in `folder` and waits for its first answer to `request`.
    pub async fn start(
        self,
        folder: &Path,
        upstream: u16,
        binaries: &Path,
        request: &[u8],
    ) -> Result<Subject> {
        let folder = folder.join(self.name().replace(' ', "-"));
        fs::create_dir_all(&folder)?;
        let (whole, streams) = (free_address()?, free_address()?);
        let log = folder.join("log");
        let begun = Instant::now();
        let (process, streams) = match self {
            Self::Nginx => {
                let config = folder.join("nginx.conf");
                fs::write(&config, nginx_config(&folder, whole, streams, upstream))?;
                let config = config.to_str().context("path")?;
                (Process::start(&["nginx", "-c", config, "-g", "daemon off;"], &log)?, streams)
            }
            Self::Bare => {
                let binary = binaries.join("bench-bare");
                let (binary, listen) = (binary.to_str().context("path")?, whole.to_string());
                (Process::start(&[binary, &listen, &upstream.to_string()], &log)?, whole)
            }
            Self::Gateway => {
                let config = folder.join("tollgate.toml");
                fs::write(&config, gateway_config(whole, upstream))?;
                fs::write(folder.join("prices.toml"), prices())?;
                let binary = binaries.join("tollgate");
                let (binary, config) = (binary.to_str().context("path")?, config.to_str().context("path")?);
                let data = folder.join("data");
                let data = data.to_str().context("path")?;
                let command = [binary, "serve", "--config", config, "--data-dir", data];
                (Process::start(&command, &log)?, whole)
            }
        };
        let mut subject = Subject { kind: self, process, whole, streams, first_answer: Duration::ZERO };
        subject.first_answer = subject.wait(begun, request).await?;
        Ok(subject)
    }
}

impl Subject {
    async fn wait(&mut self, begun: Instant, request: &[u8]) -> Result<Duration> {
        loop {
            if let Ok(mut client) = Client::connect(self.whole).await {
                client.whole(request).await.with_context(|| format!("{} answers", self.kind.name()))?;
                return Ok(begun.elapsed());
            }
            self.process.check().with_context(|| format!("{} does not start", self.kind.name()))?;
            if begun.elapsed() > Duration::from_secs(20) {
                bail!("{} does not listen", self.kind.name());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Plain proxying as one would set it up for an LLM server: kept connections, no buffering of streams.
fn nginx_config(folder: &Path, whole: SocketAddr, streams: SocketAddr, upstream: u16) -> String {
    let folder = folder.display();
    format!(
        "worker_processes 1;
worker_rlimit_nofile 19000;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 19000; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    tcp_nodelay on;
    keepalive_requests 100000000;
    keepalive_timeout 300s;
    proxy_read_timeout 300s;
    proxy_http_version 1.1;
    proxy_set_header Connection \"\";
    upstream mock {{ server 127.0.0.1:{upstream}; keepalive 256; keepalive_requests 100000000; }}
    server {{ listen {whole} backlog=4096; location / {{ proxy_pass http://mock; }} }}
    server {{ listen {streams} backlog=4096; location / {{ proxy_pass http://mock; proxy_buffering off; }} }}
}}
"
    )
}

/// Keys are checked, a route with a rule is applied, every model has a price.
fn gateway_config(listen: SocketAddr, upstream: u16) -> String {
    let head = format!(
        "listen = \"{listen}\"

[keys.bench]
secret = \"{KEY}\"

[timeouts]
idle = 300

[catalogue]
overlay = \"prices.toml\"

[models.flagship]
targets = [\"mock/bench-flagship\"]

[providers.mock]
wire = \"openai\"
base_url = \"http://127.0.0.1:{upstream}/v1\"
allow_private = true
api_key = \"{UPSTREAM_KEY}\"
"
    );
    let route = |model| {
        format!(
            "
[models.{model}]
targets = [\"mock/bench-{model}\"]

[routes.bench-{model}]
default = \"{model}\"
escalate = \"flagship\"
escalate_before = [
  {{ matches = '(?i)\\b(multi-step|prove|derive|optimi[sz]e|architect)\\b' }},
  {{ input_tokens_over = 30_000 }},
]
"
        )
    };
    std::iter::once(head).chain(MODELS.into_iter().map(route)).collect()
}

fn prices() -> String {
    let model =
        |name| format!("[[model]]\ntarget = \"mock/bench-{name}\"\npriced_as = \"openai/gpt-5.4\"\n\n");
    MODELS.into_iter().chain(["flagship"]).map(model).collect()
}
