//! All whole-system tests in one program: one a file would link the same gateway again and again.

mod adaptive;
mod answers;
mod api;
mod bad_input;
mod bench;
mod browser;
mod clients;
mod crash;
mod demo;
mod disk;
mod eval;
mod examples;
mod explain;
mod failover;
mod gate;
mod house;
mod leaks;
mod money;
mod pressure;
mod reload;
mod routes;
mod sdk_programs;
mod spec;
mod tco;
mod telemetry;
mod wires;
