//! What was really used, attempt by attempt. The only crate that knows SQL.
//!
//! A record travels: [`Ledger::intent`] (before the upstream call, in the spool by `write(2)`) → [`Ledger::close_attempt`]
//! → [`Ledger::close_request`] → the writer thread batches them idempotently into SQLite → [`Reader`]. After a
//! crash, [`Ledger::open`] replays the spool: an attempt without its close becomes [`Outcome::Unknown`] with its
//! cost estimated (design §5a, LAW 1).

mod assemble;
mod codec;
mod decision;
mod error;
mod export;
#[cfg(test)]
mod faults;
mod frame;
mod insert;
mod ledger;
mod lock;
mod query;
mod reader;
mod record;
mod recover;
mod row;
#[cfg(test)]
mod samples;
mod spool;
mod statistics;
mod store;
mod writer;

pub use error::{OpenError, Unwritable};
pub use export::{
    ExportError, FocusQuery, FocusSummary, FocusVersion, UnknownVersion, focus_columns, spend_csv, text_cell,
};
pub use ledger::{Ledger, Options, Stats};
pub use lock::DirLock;
pub use query::quality::{RouteQuality, SourceQuality, VOTES_OF_A_KEY};
pub use query::requests::{MAX_PAGE, Page, RequestQuery, cursor};
pub use query::rows::{
    Adjustment, AttemptDetail, AttemptRow, PricedLine, RequestDetail, RequestHead, RequestRow, UsageSums,
};
pub use query::spend::{Spend, SpendQuery, SpendRow, Totals};
pub use query::tokenizers::SamePrompts;
pub use query::traffic::{Past, PastAttempt, TrafficQuery};
pub use query::{BadQuery, By, Condition, Filter, Period, moment};
pub use reader::{ReadError, Reader};
pub use recover::Recovery;
pub use statistics::{BASELINE, Drift, Share, drift, wilson};

pub use record::{
    AttemptClose, AttemptId, CostBasis, Intent, Opinion, Outcome, RequestClose, RequestId, RequestOpen,
    Saving, Source, Verdict,
};
