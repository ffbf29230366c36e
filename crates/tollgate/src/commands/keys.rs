//! `tollgate keys`: makes, lists, revokes and rotates client keys. They live in `DATA_DIR/keys.toml`, which a running
//! server watches: a change is in force within a second, with or without a server, and needs no admin token.

use std::process::ExitCode;

use clap::Subcommand;
use comfy_table::Table;
use gateway::config::store::Origin;
use gateway::keys::{KeyFile, NewKey, StoredKey, hex, is_key_name};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cli::Global;
use crate::place;

/// Flags of `keys`.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Make a key and print its secret, once
    Create {
        /// Its name in the ledger
        #[arg(value_parser = name)]
        name: String,
    },
    /// Show all keys; secrets are not kept
    List,
    /// End a key
    Revoke {
        /// Its name
        #[arg(value_parser = name)]
        name: String,
    },
    /// Give a key a new secret; the old one ends at once
    Rotate {
        /// Its name
        #[arg(value_parser = name)]
        name: String,
    },
}

fn name(text: &str) -> Result<String, String> {
    if is_key_name(text) {
        Ok(text.to_owned())
    } else {
        Err("at most 64 letters, digits, `.`, `_` or `-`, and no dot first".to_owned())
    }
}

/// Runs it. The secret goes to stdout, what to do with it to stderr.
pub fn run(args: Args, global: &Global) -> anyhow::Result<ExitCode> {
    let file = place::config_file(global);
    let data_dir = place::data_dir(global, file.as_deref())?;
    let now = Timestamp::now();
    match args.action {
        Action::Create { name } => show(&KeyFile::create(&data_dir, &name, now)?, global)?,
        Action::Rotate { name } => show(&KeyFile::rotate(&data_dir, &name, now)?, global)?,
        Action::Revoke { name } => {
            KeyFile::revoke(&data_dir, &name, now)?;
            if global.json {
                crate::print(format_args!("{}\n", json!({"name": name, "revoked_at": now})))?;
            }
            crate::say(format_args!("`{name}` is revoked; a running server refuses it within a second\n"));
        }
        Action::List => {
            let configured = configured(&Origin::reading(file, Some(data_dir.clone()))?);
            list(&KeyFile::read(&data_dir)?.keys, &configured, global)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn show(new: &NewKey, global: &Global) -> anyhow::Result<()> {
    let NewKey { secret, key } = new;
    let hash = hex(&key.hash);
    if global.json {
        let key =
            json!({"name": key.name, "secret": secret.expose(), "hash": hash, "created_at": key.created_at});
        crate::print(format_args!("{key}\n"))?;
    } else {
        crate::print(format_args!("{}\n", secret.expose()))?;
    }
    crate::say(format_args!(
        "This is the secret of `{name}`; it is shown once and kept nowhere. Clients send it as\n\
         \x20 authorization: Bearer SECRET\n\
         A running server takes it within a second. To keep it in a config of this data directory instead:\n\
         \x20 [keys.{name}]\n\
         \x20 hash = \"{hash}\"\n",
        name = key.name,
    ));
    Ok(())
}

/// Names of keys in the config file, where that can be read.
fn configured(origin: &Origin) -> Vec<String> {
    let config = origin.load(1, Timestamp::now());
    config.map(|config| config.keys.into_iter().map(|key| key.name).collect()).unwrap_or_default()
}

fn list(stored: &[StoredKey], configured: &[String], global: &Global) -> anyhow::Result<()> {
    let of_the_file = configured.iter().filter(|name| !stored.iter().any(|key| key.name == **name));
    if global.json {
        let stored = stored.iter().map(|key| {
            let StoredKey { name, last4, created_at, revoked_at, .. } = key;
            json!({"name": name, "from": "keys", "last4": last4, "created_at": created_at, "revoked_at": revoked_at})
        });
        let nothing = Value::Null;
        let rest = of_the_file.map(|name| {
            json!({"name": name, "from": "config", "last4": nothing, "created_at": nothing, "revoked_at": nothing})
        });
        let keys: Vec<Value> = stored.chain(rest).collect();
        crate::print(format_args!("{}\n", serde_json::to_string_pretty(&json!({ "keys": keys }))?))?;
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(["NAME", "SECRET", "MADE", "STATE"]);
    for key in stored {
        let state = key.revoked_at.map_or("in use".to_owned(), |at| format!("revoked {at:.0}"));
        table.add_row([key.name.clone(), format!("…{}", key.last4), format!("{:.0}", key.created_at), state]);
    }
    for name in of_the_file {
        table.add_row([name.as_str(), "in the config", "", "in use"]);
    }
    if table.is_empty() {
        crate::say(format_args!(
            "no client keys: only loopback is served; `tollgate keys create NAME` makes one\n"
        ));
        return Ok(());
    }
    crate::print(format_args!("{table}\n"))?;
    Ok(())
}
