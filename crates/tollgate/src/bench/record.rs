//! What is written down of one request: times in microseconds since the start of its point.

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Answered to its end, by the server's own word.
    Ok,
    /// Refused, or failed before any token came: the reason in a word or two.
    Error(String),
    /// It began and did not end: cut, timed out, or an error after the first token.
    Incomplete(String),
}

/// Tokens of one request as the server's `usage` counts them. Cached tokens are a part of the input, never added to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// All input.
    pub input: u64,
    /// Of it, read from the server's prefix cache.
    pub cached: u64,
    /// All output, reasoning included.
    pub output: u64,
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// When it was meant to go out.
    pub intended: u32,
    /// When it went out.
    pub sent: u32,
    /// When each event that carried content (text, reasoning, a tool call) had been read.
    pub events: Vec<u32>,
    /// When it was over.
    pub end: u32,
    /// What became of it.
    pub outcome: Outcome,
    /// The server's count; `None` when it sent none.
    pub usage: Option<Tokens>,
    /// It went out so many times again, because the server had closed the connection that it kept.
    pub resent: u32,
}

impl Record {
    /// Answered to its end.
    pub fn is_ok(&self) -> bool {
        self.outcome == Outcome::Ok
    }

    /// Output tokens: the server's count, else one for each event.
    pub fn output(&self) -> u64 {
        self.usage.map_or(self.events.len() as u64, |usage| usage.output)
    }

    /// Time to the first token from the *intended* send time, microseconds: a client or a server that falls behind
    /// does not get to hide it.
    pub fn ttft(&self) -> Option<u32> {
        Some(self.events.first()?.saturating_sub(self.intended))
    }

    /// Time per output token without the first, microseconds. `None` with fewer than two tokens, and where all of
    /// them came in one event.
    pub fn tpot(&self) -> Option<f64> {
        let (first, last) = (self.events.first()?, self.events.last()?);
        let rest = self.output().checked_sub(1).filter(|rest| *rest > 0)?;
        (last > first).then(|| f64::from(last - first) / super::stats::real(rest))
    }

    /// Tokens that an event stands for on average: engines may send several at once.
    pub fn tokens_per_event(&self) -> f64 {
        if self.events.is_empty() {
            return 0.0;
        }
        super::stats::real(self.output()) / super::stats::real(self.events.len() as u64)
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A request that was sent at `sent` and got one token at each of `events`.
    pub fn answered(sent: u32, events: &[u32]) -> Record {
        let output = events.len() as u64;
        Record {
            intended: sent,
            sent,
            events: events.to_vec(),
            end: events.last().copied().unwrap_or(sent),
            outcome: Outcome::Ok,
            usage: Some(Tokens { input: 10, cached: 0, output }),
            resent: 0,
        }
    }

    #[test]
    fn the_first_token_is_no_part_of_tpot() {
        // 500 ms to the first token, then 9 tokens 10 ms apart; with the first in it, it would be 59 ms
        let events: Vec<u32> = (0..10).map(|n| 500_000 + n * 10_000).collect();
        let record = answered(0, &events);
        assert_eq!((record.ttft(), record.tpot()), (Some(500_000), Some(10_000.0)));
        assert_eq!(answered(0, &[5]).tpot(), None);
    }

    #[test]
    fn latency_counts_from_the_intended_time() {
        let record = Record { intended: 100, ..answered(900, &[1_000]) };
        assert_eq!(record.ttft(), Some(900));
    }

    #[test]
    fn several_tokens_in_one_event_do_not_look_like_slow_tokens() {
        let mut record = answered(0, &[0, 40_000, 80_000]);
        record.usage = Some(Tokens { input: 10, cached: 0, output: 9 });
        assert_eq!(record.tpot(), Some(10_000.0));
        assert_eq!(record.tokens_per_event().to_string(), "3");
    }
}
