//! kill -9, again and again, on one data directory: every intent that was acknowledged has exactly one row.
//!
//! The child is this test program itself. It acknowledges on its standard output, a pipe that outlives it; the parent
//! reads a seeded number of acknowledgements and kills it. `TOLLGATE_KILLS` sets how often (CI: 50, soak: 1000).

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tollgate_ledger::{AttemptId, Ledger, Options, Outcome, RequestOpen};

use crate::sample;

const DIR: &str = "TOLLGATE_TEST_KILL_DIR";
const ROUND: &str = "TOLLGATE_TEST_KILL_ROUND";

/// xorshift64*: reproducible, and good enough to choose where to kill.
fn next(state: &mut u64) -> u64 {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    state.wrapping_mul(0x2545_f491_4f6c_dd1d)
}

fn child(dir: &Path, round: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["kills::victim", "--exact", "--ignored", "--nocapture"])
        .env(DIR, dir)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn say(line: &str) {
    // One write(2) a line, past the test harness's capture.
    let line = format!("\n{line}\n");
    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
}

#[test]
fn kill_9_loses_and_doubles_no_acknowledged_intent() {
    let kills = std::env::var("TOLLGATE_KILLS").ok().and_then(|k| k.parse().ok()).unwrap_or(50_u64);
    let mut seed = std::env::var("TOLLGATE_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(20_261_101_u64);
    let mut told = Told::default();
    // Fifty in a row on one directory, then a new one, so that checks of a growing store do not eat the time.
    for first in (0..kills).step_by(50) {
        let dir = tempfile::tempdir().unwrap();
        let mut acknowledged = HashSet::new();
        for round in first..kills.min(first + 50) {
            kill_one(dir.path(), round, next(&mut seed) % 400, &mut acknowledged, &mut told);
        }
        check(dir.path(), &acknowledged, &mut told);
    }
    println!("{kills} kills: {told:?}");
    assert!(told.acknowledged > kills, "the children did work");
}

/// What happened, for the record.
#[derive(Debug, Default)]
struct Told {
    acknowledged: u64,
    rows: u64,
    unknown: u64,
    slowest_start_ms: u64,
}

/// Starts a child and kills it after `quota` acknowledgements (0: while it opens the ledger).
fn kill_one(dir: &Path, round: u64, quota: u64, acknowledged: &mut HashSet<[u8; 16]>, told: &mut Told) {
    let mut child = child(dir, round);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut heard = Vec::new();
    let mut read = 0;
    while read <= quota {
        let Some(line) = lines.next() else { panic!("round {round}: the child ended by itself: {heard:?}") };
        let line = line.unwrap();
        read += u64::from(line.starts_with("ack ") || line.starts_with("opening"));
        heard.push(line);
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // What it acknowledged before it died, but we had not read.
    heard.extend(lines.map_while(Result::ok));
    for line in heard {
        if let Some(id) = line.strip_prefix("ack ") {
            // The last line may be cut off.
            if let Ok(id) = AttemptId::from_string(id) {
                assert!(acknowledged.insert(id.to_bytes()), "the test made an id twice");
            }
        } else if let Some(ms) = line.strip_prefix("ready ") {
            told.slowest_start_ms = told.slowest_start_ms.max(ms.parse().unwrap_or(0));
        }
    }
}

/// Opens the ledger a last time and compares it with what was acknowledged.
fn check(dir: &Path, acknowledged: &HashSet<[u8; 16]>, told: &mut Told) {
    let (ledger, _) = Ledger::open(dir, Options::default()).unwrap();
    ledger.close().unwrap();
    let db = sample::raw(dir);
    let mut statement = db.prepare("SELECT id FROM attempt").unwrap();
    let rows: Vec<[u8; 16]> = statement.query_map([], |r| r.get(0)).unwrap().map(Result::unwrap).collect();
    let distinct: HashSet<_> = rows.iter().copied().collect();
    assert_eq!(distinct.len(), rows.len(), "doubled rows");
    let lost = acknowledged.iter().filter(|id| !distinct.contains(*id)).count();
    assert_eq!(lost, 0, "of {} acknowledged", acknowledged.len());
    let count = |sql: &str| db.query_row(sql, [], |r| r.get::<_, i64>(0)).unwrap();
    assert_eq!(count("SELECT count(*) FROM attempt WHERE request_no NOT IN (SELECT no FROM request)"), 0);
    let unknown = count("SELECT count(*) FROM attempt WHERE outcome = 'unknown'");
    assert_eq!(count("SELECT count(DISTINCT attempt_no) FROM adjustment"), unknown);
    assert_eq!(count("SELECT count(*) FROM adjustment"), unknown);
    let sound: String = db.query_row("PRAGMA integrity_check", [], |r| r.get(0)).unwrap();
    assert_eq!(sound, "ok");
    told.acknowledged += acknowledged.len() as u64;
    told.rows += rows.len() as u64;
    told.unknown += unknown.cast_unsigned();
}

#[test]
#[ignore = "a child of the test above"]
fn victim() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let round: u64 = std::env::var(ROUND).unwrap().parse().unwrap();
    say("opening");
    let began = std::time::Instant::now();
    // Small segments, so that kills also fall on rotation, carrying and deletion.
    let options = Options { segment_bytes: 16 << 10, ..Options::default() };
    let (ledger, _) = Ledger::open(Path::new(&dir), options).unwrap();
    say(&format!("ready {}", began.elapsed().as_millis()));
    let number = Arc::new(AtomicU64::new(round * 1_000_000));
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (ledger, number) = (ledger.clone(), Arc::clone(&number));
            std::thread::spawn(move || sample::block_on(many(&ledger, &number)))
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

/// Eight requests at a time on one thread, for ever: the group commit serves several at once.
async fn many(ledger: &Ledger, number: &AtomicU64) {
    loop {
        let mut group = Vec::new();
        for _ in 0..8 {
            group.push(Box::pin(one(ledger, number.fetch_add(1, Ordering::Relaxed))));
        }
        let mut set: Vec<_> = group.into_iter().map(Some).collect();
        std::future::poll_fn(|cx| {
            for slot in &mut set {
                if slot.as_mut().is_some_and(|f| f.as_mut().poll(cx).is_ready()) {
                    *slot = None;
                }
            }
            if set.iter().all(Option::is_none) {
                std::task::Poll::Ready(())
            } else {
                std::task::Poll::Pending
            }
        })
        .await;
    }
}

/// A request of one or two attempts; some stay open for ever, as a stream would that the kill cuts.
async fn one(ledger: &Ledger, n: u64) {
    let open: Arc<RequestOpen> = sample::open(n);
    let attempts = 1 + u16::from(n.is_multiple_of(3));
    for seq in 0..attempts {
        let intent = sample::intent(&open, seq);
        ledger.intent(intent.clone()).await.unwrap();
        say(&format!("ack {}", intent.id));
        if n.is_multiple_of(97) {
            return;
        }
        ledger.close_attempt(sample::close(&intent, Outcome::Ok));
    }
    ledger.close_request(sample::request_close(&open, attempts));
}
