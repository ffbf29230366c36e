//! A small world: several gateways before the same vendors, whose answers slow down with the number of calls in flight.
//! Event by event, with a seeded generator: the same scenario gives the same run.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use catalog::{Ability, Capabilities, Facts, Money, Needs};
use tollgate_router::{Candidate, Group, Measures, Pick, Prompt, Sample, Up, decide};

/// A call that takes longer has failed, in seconds; the next vendor is asked.
const TIMEOUT: f64 = 30.0;

/// A vendor of the one model.
#[derive(Clone, Debug)]
pub struct Vendor {
    pub name: &'static str,
    /// Dollars for one answer.
    pub usd: &'static str,
    /// Seconds to the first token when nobody else asks.
    pub ttft: f64,
    /// Output tokens a second when nobody else asks.
    pub tokens_per_second: f64,
    /// Calls in flight at which everything takes twice as long.
    pub room: f64,
}

/// What happens to one vendor for a while.
#[derive(Clone, Copy, Debug)]
pub struct Trouble {
    pub vendor: usize,
    pub from: f64,
    pub to: f64,
    /// Everything takes this many times as long.
    pub slower: f64,
    /// Share of calls that fail, after a second.
    pub failing: f64,
}

#[derive(Clone, Debug)]
pub struct Scenario {
    pub gateways: usize,
    /// Requests a second, over all gateways.
    pub rate: f64,
    /// Seconds to simulate.
    pub length: f64,
    pub vendors: Vec<Vendor>,
    pub troubles: Vec<Trouble>,
    pub seed: u64,
}

/// How a gateway chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// As listed.
    Order,
    /// By chance.
    Random,
    /// By the list price.
    Cheapest,
    /// Always the best score by the gateway's own measurements: what `adaptive` would be without spreading.
    AlwaysBest,
    /// `pick = "adaptive"`.
    Adaptive,
}

impl Policy {
    pub const ALL: [Self; 5] = [Self::Order, Self::Random, Self::Cheapest, Self::AlwaysBest, Self::Adaptive];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Random => "random",
            Self::Cheapest => "cheapest",
            Self::AlwaysBest => "always best",
            Self::Adaptive => "adaptive",
        }
    }
}

/// One request that has ended.
#[derive(Clone, Copy, Debug)]
pub struct Served {
    /// When it came.
    pub at: f64,
    /// Somebody answered.
    pub answered: bool,
    /// Seconds from its coming to its end, failed calls before it included.
    pub seconds: f64,
    /// Dollars.
    pub usd: f64,
    /// Who was asked first.
    pub first: usize,
}

/// The world's three usual vendors: one cheap and fast, one dearer and as fast, one in between and slower.
pub fn vendors() -> Vec<Vendor> {
    let vendor =
        |name, usd, ttft, tokens_per_second, room| Vendor { name, usd, ttft, tokens_per_second, room };
    vec![
        vendor("north", "0.00060", 0.35, 120.0, 60.0),
        vendor("south", "0.00080", 0.40, 110.0, 60.0),
        vendor("west", "0.00070", 0.80, 60.0, 60.0),
    ]
}

/// splitmix64: small, and the same on every machine.
#[derive(Clone, Debug)]
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In (0, 1).
    fn share(&mut self) -> f64 {
        (f64::from(u32::try_from(self.next() >> 32).unwrap_or(0)) + 0.5) / 4_294_967_296.0
    }

    /// Exponential with mean 1.
    fn waiting(&mut self) -> f64 {
        -self.share().ln()
    }

    /// Log-normal with median 1, by the sum of twelve uniforms.
    fn jitter(&mut self, sigma: f64) -> f64 {
        let normal: f64 = (0..12).map(|_| self.share()).sum::<f64>() - 6.0;
        (sigma * normal).exp()
    }
}

/// A request on its way.
struct Pending {
    gateway: usize,
    came: f64,
    called: f64,
    ttft: f64,
    tokens: f64,
    fails: bool,
    order: Vec<usize>,
    tries: usize,
    usd: f64,
}

struct World<'s> {
    scenario: &'s Scenario,
    policy: Policy,
    dice: Dice,
    /// By gateway and vendor.
    measures: Vec<Vec<Measures>>,
    in_flight: Vec<f64>,
    /// Ends of calls, soonest first: microseconds and slot.
    ends: BinaryHeap<Reverse<(u64, usize)>>,
    slots: Vec<Option<Pending>>,
    served: Vec<Served>,
}

/// Runs a scenario under a policy: every request, in the order of its end.
pub fn run(scenario: &Scenario, policy: Policy) -> Vec<Served> {
    let count = scenario.vendors.len();
    let mut world = World {
        scenario,
        policy,
        dice: Dice(scenario.seed),
        measures: vec![vec![Measures::default(); count]; scenario.gateways],
        in_flight: vec![0.0; count],
        ends: BinaryHeap::new(),
        slots: Vec::new(),
        served: Vec::new(),
    };
    let mut now = 0.0;
    while now < scenario.length {
        now += world.dice.waiting() / scenario.rate;
        world.until(now);
        world.comes(now);
    }
    world.until(f64::INFINITY);
    world.served
}

impl World<'_> {
    /// Plays every end of a call before `now`.
    fn until(&mut self, now: f64) {
        while let Some(Reverse((micros, slot))) = self.ends.peek().copied() {
            let at = Duration::from_micros(micros).as_secs_f64();
            if at > now {
                return;
            }
            self.ends.pop();
            self.ends_at(at, slot);
        }
    }

    fn comes(&mut self, now: f64) {
        let gateway = usize::try_from(self.dice.next() % self.scenario.gateways as u64).unwrap_or(0);
        let order = self.order(gateway, now);
        let tokens = (150.0 * self.dice.jitter(0.5)).ceil();
        let pending = Pending {
            gateway,
            came: now,
            called: now,
            ttft: 0.0,
            tokens,
            fails: false,
            order,
            tries: 0,
            usd: 0.0,
        };
        self.call(now, pending);
    }

    fn call(&mut self, now: f64, mut pending: Pending) {
        let at = pending.order[pending.tries % pending.order.len()];
        let vendor = &self.scenario.vendors[at];
        let trouble = self.scenario.troubles.iter().find(|t| t.vendor == at && (t.from..t.to).contains(&now));
        let (slower, failing) = trouble.map_or((1.0, 0.0), |t| (t.slower, t.failing));
        let crowd = slower * (1.0 + self.in_flight[at] / vendor.room);
        pending.called = now;
        pending.fails = self.dice.share() < failing;
        pending.ttft = vendor.ttft * crowd * self.dice.jitter(0.3);
        let rest = pending.tokens / vendor.tokens_per_second * crowd * self.dice.jitter(0.1);
        let mut seconds = if pending.fails { 1.0 } else { pending.ttft + rest };
        if seconds > TIMEOUT {
            (seconds, pending.fails) = (TIMEOUT, true);
        }
        if !pending.fails {
            pending.usd = vendor.usd.parse().expect("a number");
        }
        self.in_flight[at] += 1.0;
        let end = Duration::from_secs_f64(now + seconds).as_micros();
        self.ends.push(Reverse((u64::try_from(end).expect("hours"), self.slots.len())));
        self.slots.push(Some(pending));
    }

    fn ends_at(&mut self, now: f64, slot: usize) {
        let mut pending = self.slots[slot].take().expect("it ends once");
        let vendor = pending.order[pending.tries % pending.order.len()];
        self.in_flight[vendor] -= 1.0;
        let measures = &mut self.measures[pending.gateway][vendor];
        let clock = Duration::from_secs_f64(now);
        if pending.fails {
            measures.failed(clock);
            pending.tries += 1;
            if pending.tries < pending.order.len() {
                self.call(now, pending);
            } else {
                self.ended(now, &pending, false);
            }
            return;
        }
        let sample = Sample {
            ttft: Some(Duration::from_secs_f64(pending.ttft)),
            total: Duration::from_secs_f64(now - pending.called),
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few hundred")]
            output_tokens: pending.tokens as u64,
            ..Sample::default()
        };
        measures.answered(&sample, clock);
        self.ended(now, &pending, true);
    }

    fn ended(&mut self, now: f64, pending: &Pending, answered: bool) {
        let Pending { came, usd, ref order, .. } = *pending;
        self.served.push(Served { at: came, answered, seconds: now - came, usd, first: order[0] });
    }

    /// The vendors in the order in which this gateway tries them for one request.
    fn order(&mut self, gateway: usize, now: f64) -> Vec<usize> {
        let draw = self.dice.next();
        let count = self.scenario.vendors.len();
        let mut order: Vec<usize> = (0..count).collect();
        match self.policy {
            Policy::Order => {}
            Policy::Random => order.rotate_left(usize::try_from(draw % count as u64).unwrap_or(0)),
            Policy::Cheapest => order.sort_by_key(|v| money(self.scenario.vendors[*v].usd)),
            Policy::AlwaysBest | Policy::Adaptive => return self.decided(gateway, now, draw),
        }
        order
    }

    /// What the router itself decides.
    fn decided(&self, gateway: usize, now: f64, draw: u64) -> Vec<usize> {
        let facts = facts();
        let known = &self.measures[gateway];
        let vendors = self.scenario.vendors.iter().zip(known);
        let candidates = vendors.map(|(vendor, measures)| Candidate {
            target: vendor.name,
            facts: &facts,
            endpoints: &[],
            up: Up::Closed,
            ttft_ms: None,
            price: Some(money(vendor.usd)),
            cache: None,
            warm: false,
            measured: Some(measures.at(Duration::from_secs_f64(now))),
            weight: 1,
            retired: false,
        });
        let group = Group { name: "model", pick: Pick::ADAPTIVE, candidates: candidates.collect() };
        let plan = decide(None, &prompt(draw), &group, None).expect("a candidate");
        let index = |name: &str| {
            self.scenario.vendors.iter().position(|v| v.name == name).expect("a vendor of this world")
        };
        let mut order: Vec<usize> = plan.first.targets.iter().map(|t| index(t)).collect();
        if self.policy == Policy::AlwaysBest {
            let score = |v: &usize| {
                let kept = plan.explanation.candidates.iter().find(|k| index(&k.target) == *v);
                kept.and_then(|k| k.adaptive).map_or(f64::INFINITY, |placed| placed.score)
            };
            order.sort_by(|a, b| score(a).total_cmp(&score(b)));
        }
        order
    }
}

fn money(usd: &str) -> Money {
    Money::parse_usd(usd).expect("dollars")
}

fn facts() -> Facts {
    use Ability::Yes;
    let can = Capabilities {
        images: Yes,
        audio: Yes,
        files: Yes,
        tools: Yes,
        parallel_tools: Yes,
        json_mode: Yes,
        json_schema: Yes,
        logprobs: Yes,
        n: Yes,
        chat: Yes,
        embeddings: Yes,
        completions: Yes,
    };
    Facts { context: Some(128_000), max_output: Some(16_000), can, reasoning: false }
}

fn prompt(draw: u64) -> Prompt<'static> {
    Prompt {
        op: "chat",
        last_user: "",
        input_tokens: 400,
        max_output_tokens: Some(150),
        stream: true,
        needs: Needs::default(),
        tool_turn: false,
        session: 0,
        draw: Some(draw),
        bound_to: None,
    }
}

/// Means over requests that came in a span of time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Means {
    pub seconds: f64,
    /// The slowest twentieth begins here.
    pub p95: f64,
    /// Dollars for a thousand requests.
    pub usd_per_thousand: f64,
    /// Share that nobody answered.
    pub unanswered: f64,
}

pub fn means(served: &[Served], from: f64, to: f64) -> Means {
    let mut seconds: Vec<f64> = within(served, from, to).map(|s| s.seconds).collect();
    seconds.sort_by(f64::total_cmp);
    let count = f64::from(u32::try_from(seconds.len()).expect("fewer than 2^32"));
    let usd: f64 = within(served, from, to).map(|s| s.usd).sum();
    Means {
        seconds: seconds.iter().sum::<f64>() / count,
        p95: seconds.get(seconds.len() * 95 / 100).copied().unwrap_or_default(),
        usd_per_thousand: 1_000.0 * usd / count,
        unanswered: within(served, from, to).map(|s| if s.answered { 0.0 } else { 1.0 }).sum::<f64>() / count,
    }
}

/// Share of a vendor among those asked first in a span of time; NaN when nobody came.
pub fn share(served: &[Served], vendor: usize, from: f64, to: f64) -> f64 {
    let (mut all, mut here) = (0.0, 0.0);
    for one in within(served, from, to) {
        all += 1.0;
        here += if one.first == vendor { 1.0 } else { 0.0 };
    }
    here / all
}

fn within(served: &[Served], from: f64, to: f64) -> impl Iterator<Item = &Served> {
    served.iter().filter(move |s| (from..to).contains(&s.at))
}

/// Spread (standard deviation) of a vendor's share over windows of ten seconds: what herding makes large.
pub fn swing(served: &[Served], vendor: usize, from: f64, to: f64) -> f64 {
    let mut shares = Vec::new();
    let mut at = from;
    while at < to {
        shares.push(share(served, vendor, at, at + 10.0));
        at += 10.0;
    }
    let shares: Vec<f64> = shares.into_iter().filter(|s| !s.is_nan()).collect();
    let count = f64::from(u32::try_from(shares.len()).expect("fewer than 2^32"));
    let mean = shares.iter().sum::<f64>() / count;
    (shares.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / count).sqrt()
}

/// Seconds after `from` until the vendor's share, over ten seconds, first satisfies `good` and still does in the next
/// ten; `None` when it never does before `to`.
pub fn settles(
    served: &[Served],
    vendor: usize,
    from: f64,
    to: f64,
    good: impl Fn(f64) -> bool,
) -> Option<f64> {
    let mut at = from;
    while at + 20.0 <= to {
        if good(share(served, vendor, at, at + 10.0)) && good(share(served, vendor, at + 10.0, at + 20.0)) {
            return Some(at - from);
        }
        at += 1.0;
    }
    None
}
