//! Faults rows 11, 15 and 16: readers who do not read cost a bounded amount of memory, a vendor in a brown-out costs
//! neither answers nor a storm of retries, one that comes back is not overrun, and a shortage of file descriptors passes.

use std::time::{Duration, Instant};

use serde_json::json;
use sim::{Fault, ModelSpec, Sim, VendorSpec};
use tempfile::TempDir;
use tollgate_tests::{Client, Server, Stack, all_requests, bounded, poll, server, setup, spec};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fn1_11_heavy_readers_who_do_not_read_cost_a_bounded_amount_of_memory() {
    const READERS: usize = 200;
    // Row 11: at most 256 KiB a stream.
    const ALLOWED_KIB: u64 = 256 * READERS as u64;
    let sim = Sim::start(VendorSpec {
        chunk_tokens: 1_000,
        ..VendorSpec::openai("vendor").models([setup::large("m")])
    });
    let sim = sim.await.expect("a port");
    let dir = TempDir::new().expect("a folder");
    let config = setup::write(dir.path(), &[&sim], "[models.m]\ntargets = [\"vendor/m\"]\n", &[]);
    let server = Server::start(&config, &dir.path().join("data"));
    let client = server.client();
    // 8 MB an answer: far more than the sockets of both sides hold.
    let body = json!({
        "model": "m", "stream": true,
        "messages": [{"role": "user", "content": "[[len:2000000]] Go on."}], "max_completion_tokens": 2_000_000,
    });
    assert_eq!(client.get("/healthz").await.status, 200);
    let before = resident_kib(server.pid());
    let mut readers = Vec::new();
    for _ in 0..READERS {
        let mut reader = client.stream("/v1/chat/completions", &body).await;
        reader.next().await.expect("a first event");
        readers.push(reader);
    }
    // All is still when the vendor cannot send any more.
    let mut sent = u64::MAX;
    while sent != sim.stats().bytes_out {
        sent = sim.stats().bytes_out;
        client.get("/healthz").await;
        let _ = tokio::time::timeout(Duration::from_secs(1), sim.wait_until(|stats| stats.bytes_out > sent))
            .await;
    }
    // A reader who goes on gets more, and costs no more.
    for reader in &mut readers {
        for _ in 0..3 {
            reader.next().await.expect("the stream goes on");
        }
    }
    let grown = resident_kib(server.pid()).saturating_sub(before);
    assert!(grown <= ALLOWED_KIB, "{grown} KiB for {READERS} readers");
    drop(readers);
    bounded("the vendor is let go", sim.wait_until(|stats| stats.open == 0)).await;
}

/// Out of file descriptors, it goes on serving whom it has accepted, takes new callers as soon as there is room, and
/// loses no row.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shortage_of_file_descriptors_passes_without_loss() {
    const DESCRIPTORS: usize = 80;
    let sim = Sim::start(VendorSpec::openai("vendor").models([ModelSpec::new("m")])).await.expect("a port");
    let dir = TempDir::new().expect("a folder");
    let config = setup::write(dir.path(), &[&sim], "[models.m]\ntargets = [\"vendor/m\"]\n", &[]);
    let mut limited = std::process::Command::new("sh");
    limited.args(["-c", &format!("ulimit -n {DESCRIPTORS} && exec \"$@\""), "sh"]).arg(server::binary());
    limited.args(["serve", "--config"]).arg(&config).arg("--data-dir").arg(dir.path().join("data"));
    let server = Server::spawn(limited.env_clear());
    let client = server.client();

    let mut early = Early::connect(&client).await;
    early.ask().await;
    let mut crowd = Vec::new();
    for _ in 0..2 * DESCRIPTORS {
        crowd.push(tokio::net::TcpStream::connect(client.addr()).await.expect("the kernel takes it"));
    }
    poll("the shortage", async || server.said().contains("cannot accept connections").then_some(())).await;
    for _ in 0..5 {
        early.ask().await;
    }
    drop(crowd);
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "Hello"}]});
    for _ in 0..5 {
        assert_eq!(client.post("/v1/chat/completions", &body).await.status, 200);
    }
    let bills = sim.bills().len();
    assert_eq!(bills, 11);
    let rows = poll("all rows", async || {
        let rows = all_requests(&client).await;
        (rows.iter().filter(|row| row["status"] == 200).count() == bills).then_some(rows)
    });
    assert!(rows.await.iter().all(|row| row["attempts"][0]["outcome"] == "ok"));
}

/// A connection that was there before the others.
struct Early(hyper::client::conn::http1::SendRequest<http_body_util::Full<bytes::Bytes>>, Client);

impl Early {
    async fn connect(client: &Client) -> Self {
        let stream = tokio::net::TcpStream::connect(client.addr()).await.expect("it listens");
        let io = hyper_util::rt::TokioIo::new(stream);
        let (sender, connection) = hyper::client::conn::http1::handshake(io).await.expect("a handshake");
        tokio::spawn(connection);
        Self(sender, client.clone())
    }

    async fn ask(&mut self) {
        let body = json!({"model": "m", "messages": [{"role": "user", "content": "Hello"}]});
        let request = self.1.json_request("/v1/chat/completions", body.to_string().into());
        bounded("a place in line", self.0.ready()).await.expect("the connection stands");
        let answer = bounded("an answer", self.0.send_request(request)).await.expect("an answer");
        assert_eq!(answer.status(), 200);
        let whole = http_body_util::BodyExt::collect(answer.into_body());
        bounded("a whole answer", whole).await.expect("a whole answer");
    }
}

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a line");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_brown_out_costs_no_answer_and_no_storm_of_retries() {
    const REQUESTS: usize = 300;
    let config = r#"
[timeouts]
connect = 1
first_byte = 1
whole = 1
idle = 1
total = 10
[models.m]
targets = ["a/m", "b/m", "c/m"]
pick = "order"
"#;
    let vendor = |name| VendorSpec::openai(name).models([ModelSpec::new("m")]);
    let stack = Stack::start([vendor("a"), vendor("b"), vendor("c")], config).await;
    stack.sim("a").set_faults(vec![Fault::Status(500).share(0.2), Fault::HangAfterHead.share(0.02)]);
    stack.sim("b").set_faults(vec![Fault::Overloaded.share(0.2)]);
    let workers: Vec<_> = (0..10)
        .map(|worker| {
            let client = stack.client.clone();
            tokio::spawn(async move {
                for i in 0..REQUESTS / 10 {
                    let stream = (worker + i) % 2 == 0;
                    let body = json!({
                        "model": "m", "stream": stream, "messages": [{"role": "user", "content": "Hello"}],
                    });
                    if stream {
                        let mut reader = client.stream("/v1/chat/completions", &body).await;
                        spec::check_chat_stream(&reader.data().await);
                    } else {
                        let reply = client.post("/v1/chat/completions", &body).await;
                        assert_eq!(reply.status, 200, "{}", reply.text());
                    }
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.expect("every request is answered");
    }
    let rows = stack.closed(REQUESTS).await;
    let attempts: usize = rows.iter().map(|row| row["attempts"].as_array().expect("attempts").len()).sum();
    assert!(attempts * 10 <= REQUESTS * 13, "{attempts} calls for {REQUESTS} requests");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_breaker_opens_within_two_seconds_of_a_vendors_death() {
    let config = "[models.m]\ntargets = [\"a/m\", \"b/m\"]\npick = \"order\"\n";
    let vendor = |name| VendorSpec::openai(name).models([ModelSpec::new("m")]);
    let stack = Stack::start([vendor("a"), vendor("b")], config).await;
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "Hello"}]});
    assert_eq!(stack.client.post("/v1/chat/completions", &body).await.status, 200);
    stack.sim("a").kill().await;
    let died = Instant::now();
    loop {
        let reply = stack.client.post("/v1/chat/completions", &body).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let providers = stack.client.get("/api/v1/providers").await.json();
        let targets = providers["targets"].as_array().expect("targets");
        if targets.iter().any(|line| line["target"] == "a/m" && line["state"] == "open") {
            return;
        }
        assert!(died.elapsed() < Duration::from_secs(2), "{providers:#}");
    }
}

/// Row 16: those who were served by another vendor meanwhile do not all rush to the one that comes back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vendor_that_comes_back_is_not_overrun() {
    let config = "[models.m]\ntargets = [\"a/m\", \"b/m\"]\npick = \"order\"\n";
    let vendor = |name| VendorSpec::openai(name).models([ModelSpec::new("m")]);
    let stack = Stack::start([vendor("a"), vendor("b")], config).await;
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "Hello"}]});
    stack.sim("a").kill().await;
    for _ in 0..10 {
        assert_eq!(stack.client.post("/v1/chat/completions", &body).await.status, 200);
    }
    stack.sim("a").revive().await.expect("its port is free");
    let before = stack.sim("a").stats().calls;
    let crowd: Vec<_> = (0..20)
        .map(|_| {
            let (client, body) = (stack.client.clone(), body.clone());
            tokio::spawn(async move {
                loop {
                    assert_eq!(client.post("/v1/chat/completions", &body).await.status, 200);
                }
            })
        })
        .collect();
    // It is back for good once it has had more than the probe and the first few.
    bounded("its return", stack.sim("a").wait_until(|stats| stats.calls >= before + 12)).await;
    let told = stack.client.get("/api/v1/providers").await.json();
    assert!(told["targets"][0]["reason"].as_str().is_some_and(|why| why.contains("back from")), "{told:#}");
    let [first, second] = [stack.sim("a").stats().calls, stack.sim("b").stats().calls];
    bounded("the other one goes on", stack.sim("b").wait_until(|stats| stats.calls >= second + 100)).await;
    let taken = stack.sim("a").stats().calls - first;
    assert!(taken < 100, "{taken} calls to the one that has come back, 100 to the other");
    for worker in crowd {
        worker.abort();
    }
}
