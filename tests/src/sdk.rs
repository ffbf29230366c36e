//! The real SDKs, each in a process of its own. `./test` installs them; a test that needs one fails without it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::bounded;

/// A language's SDK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sdk {
    /// openai-python.
    Python,
    /// openai-node.
    Node,
}

/// What a client program saw: the usage of each answer and our id of its request, by feature.
pub type Report = BTreeMap<String, Seen>;

/// One line of a report.
#[derive(Clone, Debug, serde::Deserialize)]
pub struct Seen {
    /// What was tried.
    pub feature: String,
    /// OpenAI's usage object as the SDK read it.
    pub usage: Option<Value>,
    /// The `x-request-id` of the answer.
    pub request_id: Option<String>,
}

impl Sdk {
    /// Runs `tests/clients/…/client` against a gateway at `url` (without `/v1`), for a model and perhaps an embedding
    /// model. Panics with what the program printed when any of its expectations fails.
    pub async fn drive(self, url: &str, models: &[&str]) -> Report {
        let clients = repository().join("tests/clients");
        let script = match self {
            Self::Python => clients.join("python/client.py"),
            Self::Node => clients.join("node/client.mjs"),
        };
        let printed = self.run(&script, url, models).await;
        let lines = printed.lines().map(|line| serde_json::from_str::<Seen>(line).expect("a report line"));
        lines.map(|seen| (seen.feature.clone(), seen)).collect()
    }

    /// Runs a program of this SDK with `OPENAI_BASE_URL` set; returns what it printed.
    pub async fn run(self, script: &Path, url: &str, args: &[&str]) -> String {
        let mut command = Command::new(self.interpreter());
        command.arg(script).args(args).stdin(Stdio::null());
        command.env("OPENAI_BASE_URL", format!("{url}/v1")).env("OPENAI_API_KEY", "unused");
        // No proxy of the surrounding machine may come between.
        command.env("NO_PROXY", "127.0.0.1").env("no_proxy", "127.0.0.1");
        let running = tokio::task::spawn_blocking(move || command.output());
        let output = bounded("an SDK's program", running).await.expect("no panic").expect("it starts");
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{self:?} failed after:\n{out}\n{err}");
        out.into_owned()
    }

    fn interpreter(self) -> PathBuf {
        let (program, needs) = match self {
            Self::Python => {
                let python = repository().join("target/tools/python/bin/python");
                (python.clone(), python)
            }
            Self::Node => {
                (PathBuf::from("node"), repository().join("tests/clients/node/node_modules/openai"))
            }
        };
        assert!(
            needs.exists(),
            "{} is missing: `.ci/tools clients` or `./test` installs it",
            needs.display()
        );
        program
    }
}

/// The root of the repository.
pub fn repository() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("it lies in the repository").to_path_buf()
}
