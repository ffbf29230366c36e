//! What a browser gets: the chart library, the colours, and the report as one self-contained file.
//!
//! It differs from a folder built by a bundler in that Cargo alone builds it: the chart library comes out of a crate, and
//! our scripts and styles are plain files under a content-security policy of hashes. Pure: a page is a function of a
//! report. The report file and the dashboard share all of it.

pub mod assets;
mod format;
pub mod report;
