//! The catalogue that this machine sees: the one in the binary, with the snapshots that `prices update` put in the data
//! directory on top.

use std::path::Path;

use catalog::Catalogue;

/// Folder of snapshots in the data directory.
pub const FOLDER: &str = "prices";

/// Built-in data plus `DATA_DIR/prices/*.json`, oldest first. A file that cannot be read is skipped and named in the log.
pub fn with_updates(data_dir: &Path) -> Catalogue {
    let Ok(entries) = std::fs::read_dir(data_dir.join(FOLDER)) else { return Catalogue::builtin() };
    let mut files: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "json"));
    files.sort();
    let good = files.iter().filter_map(|path| readable(path));
    good.fold(Catalogue::builtin(), |catalogue, (name, text)| {
        catalogue.with_snapshot(&name, &text).unwrap_or_default()
    })
}

/// The name and text of a snapshot that loads. Tried on a catalogue of its own, so that a bad one costs nothing else.
fn readable(path: &Path) -> Option<(String, String)> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .inspect_err(|error| tracing::warn!(file = %name, %error, "price snapshot skipped"))
        .ok()?;
    match Catalogue::builtin().with_snapshot(&name, &text) {
        Ok(_) => Some((name, text)),
        Err(errors) => {
            for error in errors {
                tracing::warn!("price snapshot skipped: {error}");
            }
            None
        }
    }
}
