//! Faults rows 12 and 13 on the real binary: a full disk, a locked database, a damaged one. Requests go on, what could not
//! be written is counted, and the ledger heals by itself.

use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use sim::{ModelSpec, Sim, VendorSpec};
use tempfile::TempDir;
use tollgate_tests::{Client, Server, all_requests, poll, server, setup};

const MODELS: &str = "[models.m]\ntargets = [\"vendor/m\"]\n";

async fn vendor() -> Sim {
    Sim::start(VendorSpec::openai("vendor").models([ModelSpec::new("m")])).await.expect("a port")
}

fn chat() -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": "[[len:50]] Hello"}]})
}

async fn answered(client: &Client, count: usize) {
    for _ in 0..count {
        let reply = client.post("/v1/chat/completions", &chat()).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
}

/// Every call to the vendor has its row, once the ledger has caught up.
async fn all_rows_arrive(client: &Client, sim: &Sim) {
    let calls = usize::try_from(sim.stats().calls).expect("few");
    poll("all rows", async || {
        let rows = all_requests(client).await;
        assert!(rows.len() <= calls, "no row twice");
        (rows.len() == calls && rows.iter().all(|row| row["attempts"][0]["outcome"] == "ok")).then_some(())
    })
    .await;
}

/// A server whose data directory is a small file system of its own, in a mount namespace of its own.
struct SmallDisk {
    server: Server,
    /// The data directory as this process can see it.
    data: PathBuf,
}

impl SmallDisk {
    fn start(config: &Path, data: &Path) -> Self {
        std::fs::create_dir(data).expect("a folder");
        let script = r#"mount -t tmpfs -o size=4m,mode=0700 tmpfs "$3" && exec "$1" serve --config "$2" --data-dir "$3""#;
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c", script, "sh"]);
        command.arg(server::binary()).arg(config).arg(data).stdin(Stdio::null());
        let server = Server::spawn(&mut command);
        let data = PathBuf::from(format!("/proc/{}/root{}", server.pid(), data.display()));
        Self { server, data }
    }

    /// Takes all the space that is left.
    fn fill(&self) {
        let mut file = std::fs::File::create(self.data.join("filler")).expect("room for a name");
        while file.write_all(&[7; 4096]).is_ok() {}
        // The rest, byte by byte of a page that is not whole.
        while file.write_all(&[7]).is_ok() {}
    }

    fn free(&self) {
        std::fs::remove_file(self.data.join("filler")).expect("it is there");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heavy_a_full_disk_fails_no_request_and_heals() {
    let (sim, dir) = (vendor().await, TempDir::new().expect("a folder"));
    let config = setup::write(dir.path(), &[&sim], MODELS, &[]);
    let disk = SmallDisk::start(&config, &dir.path().join("data"));
    let client = disk.server.client();
    answered(&client, 10).await;
    disk.fill();
    // More than fits into what the spool's last page still holds.
    answered(&client, 100).await;
    poll("an unready answer", async || (client.get("/readyz").await.status == 503).then_some(())).await;
    answered(&client, 10).await;
    disk.free();
    poll("a ready answer", async || (client.get("/readyz").await.status == 200).then_some(())).await;
    answered(&client, 10).await;
    all_rows_arrive(&client, &sim).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heavy_a_full_disk_refuses_before_the_call_where_the_config_says_so() {
    let (sim, dir) = (vendor().await, TempDir::new().expect("a folder"));
    let refuse = format!("[ledger]\nwhen_unwritable = \"refuse\"\n{MODELS}");
    let config = setup::write(dir.path(), &[&sim], &refuse, &[]);
    let disk = SmallDisk::start(&config, &dir.path().join("data"));
    let client = disk.server.client();
    answered(&client, 10).await;
    disk.fill();
    let refused = poll("a refusal", async || {
        let reply = client.post("/v1/chat/completions", &chat()).await;
        (reply.status != 200).then_some(reply)
    })
    .await;
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert_ne!(refused.header("retry-after"), "");
    let calls = sim.stats().calls;
    for _ in 0..10 {
        assert_eq!(client.post("/v1/chat/completions", &chat()).await.status, 503);
    }
    assert_eq!(sim.stats().calls, calls, "nothing that could not be written was spent");
    disk.free();
    poll("an answer again", async || {
        (client.post("/v1/chat/completions", &chat()).await.status == 200).then_some(())
    })
    .await;
    all_rows_arrive(&client, &sim).await;
}

/// Python's `sqlite3` holding the database for itself.
struct Locker(Child);

impl Locker {
    fn lock(database: &Path) -> Self {
        let script = "import sqlite3, sys\nc = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=20)\n\
                      c.execute('BEGIN EXCLUSIVE')\nprint('locked', flush=True)\nsys.stdin.read()\n";
        let mut command = Command::new("python3");
        command.args(["-c", script]).arg(database).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("python3 starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        assert_eq!(line, "locked\n");
        Self(child)
    }

    fn release(mut self) {
        drop(self.0.stdin.take());
        self.0.wait().expect("it ends");
    }
}

fn database(data: &Path) -> PathBuf {
    let files = std::fs::read_dir(data).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut databases =
        files.filter(|path| path.extension().is_some_and(|end| end == "db" || end == "sqlite"));
    databases.next().expect("a database")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_database_fails_no_request_and_loses_no_row() {
    let (sim, dir) = (vendor().await, TempDir::new().expect("a folder"));
    let (config, data) = (setup::write(dir.path(), &[&sim], MODELS, &[]), dir.path().join("data"));
    let server = Server::start(&config, &data);
    let client = server.client();
    answered(&client, 5).await;
    all_rows_arrive(&client, &sim).await;
    let locker = Locker::lock(&database(&data));
    answered(&client, 50).await;
    assert_eq!(client.get("/healthz").await.status, 200);
    locker.release();
    all_rows_arrive(&client, &sim).await;
    assert!(client.get("/metrics").await.text().contains("tollgate_ledger_lost_rows 0"), "nothing was lost");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_database_is_found_at_the_start() {
    let (sim, dir) = (vendor().await, TempDir::new().expect("a folder"));
    let (config, data) = (setup::write(dir.path(), &[&sim], MODELS, &[]), dir.path().join("data"));
    let server = Server::start(&config, &data);
    answered(&server.client(), 20).await;
    all_rows_arrive(&server.client(), &sim).await;
    server.signal("TERM");
    let status = tokio::task::spawn_blocking(move || server.wait()).await.expect("no panic");
    assert!(status.success());

    let path = database(&data);
    let mut file = std::fs::OpenOptions::new().read(true).write(true).open(&path).expect("writable");
    let mut page = vec![0; 4096];
    file.seek(SeekFrom::Start(4096)).expect("a second page");
    file.read_exact(&mut page).expect("a second page");
    for byte in &mut page {
        *byte ^= 0xa5;
    }
    file.seek(SeekFrom::Start(4096)).expect("a second page");
    file.write_all(&page).expect("writable");
    drop(file);

    let (config, data) = (config.display().to_string(), data.display().to_string());
    let again = server::run(&["serve", "--config", &config, "--data-dir", &data]);
    assert_eq!(again.status.code(), Some(3), "{}", String::from_utf8_lossy(&again.stderr));
    let said = String::from_utf8_lossy(&again.stderr);
    assert!(said.contains(&path.display().to_string()), "it names the file: {said}");
}
