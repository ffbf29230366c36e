//! Watches the cheap answer: hold, release or escalate.
//!
//! The obvious alternative, to run the checks on whatever has arrived each time something arrives, gives verdicts that
//! depend on how the network cut the answer. Here every check reads the answer character by character or at fixed
//! points of it (the end of the prefix, the end of the answer), so the same answer gets the same verdict however it
//! is cut. Memory is bounded by what the route holds back.

mod json;
mod refusal;
mod repetition;

use std::borrow::Cow;
use std::collections::BTreeMap;

use regex::Regex;

use self::refusal::{Refusal, Seen};
use self::repetition::Repetition;
use crate::{Check, Extent, Judged, Question, Route, Threshold, Until};

/// Bytes of visible text that count as one token. English text has about 4; the estimate is cheap and errs towards
/// holding a little less for other scripts.
const BYTES_PER_TOKEN: usize = 4;
/// Tool calls whose arguments are kept; an answer with more is broken in any case.
const MAX_TOOL_CALLS: usize = 128;

/// What to do with the held bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not decided: keep holding.
    Hold,
    /// Good: flush and forward.
    Release,
    /// Released without a decision, because a bound was reached (`check:undecided`).
    Undecided,
    /// Not good enough: the name of the failed check (`refusal` for `check:refusal`).
    Escalate(String),
}

/// The checks of a route, applied to one answer as it arrives. Feed it pieces in order; after any verdict but
/// [`Verdict::Hold`] it is done, and says the same again.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "what has come so far, each on its own")]
pub struct Gate<'r> {
    route: &'r Route,
    to_end: bool,
    /// Bytes that may be held.
    bound: usize,
    /// Bytes of visible text, refusals and tool arguments so far.
    seen: usize,
    /// The held text, kept only for checks that read it as a whole.
    text: Option<String>,
    /// Tool arguments by call, kept only for the JSON check.
    arguments: Option<BTreeMap<u32, String>>,
    format: Option<String>,
    any_text: bool,
    any_refusal: bool,
    any_tool_call: bool,
    /// More tool calls than anyone makes.
    too_many_calls: bool,
    refusal: Refusal,
    repetition: Repetition,
    /// What the doubt score judges by: the measured prompt and who answers.
    question: Option<(Question, String)>,
    judged: Option<Judged>,
    done: Option<Verdict>,
}

impl<'r> Gate<'r> {
    /// `to_end`: hold the whole answer (see [`crate::Plan::hold_to_end`]). `format`: the request's
    /// `response_format` as JSON text, for the JSON and schema check.
    pub fn new(route: &'r Route, to_end: bool, format: Option<&str>) -> Self {
        let bound = match route.hold(to_end).until {
            Until::Prefix { tokens } => {
                usize::try_from(tokens).unwrap_or(usize::MAX).saturating_mul(BYTES_PER_TOKEN)
            }
            Until::End { bytes } => bytes,
        };
        let json = route.after.iter().any(|c| matches!(c, Check::BrokenJson));
        let reads = json || route.after.iter().any(|c| matches!(c, Check::Regex(_) | Check::DoubtOver(_)));
        Self {
            route,
            to_end: to_end || matches!(route.hold_back.until, Until::End { .. }),
            bound,
            seen: 0,
            text: reads.then(String::new),
            arguments: json.then(BTreeMap::new),
            format: format.filter(|_| json).map(str::to_owned),
            any_text: false,
            any_refusal: false,
            any_tool_call: false,
            too_many_calls: false,
            refusal: Refusal::default(),
            repetition: Repetition::default(),
            question: None,
            judged: None,
            done: None,
        }
    }

    /// What was asked, and whom: without it a doubt check stays undecided. The prompt is read only on a route with one:
    /// taking it out of a request may copy it.
    #[must_use]
    pub fn asked<'p>(mut self, prompt: impl FnOnce() -> Cow<'p, str>, weak_model: &str) -> Self {
        let learned = self.threshold().and_then(|threshold| threshold.learned.as_ref());
        self.question =
            learned.map(|learned| (Question::new(&learned.difficulty, &prompt()), weak_model.to_owned()));
        self
    }

    /// The doubt score that was taken, if one was: for the record.
    pub const fn judged(&self) -> Option<&Judged> {
        self.judged.as_ref()
    }

    fn threshold(&self) -> Option<&'r Threshold> {
        self.route.after.iter().find_map(|check| match check {
            Check::DoubtOver(threshold) => Some(threshold),
            _ => None,
        })
    }

    /// Judges what has come as text. `None`: it cannot be judged.
    fn doubts(&mut self, seen: Extent) -> Option<bool> {
        let (question, weak_model) = self.question.as_ref()?;
        let text = self.text.as_deref().unwrap_or_default();
        self.judged = self.threshold()?.doubt(question, weak_model, text, seen);
        self.judged.as_ref().map(|judged| judged.escalate)
    }

    /// The doubt score reads text: not a refusal, nor tool calls without any.
    const fn has_answer(&self) -> bool {
        self.any_text && !self.any_refusal
    }

    /// Visible text of choice 0.
    pub fn text(&mut self, text: &str) -> Verdict {
        let (refusals, loops) = (self.has(&Check::Refusal), self.has(&Check::Repetition));
        for c in text.chars() {
            if self.done.is_some() {
                break;
            }
            self.any_text |= !c.is_whitespace();
            if let Some(kept) = &mut self.text {
                kept.push(c);
            }
            self.seen += c.len_utf8();
            if refusals && self.refusal.push(c) == Seen::Yes {
                self.fail(&Check::Refusal);
            } else if loops && self.repetition.push(c) {
                self.fail(&Check::Repetition);
            } else {
                self.after_piece();
            }
        }
        self.verdict()
    }

    /// Refusal text.
    pub fn refusal(&mut self, text: &str) -> Verdict {
        if !text.is_empty() && self.done.is_none() {
            self.any_refusal = true;
            self.seen = self.seen.saturating_add(text.len());
            if self.has(&Check::Refusal) {
                self.fail(&Check::Refusal);
            } else {
                self.after_piece();
            }
        }
        self.verdict()
    }

    /// A fragment of tool call number `index`: its JSON arguments so far grow by `arguments`.
    pub fn tool_call(&mut self, index: u32, arguments: &str) -> Verdict {
        if self.done.is_none() {
            self.any_tool_call = true;
            self.keep_arguments(index, arguments);
            self.seen = self.seen.saturating_add(arguments.len());
            self.after_piece();
        }
        self.verdict()
    }

    /// Keeps at most what the bound leaves: an answer that outgrows it is released undecided, so the rest is not
    /// needed.
    fn keep_arguments(&mut self, index: u32, arguments: &str) {
        let room = self.bound.saturating_sub(self.seen);
        let Some(calls) = &mut self.arguments else { return };
        if calls.len() >= MAX_TOOL_CALLS && !calls.contains_key(&index) {
            self.too_many_calls = true;
            return;
        }
        let (fits, _) = arguments.split_at(arguments.floor_char_boundary(room.min(arguments.len())));
        calls.entry(index).or_default().push_str(fits);
    }

    /// The answer ended; `finish` is OpenAI's word, if any. Never [`Verdict::Hold`].
    pub fn end(&mut self, finish: Option<&str>) -> Verdict {
        if self.done.is_none() {
            let doubts = self.has_answer() && self.doubts(Extent::Whole) == Some(true);
            let mut checks = self.route.after.iter();
            let failed = checks.find(|check| match check {
                Check::DoubtOver(_) => doubts,
                check => self.fails_at_end(check, finish),
            });
            self.done =
                Some(failed.map_or(Verdict::Release, |check| Verdict::Escalate(check.as_str().to_owned())));
        }
        self.verdict()
    }

    fn fails_at_end(&self, check: &Check, finish: Option<&str>) -> bool {
        match check {
            Check::Empty => !self.any_text && !self.any_tool_call && !self.any_refusal,
            Check::Refusal => finish == Some("content_filter") || self.refusal.ended(),
            Check::Repetition => self.repetition.ended(),
            Check::Regex(regex) => self.matches(regex, true),
            Check::Truncated => finish == Some("length"),
            Check::BrokenJson => {
                let text = self.text.as_deref().unwrap_or_default();
                let calls = self.arguments.iter().flatten().map(|(_, arguments)| arguments.as_str());
                self.too_many_calls || json::broken(self.format.as_deref(), text, calls, self.any_refusal)
            }
            // Taken before, because it leaves a record.
            Check::DoubtOver(_) => false,
        }
    }

    /// The time bound was reached. Never [`Verdict::Hold`].
    pub fn expired(&mut self) -> Verdict {
        if self.done.is_none() {
            self.done = Some(self.at_bound());
        }
        self.verdict()
    }

    /// The answer so far was text alone, in one piece: what `reconsider` can quote (interface §3b).
    pub const fn text_only(&self) -> bool {
        self.any_text && !self.any_tool_call && !self.any_refusal
    }

    fn has(&self, check: &Check) -> bool {
        self.route.after.iter().any(|c| std::mem::discriminant(c) == std::mem::discriminant(check))
    }

    fn fail(&mut self, check: &Check) {
        self.done = Some(Verdict::Escalate(check.as_str().to_owned()));
    }

    fn verdict(&self) -> Verdict {
        self.done.clone().unwrap_or(Verdict::Hold)
    }

    /// After each character or fragment: is the bound reached, or nothing left to decide?
    fn after_piece(&mut self) {
        if self.seen >= self.bound {
            self.done = Some(self.at_bound());
        } else if !self.to_end && self.route.after.iter().all(|check| self.passed(check)) {
            self.done = Some(Verdict::Release);
        }
    }

    /// Has `check` passed for good, whatever follows? Only then may a prefix be released before its bound.
    fn passed(&self, check: &Check) -> bool {
        match check {
            Check::Empty => self.any_text || self.any_tool_call || self.any_refusal,
            // A tool call is an answer. Text may still follow one, but a refusal opens an answer.
            Check::Refusal => self.refusal.seen() == Seen::No || (self.any_tool_call && !self.any_text),
            Check::Repetition
            | Check::Regex(_)
            | Check::Truncated
            | Check::BrokenJson
            | Check::DoubtOver(_) => false,
        }
    }

    /// No more may be held. Checks that read a prefix decide on what there is; the others stay undecided.
    fn at_bound(&mut self) -> Verdict {
        let mut undecided = false;
        for check in &self.route.after {
            match check {
                Check::DoubtOver(_) => match self.doubts_prefix() {
                    Some(true) => return Verdict::Escalate(check.as_str().to_owned()),
                    Some(false) => {}
                    None => undecided = true,
                },
                Check::Regex(regex) if self.matches(regex, false) => {
                    return Verdict::Escalate(check.as_str().to_owned());
                }
                // A prefix without a loop or a match is what these two ask for, provided that it is a whole prefix.
                Check::Regex(_) | Check::Repetition => undecided |= self.seen < self.bound,
                Check::Truncated | Check::BrokenJson => undecided = true,
                Check::Empty | Check::Refusal => undecided |= !self.passed(check),
            }
        }
        if undecided { Verdict::Undecided } else { Verdict::Release }
    }

    /// Judges a prefix at a fixed point of it. A hold that ends before the first point judges nothing.
    fn doubts_prefix(&mut self) -> Option<bool> {
        if self.to_end {
            return None;
        }
        if !self.has_answer() {
            return Some(false);
        }
        let text = self.text.as_deref().map_or(0, str::len);
        let seen = Extent::within(text)?;
        self.doubts(seen)
    }

    /// Does the caller's regex match? A prefix is read up to its last white space, because a word that is cut in half
    /// is another word (`sure` of `surely`).
    fn matches(&self, regex: &Regex, ended: bool) -> bool {
        let text = self.text.as_deref().unwrap_or_default();
        let cut = if ended { None } else { text.rfind(char::is_whitespace) };
        regex.is_match(cut.and_then(|at| text.get(..at)).unwrap_or(text))
    }
}
