//! From TOML text, or from nothing, to one consistent [`Config`].

use std::collections::{BTreeMap, HashMap};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use catalog::{Catalogue, LoadError};
use jiff::tz::Offset;
use toml::de::DeTable;

use super::auto::{self, AUTO};
use super::classifier::Classifier;
use super::doc::{Doc, Section};
use super::locate::beside;
use super::models::{self, Models, Targets};
use super::providers::{self, Providers};
use super::routes::Routes;
use super::source::{Secrets, Sources};
use super::{
    ClientKey, Config, ConfigError, ConfigErrors, Host, Limits, RouteConfig, Semconv, Telemetry, Timeouts,
    WhenUnwritable, client_keys,
};

const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 4000);
/// Largest configuration that is read.
const TEXT_BYTES: usize = 4 << 20;

impl Default for Limits {
    fn default() -> Self {
        Self { body_bytes: 32 << 20, header_bytes: 64 << 10, connections: 10_000, answer_bytes: 64 << 20 }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            first_byte: Duration::from_mins(1),
            whole: Duration::from_mins(5),
            idle: Duration::from_mins(1),
            total: Duration::from_mins(10),
        }
    }
}

/// Reads the configuration `text` of `file`.
pub(super) fn read(file: &Path, text: &str, sources: &Sources<'_>) -> Result<Config, ConfigErrors> {
    let shown = file.display().to_string();
    if text.len() > TEXT_BYTES {
        return Err(ConfigErrors::whole(&shown, format!("is larger than {TEXT_BYTES} bytes"), None));
    }
    let doc = Doc::new(&shown, text);
    let (table, mistakes) = DeTable::parse_recoverable(text);
    for mistake in &mistakes {
        doc.error(mistake.span().unwrap_or(0..0), mistake.message(), None);
    }
    if !mistakes.is_empty() {
        // Half a document would only bring mistakes that are none, and so would the rest of a broken line.
        let mut errors = doc.finish().0;
        errors.dedup_by_key(|error| error.line);
        return Err(ConfigErrors(errors));
    }
    let root = Section::new(&doc, "the top level".to_owned(), 0..0, table.get_ref());
    let draft = Draft::read(file, root, sources);
    let (errors, warnings) = doc.finish();
    if !errors.is_empty() {
        return Err(ConfigErrors(errors));
    }
    let mut config = draft.finish(Some(file.to_owned()), sources);
    config.warnings = warnings;
    Ok(config)
}

/// Zero config.
pub(super) fn zero(sources: &Sources<'_>) -> Result<Config, ConfigErrors> {
    let catalogue = (sources.catalogue)();
    let (hosts, found) = auto::from_environment(&catalogue, sources.env);
    if hosts.is_empty() {
        let message =
            "no config file, and no vendor's key in the environment (OPENAI_API_KEY, ANTHROPIC_API_KEY, …)";
        let hint = "`tollgate demo` needs no key; `tollgate init` writes a config".to_owned();
        return Err(ConfigErrors::whole("zero config", message, Some(hint)));
    }
    let draft = Draft {
        listen: LISTEN,
        data_dir: None,
        allowed_hosts: Vec::new(),
        limits: Limits::default(),
        timeouts: Timeouts::default(),
        when_unwritable: WhenUnwritable::Serve,
        telemetry: None,
        keys: client_keys::stored(sources.stored_keys),
        hosts,
        models: Models::default(),
        routes: BTreeMap::new(),
        catalogue,
        files: Vec::new(),
        notices: found,
    };
    Ok(draft.finish(None, sources))
}

/// All parts, before they are joined.
struct Draft {
    listen: SocketAddr,
    data_dir: Option<PathBuf>,
    allowed_hosts: Vec<String>,
    limits: Limits,
    timeouts: Timeouts,
    when_unwritable: WhenUnwritable,
    telemetry: Option<Telemetry>,
    keys: Vec<ClientKey>,
    hosts: BTreeMap<String, Arc<Host>>,
    models: Models,
    routes: BTreeMap<String, Arc<RouteConfig>>,
    catalogue: Catalogue,
    files: Vec<PathBuf>,
    notices: Vec<String>,
}

impl Draft {
    /// Reads every section. Mistakes go to the document.
    fn read(file: &Path, root: Section<'_>, sources: &Sources<'_>) -> Self {
        let base = file.parent().unwrap_or(Path::new(""));
        let mut secrets = Secrets { sources, base, files: vec![file.to_owned()] };
        let mut notices = Vec::new();
        refuse_later_sections(&root);
        let limits = limits(&root);
        let keys = client_keys::read(root.section("keys").as_ref(), &mut secrets);
        let listen = listen(&root, &keys);
        let catalogue = catalogue(&root, file, &mut secrets);
        let providers = if let Some(section) = root.section("providers") {
            providers::read(&section, &catalogue, &mut secrets)
        } else {
            let (hosts, found) = auto::from_environment(&catalogue, sources.env);
            notices.extend(found);
            Providers { declared: hosts.keys().cloned().collect(), hosts }
        };
        if providers.declared.is_empty() {
            let hint =
                "add [providers.NAME], or export a vendor's usual variable such as OPENAI_API_KEY".to_owned();
            root.doc.error(root.place("providers"), "no provider is configured", Some(hint));
        }
        let today = Offset::UTC.to_datetime(sources.now).date();
        let targets = Targets { providers: &providers, catalogue: &catalogue, today };
        let models = root.section("models").map(|s| models::read(&s, &targets)).unwrap_or_default();
        let classifier = Classifier::read(&root, file, &mut secrets);
        let routes = Routes {
            models: &models,
            targets: &targets,
            answer_bytes: limits.answer_bytes,
            classifier: &classifier,
            now: sources.now,
        };
        let routes = root.section("routes").map(|s| routes.read(&s)).unwrap_or_default();
        let draft = Self {
            listen,
            data_dir: data_dir(&root, file),
            allowed_hosts: allowed_hosts(&root),
            limits,
            timeouts: timeouts(&root),
            when_unwritable: when_unwritable(&root),
            telemetry: telemetry(&root),
            keys,
            hosts: providers.hosts,
            models,
            routes,
            catalogue,
            files: secrets.files,
            notices,
        };
        root.finish();
        draft
    }

    fn finish(mut self, file: Option<PathBuf>, sources: &Sources<'_>) -> Config {
        if !self.routes.contains_key(AUTO) && !self.models.groups.contains_key(AUTO) {
            let (route, said) = auto::route(&self.hosts, &self.catalogue);
            self.notices.push(said);
            self.routes.extend(route.map(|route| (AUTO.to_owned(), Arc::new(route))));
        }
        let active = self.keys.iter().enumerate().filter(|(_, key)| key.revoked_at.is_none());
        let by_hash: HashMap<_, _> = active.map(|(at, key)| (key.hash, at)).collect();
        Config {
            version: sources.version,
            file,
            listen: self.listen,
            data_dir: self.data_dir,
            allowed_hosts: self.allowed_hosts,
            limits: self.limits,
            timeouts: self.timeouts,
            when_unwritable: self.when_unwritable,
            keys: self.keys,
            hosts: self.hosts,
            models: self.models.groups,
            routes: self.routes,
            catalogue: Arc::new(self.catalogue),
            telemetry: self.telemetry,
            notices: self.notices,
            warnings: Vec::new(),
            files: self.files,
            ring: sources.ring.clone(),
            by_hash,
            resolved: super::resolve::Cache::default(),
        }
    }
}

fn refuse_later_sections(root: &Section<'_>) {
    for (key, feature) in
        [("budgets", "budgets"), ("cache", "the response cache"), ("residency", "residency rules")]
    {
        root.refuse(key, feature);
    }
}

/// Relative to the file, like every path in it.
fn data_dir(root: &Section<'_>, file: &Path) -> Option<PathBuf> {
    let (path, span) = root.string("data_dir")?;
    if path.is_empty() {
        root.doc.error(span, "`data_dir` is empty", None);
    }
    Some(beside(file, path))
}

fn listen(root: &Section<'_>, keys: &[ClientKey]) -> SocketAddr {
    let Some((text, span)) = root.string("listen") else { return LISTEN };
    let Ok(address) = text.parse::<SocketAddr>() else {
        let hint = "write it as \"127.0.0.1:4000\"".to_owned();
        root.doc.error(span, "`listen` must be an IP address and a port", Some(hint));
        return LISTEN;
    };
    if !address.ip().to_canonical().is_loopback() && keys.is_empty() {
        let hint = "`tollgate keys create NAME`, or add [keys.NAME]; or listen on 127.0.0.1".to_owned();
        let message = format!("`listen` = \"{address}\" is open to others, and no client key is configured");
        root.doc.error(span, message, Some(hint));
    }
    address
}

fn allowed_hosts(root: &Section<'_>) -> Vec<String> {
    let mut hosts = Vec::new();
    for (host, span) in root.strings("allowed_hosts").unwrap_or_default() {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
        if host.is_empty() || !host.bytes().all(plain) {
            let hint = "a name alone, without scheme and port: \"gate.example.com\"".to_owned();
            root.doc.error(span, "`allowed_hosts` holds something that is no host name", Some(hint));
        } else {
            hosts.push(host.to_ascii_lowercase());
        }
    }
    hosts
}

fn limits(root: &Section<'_>) -> Limits {
    let usual = Limits::default();
    let Some(section) = root.section("limits") else { return usual };
    let size = |key, range, usual| {
        section.integer(key, range).and_then(|n| usize::try_from(n).ok()).unwrap_or(usual)
    };
    let limits = Limits {
        body_bytes: size("body_bytes", 1_024..=1 << 30, usual.body_bytes),
        header_bytes: size("header_bytes", 8_192..=1 << 20, usual.header_bytes),
        connections: size("connections", 1..=1_000_000, usual.connections),
        answer_bytes: size("answer_bytes", 65_536..=1 << 30, usual.answer_bytes),
    };
    section.finish();
    limits
}

fn timeouts(root: &Section<'_>) -> Timeouts {
    let usual = Timeouts::default();
    let Some(section) = root.section("timeouts") else { return usual };
    let timeouts = Timeouts {
        connect: section.seconds("connect", usual.connect),
        first_byte: section.seconds("first_byte", usual.first_byte),
        whole: section.seconds("whole", usual.whole),
        idle: section.seconds("idle", usual.idle),
        total: section.seconds("total", usual.total),
    };
    section.finish();
    timeouts
}

fn when_unwritable(root: &Section<'_>) -> WhenUnwritable {
    let Some(section) = root.section("ledger") else { return WhenUnwritable::Serve };
    let choice = match section.string("when_unwritable") {
        None | Some(("serve", _)) => WhenUnwritable::Serve,
        Some(("refuse", _)) => WhenUnwritable::Refuse,
        Some((_, span)) => {
            let hint = "\"serve\" or \"refuse\"".to_owned();
            section.doc.error(span, "`when_unwritable` is none that we know", Some(hint));
            WhenUnwritable::Serve
        }
    };
    section.finish();
    choice
}

fn telemetry(root: &Section<'_>) -> Option<Telemetry> {
    let section = root.section("telemetry")?;
    let semconv = match section.string("semconv") {
        None | Some(("old", _)) => Semconv::Old,
        Some(("new", _)) => Semconv::New,
        Some(("both", _)) => Semconv::Both,
        Some((_, span)) => {
            section.doc.error(
                span,
                "`semconv` is none that we know",
                Some("\"old\", \"new\" or \"both\"".to_owned()),
            );
            Semconv::Old
        }
    };
    let endpoint = section.string("otlp_endpoint");
    if section.get("otlp_endpoint").is_none() {
        let hint = "otlp_endpoint = \"http://127.0.0.1:4318\"".to_owned();
        section.doc.error(section.span.clone(), "`[telemetry]` needs `otlp_endpoint`", Some(hint));
    }
    let telemetry = endpoint.and_then(|(text, span)| {
        let uri = text.parse::<http::Uri>().ok().filter(|uri| uri.host().is_some());
        if !uri.is_some_and(|uri| matches!(uri.scheme_str(), Some("http" | "https"))) {
            section.doc.error(span, "`otlp_endpoint` is no http(s) URL", None);
            return None;
        }
        Some(Telemetry { otlp_endpoint: text.trim_end_matches('/').to_owned(), semconv })
    });
    section.finish();
    telemetry
}

/// The catalogue with the user's overlay. The overlay's own mistakes carry its own name.
fn catalogue(root: &Section<'_>, file: &Path, secrets: &mut Secrets<'_>) -> Catalogue {
    let bare = secrets.sources.catalogue;
    let Some(section) = root.section("catalogue") else { return bare() };
    let overlay = section.string("overlay");
    section.finish();
    let Some((path, span)) = overlay else { return bare() };
    let path = beside(file, path);
    secrets.files.push(path.clone());
    let shown = path.display().to_string();
    let overlaid = match (secrets.sources.file)(&path) {
        Ok(text) => bare().with_overlay(&shown, &text),
        Err(e) => {
            root.doc.error(span, format!("`overlay`: {shown} cannot be read: {e}"), None);
            return bare();
        }
    };
    overlaid.unwrap_or_else(|mistakes| {
        for LoadError { file, line, message } in mistakes {
            root.doc.foreign(ConfigError { file, line, column: 0, message, hint: None });
        }
        bare()
    })
}
