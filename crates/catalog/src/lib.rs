//! What things cost, what they can do, and when they retire.
//!
//! Pure: no clock, no network, no environment. Facts are data files in `data/`, embedded in the binary; a user's
//! overlay (contract prices, private models) wins over them. The price of a call is computed by [`Offer::price`]
//! from disjoint [`Usage`] buckets, exactly.

mod facts;
mod money;
mod price;
mod usage;

pub use facts::{Ability, Auth, Capabilities, Facts, Needs, Offer, Provider, Quirks, Retirement};
pub use money::{Money, MoneyError, Rate};
pub use price::{Context, Cost, PriceLine, Tier, UnknownPrice};
pub use usage::{Basis, Bucket, Usage};

mod catalogue;
pub use catalogue::{AutoList, Catalogue, Hit, LoadError};
