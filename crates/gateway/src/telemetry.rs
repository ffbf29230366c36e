//! OpenTelemetry: a span for each request, a child span for each attempt, the `gen_ai` metrics. Off unless an OTLP endpoint
//! is configured. Prompts and answers are never attached.

pub mod names;
#[cfg(feature = "otel")]
mod otel;

use std::time::SystemTime;

use catalog::{Money, Usage};

use crate::config::{self, Target};

/// One ended attempt.
#[derive(Debug)]
pub struct Attempt<'a> {
    /// What was called.
    pub target: &'a Target,
    /// `chat`, `completion` or `embedding`.
    pub op: &'static str,
    /// When the call started.
    pub started: SystemTime,
    /// Seconds to its end.
    pub seconds: f64,
    /// Seconds to its first content.
    pub ttft_seconds: Option<f64>,
    /// The outcome's word.
    pub outcome: &'static str,
    /// The error's word.
    pub error: Option<&'static str>,
    /// What it used.
    pub usage: &'a Usage,
    /// What it cost.
    pub cost: Option<Money>,
    /// The model that the vendor says served it.
    pub served_model: Option<&'a str>,
    /// The finish reason.
    pub finish: Option<&'static str>,
}

/// One ended request.
#[derive(Debug)]
pub struct Request<'a> {
    /// The route's name.
    pub route: Option<&'a str>,
    /// `x-tollgate-reason`.
    pub reason: &'a str,
    /// The model as the client named it.
    pub model: &'a str,
    /// HTTP status.
    pub status: u16,
}

/// The exporter; does nothing when off.
#[derive(Default)]
pub struct Telemetry {
    #[cfg(feature = "otel")]
    exporter: Option<otel::Exporter>,
}

/// The span of a request that is being served.
#[derive(Default)]
pub struct Span {
    #[cfg(feature = "otel")]
    context: Option<opentelemetry::Context>,
}

/// Why telemetry could not start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// Built without the `otel` feature.
    #[error("`telemetry.otlp_endpoint` needs the feature `otel`: not in this build")]
    NotInBuild,
    /// The endpoint is no URL, or the exporter refused it.
    #[error("telemetry: {0}")]
    Exporter(String),
}

#[cfg(feature = "otel")]
impl Telemetry {
    /// Starts exporting where `[telemetry]` says, if it is there. Must be called within a tokio runtime. Errors when the
    /// endpoint cannot be used.
    pub fn start(options: Option<&config::Telemetry>) -> Result<Self, TelemetryError> {
        let exporter = options.map(otel::Exporter::start).transpose().map_err(TelemetryError::Exporter)?;
        Ok(Self { exporter })
    }

    /// Something is exported: what would only be thrown away need not be made.
    pub fn is_on(&self) -> bool {
        self.exporter.is_some()
    }

    /// Opens the span of a request, under the caller's `traceparent` if it sent one.
    pub fn request(&self, op: &'static str, headers: &http::HeaderMap) -> Span {
        Span { context: self.exporter.as_ref().map(|e| e.request(op, headers)) }
    }

    /// The `traceparent` for upstream calls; `None` when off: then the caller's own is passed on.
    pub fn traceparent(&self, span: &Span) -> Option<String> {
        span.context.as_ref().map(otel::traceparent)
    }

    /// An attempt ended.
    pub fn attempt(&self, span: &Span, attempt: &Attempt<'_>) {
        if let (Some(exporter), Some(context)) = (&self.exporter, &span.context) {
            exporter.attempt(context, attempt);
        }
    }

    /// A request ended.
    pub fn end(&self, span: &Span, request: &Request<'_>) {
        if let Some(context) = &span.context {
            otel::end(context, request);
        }
    }

    /// Sends what is left. Blocks; call it off the runtime.
    pub fn shutdown(&self) {
        if let Some(exporter) = &self.exporter {
            exporter.shutdown();
        }
    }
}

#[cfg(not(feature = "otel"))]
#[expect(clippy::unused_self, reason = "the same face as with the feature on")]
impl Telemetry {
    /// Built without the feature: an error if `[telemetry]` is there.
    pub fn start(options: Option<&config::Telemetry>) -> Result<Self, TelemetryError> {
        if options.is_some() { Err(TelemetryError::NotInBuild) } else { Ok(Self::default()) }
    }

    /// Never.
    pub fn is_on(&self) -> bool {
        false
    }

    /// Nothing.
    pub fn request(&self, _op: &'static str, _headers: &http::HeaderMap) -> Span {
        Span::default()
    }

    /// Nothing.
    pub fn traceparent(&self, _span: &Span) -> Option<String> {
        None
    }

    /// Nothing.
    pub fn attempt(&self, _span: &Span, _attempt: &Attempt<'_>) {}

    /// Nothing.
    pub fn end(&self, _span: &Span, _request: &Request<'_>) {}

    /// Nothing.
    pub fn shutdown(&self) {}
}
