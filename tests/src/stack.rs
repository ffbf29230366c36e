//! A gateway in this process with simulated vendors behind it.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gateway::config::store::{ConfigStore, Origin};
use gateway::{Running, StartOptions};
use ledger::Ledger;

use serde_json::Value;
use sim::{Bill, Sim, VendorSpec};
use tempfile::TempDir;

use crate::{Client, poll, server, setup};

/// The admin token of every [`Stack`].
pub const ADMIN_TOKEN: &str = "admin-token-of-the-tests";

/// A gateway on a free port, its vendors, its folder. Dropping it ends everything.
pub struct Stack {
    /// A client of the gateway, without a key.
    pub client: Client,
    /// A client with the admin token.
    pub admin: Client,
    sims: Vec<Sim>,
    gateway: Running,
    dir: TempDir,
}

impl Stack {
    /// Starts the vendors and a gateway that knows them under their names; `config` is the rest of its config file.
    pub async fn start(vendors: impl IntoIterator<Item = VendorSpec>, config: &str) -> Self {
        Self::start_with(vendors, config, &[]).await
    }

    /// The same with further files beside the config.
    pub async fn start_with(
        vendors: impl IntoIterator<Item = VendorSpec>,
        config: &str,
        files: &[(&str, &str)],
    ) -> Self {
        let mut sims = Vec::new();
        for vendor in vendors {
            sims.push(Sim::start(vendor).await.expect("a free port"));
        }
        let dir = TempDir::new().expect("a folder");
        let file = setup::write(dir.path(), &sims.iter().collect::<Vec<_>>(), config, files);
        let gateway = start_gateway(file, dir.path().join("data"));
        let client = Client::new(gateway.addr());
        Self { admin: client.clone().bearer(ADMIN_TOKEN), client, sims, gateway, dir }
    }

    /// A vendor.
    pub fn sim(&self, name: &str) -> &Sim {
        self.sims.iter().find(|sim| sim.name() == name).unwrap_or_else(|| panic!("no vendor {name}"))
    }

    /// The gateway's base URL, without `/v1`.
    pub fn url(&self) -> String {
        format!("http://{}", self.client.addr())
    }

    /// Stops the gateway as SIGTERM would: what it has to write and to send is written and sent.
    pub async fn shutdown(self) {
        self.gateway.shutdown().await;
    }

    /// Where the ledger lies.
    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Replaces the rest of the config file, which the running gateway watches.
    pub fn write_config(&self, config: &str) {
        setup::write(self.dir.path(), &self.sims.iter().collect::<Vec<_>>(), config, &[]);
    }

    /// All requests in the ledger, oldest first, once there are `count` and all of them are closed. Fails when there
    /// are more.
    pub async fn closed(&self, count: usize) -> Vec<Value> {
        let rows = poll("closed rows", async || {
            let rows = self.requests().await;
            (rows.len() >= count && rows.iter().all(|row| row["reason"] != "running")).then_some(rows)
        })
        .await;
        assert_eq!(rows.len(), count, "{rows:#?}");
        rows
    }

    /// All requests in the ledger once every request of these bills is closed.
    pub async fn settled(&self, bills: &[Bill]) -> Vec<Value> {
        let ids: BTreeSet<&str> = bills.iter().filter_map(|bill| bill.request_id.as_deref()).collect();
        self.closed(ids.len()).await
    }

    /// All requests in the ledger, oldest first, running ones too.
    pub async fn requests(&self) -> Vec<Value> {
        let mut rows = all_requests(&self.admin).await;
        rows.sort_by(|a, b| a["started_at"].as_str().cmp(&b["started_at"].as_str()));
        rows
    }

    /// Runs a command of the binary on this gateway's config and data; returns the JSON that it prints.
    pub async fn command_json(&self, args: &[&str]) -> Value {
        let mut command = server::command(args);
        command.arg("--config").arg(self.dir.path().join("tollgate.toml"));
        command.arg("--data-dir").arg(self.data_dir());
        let output = tokio::task::spawn_blocking(move || command.output()).await;
        let output = output.expect("no panic").expect("it starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("JSON")
    }
}

fn start_gateway(file: PathBuf, data_dir: PathBuf) -> Running {
    // No key of the surrounding environment may bring a real vendor in.
    let origin = Origin::serving(Some(file), data_dir.clone()).expect("a data directory").with_env(|_| None);
    let config = ConfigStore::open(origin).unwrap_or_else(|errors| panic!("a valid config, but:\n{errors}"));
    let config = Arc::new(config);
    let (ledger, _) = Ledger::open(&data_dir, ledger::Options::default()).expect("a fresh ledger");
    tokio::spawn(Arc::clone(&config).watch());
    let listener = gateway::server::bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a free port");
    let options = StartOptions {
        config,
        ledger,
        listener,
        data_dir,
        admin_token: ADMIN_TOKEN.to_owned(),
        grace: Duration::from_secs(5),
    };
    gateway::start(options).expect("it starts")
}

/// Every request that the API tells, newest first, over all pages.
pub async fn all_requests(client: &Client) -> Vec<Value> {
    let (mut rows, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = client.get(&format!("/api/v1/requests?limit=100{cursor}")).await.json();
        rows.extend(page["requests"].as_array().expect("requests").iter().cloned());
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return rows,
        }
    }
}
