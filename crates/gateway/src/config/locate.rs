//! Where the configuration and the data directory are (interface §3).

use std::path::{Path, PathBuf};

use toml::de::DeTable;

/// The file that is read when none is named.
const FILE: &str = "tollgate.toml";

/// Where the configuration is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Located {
    /// In this file.
    File(PathBuf),
    /// Nowhere: zero config.
    None,
}

impl Located {
    /// The file, if there is one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(file) => Some(file),
            Self::None => None,
        }
    }
}

/// `--config FILE` > `TOLLGATE_CONFIG` > `./tollgate.toml` > none. `named` is the flag; a file that is named is taken
/// even when it is missing, so that the load says so.
pub fn locate(
    named: Option<&Path>,
    env: &dyn Fn(&str) -> Option<String>,
    exists: &dyn Fn(&Path) -> bool,
) -> Located {
    let from_env = || env("TOLLGATE_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
    let usual = || Some(PathBuf::from(FILE)).filter(|path| exists(path));
    named.map(Path::to_owned).or_else(from_env).or_else(usual).map_or(Located::None, Located::File)
}

/// `--data-dir` > `TOLLGATE_DATA_DIR` > `data_dir` (relative to the config file) > `$XDG_STATE_HOME/tollgate` >
/// `~/.local/state/tollgate`. `named` is the flag, `config` the config file with its text. `None` when not even a home is known.
pub fn data_dir(
    named: Option<&Path>,
    config: Option<(&Path, &str)>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Option<PathBuf> {
    let set = |name: &str| env(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let configured = || config.and_then(|(file, text)| configured(file, text));
    let state = || Some(set("XDG_STATE_HOME").filter(|p| p.is_absolute())?.join("tollgate"));
    let home = || Some(set("HOME")?.join(".local/state/tollgate"));
    named
        .map(Path::to_owned)
        .or_else(|| set("TOLLGATE_DATA_DIR"))
        .or_else(configured)
        .or_else(state)
        .or_else(home)
}

/// `data_dir` of a config text, even one with mistakes elsewhere: `tollgate spend` works while the config is being edited.
fn configured(file: &Path, text: &str) -> Option<PathBuf> {
    let (table, _) = DeTable::parse_recoverable(text);
    let path = table.get_ref().get("data_dir")?.get_ref().as_str()?;
    Some(beside(file, path)).filter(|_| !path.is_empty())
}

/// A path relative to the directory of `file`.
pub(super) fn beside(file: &Path, path: &str) -> PathBuf {
    file.parent().unwrap_or(Path::new("")).join(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env<'a>(pairs: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
        |name| pairs.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned())
    }

    #[test]
    fn the_flag_wins_then_the_variable_then_the_usual_file() {
        let here = |_: &Path| true;
        let set = env(&[("TOLLGATE_CONFIG", "b.toml")]);
        assert_eq!(locate(Some("a.toml".as_ref()), &set, &here), Located::File("a.toml".into()));
        assert_eq!(locate(None, &set, &here), Located::File("b.toml".into()));
        assert_eq!(locate(None, &env(&[]), &here), Located::File(FILE.into()));
        assert_eq!(locate(None, &env(&[]), &|_| false), Located::None);
    }

    #[test]
    fn the_data_directory_is_found_in_order() {
        let all = [("TOLLGATE_DATA_DIR", "/env"), ("XDG_STATE_HOME", "/xdg"), ("HOME", "/home/u")];
        let file = Some((Path::new("/etc/tollgate.toml"), "data_dir = \"data\"\n= broken"));
        let find = |named: Option<&str>, file, skip| {
            data_dir(named.map(Path::new), file, &env(&all[skip..])).unwrap().display().to_string()
        };
        assert_eq!(find(Some("/flag"), file, 0), "/flag");
        assert_eq!(find(None, file, 0), "/env");
        assert_eq!(find(None, file, 1), "/etc/data");
        assert_eq!(find(None, None, 1), "/xdg/tollgate");
        assert_eq!(find(None, None, 2), "/home/u/.local/state/tollgate");
        assert_eq!(data_dir(None, None, &env(&[])), None);
    }
}
