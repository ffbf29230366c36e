//! The rules of the house that Cargo can check: arrows point down only, and the pure crates stay pure.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Our crates from the bottom up, each with those of ours that it may name.
const ARROWS: [(&str, &[&str]); 10] = [
    ("tollgate-catalog", &[]),
    ("tollgate-wire", &["tollgate-catalog"]),
    ("tollgate-router", &["tollgate-catalog"]),
    ("tollgate-ledger", &["tollgate-catalog"]),
    ("tollgate-tco", &["tollgate-catalog"]),
    ("tollgate-web", &["tollgate-tco"]),
    (
        "tollgate-gateway",
        &[
            "tollgate-catalog",
            "tollgate-wire",
            "tollgate-router",
            "tollgate-ledger",
            "tollgate-tco",
            "tollgate-web",
        ],
    ),
    ("tollgate-sim", &[]),
    (
        "tollgate",
        &[
            "tollgate-catalog",
            "tollgate-wire",
            "tollgate-router",
            "tollgate-ledger",
            "tollgate-tco",
            "tollgate-web",
            "tollgate-gateway",
            "tollgate-sim",
        ],
    ),
    ("xtask", &["tollgate-catalog"]),
];

const PURE: [&str; 5] =
    ["tollgate-catalog", "tollgate-wire", "tollgate-router", "tollgate-tco", "tollgate-web"];

/// What a pure crate must not bring along, directly or through another crate.
const IMPURE: [&str; 14] = [
    "aws-lc-rs",
    "axum",
    "async-std",
    "hyper",
    "hyper-util",
    "mio",
    "reqwest",
    "rusqlite",
    "rustls",
    "socket2",
    "sqlx",
    "tokio",
    "tracing-subscriber",
    "ureq",
];

/// Ways to the clock, the environment, files, the network and threads.
const WORLD: [&str; 11] = [
    "Instant::now",
    "SystemTime::now",
    "Timestamp::now",
    "Zoned::now",
    "std::env::",
    "std::fs::",
    "std::net::",
    "std::process::",
    "std::thread::",
    "use std::env",
    "use std::fs",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Package name → names of its dependencies, without those for tests.
fn normal_dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--locked", "--format-version", "1", "--quiet"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let names: BTreeMap<&str, &str> = metadata["packages"]
        .as_array()
        .expect("packages")
        .iter()
        .map(|package| (package["id"].as_str().expect("id"), package["name"].as_str().expect("name")))
        .collect();
    metadata["resolve"]["nodes"]
        .as_array()
        .expect("nodes")
        .iter()
        .map(|node| {
            let normal = node["deps"].as_array().expect("deps").iter().filter(|dependency| {
                dependency["dep_kinds"].as_array().expect("kinds").iter().any(|kind| kind["kind"].is_null())
            });
            let normal = normal.map(|dependency| names[dependency["pkg"].as_str().expect("pkg")].to_owned());
            (names[node["id"].as_str().expect("id")].to_owned(), normal.collect())
        })
        .collect()
}

#[test]
fn arrows_between_our_crates_point_down_only() {
    let graph = normal_dependencies();
    let ours: BTreeSet<&str> = ARROWS.iter().map(|(name, _)| *name).collect();
    for (name, may) in ARROWS {
        for dependency in &graph[name] {
            let allowed = !ours.contains(dependency.as_str()) || may.contains(&dependency.as_str());
            assert!(allowed, "{name} must not depend on {dependency}");
        }
    }
}

#[test]
fn pure_crates_bring_no_runtime_no_http_and_no_sql() {
    let graph = normal_dependencies();
    for name in PURE {
        let (mut seen, mut open) = (BTreeSet::new(), vec![name.to_owned()]);
        while let Some(package) = open.pop() {
            assert!(!IMPURE.contains(&package.as_str()), "{name} must stay pure, but brings {package}");
            for dependency in &graph[&package] {
                if seen.insert(dependency.clone()) {
                    open.push(dependency.clone());
                }
            }
        }
        assert!(!seen.is_empty(), "{name} is in the graph");
    }
}

#[test]
fn pure_crates_take_the_world_as_arguments() {
    for name in PURE {
        let folder = root().join("crates").join(name.trim_start_matches("tollgate-")).join("src");
        let files = rust_files(&folder);
        assert!(!files.is_empty(), "{} holds code", folder.display());
        for file in files {
            let code = std::fs::read_to_string(&file).expect("readable");
            // Tests may read golden files.
            let code = code.split("#[cfg(test)]").next().unwrap_or_default();
            for word in WORLD {
                assert!(!code.contains(word), "{} uses {word}", file.display());
            }
        }
    }
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("folder") {
        let path = entry.expect("entry").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("tests.rs") {
            files.push(path);
        }
    }
    files
}
