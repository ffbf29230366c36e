//! Reloads: whole or not at all, visible when refused, and quick for revoked keys.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

struct Place {
    dir: tempfile::TempDir,
    store: ConfigStore,
}

fn text(model: &str) -> String {
    // Both names come from one text: a mixture of two texts would show.
    format!(
        "[providers.gpu]\nwire = \"openai\"\nbase_url = \"http://127.0.0.1:9/v1\"\nallow_private = true\n\
         [models.{model}]\ntargets = [\"gpu/{model}\"]\n[routes.r]\ndefault = \"{model}\"\n"
    )
}

impl Place {
    fn new(text: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("tollgate.toml"), text).unwrap();
        let origin =
            Origin::serving(Some(dir.path().join("tollgate.toml")), dir.path().join("data")).unwrap();
        let store = ConfigStore::open(origin.with_env(|_| None)).unwrap();
        Self { dir, store }
    }

    fn origin(&self) -> Origin {
        self.store.origin.clone().unwrap()
    }

    fn write(&self, text: &str) {
        fs::write(self.dir.path().join("tollgate.toml"), text).unwrap();
    }

    /// What two ticks of the watcher do.
    fn two_looks(&self) -> bool {
        let mut pending = None;
        let first = self.store.has_settled(&mut pending);
        assert!(!first, "a change is never read at its first look");
        let settled = self.store.has_settled(&mut pending);
        if settled {
            self.store.reload_and_say();
        }
        settled
    }
}

#[test]
fn a_change_takes_over_whole_and_counts_up() {
    let place = Place::new(&text("a"));
    assert!(!place.two_looks(), "nothing has changed");
    place.write(&text("bb"));
    assert!(place.two_looks());
    let config = place.store.load();
    assert_eq!((config.version, config.routes["r"].default.name.as_str()), (2, "bb"));
    assert!(!config.models.contains_key("a"));
    assert!(!place.two_looks(), "read once");
}

#[test]
fn law_10_a_bad_reload_keeps_the_running_config_and_says_why() {
    let place = Place::new(&text("a"));
    place.write(&format!("{}pick = 7\n", text("bb")));
    assert!(place.two_looks());
    assert_eq!(place.store.load().version, 1);
    let status = serde_json::to_value(place.store.status()).unwrap();
    assert_eq!(status["version"], 1);
    let error = &status["last_error"]["errors"][0];
    assert_eq!(
        (error["line"].as_u64(), error["message"].as_str()),
        (Some(9), Some("unknown key `pick` in `[routes.r]`"))
    );
    fs::remove_file(place.dir.path().join("tollgate.toml")).unwrap();
    assert!(place.two_looks());
    assert_eq!(place.store.load().version, 1, "a file that is gone changes nothing");
    place.write(&text("ccc"));
    assert!(place.two_looks());
    let status = place.store.status();
    assert_eq!((status.version, status.last_error.is_none()), (2, true));
}

#[test]
fn a_file_that_is_still_being_written_is_not_read() {
    let place = Place::new(&text("a"));
    let mut pending = None;
    place.write("");
    assert!(!place.store.has_settled(&mut pending));
    place.write(&text("bb"));
    assert!(!place.store.has_settled(&mut pending), "it moved since the last look");
    assert!(place.store.has_settled(&mut pending));
}

#[test]
fn fn1_15_a_revoked_key_is_refused_after_two_looks() {
    let place = Place::new(&text("a"));
    let data = place.dir.path().join("data");
    let secret = KeyFile::create(&data, "app", Timestamp::UNIX_EPOCH).unwrap();
    let secret = secret.secret.expose();
    assert!(place.two_looks());
    assert_eq!(place.store.load().key_name(secret), Some("app"));
    KeyFile::revoke(&data, "app", Timestamp::UNIX_EPOCH).unwrap();
    assert!(place.two_looks());
    assert_eq!(place.store.load().key_name(secret), None);
    assert!(!place.store.load().keys.is_empty(), "and the server does not become keyless");
}

#[test]
fn secrets_in_files_are_watched() {
    let place = Place::new(&text("a"));
    fs::write(place.dir.path().join("secret"), "first-secret-0123456789\n").unwrap();
    place.write(&format!("{}[keys.app]\nsecret = \"file:secret\"\n", text("a")));
    assert!(place.two_looks());
    assert_eq!(place.store.load().key_name("first-secret-0123456789"), Some("app"));
    fs::write(place.dir.path().join("secret"), "second-secret-01234567890\n").unwrap();
    assert!(place.two_looks());
    assert_eq!(place.store.load().key_name("first-secret-0123456789"), None);
    assert_eq!(place.store.load().key_name("second-secret-01234567890"), Some("app"));
}

#[test]
fn what_is_read_at_start_only_is_named() {
    let place = Place::new(&text("a"));
    place.write(&format!("listen = \"127.0.0.1:4999\"\n[limits]\nconnections = 5\n{}", text("a")));
    for _ in 0..2 {
        place.store.reload().unwrap();
        assert_eq!(place.store.status().needs_restart, ["listen", "limits.connections"]);
        assert_eq!(place.store.load().listen.to_string(), "127.0.0.1:4000", "the socket is what it was");
    }
}

#[test]
fn faults_28_an_open_server_cannot_lose_its_keys() {
    let keyed =
        format!("listen = \"0.0.0.0:4000\"\n{}[keys.app]\nsecret = \"0123456789abcdefghijkl\"\n", text("a"));
    let place = Place::new(&keyed);
    place.write(&text("bb"));
    let errors = place.store.reload().unwrap_err();
    assert!(errors.to_string().contains("would ask for no key"), "{errors}");
    assert_eq!(place.store.load().version, 1);
}

#[test]
fn faults_28_an_address_from_a_flag_is_guarded_too() {
    let place = Place::new(&text("a"));
    let public = Some("0.0.0.0:4000".parse().unwrap());
    let errors = ConfigStore::open(place.origin().with_listen(public)).unwrap_err();
    assert!(errors.to_string().contains("would ask for no key"), "{errors}");
    KeyFile::create(&place.dir.path().join("data"), "app", Timestamp::UNIX_EPOCH).unwrap();
    let store = ConfigStore::open(place.origin().with_listen(public)).unwrap();
    assert_eq!(Some(store.load().listen), public);
    store.reload().unwrap();
    assert_eq!(Some(store.load().listen), public);
    assert!(store.status().needs_restart.is_empty());
}

#[test]
fn faults_17_reloads_under_load_never_show_half_a_config() {
    let place = Place::new(&text("a"));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut newest = 0;
                while !done.load(Ordering::Relaxed) {
                    let config = place.store.load();
                    let name = &config.routes["r"].default.name;
                    assert!(config.models.len() == 1 && config.models.contains_key(name));
                    assert_eq!(config.routes["r"].default.targets[0].id, format!("gpu/{name}"));
                    assert!(config.version >= newest, "never backwards");
                    newest = config.version;
                }
            });
        }
        for i in 0..300 {
            let bad = i % 3 == 0;
            place.write(&if bad { "listen = ".to_owned() } else { text(&"m".repeat(1 + i % 7)) });
            assert_eq!(place.store.reload().is_err(), bad);
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(place.store.load().version, 201);
}
