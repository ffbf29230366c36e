//! `[keys.NAME]`: client keys of the file, joined with those that `tollgate keys` made.

use super::ClientKey;
use super::doc::Section;
use super::source::Secrets;
use crate::keys::{KeyHash, StoredKey, is_key_name, unhex};

/// A secret shorter than this can be guessed.
const SHORT: usize = 20;

/// Reads every key and adds the stored ones. A name in the file wins over the same name in the store.
pub(super) fn read(section: Option<&Section<'_>>, secrets: &mut Secrets<'_>) -> Vec<ClientKey> {
    let mut keys: Vec<ClientKey> = Vec::new();
    for (name, place, value) in section.iter().flat_map(|s| s.named()) {
        let Some(one) = section.and_then(|s| s.as_section(name, place.clone(), value)) else { continue };
        if !is_key_name(name) {
            let hint = "letters, digits, `.`, `_` and `-`, at most 64".to_owned();
            one.doc.error(place.clone(), format!("`{name}` is no name for a key"), Some(hint));
        }
        for limit in ["budget", "budgets", "limits", "usd_per_day", "usd_per_month", "rpm", "tpm"] {
            one.refuse(limit, "budgets");
        }
        if let Some(hash) = hash(&one, secrets) {
            if let Some(twin) = keys.iter().find(|key| key.hash == hash) {
                one.doc.error(place, format!("`{name}` has the same secret as `{}`", twin.name), None);
            } else {
                keys.push(ClientKey { name: name.to_owned(), hash, revoked_at: None });
            }
        }
        one.finish();
    }
    for stored in secrets.sources.stored_keys {
        // A revocation reaches the same secret wherever it is listed.
        if let Some(key) = keys.iter_mut().find(|key| key.hash == stored.hash) {
            key.revoked_at = stored.revoked_at;
        }
        if !keys.iter().any(|key| key.name == stored.name || key.hash == stored.hash) {
            keys.extend(self::stored(std::slice::from_ref(stored)));
        }
    }
    keys
}

/// The keys that `tollgate keys` made, alone.
pub(super) fn stored(keys: &[StoredKey]) -> Vec<ClientKey> {
    let key = |k: &StoredKey| ClientKey { name: k.name.clone(), hash: k.hash, revoked_at: k.revoked_at };
    keys.iter().map(key).collect()
}

fn hash(section: &Section<'_>, secrets: &mut Secrets<'_>) -> Option<KeyHash> {
    let doc = section.doc;
    match (section.string("secret"), section.string("hash")) {
        (Some((text, span)), None) => {
            let secret = secrets.read(doc, "secret", text, span.clone())?;
            if secret.expose().len() < SHORT {
                let hint = "`tollgate keys create` makes one of 256 random bits".to_owned();
                doc.warn(
                    span,
                    format!("the secret of {} is short enough to be guessed", section.name),
                    Some(hint),
                );
            }
            Some(secrets.sources.ring.hash(secret.expose()))
        }
        (None, Some((text, span))) => {
            let hash = unhex(text);
            if hash.is_none() {
                let hint = "`tollgate keys create` prints it".to_owned();
                doc.error(span, "`hash` must be 64 hexadecimal digits", Some(hint));
            }
            hash
        }
        (Some(_), Some(_)) => {
            doc.error(section.place("hash"), "`secret` and `hash` exclude each other", None);
            None
        }
        (None, None) => {
            let hint =
                "secret = \"env:APP_KEY\", or hash = \"…\" as `tollgate keys create` prints it".to_owned();
            doc.error(section.span.clone(), format!("{} needs `secret` or `hash`", section.name), Some(hint));
            None
        }
    }
}
