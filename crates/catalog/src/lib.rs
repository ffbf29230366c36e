//! What things cost, what they can do, and when they retire.
//!
//! Pure: no clock, no network, no environment. Facts are data files in `data/`, embedded in the binary; a user's
//! overlay (contract prices, private models) wins over them. The price of a call is computed by [`Offer::price`]
//! from disjoint [`Usage`] buckets, exactly.
//!
//! | data | what | by |
//! |---|---|---|
//! | `data/providers/*.toml` | a host each: URL, wire, auth, quirks | hand |
//! | `data/prices/<source>-<date>.json` | prices, capabilities, retirement dates; old ones stay | `cargo xtask prices` |
//! | `data/prices/overlay.toml` | prices that we know better | hand, each with source and day |
//! | `data/models/*.toml` | families, aliases, single facts | hand, each with source and day |
//! | `data/hardware/*.toml` | accelerators and what they rent for | hand, each figure with source and day |
//! | `data/architectures/*.toml` | layers, heads, experts of open models | hand, each with source and day |
//! | `data/auto.toml` | what `auto` is made from | hand, dated |

pub mod architecture;
mod catalogue;
mod compare;
mod draft;
mod embedded;
mod facts;
mod family;
pub mod hardware;
mod host;
pub mod import;
mod money;
mod names;
mod overlay;
mod price;
mod rates;
mod schedule;
mod shelf;
pub mod snapshot;
mod usage;

pub use architecture::ModelFacts;
pub use catalogue::{AutoList, Catalogue, Hit, LoadError};
pub use compare::{Difference, Scope};
pub use facts::{
    Ability, Auth, Capabilities, Facts, ListPrice, Needs, Offer, Origin, Provider, Quirks, Retirement,
};
pub use hardware::Hardware;
pub use money::{Money, MoneyError, Rate};
pub use names::nearest;
pub use price::{Context, Cost, PriceLine, Tier, UnknownPrice};
pub use usage::{Basis, Bucket, Usage};
