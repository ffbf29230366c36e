//! Takes plotly.js out of the crate `plotly`, which carries it, so that the build needs neither Node nor the network and
//! no copy of a library lies in this repository. Only the compressed script gets into the binary: `plotly` itself is a
//! build dependency.

use std::error::Error;
use std::io::Write as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

/// What a page's own script and style consist of, in this order.
const SCRIPTS: [&str; 3] = ["assets/load.js", "assets/charts.js", "assets/report.js"];
const STYLES: [&str; 2] = ["assets/tokens.css", "assets/report.css"];

fn main() -> Result<(), Box<dyn Error>> {
    let out = std::env::var("OUT_DIR")?;
    let out = Path::new(&out);
    let plotly = plotly()?;
    let mut gzip = flate2::GzBuilder::new().mtime(0).write(Vec::new(), flate2::Compression::best());
    gzip.write_all(plotly.as_bytes())?;
    let gzip = gzip.finish()?;
    std::fs::write(out.join("plotly.min.js.gz"), &gzip)?;
    std::fs::write(out.join("plotly.min.js.gz.base85"), base85(&gzip))?;
    std::fs::write(out.join("plotly.sha256"), hash(&plotly))?;
    for (name, parts) in [("report.js", &SCRIPTS[..]), ("report.css", &STYLES[..])] {
        let texts: Result<Vec<String>, _> = parts.iter().map(std::fs::read_to_string).collect();
        let text = texts?.join("\n");
        std::fs::write(out.join(format!("{name}.sha256")), hash(&text))?;
        std::fs::write(out.join(name), text)?;
    }
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=assets");
    Ok(())
}

/// The library's text: the body of the first script that the crate would put into a page (the second is `MathJax`).
fn plotly() -> Result<String, Box<dyn Error>> {
    let sources = plotly::Plot::offline_js_sources();
    let start = sources.find("<script").ok_or("no script in the crate plotly")?;
    let rest = sources.get(start..).unwrap_or_default();
    let body = rest.split_once('>').ok_or("a script without an end")?.1;
    let (script, _) = body.split_once("</script>").ok_or("a script without an end")?;
    if !script.contains("plotly.js v") {
        return Err("the first script of the crate plotly is not plotly.js".into());
    }
    Ok(script.to_owned())
}

/// Four bytes as five characters from `(` to `~` without `<` and `\`, so that no text of them can end an element. A
/// quarter longer than the bytes, where base64 is a third: what keeps a report under 2 MB. load.js reads it.
fn base85(bytes: &[u8]) -> String {
    let alphabet: Vec<char> = ('('..='~').filter(|c| !matches!(c, '<' | '\\')).collect();
    let mut text = String::with_capacity(bytes.len() / 4 * 5 + 5);
    for chunk in bytes.chunks(4) {
        let mut word = [0_u8; 4];
        word.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
        let word = usize::try_from(u32::from_be_bytes(word)).unwrap_or_default();
        let digits =
            [85_usize.pow(4), 85_usize.pow(3), 85_usize.pow(2), 85, 1].map(|place| word / place % 85);
        text.extend(digits.iter().filter_map(|digit| alphabet.get(*digit)));
    }
    text
}

/// As a content-security policy spells it, without the quotes.
fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text.as_bytes())))
}
