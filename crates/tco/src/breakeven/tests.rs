//! The closed forms against brute force and against figures worked out by hand.

use proptest::prelude::*;

use super::*;

/// The source article's self-hosted replica at 70 % of 4,762 output tok/s, with its overhead of $380k a year.
fn article(usd_per_year: f64) -> Fleet {
    Fleet::new(2.80, 10_000.0 / 2.1, 0.7, usd_per_year / 365.0)
}

const TOGETHER: f64 = 0.88;

fn edges(fleet: &Fleet, price: f64) -> VolumeEdges {
    volume_edges(fleet, OutputPrice::new(price)).unwrap()
}

/// First win and last loss in whole millions, as the published table counts.
fn in_millions(fleet: &Fleet) -> (u64, u64) {
    let saw = edges(fleet, TOGETHER).whole.unwrap();
    (saw.first_win.0.div_ceil(1_000_000), saw.last_loss.unwrap().0 / 1_000_000)
}

#[test]
fn unit_costs_are_those_of_the_formula() {
    assert!((unit_cost(6.0, 10_000.0 / 2.1, 0.7) - 0.5).abs() < 1e-12);
    assert!((unit_cost(2.8, 50e6 / 86_400.0, 1.0) - 1.344).abs() < 1e-12);
}

#[test]
fn both_edges_of_the_saw_tooth_in_whole_millions() {
    for (usd_per_year, spares, expected) in [
        (380_000.0, 0, (1_642, 1_641)),
        (380_000.0, 1, (1_718, 1_793)),
        (400_000.0, 0, (1_704, 1_779)),
        (400_000.0, 1, (1_857, 1_856)),
        (200_000.0, 0, (852, 928)),
        (200_000.0, 1, (1_005, 1_004)),
    ] {
        let fleet = article(usd_per_year).with_spares(spares);
        assert_eq!(in_millions(&fleet), expected, "{usd_per_year} with {spares} spares");
    }
}

#[test]
fn divisible_volume_and_its_lower_bound_stand_together() {
    let found = edges(&article(380_000.0), TOGETHER);
    assert!((found.divisible.unwrap() / 1e6 - 1_610.0).abs() < 0.5);
    assert!((found.v_min.unwrap() / 1e6 - 1_183.0).abs() < 0.5);
}

#[test]
fn none_says_that_a_token_costs_more_at_home() {
    let fleet = Fleet::new(2.80, 50e6 / 86_400.0, 1.0, 380_000.0 / 365.0);
    let found = edges(&fleet, TOGETHER);
    let reason = found.whole.unwrap_err();
    assert_eq!(reason.code(), "unit_cost_at_least_price");
    assert_eq!(
        reason.to_string(),
        "c ≥ p: a million output tokens cost $1.3440 on own GPUs and $0.8800 elsewhere"
    );
    assert!(found.divisible.is_err());
    assert!(found.v_min.is_some(), "the lower bound stands all the same");
    // At c = p to the pico-dollar there is no win either.
    assert!(edges(&fleet, 1.344).whole.is_err());
    assert!(edges(&fleet, 1.345).whole.is_ok());
}

#[test]
fn edges_are_exact_at_volumes_that_no_scan_reaches() {
    // p − c = 1e-6 of a dollar per million: the edge lies at a quadrillion tokens a day.
    let fleet = Fleet::new(2.80, 50e6 / 86_400.0, 1.0, 380_000.0 / 365.0);
    let price = OutputPrice::new(1.344_001);
    let saw = volume_edges(&fleet, price).unwrap().whole.unwrap();
    let exact = Exact::of(&fleet).unwrap();
    let wins = |v: u64| {
        let bill = 1_344_001_000_000_i128 * i128::from(v);
        let day = 67_200_000_000_000_i128 * exact.replicas(OutputTokensPerDay(v));
        bill > (day + 1_041_095_890_410_959) * 1_000_000
    };
    assert!(saw.first_win.0 > 1_000_000_000_000_000);
    assert!(wins(saw.first_win.0) && !wins(saw.first_win.0 - 1));
    let last = saw.last_loss.unwrap().0;
    assert!(!wins(last) && wins(last + 1) && last > saw.first_win.0);
}

#[test]
fn the_same_share_escalated_on_both_sides_changes_the_edge_only_by_the_share() {
    let closed = OutputPrice::new(82.5);
    let share = 0.2;
    let alone = edges(&article(380_000.0), TOGETHER);
    let fleet =
        article(380_000.0).with_escalation(1.0 - share, OutputPrice::new(share * closed.usd_per_million()));
    let hybrid = volume_edges(&fleet, OutputPrice::new(TOGETHER).escalating(share, closed)).unwrap();
    // The fleet carries 80 % of the tokens, and so needs 1 / 0.8 of the volume.
    let (alone, both) = (alone.divisible.unwrap(), hybrid.divisible.unwrap());
    assert!((both * 0.8 / alone - 1.0).abs() < 1e-9, "{both} {alone}");
    assert!((hybrid.v_min.unwrap() - fleet.overhead_usd_per_day / (TOGETHER * 0.8) * 1e6).abs() < 1e-3);
}

#[test]
fn at_a_volume_each_edge_makes_the_bills_equal() {
    let fleet = article(380_000.0).with_spares(1);
    let (price, volume) = (OutputPrice::new(TOGETHER), OutputTokensPerDay(2_000_000_000));
    let bill = 1_760.0;
    let gpu_hour = gpu_hour_price(&fleet, 2, price, volume).unwrap().unwrap();
    let dear = Fleet { replica_usd_per_hour: 2.0 * gpu_hour, ..fleet };
    assert!((dear.usd_per_day(volume).unwrap() - bill).abs() < 1e-6);
    let most = overhead(&fleet, price, volume).unwrap().unwrap();
    let heavy = Fleet { overhead_usd_per_day: most, ..fleet };
    assert!((heavy.usd_per_day(volume).unwrap() - bill).abs() < 1e-6);
    let per_million = token_price(&fleet, volume).unwrap().usd_per_million();
    assert!((per_million * 2_000.0 - fleet.usd_per_day(volume).unwrap()).abs() < 1e-6);
    let busy = utilisation(&fleet, price, Some(volume)).unwrap().unwrap();
    let divisible = unit_cost(2.80, fleet.output_tok_s, busy) * 2_000.0 + fleet.overhead_usd_per_day;
    assert!((divisible - bill).abs() < 1e-6);
}

#[test]
fn break_even_utilisation_without_overhead() {
    let price = OutputPrice::new(TOGETHER);
    let reserved = article(0.0);
    let on_demand = Fleet { replica_usd_per_hour: 6.0, ..reserved };
    assert!((utilisation(&reserved, price, None).unwrap().unwrap() - 0.186).abs() < 5e-4);
    assert!((utilisation(&on_demand, price, None).unwrap().unwrap() - 0.398).abs() < 5e-4);
    let slow = Fleet { output_tok_s: 50e6 / 86_400.0, ..reserved };
    let none = utilisation(&slow, price, None).unwrap().unwrap_err();
    assert_eq!(none.code(), "utilisation_above_one");
    assert!(none.to_string().ends_with("152.7 %"), "{none}");
}

#[test]
fn a_bill_below_the_overhead_says_so_with_the_lower_bound() {
    let volume = OutputTokensPerDay(1_000_000_000);
    let none =
        gpu_hour_price(&article(380_000.0), 2, OutputPrice::new(TOGETHER), volume).unwrap().unwrap_err();
    assert_eq!(none.code(), "overhead_above_bill");
    assert_eq!(
        none.to_string(),
        "overhead above the bill: $1041.10 a day against $880.00; with free GPUs it takes 1183063512 output tokens/day"
    );
}

#[test]
fn numbers_out_of_range_are_named() {
    let good = article(380_000.0);
    for (bad, name) in [
        (Fleet { replica_usd_per_hour: -1.0, ..good }, "replica_usd_per_hour"),
        (Fleet { output_tok_s: 0.0, ..good }, "output_tok_s"),
        (Fleet { output_tok_s: 1e300, ..good }, "output_tok_s"),
        (Fleet { utilisation: 1.01, ..good }, "utilisation"),
        (Fleet { overhead_usd_per_day: f64::NAN, ..good }, "overhead_usd_per_day"),
        (Fleet { served_share: 0.0, ..good }, "served_share"),
    ] {
        assert_eq!(volume_edges(&bad, OutputPrice::new(1.0)).unwrap_err().name, name);
    }
    assert_eq!(volume_edges(&good, OutputPrice::new(f64::INFINITY)).unwrap_err().name, "price");
}

#[test]
fn tokens_of_one_kind_become_those_of_another() {
    let mix = TokenMix { input: 0.6, output: 0.4 };
    assert!((mix.from_output(30e9, TokenKind::Total) - 75e9).abs() < 1.0);
    assert!((mix.to_output(75e9, TokenKind::Total) - 30e9).abs() < 1.0);
    assert!((mix.from_output(2.0, TokenKind::Input) - 3.0).abs() < 1e-12);
    let price = OutputPrice::from_list(8.0, 32.0, mix).usd_per_million();
    assert!((price - 44.0).abs() < 1e-12, "17.60 per million tokens in total: {price}");
}

proptest! {
    /// Whole dollars per day and per million, small replicas: every volume can be tried.
    #[test]
    fn both_edges_equal_brute_force(
        replica in 0_u32..40, carries in 1_u32..60, fixed in 0_u32..300, spares in 0_u32..4, price in 0_u32..12,
    ) {
        // Dollars per token here, and so dollars · 10⁶ per million.
        let fleet = Fleet::new(f64::from(replica) / 24.0, f64::from(carries) / 86_400.0, 1.0, f64::from(fixed))
            .with_spares(spares);
        let found = volume_edges(&fleet, OutputPrice::new(f64::from(price) * 1e6)).unwrap();
        let wins = |v: u32| price * v > (v.div_ceil(carries) + spares) * replica + fixed;
        // gain ≥ 1 per full replica: past this many tokens nothing changes.
        let most = carries * (fixed + spares * replica + carries * price + 2);
        let scanned = (1..=most).find(|v| wins(*v)).filter(|_| price * carries > replica);
        let last = (1..=most).rev().find(|v| !wins(*v));
        match found.whole {
            Ok(saw) => {
                prop_assert_eq!(Some(saw.first_win.0), scanned.map(u64::from));
                prop_assert_eq!(saw.last_loss.map(|v| v.0), last.map(u64::from));
            }
            Err(reason) => {
                prop_assert_eq!(reason.code(), "unit_cost_at_least_price");
                prop_assert!(price * carries <= replica);
            }
        }
    }

    /// The divisible edge never lies above the last loss, and the lower bound never above the first win.
    #[test]
    fn the_edges_stand_in_order(
        rate in 0.1_f64..20.0, capacity in 10.0_f64..1e4, used in 0.05_f64..1.0, overhead in 0.0_f64..5e3,
        spares in 0_u32..3, price in 0.05_f64..80.0,
    ) {
        let fleet = Fleet::new(rate, capacity, used, overhead).with_spares(spares);
        let found = volume_edges(&fleet, OutputPrice::new(price)).unwrap();
        prop_assert_eq!(found.divisible.is_ok(), found.whole.is_ok());
        if let (Ok(divisible), Ok(saw)) = (found.divisible, found.whole) {
            prop_assert!(found.v_min.unwrap() <= saw.first_win.as_f64());
            prop_assert!(saw.last_loss.unwrap().as_f64() + 1.0 >= divisible.floor());
            prop_assert!(saw.first_win.0 <= saw.last_loss.unwrap().0 + 1);
        }
    }
}
