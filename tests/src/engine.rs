//! A real engine: llama.cpp's server with a tiny model of noise. `./test` installs it; a test that needs it fails
//! without it.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::sdk::repository;
use crate::{Client, poll};

/// A running engine. Dropping it ends it.
pub struct Engine {
    child: Child,
    /// It ends when this does.
    _stdin: Option<ChildStdin>,
    addr: SocketAddr,
}

impl Engine {
    /// The name of its model.
    pub const MODEL: &'static str = "tiny";

    /// Starts it and waits until it is ready.
    pub async fn start() -> Self {
        let python = repository().join("target/tools/engine/bin/python");
        assert!(
            python.exists(),
            "{} is missing: `.ci/tools clients` or `./test` installs it",
            python.display()
        );
        let mut command = Command::new(&python);
        command
            .arg(repository().join("tests/engine/engine.py"))
            .arg(repository().join("target/tools/engine"));
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut child = spawned.expect("it starts");
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take().expect("piped"));
        let line = tokio::task::spawn_blocking(move || BufReader::new(stdout).lines().next());
        let line = crate::bounded("the engine's address", line).await.expect("no panic");
        let line = line.expect("it prints its address").expect("text");
        let addr = line.strip_prefix("http://").and_then(|addr| addr.parse().ok());
        let engine =
            Self { child, _stdin: stdin, addr: addr.unwrap_or_else(|| panic!("no address: {line}")) };
        poll("a ready engine", async || (engine.client().get("/health").await.status == 200).then_some(()))
            .await;
        engine
    }

    /// A client of it.
    pub fn client(&self) -> Client {
        Client::new(self.addr)
    }

    /// Its base URL, with the version path.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.addr)
    }

    /// One of its own counters, such as `tokens_predicted_total`.
    pub async fn counter(&self, name: &str) -> u64 {
        let page = self.client().get("/metrics").await.text();
        let line = page.lines().find_map(|line| line.strip_prefix(&format!("llamacpp:{name} ")));
        let value = line.unwrap_or_else(|| panic!("no counter {name} in {page}"));
        value.trim().parse().unwrap_or_else(|_| panic!("{name} is no count: {value}"))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
