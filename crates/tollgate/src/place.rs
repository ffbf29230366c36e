//! Where things lie: the config file, the data directory, the admin token.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use gateway::config;

use crate::cli::Global;

fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// `--config` > `TOLLGATE_CONFIG` > `./tollgate.toml` > none.
pub fn config_file(global: &Global) -> Option<PathBuf> {
    config::locate(global.config.as_deref(), &env, &|path| path.exists()).file().map(Path::to_owned)
}

/// `--data-dir` > `TOLLGATE_DATA_DIR` > `data_dir` of the config > `$XDG_STATE_HOME/tollgate`. Errors when not even a home
/// is known.
pub fn data_dir(global: &Global, file: Option<&Path>) -> anyhow::Result<PathBuf> {
    let text = file.and_then(|file| std::fs::read_to_string(file).ok());
    let configured = file.zip(text.as_deref());
    config::data_dir(global.data_dir.as_deref(), configured, &env)
        .context("no data directory: set --data-dir, TOLLGATE_DATA_DIR or HOME")
}

/// The token of `DATA_DIR/admin.token`, made when missing (mode 0600). Errors when it cannot be read or made.
pub fn admin_token(data_dir: &Path) -> anyhow::Result<String> {
    let path = data_dir.join("admin.token");
    let shown = path.display().to_string();
    match std::fs::read_to_string(&path) {
        Ok(text) if !text.trim().is_empty() => return Ok(text.trim().to_owned()),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("{shown} cannot be read")),
    }
    let token = gateway::keys::new_secret()?;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&path).with_context(|| format!("{shown} cannot be written"))?;
    file.write_all(format!("{token}\n").as_bytes()).with_context(|| format!("{shown} cannot be written"))?;
    Ok(token)
}
