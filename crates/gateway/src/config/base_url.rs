//! Base URLs: what may be configured as a vendor's address.

use std::net::IpAddr;

use crate::upstream::allowed;

/// A base URL in its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BaseUrl {
    pub(super) https: bool,
    /// Without brackets, in lower case.
    pub(super) host: String,
    pub(super) port: u16,
    /// Without a trailing slash.
    pub(super) path: String,
}

/// Reads a base URL. Errors say what is wrong and what would be right; they never repeat the URL, which may hold a
/// password where it should not.
pub(super) fn parse(text: &str, allow_private: bool) -> Result<BaseUrl, (String, Option<String>)> {
    let wrong = |message: &str| Err((message.to_owned(), None));
    let Ok(uri) = text.parse::<http::Uri>() else {
        return Err((
            "is no URL".to_owned(),
            Some("write it as \"https://host/v1\", with the version path".to_owned()),
        ));
    };
    let https = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => return wrong("must begin with https:// or http://"),
    };
    let Some(authority) = uri.authority() else { return wrong("names no host") };
    if authority.as_str().contains('@') {
        return Err((
            "must hold no user name or password".to_owned(),
            Some("keys belong in `api_key`".to_owned()),
        ));
    }
    if uri.query().is_some() || text.contains(['?', '#']) {
        return wrong("must hold no query and no fragment");
    }
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':');
    if host.is_empty() || !host.bytes().all(plain) {
        return wrong("names no usable host");
    }
    let port = match authority.as_str().rsplit_once(':') {
        Some((_, port)) if !port.ends_with(']') => match port.parse() {
            Ok(0) | Err(_) => return wrong("has no usable port"),
            Ok(port) => port,
        },
        _ if https => 443,
        _ => 80,
    };
    reachable(&host, https, allow_private)?;
    Ok(BaseUrl { https, host, port, path: uri.path().trim_end_matches('/').to_owned() })
}

/// Addresses are judged here; what a name resolves to is judged when it is dialled.
fn reachable(host: &str, https: bool, allow_private: bool) -> Result<(), (String, Option<String>)> {
    let allow = || Some("if this server is yours, add `allow_private = true`".to_owned());
    let address: Option<IpAddr> = host.parse().ok();
    let private = match address {
        Some(address) if !allowed(address, true) => {
            return Err((
                "is an address that is never called (metadata service, multicast, unspecified)".to_owned(),
                None,
            ));
        }
        Some(address) => !allowed(address, false),
        None => host == "localhost" || host.ends_with(".localhost"),
    };
    if private && !allow_private {
        return Err(("is a private address".to_owned(), allow()));
    }
    if !https && !allow_private {
        return Err(("is plain http: the key and every prompt would travel readable".to_owned(), allow()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_urls_are_taken_apart() {
        let url = parse("https://api.together.xyz/v1", false).unwrap();
        assert_eq!(
            (url.https, url.host.as_str(), url.port, url.path.as_str()),
            (true, "api.together.xyz", 443, "/v1")
        );
        let url = parse("http://10.0.0.5:8000/v1/", true).unwrap();
        assert_eq!(
            (url.https, url.host.as_str(), url.port, url.path.as_str()),
            (false, "10.0.0.5", 8000, "/v1")
        );
        let url = parse("http://[::1]:9/", true).unwrap();
        assert_eq!((url.host.as_str(), url.port, url.path.as_str()), ("::1", 9, ""));
        assert_eq!(parse("https://[2606:4700::1]/v1", false).unwrap().port, 443);
    }

    #[test]
    fn bad_urls_say_why() {
        for (text, allow, why) in [
            ("", false, "no URL"),
            ("api.example.com/v1", false, "no URL"),
            ("ftp://a.example/", false, "begin with https"),
            ("file:///etc/passwd", false, "no URL"),
            ("https://user:hunter2@a.example/v1", false, "no user name"),
            ("https://a.example/v1?key=1", false, "no query"),
            ("https://a.example/v1#x", false, "no query"),
            ("https://a.example:0/v1", false, "port"),
            ("https://a.example:99999/v1", false, "port"),
            ("http://a.example/v1", false, "plain http"),
            ("https://10.0.0.5/v1", false, "private"),
            ("https://127.0.0.1/v1", false, "private"),
            ("https://localhost/v1", false, "private"),
            ("https://[::1]/v1", false, "private"),
            ("https://[::ffff:10.0.0.1]/v1", false, "private"),
            ("http://169.254.169.254/latest", true, "never called"),
            ("http://0.0.0.0/v1", true, "never called"),
        ] {
            let (message, _) = parse(text, allow).expect_err(text);
            assert!(message.contains(why), "{text}: {message}");
            assert!(!message.contains("hunter2"));
        }
    }
}
