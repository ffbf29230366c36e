//! All whole-system tests in one program: seventeen of them would link the same gateway seventeen times.

mod answers;
mod bad_input;
mod browser;
mod clients;
mod crash;
mod disk;
mod examples;
mod explain;
mod failover;
mod gate;
mod house;
mod leaks;
mod money;
mod pressure;
mod reload;
mod sdk_programs;
mod spec;
