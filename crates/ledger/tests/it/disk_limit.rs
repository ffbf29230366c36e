//! A disk that is really full, by the kernel's own rule: a child under a file size limit, which is then lifted.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use tollgate_ledger::{Ledger, Options};

use crate::sample;

const DIR: &str = "TOLLGATE_TEST_LIMIT_DIR";
const REQUESTS: u64 = 400;

#[test]
fn fn1_10_a_full_disk_fails_no_request_and_loses_no_row_once_it_is_freed() {
    let dir = tempfile::tempdir().unwrap();
    // The soft limit only, so that it can be lifted; the signal is ignored, so that write(2) returns an error.
    let script =
        "trap '' XFSZ; ulimit -S -f 160; exec \"$0\" disk_limit::victim --exact --ignored --nocapture";
    let mut child = Command::new("sh")
        .args(["-c", script])
        .arg(std::env::current_exe().unwrap())
        .env(DIR, dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let full = lines.find(|l| l.starts_with("full ")).expect("the limit was reached");
    assert!(full.contains("lost 0"), "{full}");
    let pid = child.id().to_string();
    let lifted =
        Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited:unlimited"]).status().unwrap();
    assert!(lifted.success());
    child.stdin.take().unwrap().write_all(b"go on\n").unwrap();
    let freed = lines.find(|l| l.starts_with("freed ")).expect("it recovered");
    assert!(freed.contains("lost 0"), "{freed}");
    assert!(child.wait().unwrap().success());
    let db = sample::raw(dir.path());
    assert_eq!(sample::count(&db, "request"), REQUESTS.cast_signed());
    let check: String = db.query_row("PRAGMA integrity_check", [], |r| r.get(0)).unwrap();
    assert_eq!(check, "ok");
}

#[test]
#[ignore = "a child of the test above"]
fn victim() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let options = Options { segment_bytes: 1 << 30, ..Options::default() };
    let (ledger, _) = Ledger::open(Path::new(&dir), options).unwrap();
    let mut refused = 0;
    for n in 0..REQUESTS {
        let open = sample::open(n);
        let intent = sample::intent(&open, 0);
        // As the gateway does with `when_unwritable = "serve"`: go on.
        refused += u64::from(sample::block_on(ledger.intent(intent.clone())).is_err());
        ledger.close_attempt(sample::close(&intent, tollgate_ledger::Outcome::Ok));
        ledger.close_request(sample::request_close(&open, 1));
    }
    assert!(refused > 0, "the limit was never felt");
    assert!(ledger.flush().is_err());
    let stats = ledger.stats();
    assert!(!stats.writable && stats.queued > 0, "{stats:?}");
    println!("\nfull lost {} {refused} refused", stats.lost);
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    let began = std::time::Instant::now();
    while ledger.flush().is_err() {
        assert!(began.elapsed().as_secs() < 5, "not recovered: {:?}", ledger.stats());
    }
    let stats = ledger.stats();
    assert!(stats.writable && stats.queued == 0, "{stats:?}");
    println!("\nfreed lost {}", stats.lost);
    ledger.close().unwrap();
}
