//! `GET /v1/models`: routes first, then aliases, then what the configured vendors list.

use bytes::Bytes;
use serde::Serialize;

use crate::config::{Config, Resolved};
use crate::respond::Refusal;

#[derive(Serialize)]
struct Model<'a> {
    id: &'a str,
    object: &'static str,
    created: i64,
    owned_by: &'a str,
}

#[derive(Serialize)]
struct List<'a> {
    object: &'static str,
    data: Vec<Model<'a>>,
}

fn model<'a>(id: &'a str, owned_by: &'a str) -> Model<'a> {
    // Vendors' creation dates are not in the catalogue; OpenAI's schema wants a number.
    Model { id, object: "model", created: 0, owned_by }
}

/// All names that a client may use, in OpenAI's shape.
pub fn list(config: &Config) -> Bytes {
    let offers: Vec<(String, &str)> = config
        .hosts
        .keys()
        .flat_map(|host| {
            config.catalogue.offers(host).into_iter().map(move |offer| (offer.target(), host.as_str()))
        })
        .collect();
    let own = config.routes.keys().chain(config.models.keys()).map(|name| model(name, "tollgate"));
    let data = own.chain(offers.iter().map(|(id, host)| model(id, host))).collect();
    to_bytes(&List { object: "list", data })
}

/// One name. Errors when nothing is called so.
pub fn one(config: &Config, name: &str) -> Result<Bytes, Refusal> {
    let owner = match config.resolve(name)? {
        Resolved::Group(group) if !config.models.contains_key(name) => {
            group.targets.first().map(|t| t.host.id.clone()).unwrap_or_default()
        }
        Resolved::Route(_) | Resolved::Group(_) => "tollgate".to_owned(),
    };
    Ok(to_bytes(&model(name, &owner)))
}

fn to_bytes<T: Serialize>(value: &T) -> Bytes {
    serde_json::to_vec(value).map(Bytes::from).unwrap_or_default()
}
