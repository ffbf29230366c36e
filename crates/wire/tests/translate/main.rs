//! The translating wires, from outside: OpenAI in, the vendor's dialect out, and back.

mod anthropic;
mod golden;
mod support;

use tollgate_wire as wire;
