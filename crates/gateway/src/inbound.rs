//! What a request must pass before its body is read: who may ask, and that no web page is asking through a browser
//! (interface §4).

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, Method, StatusCode, header, request::Parts};
use subtle::ConstantTimeEq as _;

use crate::app::App;
use crate::config::Config;
use crate::respond::Refusal;

/// Tags on a request, at most.
const MOST_TAGS: usize = 16;
/// Bytes of a tag's name and of its value, at most.
const TAG_BYTES: usize = 128;
/// Bytes of ids that clients send.
const ID_BYTES: usize = 200;

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// No keys are configured: anyone on loopback.
    Keyless,
    /// A client key, by its name.
    Key(String),
    /// The admin token.
    Admin,
}

impl Caller {
    /// The key's name for the ledger.
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::Key(name) => Some(name),
            Self::Keyless | Self::Admin => None,
        }
    }

    /// May read every row.
    pub fn reads_all(&self) -> bool {
        matches!(self, Self::Keyless | Self::Admin)
    }
}

/// Refuses what a browser could be tricked into sending: a foreign `Host` (DNS rebinding), a foreign `Origin`, and a
/// POST that is not JSON (a form needs no preflight).
pub fn guard(parts: &Parts, config: &Config) -> Result<(), Refusal> {
    let host = host_of(parts).unwrap_or_default();
    if !is_own_host(&host, config) {
        let message = format!("host `{host}` is not served here; add it to `allowed_hosts`");
        return Err(Refusal::door(StatusCode::MISDIRECTED_REQUEST, "host_not_allowed", message));
    }
    if let Some(origin) = text(&parts.headers, &header::ORIGIN) {
        let origin_host = origin.split_once("://").map_or(origin, |(_, rest)| rest);
        if strip_port(origin_host) != host {
            return Err(Refusal::door(
                StatusCode::FORBIDDEN,
                "foreign_origin",
                "web pages may not call this server",
            ));
        }
    }
    if parts.method == Method::POST {
        let json = text(&parts.headers, &header::CONTENT_TYPE).is_some_and(is_json);
        if !json {
            let message = "POST needs `content-type: application/json`";
            return Err(Refusal::door(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_type", message));
        }
        // Nothing is ever decompressed, so that ten megabytes cannot become ten gigabytes.
        if parts.headers.get_all(header::CONTENT_ENCODING).iter().any(|coding| coding != "identity") {
            let message = "send the body without `content-encoding`: compressed requests are not taken";
            return Err(Refusal::door(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_encoding", message));
        }
    }
    Ok(())
}

fn is_json(value: &str) -> bool {
    let essence = value.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

/// The host that the request names, without its port, in lower case.
fn host_of(parts: &Parts) -> Option<String> {
    let named = parts.uri.authority().map(http::uri::Authority::as_str);
    let named = named.or_else(|| text(&parts.headers, &header::HOST))?;
    let named = named.rsplit_once('@').map_or(named, |(_, host)| host);
    Some(strip_port(named).to_ascii_lowercase())
}

fn strip_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        // `[::1]:4000`, not `::1`
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    }
}

fn is_own_host(host: &str, config: &Config) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let ip: Option<IpAddr> = bare.parse().ok();
    host == "localhost"
        || ip.is_some_and(|ip| ip.is_loopback() || (ip == config.listen.ip() && !ip.is_unspecified()))
        || config.allowed_hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(host))
}

/// Who asks. With keys configured, a known one is needed; without, only loopback is served and any bearer is ignored.
pub fn authenticate(
    app: &App,
    config: &Config,
    headers: &HeaderMap,
    peer: SocketAddr,
) -> Result<Caller, Refusal> {
    let token = presented(headers);
    if let Some(token) = &token
        && is_admin(app, token)
    {
        return Ok(Caller::Admin);
    }
    if config.keys.is_empty() {
        if peer.ip().to_canonical().is_loopback() {
            return Ok(Caller::Keyless);
        }
        let message = "no client keys are configured, so only loopback is served; see `tollgate keys create`";
        return Err(Refusal::door(StatusCode::UNAUTHORIZED, "key_required", message));
    }
    let Some(token) = token else {
        let message = "no API key: send `authorization: Bearer KEY`";
        return Err(Refusal::door(StatusCode::UNAUTHORIZED, "missing_api_key", message));
    };
    let unknown = || {
        let message = "this API key is unknown or revoked";
        Refusal::door(StatusCode::UNAUTHORIZED, "invalid_api_key", message)
    };
    config.key_name(&token).map(|name| Caller::Key(name.to_owned())).ok_or_else(unknown)
}

/// Compares with the admin token in constant time.
fn is_admin(app: &App, token: &str) -> bool {
    !app.admin_token.is_empty() && bool::from(token.as_bytes().ct_eq(app.admin_token.as_bytes()))
}

/// The bearer token or the password of basic authentication (browsers on the dashboard), else `x-api-key`.
fn presented(headers: &HeaderMap) -> Option<Cow<'_, str>> {
    let authorization = text(headers, &header::AUTHORIZATION).and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        match scheme {
            s if s.eq_ignore_ascii_case("bearer") => Some(Cow::Borrowed(token.trim())),
            s if s.eq_ignore_ascii_case("basic") => password(token.trim()).map(Cow::Owned),
            _ => None,
        }
    });
    authorization.or_else(|| text(headers, &HeaderName::from_static("x-api-key")).map(Cow::Borrowed))
}

/// The password in basic credentials (RFC 7617); the user name is not looked at.
fn password(credentials: &str) -> Option<String> {
    let pair = String::from_utf8(STANDARD.decode(credentials).ok()?).ok()?;
    pair.split_once(':').map(|(_, password)| password.to_owned())
}

/// A header as text.
pub fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// `x-tollgate-tags: team=search,feature=qa`, then OpenAI's `metadata`; bounded in number and length.
pub fn tags(headers: &HeaderMap, metadata: &[(String, String)]) -> Vec<(String, String)> {
    let header = text(headers, &HeaderName::from_static("x-tollgate-tags")).unwrap_or_default();
    let named = header.split(',').filter_map(|pair| pair.split_once('='));
    let named = named.map(|(k, v)| (k.trim(), v.trim()));
    let all = named.chain(metadata.iter().map(|(k, v)| (k.as_str(), v.as_str())));
    let kept = all.filter(|(k, _)| !k.is_empty()).take(MOST_TAGS);
    kept.map(|(k, v)| (cut(k, TAG_BYTES), cut(v, TAG_BYTES))).collect()
}

/// The client's own request id: stored, never used as our key.
pub fn client_request_id(headers: &HeaderMap) -> Option<String> {
    text(headers, &HeaderName::from_static("x-request-id")).map(|id| cut(id, ID_BYTES))
}

fn cut(text: &str, bytes: usize) -> String {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_stripped_and_v6_kept() {
        assert_eq!(strip_port("localhost:4000"), "localhost");
        assert_eq!(strip_port("[::1]:4000"), "[::1]");
        assert_eq!(strip_port("::1"), "::1");
        assert_eq!(strip_port("example.com"), "example.com");
    }

    #[test]
    fn tags_are_bounded_and_header_comes_first() {
        let mut headers = HeaderMap::new();
        let long = format!("team=search, x={},=v,bare", "é".repeat(200));
        headers.insert("x-tollgate-tags", http::HeaderValue::from_bytes(long.as_bytes()).unwrap());
        let metadata = vec![("team".to_owned(), "ads".to_owned())];
        // Not ASCII: HTTP gives no text for it, so only the metadata counts.
        assert_eq!(tags(&headers, &metadata), metadata);
        headers.insert("x-tollgate-tags", http::HeaderValue::from_static("team=search, f=qa,=v,bare"));
        let pair = |k: &str, v: &str| (k.to_owned(), v.to_owned());
        assert_eq!(tags(&headers, &metadata), [pair("team", "search"), pair("f", "qa"), pair("team", "ads")]);
        assert_eq!(cut("ééé", 3), "é");
    }
}
