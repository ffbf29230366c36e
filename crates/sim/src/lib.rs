//! Simulated vendors over real HTTP: they speak the OpenAI, Anthropic and Gemini dialects with declared latencies and
//! faults. The demo and the tests use the same ones. This crate knows nothing of the gateway: it sees only what a
//! vendor would see.
