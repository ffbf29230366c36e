//! Rules, one by one; the source article as a whole is tested in `tests/article.rs`.

use super::*;

fn judged(text: &str) -> Vec<Judged> {
    match Claims::read(text).and_then(|claims| claims.audit()) {
        Ok(judged) => judged,
        Err(errors) => panic!("{}", told(&errors)),
    }
}

fn told(errors: &[ClaimError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn mistakes(text: &str) -> String {
    told(&Claims::read(text).and_then(|claims| claims.audit()).expect_err(text))
}

/// One claim behind `[inputs]`.
fn one(inputs: &str, claim: &str) -> Judged {
    let text = format!("[inputs]\n{inputs}\n[[claim]]\nid = \"X1\"\nquote = \"as printed\"\n{claim}\n");
    judged(&text).pop().unwrap()
}

fn verdict(inputs: &str, claim: &str) -> Option<Verdict> {
    one(inputs, claim).verdict
}

#[test]
fn a_changed_input_changes_the_verdict() {
    let claim = "kind = 'winner'\nstated = 'self-hosted'\nformula = 'cheapest(serverless = 25 * p, self_hosted = R * 24)'";
    assert_eq!(verdict("p = 0.88\nR = 2.80", claim), Some(Verdict::Reversed));
    assert_eq!(verdict("p = 0.88\nR = 0.90", claim), Some(Verdict::Ok));
    assert_eq!(verdict("p = 2.70\nR = 2.80", claim), Some(Verdict::Ok));
}

#[test]
fn values_are_ok_rounded_or_wrong() {
    let value =
        |stated: &str| verdict("x = 36.36", &format!("kind = 'value'\nstated = {stated}\nformula = 'x'"));
    for (stated, expected) in [
        ("36", Verdict::Ok),
        ("36.4", Verdict::Ok),
        ("'36×'", Verdict::Ok),
        ("35", Verdict::Rounded),
        ("30", Verdict::Wrong),
        ("'30–35×'", Verdict::Rounded),
        ("'36–37×'", Verdict::Ok),
    ] {
        assert_eq!(value(stated), Some(expected), "{stated}");
    }
    let row = "kind = 'value'\nstated = [7, 16]\nformula = ['x / 4.76', 'x / 2']";
    assert_eq!(verdict("x = 36.36", row), Some(Verdict::Wrong), "18.18 printed as 16");
}

#[test]
fn one_figure_for_several_cases_must_fit_each() {
    let claim = "kind = 'value'\nstated = 80\nformula = '[75 / 0.90, 75 / 0.79]'";
    assert_eq!(verdict("", claim), Some(Verdict::Wrong));
}

#[test]
fn an_input_that_nobody_states_is_solved_for() {
    let claim =
        "kind = 'value'\nstated = '$17.60'\nformula = '60% * x + 40% * 32'\nneeds = ['x']\nunit = '$/M'";
    let found = one("", claim);
    assert_eq!((found.verdict, found.recomputed.as_str()), (Some(Verdict::HiddenInput), "x = $8/M"));
    // With bounds in which nothing fits, it is worse than hidden.
    assert_eq!(verdict("x = [9, 20]", claim), Some(Verdict::Infeasible));
    assert_eq!(verdict("x = [2, 20]", claim), Some(Verdict::HiddenInput));
    // A value of somebody's guess does not make it stated.
    assert_eq!(verdict("x = 8", claim), Some(Verdict::HiddenInput));
    // One input for a whole row, or none.
    let row = "kind = 'value'\nstated = [10, 30]\nformula = ['x', '2 * x']\nneeds = ['x']";
    assert_eq!(one("", row).recomputed, "no x gives it");
}

#[test]
fn what_no_admissible_value_allows_is_infeasible() {
    let ratio = "kind = 'feasible'\nstated = '6×+'\nformula = 'p / unit_cost(2.8, 4762, u)'";
    let found = one("p = 0.88\nu = [0, 1]", ratio);
    assert_eq!((found.verdict, found.recomputed.as_str()), (Some(Verdict::Infeasible), "at most 5.388×"));
    assert_eq!(verdict("p = 1.00\nu = [0, 1]", ratio), Some(Verdict::Ok));
    let condition = "kind = 'feasible'\nstated = true\nformula = 'unit_cost(2.8, 578.7, u) < p'";
    assert_eq!(verdict("p = 0.88\nu = [0, 1]", condition), Some(Verdict::Infeasible));
    assert_eq!(verdict("p = 1.35\nu = [0, 1]", condition), Some(Verdict::Ok));
    let never = one("p = 0.88", "kind = 'value'\nstated = '25M'\nformula = 'break_even(1041.1, p, 1.344)'");
    assert_eq!((never.verdict, never.recomputed.as_str()), (Some(Verdict::Infeasible), "none"));
    assert!(never.reading.starts_with("c ≥ p: $1.3440 against $0.8800"), "{}", never.reading);
    let agreed =
        verdict("p = 0.88", "kind = 'value'\nstated = 'none'\nformula = 'break_even(1041.1, p, 1.344)'");
    assert_eq!(agreed, Some(Verdict::Ok));
    let value = "kind = 'value'\nstated = 6\nformula = '5 * u'";
    assert_eq!(verdict("u = [0, 1]", value), Some(Verdict::Infeasible));
    assert_eq!(verdict("u = [0, 2]", value), Some(Verdict::Ok));
}

#[test]
fn winners_carry_their_margin() {
    let claim = |stated: &str| {
        format!("kind = 'winner'\nstated = '{stated}'\nformula = 'cheapest(a_b = 10, c = 20, d = 40)'")
    };
    for (stated, expected) in [
        ("a-b", Verdict::Ok),
        ("A B", Verdict::Ok),
        ("a-b 2×", Verdict::Ok),
        ("a-b by 2–4×", Verdict::Ok),
        ("a-b 3×", Verdict::Wrong),
        ("c", Verdict::Reversed),
        ("c 2×", Verdict::Reversed),
    ] {
        assert_eq!(verdict("", &claim(stated)), Some(expected), "{stated}");
    }
    assert!(
        mistakes(&format!("[[claim]]\nid = 'X'\nquote = 'q'\n{}", claim("e")))
            .contains("\"e\" is not among the costs")
    );
    // Within the bounds of the costs, either can be the cheapest.
    let open = "kind = 'winner'\nstated = 'c'\nformula = 'cheapest(a = x, c = 20)'";
    assert_eq!(verdict("x = [10, 30]", open), Some(Verdict::Ok));
    assert_eq!(verdict("x = [10, 19]", open), Some(Verdict::Reversed));
}

#[test]
fn contradictions_are_found_and_not_believed() {
    let pair = |second: &str| {
        let text = format!(
            "[[claim]]\nid = 'C1'\nquote = 'q'\nkind = 'value'\nstated = '$380k'\nformula = '380k'\n[[claim]]\nid = 'C5'\nquote = 'q'\nkind = 'value'\nstated = '{second}'\nformula = '380k'\ncontradicts = ['C1']\n"
        );
        judged(&text).pop().unwrap()
    };
    let found = pair("$400k");
    assert_eq!((found.verdict, found.reading.as_str()), (Some(Verdict::Contradicts), "C1 has $380k"));
    assert_eq!(pair("$380k").verdict, Some(Verdict::Ok), "to name a claim is not to disagree with it");
    let itself = |gpus: u32| {
        verdict(
            "",
            &format!("kind = 'value'\nstated = '$1,340'\nformula = '{gpus} / 2 * 67'\ncontradicts = ['X1']"),
        )
    };
    assert_eq!(itself(16), Some(Verdict::Contradicts));
    assert_eq!(itself(40), Some(Verdict::Ok));
}

#[test]
fn implied_quantities_are_compared_with_each_other() {
    let text = |load: &str| {
        format!(
            "[[claim]]\nid = 'A1'\nquote = 'q'\nkind = 'value'\nstated = 0.50\nformula = 'unit_cost(6, C, 70%)'\nneeds = ['C']\n[[claim]]\nid = 'A5'\nquote = 'q'\nkind = 'value'\nstated = '50 %'\nformula = '{load} / A5 / 86_400'\nimplies = 'C'\nunit = 'tok/s'\ncontradicts = ['A1']\n"
        )
    };
    let last = |load: &str| judged(&text(load)).pop().unwrap();
    let found = last("25M");
    assert_eq!((found.verdict, found.recomputed.as_str()), (Some(Verdict::Contradicts), "578.7 tok/s"));
    assert_eq!(found.reading, "A1 has 4,761.9 tok/s");
    assert_eq!(last("205M").verdict, Some(Verdict::Ok), "410M a day is 4,745 tok/s");
}

#[test]
fn a_claim_without_a_figure_is_a_finding() {
    let found = one("", "kind = 'value'\nformula = '100 * second_pass(0.56, 33, 20%, 2)'\nunit = '$'");
    assert_eq!((found.verdict, found.recomputed.as_str(), found.stated), (None, "$756", None));
}

#[test]
fn readings_are_worked_out_too() {
    let found = one(
        "x = 2",
        "kind = 'value'\nstated = 2\nformula = 'x'\nreadings = [['twice', '2 * x', '$']]\nnote = 'so'",
    );
    assert_eq!(found.reading, "twice: $4; so");
    assert_eq!(found.figures, [Some(2.0)]);
}

#[test]
fn every_mistake_is_told_at_once_with_its_place() {
    let text = "[inputs]\na = 1\nb = 'c'\nc = 'b'\nd = [2, 1]\nnan = nan\n[[claim]]\nid = 'A1'\nquote = 'one two three four five six seven eight nine ten eleven twelve thirteen'\nkind = 'valu'\nstated = 'many'\nverdict = 'ok'\nformula = '1 + * 2'\n[[claim]]\nid = 'A2'\nquote = 'q'\nkind = 'value'\nstated = 1\nformula = 'aa + ceill(1)'\ncontradicts = ['A9']\nneds = []\n[other]\n";
    let found = mistakes(text);
    for part in [
        "5:5: `d` must be a number or a range\n    hint: [least, greatest]",
        "6:7: `nan` is no finite number",
        "9:9: a quote has at most 12 words, not 13",
        "10:8: no kind is named `valu`\n    hint: one of value, range, winner, feasible",
        "12:1: a verdict is never stored",
        "13:16: `*` stands where a number, a name or `(` should",
        "unknown key `neds`\n    hint: the nearest are `needs`",
        "unknown key `other`",
    ] {
        assert!(found.contains(part), "{part}\nin\n{found}");
    }
    let cycle = mistakes(
        "[inputs]\nb = 'c'\nc = 'b'\n[[claim]]\nid = 'A'\nquote = 'q'\nkind = 'value'\nstated = 1\nformula = 'bb'\ncontradicts = ['Z']\n",
    );
    for part in [
        "2:6: `b` is defined by itself",
        "9:12: `bb` is neither an input nor a claim",
        "10:16: no claim is named `Z`",
    ] {
        assert!(cycle.contains(part), "{part}\nin\n{cycle}");
    }
    assert!(mistakes("[[claim]\n").contains("1:"), "syntax errors have a line");
    assert!(mistakes("").contains("the file holds no claim"));
}

#[test]
fn formulas_without_an_answer_are_told_with_their_place() {
    let claim = |id: &str, formula: &str| {
        format!("[[claim]]\nid = '{id}'\nquote = 'q'\nkind = 'value'\nstated = 1\nformula = '{formula}'\n")
    };
    let text = format!(
        "[inputs]\nz = 0\n{}{}{}{}",
        claim("A", "1 / z"),
        claim("B", "unit_cost(1)"),
        claim("D", "ceill(1)"),
        claim("E", "2 * (1 < 2)")
    );
    let found = mistakes(&text);
    for part in [
        "8:14: division by zero",
        "14:12: `unit_cost` takes 3 arguments, not 1\n    hint: unit_cost(usd_per_hour, output_tok_s, utilisation)",
        "20:12: `ceill` is no function\n    hint: the nearest are `ceil`",
        "a comparison stands where a number should",
    ] {
        assert!(found.contains(part), "{part}\nin\n{found}");
    }
}

#[test]
fn a_name_means_one_thing() {
    let found = mistakes(
        "[inputs]\nA1 = 1\n[[claim]]\nid = 'A1'\nquote = 'q'\nkind = 'value'\nstated = 1\nformula = '1'\n",
    );
    assert_eq!(found, "4:6: the name `A1` is taken");
}
