//! Accelerators as data: `data/hardware/*.toml`, a family of them a file.
//!
//! A datasheet prints the figure with sparsity and the marketing size of the memory; here stand the dense figure and
//! the memory that the driver reports, because a capacity that is built on the others is never reached.
//! Ids are spelled as in the published measurements, e.g. `H100-SXM-80GB`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::{embedded, nearest};

/// An accelerator. All figures are of one of them, at its stock power limit.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hardware {
    /// As the measurements spell it, e.g. `H100-SXM-80GB`.
    pub id: String,
    /// Other spellings; the bare family names its commonest variant.
    #[serde(default)]
    pub names: Vec<String>,
    /// Who makes it: `nvidia`, `amd`, `intel`.
    pub vendor: String,
    /// The generation, e.g. `hopper`, `blackwell`, `cdna3`.
    pub architecture: String,
    /// Memory that a program can see, in GiB.
    pub memory_gib: f64,
    /// Peak memory bandwidth in GB/s (10⁹ bytes).
    pub bandwidth_gb_s: f64,
    /// Dense peak rates. A precision that is missing is not computed by the hardware.
    pub tflops: Tflops,
    /// Power limit in watts.
    pub power_w: f64,
    /// How it reaches its neighbours.
    pub link: Link,
    /// How many share one domain of that link.
    pub gpus_per_node: u32,
    /// Where the figures above are from.
    pub source: String,
    /// The day on which they were read.
    pub as_of: Date,
    /// What it rents for.
    #[serde(default)]
    pub rent: Vec<Rent>,
}

/// Dense tensor peak in TFLOPS (TOPS for `int8`).
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tflops {
    /// 16-bit floats (bf16, or fp16 where there is no bf16).
    pub bf16: f64,
    /// 8-bit floats.
    pub fp8: Option<f64>,
    /// 4-bit floats.
    pub fp4: Option<f64>,
    /// 8-bit integers.
    pub int8: Option<f64>,
}

/// A link between accelerators.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// `nvlink`, `infinity-fabric`, `pcie`, `ethernet`.
    pub kind: String,
    /// GB/s in one direction, per accelerator.
    pub gb_s: f64,
}

/// For how long one commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Term {
    /// By the hour, at any time.
    OnDemand,
    /// By the hour, taken away when somebody pays more.
    Spot,
    /// For a year.
    #[serde(rename = "reserved-1y")]
    Reserved1y,
    /// For three years.
    #[serde(rename = "reserved-3y")]
    Reserved3y,
}

/// A price at which somebody rented it out.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rent {
    /// Who, e.g. `lambda`, `aws`.
    pub by: String,
    /// For how long one commits.
    pub term: Term,
    /// US dollars for one accelerator for one hour.
    pub usd_per_gpu_hour: f64,
    /// Where the price was printed.
    pub source: String,
    /// The day of the price.
    pub as_of: Date,
    /// What else to know of it.
    #[serde(default)]
    pub note: Option<String>,
}

/// Hardware that is not rented by the hour but answers per token (Groq, Cerebras, `SambaNova`).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hosted {
    /// E.g. `Groq-LPU`.
    pub id: String,
    /// Other spellings.
    #[serde(default)]
    pub names: Vec<String>,
    /// The provider in the price catalogue that sells its tokens.
    pub provider: String,
    /// Why there is no capacity to model.
    pub note: String,
    /// Where that is from.
    pub source: String,
    /// The day on which it was read.
    pub as_of: Date,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    gpu: Vec<Hardware>,
    #[serde(default)]
    hosted: Vec<Hosted>,
}

/// No accelerator, or no model, has that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no {what} is named `{name}`; the nearest are {}", nearest.join(", "))]
pub struct UnknownName {
    /// `accelerator` or `model`.
    pub what: &'static str,
    /// What was asked for.
    pub name: String,
    /// Up to three names that exist.
    pub nearest: Vec<String>,
}

impl Hardware {
    /// Memory in bytes.
    pub fn memory_bytes(&self) -> f64 {
        self.memory_gib * 1_073_741_824.0
    }

    /// The rate that matrices of `bits` per weight are multiplied at, in TFLOPS.
    ///
    /// Weights narrower than what the hardware computes are widened first, so they run at the next wider rate: 8-bit
    /// weights on an A100 save memory and bandwidth but compute at 16 bits.
    pub fn tflops_at(&self, bits: u32) -> f64 {
        let fp8 = self.tflops.fp8.unwrap_or(self.tflops.bf16);
        match bits {
            0..=4 => self.tflops.fp4.unwrap_or(fp8),
            5..=8 => fp8,
            _ => self.tflops.bf16,
        }
    }

    /// The newest price of that term, the cheapest of one day first.
    pub fn rent_at(&self, term: Term) -> Option<&Rent> {
        let of_term = self.rent.iter().filter(|rent| rent.term == term);
        of_term.max_by(|a, b| {
            (a.as_of, -a.usd_per_gpu_hour)
                .partial_cmp(&(b.as_of, -b.usd_per_gpu_hour))
                .unwrap_or(std::cmp::Ordering::Equal)
        })
    }

    fn complaints(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut within = |what: &str, value: f64, least: f64, most: f64| {
            if !(least..=most).contains(&value) {
                wrong.push(format!("{}: {what} = {value} is not between {least} and {most}", self.id));
            }
        };
        within("memory_gib", self.memory_gib, 4.0, 2_000.0);
        within("bandwidth_gb_s", self.bandwidth_gb_s, 100.0, 100_000.0);
        within("power_w", self.power_w, 20.0, 10_000.0);
        within("link.gb_s", self.link.gb_s, 1.0, 10_000.0);
        within("gpus_per_node", f64::from(self.gpus_per_node), 1.0, 1_024.0);
        let rates = [Some(self.tflops.bf16), self.tflops.fp8, self.tflops.fp4, self.tflops.int8];
        for rate in rates.into_iter().flatten() {
            within("tflops", rate, 10.0, 200_000.0);
        }
        for rent in &self.rent {
            within("rent.usd_per_gpu_hour", rent.usd_per_gpu_hour, 0.01, 1_000.0);
        }
        if self.source.is_empty() || self.rent.iter().any(|rent| rent.source.is_empty()) {
            wrong.push(format!("{}: a figure has no source", self.id));
        }
        wrong
    }
}

/// Reads a file of accelerators: the shipped ones, or a user's own hardware in the same form. All errors at once.
pub fn parse(name: &str, text: &str) -> Result<(Vec<Hardware>, Vec<Hosted>), Vec<String>> {
    let file: File = toml::from_str(text).map_err(|error| vec![format!("{name}: {error}")])?;
    let wrong: Vec<String> =
        file.gpu.iter().flat_map(Hardware::complaints).map(|why| format!("{name}: {why}")).collect();
    if wrong.is_empty() { Ok((file.gpu, file.hosted)) } else { Err(wrong) }
}

static SHIPPED: LazyLock<(Vec<Hardware>, Vec<Hosted>)> = LazyLock::new(|| {
    // A file that does not parse fails `every_file_is_valid`; at run time its accelerators are simply unknown.
    let files = embedded::HARDWARE.iter().filter_map(|(name, text)| parse(name, text).ok());
    let mut all = (Vec::new(), Vec::new());
    for (gpus, hosted) in files {
        all.0.extend(gpus);
        all.1.extend(hosted);
    }
    all
});

static BY_NAME: LazyLock<BTreeMap<String, usize>> = LazyLock::new(|| {
    let all = SHIPPED.0.iter().enumerate();
    all.flat_map(|(at, gpu)| std::iter::once(&gpu.id).chain(&gpu.names).map(move |name| (fold(name), at)))
        .collect()
});

/// Every accelerator that we know.
pub fn all() -> &'static [Hardware] {
    &SHIPPED.0
}

/// Every kind of specialised hardware that is sold per token.
pub fn hosted() -> &'static [Hosted] {
    &SHIPPED.1
}

/// The specialised hardware of that name, if it is sold per token.
pub fn sold_per_token(name: &str) -> Option<&'static Hosted> {
    let wanted = fold(name);
    let named =
        |hosted: &&Hosted| std::iter::once(&hosted.id).chain(&hosted.names).any(|n| fold(n) == wanted);
    SHIPPED.1.iter().find(named)
}

/// The accelerator of that name, whatever its case and with or without the vendor's name before it.
pub fn find(name: &str) -> Result<&'static Hardware, UnknownName> {
    let found = BY_NAME.get(&fold(name)).and_then(|at| SHIPPED.0.get(*at));
    found.ok_or_else(|| {
        let ids = SHIPPED.0.iter().flat_map(|gpu| std::iter::once(&gpu.id).chain(&gpu.names));
        let nearest = nearest(name, ids.map(String::as_str), 3);
        UnknownName {
            what: "accelerator",
            name: name.to_owned(),
            nearest: nearest.into_iter().map(str::to_owned).collect(),
        }
    })
}

/// `NVIDIA H100 SXM 80GB` → `h100-sxm-80gb`.
fn fold(name: &str) -> String {
    let plain = name.trim().to_ascii_lowercase().replace([' ', '_', '/'], "-");
    let bare = plain.strip_prefix("nvidia-").or_else(|| plain.strip_prefix("amd-")).unwrap_or(&plain);
    bare.strip_prefix("instinct-").unwrap_or(bare).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_valid() {
        for (name, text) in embedded::HARDWARE {
            assert_eq!(parse(name, text).err(), None, "{name}");
        }
    }

    #[test]
    fn no_two_accelerators_share_a_name() {
        let names: usize = all().iter().map(|gpu| 1 + gpu.names.len()).sum();
        assert_eq!(BY_NAME.len(), names);
    }

    #[test]
    fn the_ids_of_the_measurements_are_known() {
        for id in [
            "H100-SXM-80GB",
            "B200-SXM-180GB",
            "B300-SXM",
            "GB200-192GB",
            "L40S-48GB",
            "MI300X-192GB",
            "MI325X-256GB",
            "RTX-PRO-6000-Blackwell-SE-96GB",
        ] {
            assert_eq!(find(id).map(|gpu| gpu.id.as_str()), Ok(id));
        }
    }

    #[test]
    fn a_name_is_found_whatever_its_spelling_and_a_wrong_one_hears_the_nearest() {
        assert_eq!(find("NVIDIA H100 SXM").unwrap().id, "H100-SXM-80GB");
        assert_eq!(find("amd instinct mi355x").unwrap().id, "MI355X-288GB");
        let unknown = find("H1000-SXM").unwrap_err();
        assert!(unknown.nearest.iter().any(|name| name.starts_with("H100")), "{unknown}");
    }

    #[test]
    fn specialised_hardware_has_a_provider_in_the_price_catalogue() {
        assert_eq!(hosted().len(), 3);
        let catalogue = crate::Catalogue::builtin();
        for hosted in hosted() {
            assert!(catalogue.hosts().any(|host| host == hosted.provider), "{}", hosted.id);
        }
        assert_eq!(sold_per_token("groq").map(|h| h.provider.as_str()), Some("groq"));
        assert!(sold_per_token("H100").is_none());
    }

    #[test]
    fn eight_bit_weights_on_an_a100_compute_at_sixteen() {
        let a100 = find("A100").unwrap();
        assert_eq!(a100.tflops.fp8, None);
        assert!((a100.tflops_at(8) - 312.0).abs() < 1e-9);
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let (_, text) = embedded::HARDWARE.iter().find(|(name, _)| *name == "h200").unwrap();
        let broken = text.replace("bandwidth_gb_s = 4800.0", "bandwidth_gb_s = -1.0");
        let wrong = parse("h200", &broken).unwrap_err();
        assert_eq!(wrong.len(), 2, "{wrong:?}");
        assert!(parse("h200", &text.replace("power_w", "powerw")).is_err());
    }
}
