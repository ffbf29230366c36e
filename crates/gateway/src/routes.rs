//! Path → handler, and nothing else.

pub mod inference;
pub mod models;

use wire::Op;

/// What a path on the inference side stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route<'p> {
    /// `POST`: a call in the OpenAI dialect.
    Inference(Op),
    /// `GET /v1/models`.
    Models,
    /// `GET /v1/models/{id}`; the id may hold slashes.
    Model(&'p str),
}

/// Finds the inference route of a path; everything else is the API's and the pages'.
pub fn find(path: &str) -> Option<Route<'_>> {
    match path {
        "/v1/chat/completions" => Some(Route::Inference(Op::Chat)),
        "/v1/completions" => Some(Route::Inference(Op::Completion)),
        "/v1/embeddings" => Some(Route::Inference(Op::Embedding)),
        "/v1/models" => Some(Route::Models),
        _ => path.strip_prefix("/v1/models/").map(Route::Model),
    }
}
