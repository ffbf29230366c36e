//! The running configuration, and how it is replaced: whole, or not at all (LAW 10).
//!
//! The obvious alternative, a file notification service, misses files that are replaced by rename or mounted by an
//! orchestrator, and costs a dependency. Four `stat` calls a second for each file miss nothing. A change is read once it has
//! been still for a quarter of a second, so that a file that an editor has only half written is not taken for a short one.

#[cfg(test)]
mod tests;

use std::fs;
use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use catalog::Catalogue;
use jiff::Timestamp;
use serde::Serialize;

use super::{Config, ConfigErrors, Sources};
use crate::keys::{KeyFile, KeyFileError, KeyRing};

/// Between two looks at the files. A revoked key is refused after two of them.
const LOOK: Duration = Duration::from_millis(250);
/// Largest file that is read.
const FILE_BYTES: u64 = 16 << 20;

type Env = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;
type MakeCatalogue = Arc<dyn Fn() -> Catalogue + Send + Sync>;

/// Where a configuration comes from, so that it can be read again.
#[derive(Clone)]
pub struct Origin {
    file: Option<PathBuf>,
    data_dir: Option<PathBuf>,
    env: Env,
    catalogue: MakeCatalogue,
    ring: KeyRing,
    listen: Option<SocketAddr>,
}

impl Origin {
    /// For a server: makes the data directory and its hashing key when they are missing. Errors when they cannot be
    /// made.
    pub fn serving(file: Option<PathBuf>, data_dir: PathBuf) -> Result<Self, KeyFileError> {
        let ring = KeyRing::open(&data_dir)?;
        Ok(Self::new(file, Some(data_dir), ring))
    }

    /// For a look that must leave no trace (`check`, `explain`): reads the data directory if there is one.
    pub fn reading(file: Option<PathBuf>, data_dir: Option<PathBuf>) -> Result<Self, KeyFileError> {
        let ring = data_dir.as_deref().map(KeyRing::read).transpose()?.flatten();
        let ring = ring.map_or_else(KeyRing::ephemeral, Ok).map_err(|_| KeyFileError::Random)?;
        Ok(Self::new(file, data_dir, ring))
    }

    fn new(file: Option<PathBuf>, data_dir: Option<PathBuf>, ring: KeyRing) -> Self {
        let env = Arc::new(|name: &str| std::env::var(name).ok());
        Self { file, data_dir, env, catalogue: Arc::new(Catalogue::builtin), ring, listen: None }
    }

    /// Reads this environment instead of the process's.
    #[must_use]
    pub fn with_env(mut self, env: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        self.env = Arc::new(env);
        self
    }

    /// Starts from this catalogue instead of the built-in one.
    #[must_use]
    pub fn with_catalogue(mut self, make: impl Fn() -> Catalogue + Send + Sync + 'static) -> Self {
        self.catalogue = Arc::new(make);
        self
    }

    /// Listens here, whatever the file says (`--listen`); guarded like the file's own address.
    #[must_use]
    pub fn with_listen(mut self, address: Option<SocketAddr>) -> Self {
        self.listen = address;
        self
    }

    /// Reads the configuration as number `version`. Returns every mistake at once.
    pub fn load(&self, version: u64, now: Timestamp) -> Result<Config, ConfigErrors> {
        let stored = self.data_dir.as_deref().map(KeyFile::read).transpose();
        let stored =
            stored.map_err(|e| ConfigErrors::whole("client keys", e.to_string(), None))?.unwrap_or_default();
        let sources = Sources {
            env: &*self.env,
            file: &read,
            bytes: &read_bytes,
            catalogue: &*self.catalogue,
            ring: &self.ring,
            stored_keys: &stored.keys,
            now,
            version,
        };
        let mut config = match &self.file {
            None => Config::zero(&sources)?,
            Some(file) => {
                let text = read(file).map_err(|e| missing(file, &e))?;
                Config::read(file, &text, &sources)?
            }
        };
        config.files.extend(self.data_dir.as_deref().map(KeyFile::path));
        config.listen = self.listen.unwrap_or(config.listen);
        guarded(config.listen, &config)?;
        Ok(config)
    }

    /// What to watch when there is no configuration that says so.
    fn files(&self) -> Vec<PathBuf> {
        self.file.iter().cloned().chain(self.data_dir.as_deref().map(KeyFile::path)).collect()
    }
}

fn missing(file: &Path, error: &io::Error) -> ConfigErrors {
    let hint = (error.kind() == io::ErrorKind::NotFound).then(|| "`tollgate init` writes one".to_owned());
    ConfigErrors::whole(&file.display().to_string(), format!("cannot be read: {error}"), hint)
}

/// Reads a text file of bounded size.
fn read(path: &Path) -> io::Result<String> {
    String::from_utf8(read_bytes(path)?).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "not UTF-8"))
}

/// Reads a file of bounded size.
fn read_bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 16 MiB"));
    }
    Ok(bytes)
}

/// What `/api/v1/config/version` shows.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// The running configuration's number.
    pub version: u64,
    /// Its file; `null` with zero config.
    pub file: Option<PathBuf>,
    /// When it was loaded.
    pub loaded_at: Timestamp,
    /// What has changed in the file and is read at start only.
    pub needs_restart: Vec<&'static str>,
    /// Why the newest reload was refused; `null` when it was not.
    pub last_error: Option<Refused>,
}

/// A reload that left the running configuration in place.
#[derive(Clone, Debug, Serialize)]
pub struct Refused {
    /// When.
    pub at: Timestamp,
    /// Every mistake.
    pub errors: ConfigErrors,
}

/// The running configuration.
pub struct ConfigStore {
    current: ArcSwap<Config>,
    origin: Option<Origin>,
    state: Mutex<State>,
}

struct State {
    loaded_at: Timestamp,
    needs_restart: Vec<&'static str>,
    last_error: Option<Refused>,
    /// What the files looked like when they were last read.
    read: Looks,
}

/// The looks of some files; `None` where there is no file.
type Looks = Vec<(PathBuf, Option<Look>)>;

/// What a file's metadata says. An editor that replaces the file changes its number, one that writes into it its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    modified: Option<SystemTime>,
    len: u64,
    number: u64,
}

impl std::fmt::Debug for ConfigStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConfigStore").field("version", &self.load().version).finish_non_exhaustive()
    }
}

impl ConfigStore {
    /// A configuration that never changes: the demo, tests.
    pub fn fixed(config: Config) -> Self {
        Self::new(config, None, Looks::new(), Timestamp::UNIX_EPOCH)
    }

    /// Loads a configuration that is watched and can be reloaded. Returns every mistake at once.
    pub fn open(origin: Origin) -> Result<Self, ConfigErrors> {
        let now = Timestamp::now();
        let before = look(origin.files());
        let config = origin.load(1, now)?;
        // Files looked at before they were read: a change in between is seen as one.
        let rest = config.files.iter().filter(|file| !before.iter().any(|(seen, _)| seen == *file));
        let looks = before.iter().cloned().chain(look(rest.cloned())).collect();
        Ok(Self::new(config, Some(origin), looks, now))
    }

    fn new(config: Config, origin: Option<Origin>, read: Looks, loaded_at: Timestamp) -> Self {
        let state = State { loaded_at, needs_restart: Vec::new(), last_error: None, read };
        Self { current: ArcSwap::from_pointee(config), origin, state: Mutex::new(state) }
    }

    /// The running configuration. A request takes it once, so that it sees exactly one version.
    pub fn load(&self) -> Arc<Config> {
        self.current.load_full()
    }

    /// The running version, and how the newest reload went.
    pub fn status(&self) -> Status {
        let config = self.load();
        let state = self.state();
        Status {
            version: config.version,
            file: config.file.clone(),
            loaded_at: state.loaded_at,
            needs_restart: state.needs_restart.clone(),
            last_error: state.last_error.clone(),
        }
    }

    /// Reads everything again. The new configuration takes over whole, or the running one stays and the mistakes come
    /// back; [`ConfigStore::status`] shows them too.
    pub fn reload(&self) -> Result<u64, ConfigErrors> {
        let Some(origin) = &self.origin else { return Ok(self.load().version) };
        let mut state = self.state();
        let now = Timestamp::now();
        let running = self.load();
        state.read = look(running.files.iter().cloned().chain(origin.files()));
        let loaded = origin.load(running.version + 1, now).and_then(|new| {
            // The socket stays what it was, so a file that takes the keys away must not leave it open.
            guarded(running.listen, &new)?;
            Ok(new)
        });
        match loaded {
            Ok(mut config) => {
                state.needs_restart = fixed_at_start(&running, &config);
                keep_fixed(&running, &mut config);
                let known: Vec<PathBuf> = state.read.iter().map(|(file, _)| file.clone()).collect();
                state.read.extend(look(config.files.iter().filter(|f| !known.contains(f)).cloned()));
                state.loaded_at = now;
                state.last_error = None;
                let version = config.version;
                self.current.store(Arc::new(config));
                Ok(version)
            }
            Err(errors) => {
                state.last_error = Some(Refused { at: now, errors: errors.clone() });
                Err(errors)
            }
        }
    }

    /// Watches the files and, on Unix, SIGHUP, and reloads until the process ends.
    pub async fn watch(self: Arc<Self>) {
        let mut hangup = Hangup::new();
        let mut ticks = tokio::time::interval(LOOK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut pending = None;
        loop {
            let asked = tokio::select! {
                _ = ticks.tick() => false,
                () = hangup.received() => true,
            };
            let store = Arc::clone(&self);
            let step = tokio::task::spawn_blocking(move || {
                if asked || store.has_settled(&mut pending) {
                    pending = None;
                    store.reload_and_say();
                }
                pending
            });
            pending = step.await.unwrap_or_default();
        }
    }

    /// Have the files changed since they were read, and not since the last look (kept in `pending`)?
    fn has_settled(&self, pending: &mut Option<Looks>) -> bool {
        let read = self.state().read.clone();
        let now = look(read.iter().map(|(file, _)| file.clone()));
        if now == read {
            *pending = None;
            return false;
        }
        let settled = pending.as_ref() == Some(&now);
        *pending = Some(now);
        settled
    }

    fn reload_and_say(&self) {
        match self.reload() {
            Ok(version) => {
                let restart = self.status().needs_restart.join(", ");
                tracing::info!(version, needs_restart = restart, "configuration reloaded");
            }
            Err(errors) => {
                tracing::error!(version = self.load().version, %errors, "configuration refused; the running one stays");
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A public address without client keys would let anyone spend.
fn guarded(listen: SocketAddr, config: &Config) -> Result<(), ConfigErrors> {
    if listen.ip().to_canonical().is_loopback() || !config.keys.is_empty() {
        return Ok(());
    }
    let file = config.file.as_deref().unwrap_or(Path::new("zero config")).display().to_string();
    let message = format!("this server listens on {listen} and would ask for no key");
    let hint = "`tollgate keys create NAME`, or add [keys.NAME]; or listen on 127.0.0.1".to_owned();
    Err(ConfigErrors::whole(&file, message, Some(hint)))
}

/// Settings that differ and are read at start only.
fn fixed_at_start(running: &Config, new: &Config) -> Vec<&'static str> {
    let (old_limits, new_limits) = (&running.limits, &new.limits);
    let changed = [
        ("listen", running.listen != new.listen),
        ("data_dir", running.data_dir != new.data_dir),
        ("limits.header_bytes", old_limits.header_bytes != new_limits.header_bytes),
        ("limits.connections", old_limits.connections != new_limits.connections),
        ("telemetry", running.telemetry != new.telemetry),
    ];
    changed.into_iter().filter(|(_, changed)| *changed).map(|(name, _)| name).collect()
}

/// The snapshot says what is in force, and the next reload compares with that.
fn keep_fixed(running: &Config, new: &mut Config) {
    new.listen = running.listen;
    new.data_dir.clone_from(&running.data_dir);
    new.limits.header_bytes = running.limits.header_bytes;
    new.limits.connections = running.limits.connections;
    new.telemetry.clone_from(&running.telemetry);
}

fn look(files: impl IntoIterator<Item = PathBuf>) -> Looks {
    let mut looks: Looks = Vec::new();
    for file in files {
        if !looks.iter().any(|(seen, _)| *seen == file) {
            let metadata = fs::metadata(&file).ok();
            looks.push((file, metadata.map(|m| Look::of(&m))));
        }
    }
    looks
}

impl Look {
    fn of(metadata: &fs::Metadata) -> Self {
        #[cfg(unix)]
        let number = std::os::unix::fs::MetadataExt::ino(metadata);
        #[cfg(not(unix))]
        let number = 0;
        Self { modified: metadata.modified().ok(), len: metadata.len(), number }
    }
}

/// SIGHUP, where there is one.
struct Hangup {
    #[cfg(unix)]
    signal: Option<tokio::signal::unix::Signal>,
}

impl Hangup {
    fn new() -> Self {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            Self { signal: signal(SignalKind::hangup()).ok() }
        }
        #[cfg(not(unix))]
        Self {}
    }

    async fn received(&mut self) {
        #[cfg(unix)]
        if let Some(signal) = &mut self.signal
            && signal.recv().await.is_some()
        {
            return;
        }
        std::future::pending::<()>().await;
    }
}
