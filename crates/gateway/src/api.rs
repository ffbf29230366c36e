//! `/api/v1`, `/metrics`, `/readyz` and the pages. Path → handler, and who may. Reading needs a key or the admin token
//! once keys are configured; a key reads its own rows only.

mod assets;
mod download;
mod ledger;
mod openapi;
mod pages;
mod quality;
mod replay;
mod series;
mod state;
mod tco;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRequestParts, Request};
use axum::http::{HeaderValue, StatusCode, header, request::Parts};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use crate::app::App;
use crate::inbound::Caller;

/// Who asks; put into the request's extensions by the service.
#[derive(Clone, Debug)]
pub struct Asking {
    /// `None`: no valid key.
    pub caller: Option<Caller>,
    /// The client's address.
    pub peer: SocketAddr,
}

/// All routes that are not inference.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/api/openapi.json", get(openapi::document))
        .route("/api/v1/spend", get(ledger::spend))
        .route("/api/v1/quality", get(quality::quality))
        .route("/api/v1/feedback", post(quality::feedback))
        .route("/api/v1/spend/series", get(ledger::series))
        .route("/api/v1/requests", get(ledger::requests))
        .route("/api/v1/requests/{id}", get(ledger::request))
        .route("/api/v1/explain", post(state::explain))
        .route("/api/v1/replay", post(replay::replay))
        .route("/api/v1/tco", post(tco::tco).layer(DefaultBodyLimit::max(tco::BODY_BYTES)))
        .route("/api/v1/providers", get(state::providers))
        .route("/api/v1/routes", get(state::routes))
        .route("/api/v1/models", get(state::models))
        .route("/api/v1/prices", get(state::prices))
        .route("/api/v1/retirements", get(state::retirements))
        .route("/api/v1/keys", get(state::keys))
        .route("/api/v1/config/version", get(state::config_version))
        .route("/readyz", get(state::ready))
        .route("/metrics", get(state::metrics))
        .route("/", get(pages::spend))
        .route("/decide", get(pages::decide))
        .route("/requests", get(pages::requests))
        .route("/requests/{id}", get(pages::request))
        .route("/assets/style.css", get(assets::style))
        .route("/assets/charts.js", get(assets::charts))
        .route("/assets/spend.js", get(assets::spend))
        .route("/assets/decide.js", get(assets::decide))
        .route(&assets::PLOTLY, get(assets::plotly))
        .fallback(not_found)
        .layer(middleware::from_fn(secured))
        .with_state(app)
}

/// Somebody with a valid key, the admin token, or anyone on loopback while no keys are configured.
pub struct Reader(pub Caller);

impl<S: Sync> FromRequestParts<S> for Reader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let asking = parts.extensions.get::<Asking>();
        asking.and_then(|a| a.caller.clone()).map(Self).ok_or_else(|| {
            Problem::new(
                StatusCode::UNAUTHORIZED,
                "needs a client key or the admin token of DATA_DIR/admin.token (`authorization: Bearer …`)",
            )
        })
    }
}

/// The admin token, or anyone on loopback while no keys are configured.
pub struct Admin;

impl<S: Sync> FromRequestParts<S> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Reader(caller) = Reader::from_request_parts(parts, state).await?;
        if caller.reads_all() {
            Ok(Self)
        } else {
            Err(Problem::new(StatusCode::FORBIDDEN, "needs the admin token of DATA_DIR/admin.token"))
        }
    }
}

/// An error of the API: OpenAI's shape, so that one client-side handler serves both sides.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    message: String,
    code: Option<&'static str>,
    problems: Vec<::tco::Problem>,
}

impl Problem {
    /// A problem with a message for the caller.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), code: None, problems: Vec::new() }
    }

    /// With a word that a program can tell it by.
    #[must_use]
    pub fn code(self, code: &'static str) -> Self {
        Self { code: Some(code), ..self }
    }

    /// With each thing that is wrong, beside the message.
    #[must_use]
    pub fn listing(self, problems: Vec<::tco::Problem>) -> Self {
        Self { problems, ..self }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let kind = if self.status.is_server_error() { "server_error" } else { "invalid_request_error" };
        let mut error =
            serde_json::json!({"message": self.message, "type": kind, "param": null, "code": self.code});
        if !self.problems.is_empty()
            && let Some(map) = error.as_object_mut()
        {
            map.insert("problems".into(), serde_json::json!(self.problems));
        }
        let body = serde_json::json!({ "error": error });
        let mut response = (self.status, axum::Json(body)).into_response();
        if self.status == StatusCode::TOO_MANY_REQUESTS {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            // A browser on the dashboard asks for the token: any user name, the token as password.
            let basic = HeaderValue::from_static("Basic realm=\"tollgate\", charset=\"UTF-8\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, basic);
        }
        response
    }
}

async fn not_found(request: Request) -> Problem {
    let path = request.uri().path();
    Problem::new(StatusCode::NOT_FOUND, format!("nothing is served at {path}; see /api/openapi.json"))
}

/// Nothing from elsewhere, no script or style in the page itself. The one hash is that of an empty style element.
const POLICY: &str = concat!(
    "default-src 'none'; script-src 'self'; style-src 'self' ",
    "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='",
    "; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
);

/// Headers that every page and answer of this side carries: no script from elsewhere, no frame, no sniffing.
async fn secured(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_names_the_empty_style_of_the_chart_library_and_nothing_wider() {
        assert!(POLICY.contains(&format!("'{}'", web::assets::EMPTY_HASH)), "{POLICY}");
        for wide in ["unsafe", "*", "http:", "https:", "blob:"] {
            assert!(!POLICY.contains(wide), "{wide} in {POLICY}");
        }
    }
}
