//! `tollgate replay` from outside: what the gate wrote is replayed, exactly where the ledger knows, unknown where it does
//! not.

use serde_json::{Value, json};
use sim::{ModelSpec, VendorSpec};
use tollgate_tests::{Stack, pico, setup};

const ROUTE: &str = r#"
[routes.auto]
default = "north/weak"
escalate = "south/strong"
escalate_before = [{ matches = "(?i)\\bprove\\b" }]
escalate_after = ["empty", "refusal"]
"#;

async fn stack() -> Stack {
    let north = VendorSpec::openai("north").models([setup::large("weak")]);
    let south = VendorSpec::openai("south").models([ModelSpec { strong: true, ..setup::large("strong") }]);
    Stack::start([north, south], ROUTE).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn past_requests_are_priced_again() {
    let stack = stack().await;
    for n in 0..12 {
        let prompt = match n % 3 {
            0 => format!("[[say:fine {n}]] Prove number {n}."),
            1 => format!("[[refuse]] What is {n}?"),
            _ => format!("[[say:it is {n}]] What is {n}?"),
        };
        let body = json!({"model": "auto", "messages": [{"role": "user", "content": prompt}]});
        let reply = stack.client.post("/v1/chat/completions", &body).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    let rows = stack.closed(12).await;
    let paid: i128 = rows.iter().map(|row| pico(&row["cost_usd"])).sum();
    let config = stack.data_dir().with_file_name("tollgate.toml");
    let file = |name: &str, text: &str| {
        let path = config.with_file_name(name);
        std::fs::write(&path, text).expect("writable");
        path.to_str().expect("text").to_owned()
    };
    let running = std::fs::read_to_string(&config).expect("the config");
    let replay = async |flag: &str, path: &str| stack.command_json(&["replay", "--json", flag, path]).await;

    // the policy that it was: the same money, to the pico-dollar
    let same = replay("--policy", &file("same.toml", &running)).await;
    assert_eq!(pico(&same["total"]["exact_usd"]), paid, "{same:#}");
    assert_eq!(
        (same["total"]["exact_requests"].as_u64(), same["total"]["actual"]["escalated"].as_u64()),
        (Some(12), Some(8))
    );

    // every price doubled: twice the money
    let overlay = std::fs::read_to_string(config.with_file_name("overlay.toml")).expect("the overlay");
    let doubled = setup::RATES.iter().fold(overlay, |text, (bucket, usd)| {
        let twice = pico(&Value::from(*usd)) * 2;
        let twice = format!("{}.{:012}", twice / 1_000_000_000_000, twice % 1_000_000_000_000);
        let twice = twice.trim_end_matches('0');
        text.replace(&format!("{bucket} = \"{usd}\"\n"), &format!("{bucket} = \"{twice}\"\n"))
    });
    let dearer = replay("--prices", &file("dearer.toml", &doubled)).await;
    assert_eq!(pico(&dearer["total"]["exact_usd"]), 2 * paid);

    // over HTTP: the same figures, and only for the admin
    let body = json!({"policy": running, "where": ["route=auto"]});
    let over_http = stack.admin.post("/api/v1/replay", &body).await;
    assert_eq!(over_http.status, 200, "{}", over_http.text());
    let over_http = over_http.json();
    for part in ["exact_usd", "exact_requests", "escalated", "quality"] {
        assert_eq!(over_http["total"][part], same["total"][part], "{part}: {over_http:#}");
    }
    let over_http = stack.admin.post("/api/v1/replay", &json!({"prices": doubled})).await.json();
    assert_eq!(pico(&over_http["total"]["exact_usd"]), 2 * paid);
    for (body, why) in [
        (json!({}), "needs `policy`, `prices` or `at`"),
        (json!({"policy": "[routes.auto]\ndefalt = 1\n"}), "unknown key `defalt`"),
        (json!({"prices": "[[price]]\n"}), "prices:"),
        (json!({"policy": "[catalogue]\noverlay = \"/etc/x.toml\"\n"}), "send it as `prices`"),
    ] {
        let refused = stack.admin.post("/api/v1/replay", &body).await;
        assert_eq!(refused.status, 400, "{body}");
        assert!(refused.text().contains(why), "{why} in {}", refused.text());
    }

    // no rule before the call: what the cheap model would have said to the proofs is not in the ledger
    let other = running.replace("escalate_before = [{ matches = \"(?i)\\\\bprove\\\\b\" }]\n", "");
    assert_ne!(other, running);
    let other = replay("--policy", &file("other.toml", &other)).await;
    assert_eq!(other["total"]["exact_requests"], 8, "{other:#}");
    let unknown: u64 =
        other["total"]["unknown"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
    assert_eq!(unknown, 4, "the proofs: {other:#}");
    assert!(other["notes"].to_string().contains("quality: unknown"), "{other:#}");
}
