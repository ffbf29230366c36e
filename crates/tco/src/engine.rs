//! A scenario compiled into numbers: a stack's cost is a function of one slice of values.
//!
//! The same code makes the bill and the draw: it adds amounts to a [`bill::Bill`], which either keeps each as a line with
//! its formula or only sums. So a simulation cannot disagree with the table, and costs no text.

pub(crate) mod api;
pub(crate) mod bill;
pub(crate) mod hybrid;
pub(crate) mod own;
pub(crate) mod stack;
pub(crate) mod traffic;

pub(crate) use bill::{Bill, Draft, Lines, Sum};
pub(crate) use stack::{Body, Component, Stack};
pub(crate) use traffic::{ClassVars, Flow, Traffic, VolumeUnit, World};
