//! An explanation as JSON, for each request. A derived serializer looks at every byte of every name and text for
//! something to escape; here names are written as they are, and texts are copied where nothing needs an escape. A test
//! holds the two against each other.

use serde::Serialize;

use crate::{Excluded, Explanation, Kept, Role, Up};

impl Explanation {
    /// The JSON that its derived serializer gives, to the byte.
    pub fn to_json(&self) -> String {
        // Room for the usual route of two models.
        let mut out = Vec::with_capacity(1_536);
        let text = |out: &mut Vec<u8>, value: &String| write_text(value, out);
        out.extend_from_slice(b"{\"route\":");
        match &self.route {
            Some(route) => write_text(route, &mut out),
            None => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b",\"reason\":");
        write_text(&self.reason, &mut out);
        out.extend_from_slice(b",\"input_tokens\":");
        write_value(&self.input_tokens, &mut out);
        out.extend_from_slice(b",\"needs\":");
        write_list(&self.needs, &mut out, text);
        out.extend_from_slice(b",\"rules\":");
        write_list(&self.rules, &mut out, text);
        out.extend_from_slice(b",\"candidates\":");
        write_list(&self.candidates, &mut out, |out, kept| kept.write(out));
        out.extend_from_slice(b",\"excluded\":");
        write_list(&self.excluded, &mut out, |out, excluded| excluded.write(out));
        out.extend_from_slice(b",\"checks\":");
        write_list(&self.checks, &mut out, text);
        out.extend_from_slice(b",\"hold\":");
        write_text(&self.hold, &mut out);
        out.extend_from_slice(b",\"how\":");
        write_text(self.how, &mut out);
        out.extend_from_slice(b",\"notes\":");
        write_list(&self.notes, &mut out, text);
        if let Some(difficulty) = &self.difficulty {
            out.extend_from_slice(b",\"difficulty\":");
            write_value(difficulty, &mut out);
        }
        out.push(b'}');
        // Only text was put in.
        String::from_utf8(out).unwrap_or_default()
    }
}

impl Kept {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"target\":");
        write_text(&self.target, out);
        out.extend_from_slice(b",\"model\":");
        write_text(&self.model, out);
        out.extend_from_slice(match self.role {
            Role::First => b",\"role\":\"first\",\"pick\":",
            Role::Escalation => b",\"role\":\"escalation\",\"pick\":",
        });
        write_text(self.pick, out);
        out.extend_from_slice(match self.up {
            Up::Closed => b",\"up\":\"closed\",\"price_usd\":",
            Up::HalfOpen => b",\"up\":\"half_open\",\"price_usd\":",
            Up::Open => b",\"up\":\"open\",\"price_usd\":",
        });
        write_value(&self.price_usd, out);
        out.extend_from_slice(b",\"ttft_ms\":");
        write_value(&self.ttft_ms, out);
        if let Some(cache) = &self.cache {
            out.extend_from_slice(b",\"cache\":");
            write_value(cache, out);
        }
        if let Some(adaptive) = &self.adaptive {
            out.extend_from_slice(b",\"adaptive\":");
            write_value(adaptive, out);
        }
        out.extend_from_slice(b",\"weight\":");
        write_value(&self.weight, out);
        if let Some(unsure) = &self.unsure {
            out.extend_from_slice(b",\"unsure\":");
            write_text(unsure, out);
        }
        out.push(b'}');
    }
}

impl Excluded {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"target\":");
        write_text(&self.target, out);
        out.extend_from_slice(b",\"why\":");
        write_text(&self.why, out);
        out.push(b'}');
    }
}

fn write_list<T>(items: &[T], out: &mut Vec<u8>, write: impl Fn(&mut Vec<u8>, &T)) {
    out.push(b'[');
    for (n, item) in items.iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(b']');
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    // All bytes are looked at, so that the compiler does it many at a time.
    let special = |found: u8, byte: u8| {
        found | u8::from(byte < 0x20) | u8::from(byte == b'"') | u8::from(byte == b'\\')
    };
    if text.bytes().fold(0, special) == 0 {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        write_value(text, out);
    }
}

fn write_value<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    // Writing into a Vec cannot fail, and none of these values refuses to be written.
    let _ = serde_json::to_writer(out, value);
}

#[cfg(test)]
mod tests {
    use catalog::Money;
    use proptest::prelude::*;

    use super::*;
    use crate::adaptive::Placed;
    use crate::{Cached, Judged};

    fn kept() -> impl Strategy<Value = Kept> {
        let up = prop_oneof![Just(Up::Closed), Just(Up::HalfOpen), Just(Up::Open)];
        let role = prop_oneof![Just(Role::First), Just(Role::Escalation)];
        let figures = (any::<Option<i64>>(), any::<Option<f64>>(), any::<u32>());
        let (cache, placed) = (any::<Option<(f64, bool)>>(), any::<Option<f64>>());
        ((any::<String>(), any::<String>(), any::<Option<String>>()), role, up, figures, cache, placed)
            .prop_map(|((target, model, unsure), role, up, (price, ttft_ms, weight), cache, placed)| Kept {
                target,
                model,
                role,
                pick: "order",
                up,
                price_usd: price.map(|pico| Money::from_pico(pico.into())),
                ttft_ms,
                cache: cache.map(|(hit_rate, measured)| Cached { hit_rate, measured }),
                adaptive: placed.map(|x| Placed { share: x, seconds: x, success: x, answers: x, score: x }),
                weight,
                unsure,
            })
    }

    fn texts() -> impl Strategy<Value = Vec<String>> {
        proptest::collection::vec(any::<String>(), 0..3)
    }

    proptest! {
        #[test]
        fn it_is_what_the_derived_serializer_gives(
            (route, reason, input_tokens, hold) in any::<(Option<String>, String, u64, String)>(),
            (needs, rules, checks, notes) in (texts(), texts(), texts(), texts()),
            candidates in proptest::collection::vec(kept(), 0..3),
            excluded in proptest::collection::vec(any::<(String, String)>(), 0..3),
            score in any::<Option<f64>>(),
        ) {
            let difficulty = score.map(|score| Judged {
                score, over: 0.5, escalate: true, benchmark_gain: 0.1, coverage: 1.0, domain: "known",
                at: None, features: vec![("words", 3.0)], weights: "w".to_owned(),
            });
            let excluded = excluded.into_iter().map(|(target, why)| Excluded { target, why }).collect();
            let how = "fresh";
            let told = Explanation {
                route, reason, input_tokens, needs, rules, candidates, excluded, checks, hold, how, notes, difficulty,
            };
            prop_assert_eq!(told.to_json(), serde_json::to_string(&told).unwrap());
        }
    }
}
