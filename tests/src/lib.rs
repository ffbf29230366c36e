//! What whole-system tests share: a gateway on port 0, simulated vendors, a client.
