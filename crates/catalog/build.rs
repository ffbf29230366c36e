//! Lists the files in `data/`, so that a new host or snapshot is one new file and no edit of code.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root = env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?;
    let out = env::var("OUT_DIR").map_err(io::Error::other)?;
    let mut code = String::new();
    for (name, folder, ending, doc) in [
        ("PROVIDERS", "providers", ".toml", "Hosts"),
        ("MODELS", "models", ".toml", "Model facts"),
        ("SNAPSHOTS", "prices", ".json", "Price snapshots"),
        ("HARDWARE", "hardware", ".toml", "Accelerators"),
        ("ARCHITECTURES", "architectures", ".toml", "Shapes of models"),
    ] {
        let folder = Path::new(&root).join("data").join(folder);
        println!("cargo::rerun-if-changed={}", folder.display());
        let mut files: Vec<String> = fs::read_dir(&folder)?
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|file| file.ends_with(ending))
            .collect();
        files.sort();
        let _ = writeln!(code, "/// {doc}: file name without its ending, text.");
        let _ = writeln!(code, "pub(crate) static {name}: &[(&str, &str)] = &[");
        for file in files {
            let stem = file.trim_end_matches(ending);
            let path = folder.join(&file);
            let _ = writeln!(code, "    ({stem:?}, include_str!({:?})),", path.display().to_string());
        }
        code.push_str("];\n");
    }
    fs::write(Path::new(&out).join("embedded.rs"), code)
}
