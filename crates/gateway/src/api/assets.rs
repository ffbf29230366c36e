//! What pages are made of beside HTML, out of the crate `web`: a browser fetches nothing from elsewhere.

use std::sync::LazyLock;

use axum::http::header;
use axum::response::{IntoResponse, Response};
use web::assets;

/// Where pages find the chart library. Its hash is in the name, so that a browser may keep it for ever.
pub(super) static PLOTLY: LazyLock<String> = LazyLock::new(|| {
    let hash = assets::PLOTLY_HASH.trim_start_matches("sha256-").chars();
    let hash: String = hash.filter(char::is_ascii_alphanumeric).take(12).collect();
    format!("/assets/plotly-{hash}.js")
});

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// `GET /assets/style.css`.
pub(super) async fn style() -> Response {
    let text = [assets::TOKENS_CSS, assets::PAGE_CSS].concat();
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], text).into_response()
}

/// `GET /assets/charts.js`.
pub(super) async fn charts() -> Response {
    ([(header::CONTENT_TYPE, JAVASCRIPT)], assets::CHARTS_JS).into_response()
}

/// `GET /assets/spend.js`.
pub(super) async fn spend() -> Response {
    ([(header::CONTENT_TYPE, JAVASCRIPT)], assets::SPEND_JS).into_response()
}

/// `GET /assets/decide.js`.
pub(super) async fn decide() -> Response {
    ([(header::CONTENT_TYPE, JAVASCRIPT)], assets::DECIDE_JS).into_response()
}

/// The chart library. Every browser of the last twenty years takes gzip.
pub(super) async fn plotly() -> Response {
    let headers = [
        (header::CONTENT_TYPE, JAVASCRIPT),
        (header::CONTENT_ENCODING, "gzip"),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    (headers, assets::PLOTLY_GZ).into_response()
}
