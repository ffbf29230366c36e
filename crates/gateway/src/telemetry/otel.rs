//! The only module that touches the OpenTelemetry crates: they are pre-1.0 and break often.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use opentelemetry::metrics::{Counter, Histogram, Meter, MeterProvider as _};
use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags,
};
use opentelemetry::trace::{TraceId, TraceState, Tracer as _, TracerProvider as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};

use super::{Attempt, Request, names};
use crate::config::{Semconv, Telemetry};

/// A collector's answer is tiny; more than this is not one.
const ANSWER_BYTES: usize = 64 * 1024;

/// Spans and metrics to one collector.
pub(super) struct Exporter {
    tracer: SdkTracer,
    spans: SdkTracerProvider,
    metrics: SdkMeterProvider,
    instruments: Instruments,
    names: Semconv,
}

struct Instruments {
    duration: Vec<Histogram<f64>>,
    first_chunk: Vec<Histogram<f64>>,
    old_usage: Option<Histogram<u64>>,
    usage: Vec<(UsageOf, Counter<u64>)>,
}

type UsageOf = fn(&catalog::Usage) -> u64;

impl Instruments {
    fn new(meter: &Meter, names: Semconv) -> Self {
        let seconds = |new: &'static str, old: &'static str| {
            let mut made = Vec::new();
            if names.has_new() {
                made.push(meter.f64_histogram(new).with_unit("s").build());
            }
            if names.has_old() {
                made.push(meter.f64_histogram(old).with_unit("s").build());
            }
            made
        };
        let counters: [(UsageOf, &'static str); 5] = [
            (catalog::Usage::total_input, names::USAGE_INPUT),
            (catalog::Usage::total_output, names::USAGE_OUTPUT),
            (|u| u.cache_read, names::USAGE_CACHE_READ),
            (|u| u.cache_write_5m.saturating_add(u.cache_write_1h), names::USAGE_CACHE_WRITE),
            (|u| u.reasoning, names::USAGE_REASONING),
        ];
        let counter = |name| meter.u64_counter(name).with_unit("{token}").build();
        Self {
            duration: seconds(names::DURATION, names::OLD_DURATION),
            first_chunk: seconds(names::FIRST_CHUNK, names::OLD_FIRST_CHUNK),
            old_usage: names
                .has_old()
                .then(|| meter.u64_histogram(names::OLD_TOKEN_USAGE).with_unit("{token}").build()),
            usage: if names.has_new() {
                counters.map(|(of, name)| (of, counter(name))).into()
            } else {
                Vec::new()
            },
        }
    }

    fn record(&self, attempt: &Attempt<'_>, attributes: &[KeyValue]) {
        for histogram in &self.duration {
            histogram.record(attempt.seconds, attributes);
        }
        if let Some(ttft) = attempt.ttft_seconds {
            for histogram in &self.first_chunk {
                histogram.record(ttft, attributes);
            }
        }
        for (of, counter) in &self.usage {
            counter.add(of(attempt.usage), attributes);
        }
        if let Some(histogram) = &self.old_usage {
            for (kind, count) in
                [("input", attempt.usage.total_input()), ("output", attempt.usage.total_output())]
            {
                let mut with_kind = attributes.to_vec();
                with_kind.push(KeyValue::new(names::TOKEN_TYPE, kind));
                histogram.record(count, &with_kind);
            }
        }
    }
}

impl Exporter {
    pub(super) fn start(options: &Telemetry) -> Result<Self, String> {
        let endpoint = options.otlp_endpoint.trim_end_matches('/');
        let client = Otlp { runtime: tokio::runtime::Handle::current() };
        let resource = Resource::builder()
            .with_service_name("tollgate")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let spans = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_http_client(client.clone())
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{endpoint}/v1/traces"))
            .build()
            .map_err(|e| e.to_string())?;
        let metrics = opentelemetry_otlp::MetricExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{endpoint}/v1/metrics"))
            .build()
            .map_err(|e| e.to_string())?;
        let spans =
            SdkTracerProvider::builder().with_batch_exporter(spans).with_resource(resource.clone()).build();
        let metrics =
            SdkMeterProvider::builder().with_periodic_exporter(metrics).with_resource(resource).build();
        let instruments = Instruments::new(&metrics.meter("tollgate"), options.semconv);
        Ok(Self { tracer: spans.tracer("tollgate"), spans, metrics, instruments, names: options.semconv })
    }

    pub(super) fn request(&self, op: &'static str, headers: &http::HeaderMap) -> Context {
        let parent =
            parent(headers).map_or_else(Context::new, |p| Context::new().with_remote_span_context(p));
        let builder = SpanBuilder::from_name(names::operation(op)).with_kind(SpanKind::Server);
        let span = self.tracer.build_with_context(builder, &parent);
        parent.with_span(span)
    }

    pub(super) fn attempt(&self, context: &Context, attempt: &Attempt<'_>) {
        let model = &attempt.target.offer.model;
        let mut attributes = vec![
            KeyValue::new(names::OPERATION, names::operation(attempt.op)),
            KeyValue::new(names::PROVIDER, names::provider(&attempt.target.host.id).to_owned()),
            KeyValue::new(names::REQUEST_MODEL, model.clone()),
            KeyValue::new(names::SERVER_ADDRESS, attempt.target.host.host.clone()),
            KeyValue::new(names::SERVER_PORT, i64::from(attempt.target.host.port)),
        ];
        if self.names.has_old() {
            attributes
                .push(KeyValue::new(names::OLD_SYSTEM, names::provider(&attempt.target.host.id).to_owned()));
        }
        if let Some(error) = attempt.error {
            attributes.push(KeyValue::new(names::ERROR_TYPE, error));
        }
        self.instruments.record(attempt, &attributes);
        self.span(context, attempt, attributes);
    }

    fn span(&self, context: &Context, attempt: &Attempt<'_>, mut attributes: Vec<KeyValue>) {
        let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let usage = attempt.usage;
        let written = count(usage.cache_write_5m.saturating_add(usage.cache_write_1h));
        attributes.extend([
            KeyValue::new(names::OUTCOME, attempt.outcome),
            KeyValue::new(names::INPUT_TOKENS, count(usage.total_input())),
            KeyValue::new(names::OUTPUT_TOKENS, count(usage.total_output())),
            KeyValue::new(names::CACHE_READ, count(usage.cache_read)),
            KeyValue::new(names::REASONING, count(usage.reasoning)),
        ]);
        if self.names.has_new() {
            attributes.push(KeyValue::new(names::CACHE_WRITE, written));
        }
        if self.names.has_old() {
            attributes.push(KeyValue::new(names::OLD_CACHE_WRITE, written));
        }
        if let Some(cost) = attempt.cost {
            attributes.push(KeyValue::new(names::COST, cost.to_string()));
        }
        if let Some(model) = attempt.served_model {
            attributes.push(KeyValue::new(names::RESPONSE_MODEL, model.to_owned()));
        }
        if let Some(finish) = attempt.finish {
            let reasons = opentelemetry::Array::String(vec![finish.into()]);
            attributes.push(KeyValue::new(names::FINISH_REASONS, opentelemetry::Value::Array(reasons)));
        }
        let name = format!("{} {}", names::operation(attempt.op), attempt.target.offer.model);
        let builder = SpanBuilder::from_name(name)
            .with_kind(SpanKind::Client)
            .with_start_time(attempt.started)
            .with_attributes(attributes);
        let mut span = self.tracer.build_with_context(builder, context);
        if let Some(error) = attempt.error {
            span.set_status(Status::error(error));
        }
        span.end_with_timestamp(attempt.started + Duration::from_secs_f64(attempt.seconds.max(0.0)));
    }

    pub(super) fn shutdown(&self) {
        let results = [self.spans.shutdown(), self.metrics.shutdown()];
        for error in results.into_iter().filter_map(Result::err) {
            tracing::warn!("telemetry could not be sent at shutdown: {error}");
        }
    }
}

pub(super) fn end(context: &Context, request: &Request<'_>) {
    let span = context.span();
    if let Some(route) = request.route {
        span.set_attribute(KeyValue::new(names::ROUTE, route.to_owned()));
    }
    span.set_attribute(KeyValue::new(names::REASON, request.reason.to_owned()));
    span.set_attribute(KeyValue::new(names::REQUEST_MODEL, request.model.to_owned()));
    span.set_attribute(KeyValue::new("http.response.status_code", i64::from(request.status)));
    if request.status >= 500 {
        span.set_status(Status::error(request.status.to_string()));
    }
    span.end_with_timestamp(SystemTime::now());
}

/// W3C trace context, version 00: `00-<trace>-<span>-<flags>`.
pub(super) fn traceparent(context: &Context) -> String {
    let span = context.span();
    let c = span.span_context();
    format!("00-{}-{}-{:02x}", c.trace_id(), c.span_id(), c.trace_flags().to_u8())
}

/// The caller's span, if it sent a well-formed `traceparent`. Unknown versions are read as version 00 (W3C §4.3).
fn parent(headers: &http::HeaderMap) -> Option<SpanContext> {
    let mut parts = headers.get("traceparent")?.to_str().ok()?.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let lengths = [(version, 2), (trace, 32), (span, 16), (flags, 2)];
    if version == "ff" || lengths.iter().any(|(text, length)| text.len() != *length) {
        return None;
    }
    let trace = TraceId::from_hex(trace).ok().filter(|id| *id != TraceId::INVALID)?;
    let span = SpanId::from_hex(span).ok().filter(|id| *id != SpanId::INVALID)?;
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?);
    Some(SpanContext::new(trace, span, flags, true, TraceState::default()))
}

/// Sends OTLP over plain HTTP/1.1. The SDK calls it from its own threads, so the work is put on the gateway's runtime.
#[derive(Clone, Debug)]
struct Otlp {
    runtime: tokio::runtime::Handle,
}

#[async_trait]
impl HttpClient for Otlp {
    async fn send_bytes(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, HttpError> {
        let sending = self.runtime.spawn(async move {
            let limit = Duration::from_secs(10);
            tokio::time::timeout(limit, send(request))
                .await
                .map_err(|_| HttpError::from("no answer within 10 s"))?
        });
        sending.await?
    }
}

async fn send(request: http::Request<Bytes>) -> Result<http::Response<Bytes>, HttpError> {
    let uri = request.uri().clone();
    if uri.scheme_str() != Some("http") {
        return Err(
            "only http:// collectors are supported; put a local collector in front of a remote one".into()
        );
    }
    let host = uri.host().ok_or("the endpoint has no host")?.to_owned();
    let port = uri.port_u16().unwrap_or(80);
    let stream = tokio::net::TcpStream::connect((host.trim_matches(['[', ']']), port)).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let (mut parts, body) = request.into_parts();
    parts.uri = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str).parse()?;
    let host = http::HeaderValue::from_str(&format!("{host}:{port}"))?;
    parts.headers.insert(http::header::HOST, host);
    let response = sender.send_request(http::Request::from_parts(parts, Full::new(body))).await?;
    let (parts, body) = response.into_parts();
    let body = Limited::new(body, ANSWER_BYTES).collect().await?.to_bytes();
    Ok(http::Response::from_parts(parts, body))
}
