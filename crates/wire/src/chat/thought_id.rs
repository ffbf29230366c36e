//! Gemini's thought signatures, carried inside the id of a tool call.
//!
//! Gemini 3 and later refuse a function call that is replayed without its `thoughtSignature` (field notes §2.13).
//! The obvious alternative, a field of its own, is lost in clients that keep only the fields they know; every client
//! sends the id back. An id is `NAME__thought__SIGNATURE`. Signatures are base64; they are written in the URL-safe
//! alphabet without padding, so that the id keeps to `[A-Za-z0-9_-]`, and written back on the way to Gemini. A
//! signature that is not plain base64 is wrapped whole after `__thoughtx__`.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

/// What every id that carries a signature holds.
pub(crate) const MARK: &str = "__thought";
const PLAIN: &str = "__thought__";
const WRAPPED: &str = "__thoughtx__";

/// An id that carries a signature.
pub(crate) fn join(id: &str, signature: &str) -> String {
    match STANDARD.decode(signature) {
        Ok(bytes) => format!("{id}{PLAIN}{}", URL_SAFE_NO_PAD.encode(bytes)),
        Err(_) => format!("{id}{WRAPPED}{}", URL_SAFE_NO_PAD.encode(signature)),
    }
}

/// The bare id and the signature in it. An id that only looks like ours stays whole.
pub(crate) fn split(id: &str) -> (&str, Option<String>) {
    if let Some((bare, tail)) = id.split_once(PLAIN)
        && let Ok(bytes) = URL_SAFE_NO_PAD.decode(tail)
    {
        return (bare, Some(STANDARD.encode(bytes)));
    }
    if let Some((bare, tail)) = id.split_once(WRAPPED)
        && let Ok(bytes) = URL_SAFE_NO_PAD.decode(tail)
        && let Ok(signature) = String::from_utf8(bytes)
    {
        return (bare, Some(signature));
    }
    (id, None)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fn2_13_signature_survives_the_id_and_its_alphabet() {
        let id = join("call_1", "ab+/cd==");
        assert!(id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'), "{id}");
        assert_eq!(split(&id), ("call_1", Some("ab+/cd==".to_owned())));
        assert_eq!(split("call_1"), ("call_1", None));
        assert_eq!(split("call__thought__???"), ("call__thought__???", None));
    }

    proptest! {
        #[test]
        fn fn2_13_any_signature_comes_back(id in "[a-zA-Z0-9]{1,12}", signature in "\\PC{0,64}") {
            let joined = join(&id, &signature);
            prop_assert_eq!(split(&joined), (id.as_str(), Some(signature)));
        }
    }
}
