//! The gate: HTTP in, HTTP out, every attempt metered.
