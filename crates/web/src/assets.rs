//! The files that pages are made of.

/// plotly.js 3, compressed with gzip; serve it with `content-encoding: gzip`.
pub const PLOTLY_GZ: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/plotly.min.js.gz"));
/// The same as text, for a file that must hold it.
pub(crate) const PLOTLY_GZ_BASE85: &str = include_str!(concat!(env!("OUT_DIR"), "/plotly.min.js.gz.base85"));
/// The hash of the uncompressed library, as a content-security policy spells it.
pub const PLOTLY_HASH: &str = include_str!(concat!(env!("OUT_DIR"), "/plotly.sha256"));
/// The hash of nothing: plotly.js fills an empty style element rule by rule, and a policy must allow that element.
pub const EMPTY_HASH: &str = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
/// Colours and sizes of all pages, light and dark.
pub const TOKENS_CSS: &str = include_str!("../assets/tokens.css");
/// Draws a report's charts: one function a chart, `Tollgate.curve(node, report)` and so on.
pub const CHARTS_JS: &str = include_str!("../assets/charts.js");

/// The dashboard's pages, after [`TOKENS_CSS`].
pub const PAGE_CSS: &str = include_str!("../assets/page.css");
/// The chart of the page Spend, after [`CHARTS_JS`].
pub const SPEND_JS: &str = include_str!("../assets/spend.js");
/// The page Decide, after [`CHARTS_JS`].
pub const DECIDE_JS: &str = include_str!("../assets/decide.js");

pub(crate) const REPORT_JS: &str = include_str!(concat!(env!("OUT_DIR"), "/report.js"));
pub(crate) const REPORT_JS_HASH: &str = include_str!(concat!(env!("OUT_DIR"), "/report.js.sha256"));
pub(crate) const REPORT_CSS: &str = include_str!(concat!(env!("OUT_DIR"), "/report.css"));
pub(crate) const REPORT_CSS_HASH: &str = include_str!(concat!(env!("OUT_DIR"), "/report.css.sha256"));
