//! The real binary as a child process: for what only a process can show, such as kill -9 and signals.

use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::{Client, PATIENCE};

/// The path of the binary, freshly built: a test that starts yesterday's binary proves nothing. Costs nothing when it
/// is up to date.
pub fn binary() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let output = Command::new(env!("CARGO"))
        .args([
            "build",
            "--quiet",
            "--locked",
            "--workspace",
            "--bin",
            "tollgate",
            "--message-format",
            "json",
        ])
        .current_dir(root)
        .stdin(Stdio::null())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let messages = String::from_utf8_lossy(&output.stdout);
    let built = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let path = built.filter_map(|message| message["executable"].as_str().map(PathBuf::from)).next_back();
    path.expect("cargo names the binary")
}

/// A command of the binary that sees nothing of the surrounding environment but the way to programs.
pub fn command(args: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .args(args)
        .stdin(Stdio::null());
    command
}

/// Runs the binary to its end.
pub fn run(args: &[&str]) -> Output {
    command(args).output().expect("the binary starts")
}

/// A running `tollgate serve`. Dropping it kills it.
pub struct Server {
    child: Child,
    addr: SocketAddr,
    said: Arc<Mutex<String>>,
}

impl Server {
    /// Starts `serve` with this config and data directory and waits until it says where it listens.
    pub fn start(config: &Path, data_dir: &Path) -> Self {
        Self::spawn(command(&["serve", "--config"]).arg(config).arg("--data-dir").arg(data_dir))
    }

    /// Starts any command that serves, and waits until it says where it listens.
    pub fn spawn(command: &mut Command) -> Self {
        let spawned = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = spawned.expect("the binary starts");
        let said = Arc::new(Mutex::new(String::new()));
        let (found, address) = channel();
        listen(child.stdout.take(), Arc::clone(&said), found.clone());
        listen(child.stderr.take(), Arc::clone(&said), found);
        let mut server = Self { child, addr: SocketAddr::from(([127, 0, 0, 1], 0)), said };
        server.addr = server.await_address(&address);
        server
    }

    fn await_address(&self, address: &Receiver<SocketAddr>) -> SocketAddr {
        match address.recv_timeout(PATIENCE) {
            Ok(addr) => addr,
            Err(RecvTimeoutError::Timeout) => panic!("no address within {PATIENCE:?}: {}", self.said()),
            Err(RecvTimeoutError::Disconnected) => panic!("it ended without an address: {}", self.said()),
        }
    }

    /// A client of it.
    pub fn client(&self) -> Client {
        Client::new(self.addr)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// All that it has printed, on both outputs.
    pub fn said(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// kill -9.
    pub fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    /// Sends a signal, such as `TERM` or `HUP`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.pid().to_string()).status();
        assert!(sent.expect("kill runs").success());
    }

    /// Waits for its end, at most the patience. Returns all that it has printed.
    pub fn finish(mut self) -> String {
        self.end();
        self.said()
    }

    /// Waits for its end, at most the patience.
    pub fn wait(mut self) -> ExitStatus {
        self.end()
    }

    fn end(&mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status;
            }
            assert!(Instant::now() < until, "it does not end: {}", self.said());
            std::thread::park_timeout(std::time::Duration::from_millis(5));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Keeps what comes out of a pipe, and sends the first loopback address in it.
fn listen(pipe: Option<impl Read + Send + 'static>, said: Arc<Mutex<String>>, found: Sender<SocketAddr>) {
    let pipe = pipe.expect("piped");
    std::thread::spawn(move || {
        let mut found = Some(found);
        for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line);
            if let Some(addr) = address(&line) {
                // The end of the sender tells that no address will come any more.
                if let Some(found) = found.take() {
                    let _ = found.send(addr);
                }
            }
            let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
            said.push_str(&line);
            said.push('\n');
        }
    });
}

fn address(line: &str) -> Option<SocketAddr> {
    let (_, after) = line.split_once("http://")?;
    let end = after.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == ':')).unwrap_or(after.len());
    after.get(..end)?.parse().ok().filter(|addr: &SocketAddr| addr.port() > 0)
}
