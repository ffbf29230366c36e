//! Hot reload (LAW 10; faults row 17): a good file is taken whole, a bad one not at all, and no request fails meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};
use sim::{ModelSpec, Sim, VendorSpec};
use tempfile::TempDir;
use tollgate_tests::{Client, Server, Stack, bounded, setup};

/// Route `auto` with north or south as its default.
fn config(default: &str) -> String {
    format!(
        "[models.north]\ntargets = [\"north/m\"]\n[models.south]\ntargets = [\"south/m\"]\n[routes.auto]\ndefault = \"{default}\"\n"
    )
}

fn vendor(name: &str) -> VendorSpec {
    VendorSpec::openai(name).models([ModelSpec::new("m")])
}

fn chat() -> Value {
    json!({"model": "auto", "messages": [{"role": "user", "content": "Hello"}]})
}

/// What `/api/v1/config/version` says now.
async fn version(client: &Client) -> u64 {
    let body = client.get("/api/v1/config/version").await.json();
    body["version"].as_u64().unwrap_or_else(|| panic!("a version in {body}"))
}

/// Waits until the version is another one.
async fn next_version(client: &Client, old: u64) -> u64 {
    bounded("another config version", async {
        loop {
            let now = version(client).await;
            if now != old {
                return now;
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heavy_reloads_under_load_fail_no_request() {
    let stack = Stack::start([vendor("north"), vendor("south")], &config("north")).await;
    let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let load: Vec<_> = (0..4)
        .map(|_| {
            let (client, stop, sent) = (stack.client.clone(), Arc::clone(&stop), Arc::clone(&sent));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let reply = client.post("/v1/chat/completions", &chat()).await;
                    assert_eq!(reply.status, 200, "{}", reply.text());
                    let model = reply.header("x-tollgate-model").to_owned();
                    assert!(model == "north/m" || model == "south/m", "{model}");
                    sent.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let mut now = version(&stack.client).await;
    for round in 0..20 {
        if round % 3 == 2 {
            // A file that is not valid must change nothing; the good one after it must be taken all the same.
            stack.write_config("[routes.auto]\ndefault = \"nowhere\"\n");
        }
        let default = if round % 2 == 0 { "south" } else { "north" };
        stack.write_config(&config(default));
        let next = next_version(&stack.client, now).await;
        assert_eq!(next, now + 1, "only good files count");
        now = next;
        let reply = stack.client.post("/v1/chat/completions", &chat()).await;
        assert_eq!(reply.header("x-tollgate-model"), format!("{default}/m"), "round {round}");
    }
    stop.store(true, Ordering::Relaxed);
    for worker in load {
        worker.await.expect("no request failed");
    }
    let served = stack.closed(sent.load(Ordering::Relaxed) + 20).await.len() as u64;
    assert_eq!(served, stack.sim("north").stats().calls + stack.sim("south").stats().calls);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_file_leaves_the_running_config_and_says_why() {
    let sim = Sim::start(vendor("north")).await.expect("a port");
    let dir = TempDir::new().expect("a folder");
    let models = "[models.m]\ntargets = [\"north/m\"]\n";
    let file = setup::write(dir.path(), &[&sim], models, &[]);
    let server = Server::start(&file, &dir.path().join("data"));
    let client = server.client();
    let old = version(&client).await;
    setup::write(dir.path(), &[&sim], "[models.m]\ntargets = [\"nobody/m\"]\nunheard_of = 1\n", &[]);
    server.signal("HUP");
    bounded("a word about the bad file", async {
        while !server.said().contains("unheard_of") {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let said = server.said();
    assert!(said.contains("nobody") && said.contains("tollgate.toml"), "every error, with its file: {said}");
    assert_eq!(version(&client).await, old);
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "Hello"}]});
    assert_eq!(client.post("/v1/chat/completions", &body).await.status, 200);

    setup::write(dir.path(), &[&sim], &format!("{models}[models.n]\ntargets = [\"north/m\"]\n"), &[]);
    server.signal("HUP");
    next_version(&client, old).await;
    let body = json!({"model": "n", "messages": [{"role": "user", "content": "Hello"}]});
    assert_eq!(client.post("/v1/chat/completions", &body).await.status, 200);
}
