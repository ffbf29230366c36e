//! `/api/openapi.json`: the API's own description. A test walks it and asks every path.

use axum::Json;
use serde_json::{Value, json};

/// `GET /api/openapi.json`.
pub(super) async fn document() -> Json<Value> {
    Json(description())
}

/// Version 3.1 of the description format.
fn description() -> Value {
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Tollgate",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Money is an exact decimal string in US dollars, tokens are integers, times are RFC 3339.",
        },
        "components": {"securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}},
        "security": [{"bearer": []}],
        "paths": {
            "/v1/chat/completions": inference("Chat completions, OpenAI's shape"),
            "/v1/completions": inference("Text completions, OpenAI's shape"),
            "/v1/embeddings": inference("Embeddings, OpenAI's shape"),
            "/v1/models": read("Every name that a request may use", &[]),
            "/v1/models/{id}": read("One name", &[("id", "path")]),
            "/api/v1/spend": read("What it cost", &[
                ("by", "query"), ("since", "query"), ("until", "query"), ("where", "query"), ("format", "query"),
                ("focus_version", "query"), ("tz", "query"),
            ]),
            "/api/v1/quality": read("Quality of every route by source, with intervals and drift (admin token)", &[("since", "query"), ("until", "query")]),
            "/api/v1/feedback": inference("Rate the answer of one's own request: `{\"request_id\": \"…\", \"rating\": \"good\" | \"bad\"}`"),
            "/api/v1/spend/series": read("Spend over time, a value for each hour or day of the period", &[
                ("by", "query"), ("since", "query"), ("until", "query"), ("where", "query"), ("tz", "query"),
            ]),
            "/api/v1/requests": read("Recent requests, newest first", &[("limit", "query"), ("cursor", "query"), ("where", "query")]),
            "/api/v1/requests/{id}": read("One request with every attempt and its decision", &[("id", "path")]),
            "/api/v1/explain": inference("What would be decided for a chat request, and why; no call is made"),
            "/api/v1/replay": inference("Past requests against another policy or other prices: `{\"policy\": \"config text\", \"prices\": \"overlay text\", \"at\", \"since\", \"until\", \"where\": [], \"assume_token_ratio\"}` (admin token)"),
            "/api/v1/providers": read("Breaker state of every target, with reason and time to the next probe", &[]),
            "/api/v1/routes": read("Routes and aliases with their targets", &[]),
            "/api/v1/models": read("The catalogue's models at the configured vendors", &[("q", "query"), ("provider", "query")]),
            "/api/v1/prices": read("Prices now, dollars per million", &[("q", "query"), ("provider", "query")]),
            "/api/v1/retirements": read("Configured models with an announced end, the nearest first", &[]),
            "/api/v1/keys": read("Names of the client keys (admin token)", &[]),
            "/api/v1/config/version": read("The running configuration's version and the last reload's errors", &[]),
            "/healthz": read("Alive", &[]),
            "/readyz": read("Config loaded and ledger writable; else 503", &[]),
            "/metrics": read("Prometheus metrics", &[]),
        },
    })
}

fn read(summary: &str, parameters: &[(&str, &str)]) -> Value {
    let parameters: Vec<Value> = parameters
        .iter()
        .map(|(name, place)| {
            json!({"name": name, "in": place, "required": *place == "path", "schema": {"type": "string"}})
        })
        .collect();
    json!({"get": {"summary": summary, "parameters": parameters, "responses": responses()}})
}

fn inference(summary: &str) -> Value {
    let body = json!({"required": true, "content": {"application/json": {"schema": {"type": "object"}}}});
    json!({"post": {"summary": summary, "requestBody": body, "responses": responses()}})
}

fn responses() -> Value {
    json!({"200": {"description": "Done"}, "default": {"description": "An error in OpenAI's shape"}})
}
