//! Records in, rows out, across restarts.

use std::os::unix::fs::PermissionsExt;

use crate::sample::{self, block_on, count, raw};
use catalog::Money;
use rusqlite::Connection;
use tollgate_ledger::{Ledger, OpenError, Options, Outcome};

#[test]
fn a_request_and_its_attempts_become_rows_together() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, recovery) = Ledger::open(dir.path(), Options::default()).unwrap();
    assert!(recovery.created);
    let open = sample::open(1);
    let (first, second) = (sample::intent(&open, 0), sample::intent(&open, 1));
    block_on(async {
        ledger.intent(first.clone()).await.unwrap();
        ledger.close_attempt(sample::close(&first, Outcome::Rejected));
        ledger.intent(second.clone()).await.unwrap();
    });
    ledger.flush().unwrap();
    let db = raw(dir.path());
    assert_eq!((count(&db, "request"), count(&db, "attempt")), (0, 0), "an open request has no rows yet");
    ledger.close_attempt(sample::close(&second, Outcome::Ok));
    ledger.close_request(sample::request_close(&open, 2));
    ledger.flush().unwrap();
    assert_eq!((count(&db, "request"), count(&db, "attempt"), count(&db, "price_line")), (1, 2, 6));
    let stats = ledger.stats();
    assert_eq!((stats.queued, stats.lost, stats.writable, stats.store_ok), (0, 0, true, true));
    ledger.close().unwrap();
    assert_eq!(
        std::fs::read_dir(dir.path().join("spool")).unwrap().count(),
        0,
        "nothing is left in the spool"
    );
}

#[test]
fn fn1_07_an_attempt_that_outlives_its_request_still_gets_its_row() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = Ledger::open(dir.path(), Options::default()).unwrap();
    let open = sample::open(1);
    let intent = sample::intent(&open, 0);
    block_on(ledger.intent(intent.clone())).unwrap();
    ledger.close_request(sample::request_close(&open, 1));
    ledger.flush().unwrap();
    let db = raw(dir.path());
    assert_eq!((count(&db, "request"), count(&db, "attempt")), (1, 0));
    ledger.close_attempt(sample::close(&intent, Outcome::Cancelled));
    ledger.flush().unwrap();
    assert_eq!((count(&db, "request"), count(&db, "attempt")), (1, 1));
}

#[test]
fn an_attempt_left_open_becomes_unknown_with_its_estimate() {
    let dir = tempfile::tempdir().unwrap();
    let open = sample::open(7);
    let intent = sample::intent(&open, 0);
    {
        let (ledger, _) = Ledger::open(dir.path(), Options::default()).unwrap();
        block_on(ledger.intent(intent.clone())).unwrap();
    }
    let (ledger, recovery) = Ledger::open(dir.path(), Options::default()).unwrap();
    assert_eq!((recovery.unknown_attempts, recovery.unknown_requests), (1, 1));
    let db = raw(dir.path());
    let (outcome, basis, micro, rest): (String, String, i64, i64) = db
        .query_row("SELECT outcome, cost_basis, cost_micro, cost_rest FROM attempt", [], |r| {
            Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?))
        })
        .unwrap();
    assert_eq!((outcome.as_str(), basis.as_str()), ("unknown", "estimated"));
    assert_eq!(Some(Money::from_columns(micro.into(), rest.into())), intent.estimated_cost);
    let status: (i64, String) =
        db.query_row("SELECT status, reason FROM request", [], |r| Ok((r.get(0)?, r.get(1)?))).unwrap();
    assert_eq!(status, (0, "unknown".to_owned()));
    assert_eq!(count(&db, "adjustment"), 1);
    drop(ledger);
    let (_ledger, again) = Ledger::open(dir.path(), Options::default()).unwrap();
    assert_eq!(
        (again.attempts, again.requests, count(&db, "adjustment")),
        (0, 0, 1),
        "a second replay adds nothing"
    );
}

#[test]
fn a_withdrawn_intent_gets_no_row() {
    let dir = tempfile::tempdir().unwrap();
    let open = sample::open(1);
    let intent = sample::intent(&open, 0);
    {
        let (ledger, _) = Ledger::open(dir.path(), Options::default()).unwrap();
        block_on(ledger.intent(intent.clone())).unwrap();
        ledger.withdraw(open.id, intent.id);
    }
    let (_ledger, recovery) = Ledger::open(dir.path(), Options::default()).unwrap();
    assert_eq!((recovery.requests, recovery.unknown_requests, recovery.unknown_attempts), (0, 0, 0));
}

#[test]
fn a_directory_in_use_is_refused_and_says_by_whom() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("new/data");
    let (_ledger, _) = Ledger::open(&data, Options::default()).unwrap();
    assert_eq!(std::fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);
    let error = Ledger::open(&data, Options::default()).unwrap_err();
    let said = error.to_string();
    assert!(matches!(error, OpenError::InUse { .. }));
    assert!(said.contains(&format!("process {}", std::process::id())), "{said}");
}

#[test]
fn a_ledger_from_a_newer_version_is_refused_untouched() {
    let dir = tempfile::tempdir().unwrap();
    drop(Ledger::open(dir.path(), Options::default()).unwrap());
    let file = dir.path().join("ledger.db");
    Connection::open(&file).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let before = std::fs::read(&file).unwrap();
    let error = Ledger::open(dir.path(), Options::default()).unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 99, .. }), "{error}");
    assert_eq!(std::fs::read(&file).unwrap(), before);
}

#[test]
fn a_spool_from_a_newer_version_is_refused_untouched() {
    let dir = tempfile::tempdir().unwrap();
    drop(Ledger::open(dir.path(), Options::default()).unwrap());
    let segment = dir.path().join("spool/000000000009.spool");
    std::fs::write(&segment, b"TGSPOOL\x02whatever").unwrap();
    let error = Ledger::open(dir.path(), Options::default()).unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 2, known: 1, .. }), "{error}");
    assert_eq!(std::fs::read(&segment).unwrap(), b"TGSPOOL\x02whatever");
}

#[test]
fn a_corrupt_database_is_found_at_start_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    {
        let (ledger, _) = Ledger::open(dir.path(), Options::default()).unwrap();
        for n in 0..200 {
            sample::whole_request(&ledger, n);
        }
        ledger.close().unwrap();
    }
    let file = dir.path().join("ledger.db");
    let mut bytes = std::fs::read(&file).unwrap();
    for page in bytes.chunks_mut(4096).skip(2).step_by(3) {
        page[..64].fill(0xff);
    }
    std::fs::write(&file, &bytes).unwrap();
    let error = Ledger::open(dir.path(), Options::default()).unwrap_err();
    assert!(matches!(error, OpenError::Corrupt { .. }), "{error}");
    assert!(error.to_string().contains("ledger.db"), "{error}");
    assert!(error.hint().contains("aside"));
    assert_eq!(
        std::fs::read(&file).unwrap(),
        bytes,
        "nothing was deleted or repaired behind the user's back"
    );
}

#[test]
fn a_file_that_is_no_ledger_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("ledger.db"), b"hello, this is not a database at all").unwrap();
    assert!(matches!(Ledger::open(dir.path(), Options::default()), Err(OpenError::Corrupt { .. })));
    let other = tempfile::tempdir().unwrap();
    let db = Connection::open(other.path().join("ledger.db")).unwrap();
    db.execute_batch("CREATE TABLE mine (x); PRAGMA user_version = 1").unwrap();
    assert!(matches!(Ledger::open(other.path(), Options::default()), Err(OpenError::Corrupt { .. })));
}
