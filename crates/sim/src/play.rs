//! Turns an answer into steps on the wire: timing, framing, and the faults that happen after the head.

use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use serde_json::Value;

use crate::dialect::{Event, Speak};
use crate::fault::Fault;
use crate::gzip;
use crate::script::Step;
use crate::{Framing, Tally, Timing, VendorSpec};

/// One performance.
#[derive(Debug)]
pub(crate) struct Play<'s> {
    pub spec: &'s VendorSpec,
    faults: &'s [Fault],
    timing: Timing,
    rng: Rng,
}

impl<'s> Play<'s> {
    pub fn new(spec: &'s VendorSpec, faults: &'s [Fault], rng: Rng) -> Self {
        let mut timing = spec.timing;
        for fault in faults {
            match fault {
                Fault::Slow(slow) => timing = *slow,
                Fault::SlowFirstToken(more) => timing.first_token += *more,
                _ => {}
            }
        }
        Self { spec, faults, timing, rng }
    }

    /// The body is gzip.
    pub fn gzip(&self) -> bool {
        self.faults.contains(&Fault::Gzip)
    }

    fn jittered(&mut self, time: Duration) -> Duration {
        if time.is_zero() { time } else { time.mul_f64(1.0 + self.timing.jitter.max(0.0) * self.rng.f64()) }
    }
}

fn send(bytes: impl Into<Bytes>) -> Step {
    Step::Send { bytes: bytes.into(), output: 0, reasoning: 0 }
}

/// A buffered answer: the wait before its head, its steps, its announced length.
pub(crate) fn whole_steps(
    voice: &dyn Speak,
    body: &Value,
    tally: &Tally,
    play: &mut Play<'_>,
) -> (Duration, Vec<Step>, Option<usize>) {
    let chunks = (tally.output + tally.reasoning).div_ceil(play.spec.chunk_tokens.max(1));
    let gaps = play.timing.gap.saturating_mul(u32::try_from(chunks.saturating_sub(1)).unwrap_or(u32::MAX));
    let wait = play.jittered(play.timing.head + play.timing.first_token + gaps);
    let mut bytes = body.to_string().into_bytes();
    if play.gzip() {
        bytes = gzip::stored(&bytes);
    }
    let full = Step::Send { bytes: bytes.clone().into(), output: tally.output, reasoning: tally.reasoning };
    for fault in play.faults {
        let half = bytes.len() / 2;
        match fault {
            Fault::HangAfterHead | Fault::Stall { .. } => return (wait, vec![Step::Hang], Some(bytes.len())),
            Fault::ErrorInOk { .. } => {
                let error = voice.error(&voice.overload()).1.to_string();
                let length = error.len();
                return (wait, vec![send(error), Step::Fail], Some(length));
            }
            Fault::TruncatedBody { clean } => {
                let cut = Bytes::copy_from_slice(bytes.get(..half).unwrap_or_default());
                let step = Step::Send { bytes: cut, output: tally.output, reasoning: tally.reasoning };
                let (last, length) = if *clean { (Step::End, half) } else { (Step::Break, bytes.len()) };
                return (wait, vec![step, last], Some(length));
            }
            _ => {}
        }
    }
    (wait, vec![full], Some(bytes.len()))
}

/// A streamed answer: the wait before its head, and its steps.
pub(crate) fn stream_steps(
    voice: &dyn Speak,
    events: Vec<Event>,
    play: &mut Play<'_>,
) -> (Duration, Vec<Step>) {
    let wait = play.jittered(play.timing.head);
    let mut steps = Vec::with_capacity(events.len() * 2 + 2);
    if play.spec.framing == Framing::Commented {
        steps.push(send("\u{feff}"));
    }
    let mut spoken = false;
    for (number, event) in events.into_iter().enumerate() {
        if interrupt(voice, number, play, &mut steps) {
            return (wait, steps);
        }
        if event.content {
            let time = if spoken { play.timing.gap } else { play.timing.first_token };
            spoken = true;
            steps.push(Step::Wait(play.jittered(time)));
        }
        write(&event, play.spec, &mut steps);
    }
    if play.gzip() {
        steps = vec![joined(&steps)];
    }
    (wait, steps)
}

/// The faults before event `number`; true when the stream is over.
fn interrupt(voice: &dyn Speak, number: usize, play: &Play<'_>, steps: &mut Vec<Step>) -> bool {
    for fault in play.faults {
        match fault {
            Fault::HangAfterHead if number == 0 => steps.push(Step::Hang),
            Fault::Stall { after } if *after == number => steps.push(Step::Hang),
            Fault::ErrorInOk { after } if *after == number => {
                write(&voice.error_event(&voice.overload()), play.spec, steps);
                steps.push(Step::Fail);
            }
            Fault::Cut { after, clean } if *after == number => {
                steps.push(if *clean { Step::End } else { Step::Break });
            }
            Fault::Garbage { after } if *after == number => {
                write(&Event::data("\u{0}}{ not json \u{fffd}".to_owned()), play.spec, steps);
                continue;
            }
            Fault::HugeLine { after, bytes } if *after == number => {
                write(&Event::data("x".repeat(*bytes)), play.spec, steps);
                continue;
            }
            _ => continue,
        }
        return true;
    }
    false
}

/// Frames an event and splits it into writes.
fn write(event: &Event, spec: &VendorSpec, steps: &mut Vec<Step>) {
    let framed = Bytes::from(frame(event, spec.framing));
    let size = if spec.write_bytes == 0 { framed.len().max(1) } else { spec.write_bytes };
    let mut at = 0;
    while at < framed.len() {
        let end = (at + size).min(framed.len());
        let last = end == framed.len();
        // billed once the whole event is out
        let (output, reasoning) = if last { (event.output, event.reasoning) } else { (0, 0) };
        steps.push(Step::Send { bytes: framed.slice(at..end), output, reasoning });
        at = end;
    }
}

fn frame(event: &Event, framing: Framing) -> String {
    let (colon, end) = match framing {
        Framing::Plain | Framing::Commented => (": ", "\n"),
        Framing::Crlf => (": ", "\r\n"),
        Framing::Tight => (":", "\n"),
    };
    let mut out = String::with_capacity(event.data.len() + 48);
    let mut line = |name: &str, value: &str| {
        out.push_str(name);
        out.push_str(colon);
        out.push_str(value);
        out.push_str(end);
    };
    if framing == Framing::Commented {
        line("", "a comment");
        line("id", "7");
        line("retry", "1000");
    }
    if let Some(name) = event.name {
        line("event", name);
    }
    line("data", &event.data);
    if framing == Framing::Commented {
        line("", "another comment");
    }
    out.push_str(end);
    out
}

/// All bytes as one gzip body, billed together.
fn joined(steps: &[Step]) -> Step {
    let (mut all, mut output, mut reasoning) = (Vec::new(), 0, 0);
    for step in steps {
        if let Step::Send { bytes, output: spoken, reasoning: thought } = step {
            all.extend_from_slice(bytes);
            output += spoken;
            reasoning += thought;
        }
    }
    Step::Send { bytes: gzip::stored(&all).into(), output, reasoning }
}
