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
            "/api/v1/tco": tco(),
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

/// The decision: a scenario, or an envelope around one.
fn tco() -> Value {
    let text = |words: &str| json!({"type": "string", "description": words});
    let envelope = json!({
        "type": "object",
        "properties": {
            "scenario": {
                "description": "A scenario as in docs/tco.md: a table, or TOML as text. A body without this and `from_ledger` is a scenario itself",
                "type": ["object", "string"],
            },
            "from_ledger": text("`7d`, `24h` or a date: the traffic since then; without `scenario` the stacks too"),
            "patch": {"type": "object", "description": "Changes to the scenario, a JSON merge patch (RFC 7396)"},
            "prices": {"description": "`catalogue`, `article`, or a list of both: the first decides", "type": ["string", "array"]},
            "risk": {"const": "default", "description": "GPU shortage, price drift, retired models, outages, the capacity's error band"},
            "seed": {"type": "integer", "minimum": 0},
            "draws": {"type": "integer", "minimum": 100, "maximum": 100_000},
            "bench": text("Measurements of your own, CSV with the columns of `tollgate tco predict`"),
            "format": {"enum": ["json", "html"]},
            "title": text("Of the HTML report"),
        },
    });
    json!({"post": {
        "summary": "Compares stacks: the report of `tollgate tco --json` (admin token)",
        "requestBody": {"required": true, "content": {"application/json": {"schema": envelope}}},
        "responses": {
            "200": {"description": "The report"},
            "400": {"description": "What is wrong, all at once: `error.problems[] {path, message, hint}`"},
            "404": {"description": "`no_traffic`: the ledger has nothing to decide on"},
            "413": {"description": "More than 256 KiB"},
            "429": {"description": "`busy`: others are being worked out"},
            "default": {"description": "An error in OpenAI's shape"},
        },
    }})
}

fn responses() -> Value {
    json!({"200": {"description": "Done"}, "default": {"description": "An error in OpenAI's shape"}})
}
