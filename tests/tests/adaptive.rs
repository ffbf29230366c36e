//! `pick = "adaptive"` from the outside: traffic goes where it is answered well, a conversation stays where its prompt cache
//! is warm, and the API and the decisions say why. How fast it leaves and comes back is simulated time:
//! `crates/router/tests/adaptive.rs`.

use std::time::Duration;

use serde_json::{Value, json};
use sim::{Fault, ModelSpec, Timing, VendorSpec};
use tollgate_tests::{Reply, Stack};

const PAIR: &str = "[models.pair]\ntargets = [\"a/m\", \"b/m\"]\npick = \"adaptive\"\n";

fn vendor(name: &str, first_token: Duration) -> VendorSpec {
    let timing = Timing { first_token, ..Timing::default() };
    VendorSpec { timing, ..VendorSpec::openai(name).models([ModelSpec::new("m")]) }
}

async fn ask(stack: &Stack, session: &str, text: &str) -> Reply {
    let client = stack.client.clone().with("x-tollgate-session", session);
    let body = json!({"model": "pair", "max_tokens": 10, "messages": [{"role": "user", "content": text}]});
    let reply = client.post("/v1/chat/completions", &body).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply
}

async fn decision(stack: &Stack, reply: &Reply) -> Value {
    let id = reply.header("x-request-id").to_owned();
    let path = format!("/api/v1/requests/{id}");
    tollgate_tests::poll("the request's row", async || {
        let row = stack.admin.get(&path).await;
        (row.status == 200).then(|| row.json()["decision"].clone()).filter(Value::is_object)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traffic_goes_to_the_faster_of_two_vendors_at_one_price() {
    let slow = Duration::from_millis(60);
    let stack = Stack::start([vendor("a", slow), vendor("b", Duration::ZERO)], PAIR).await;
    for i in 0..60 {
        ask(&stack, &format!("s{i}"), "Hello.").await;
    }
    let (a, b) = (stack.sim("a").stats().calls, stack.sim("b").stats().calls);
    assert!(a + b == 60 && a < 20, "a {a}, b {b}");

    let told = stack.admin.get("/api/v1/providers").await.json();
    let targets = told["targets"].as_array().expect("targets");
    let b = targets.iter().find(|t| t["target"] == "b/m").expect("b was called");
    assert!(b["measured"]["recent"]["answers"].as_f64().expect("a number") > 1.0, "{b:#}");
    let body = json!({"model": "pair", "messages": [{"role": "user", "content": "Hello."}]});
    let explained = stack.admin.post("/api/v1/explain", &body).await.json();
    let first = &explained["decision"]["candidates"][0];
    assert_eq!(first["target"], "b/m", "told by share, without a draw: {explained:#}");
    assert!(first["adaptive"]["share"].as_f64().expect("a share") > 0.9, "{explained:#}");
    assert_eq!(first["adaptive"]["score"], 1.0, "{explained:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fn1_17_a_conversation_stays_where_its_cache_is_warm_until_that_does_not_pay() {
    let pace = Duration::from_millis(40);
    let stack = Stack::start([vendor("a", pace), vendor("b", pace)], PAIR).await;
    // Nobody moves to a vendor that was never measured, so other conversations come first.
    for i in 0..16 {
        ask(&stack, &format!("other {i}"), "Hello.").await;
    }
    let (a, b) = (stack.sim("a").stats().calls, stack.sim("b").stats().calls);
    assert!(a > 0 && b > 0, "a {a}, b {b}");
    let long = format!("[[cached:4500]] {}", "word ".repeat(4_000));
    let first = ask(&stack, "one", &long).await;
    let home = first.header("x-tollgate-model").to_owned();
    for turn in 0..6 {
        let reply = ask(&stack, "one", &long).await;
        let decision = decision(&stack, &reply).await;
        assert_eq!(reply.header("x-tollgate-model"), home, "turn {turn}: {decision:#}");
        let notes = decision["notes"].to_string();
        assert!(notes.contains(&format!("stays at `{home}`")), "{notes}");
        let cache = &decision["candidates"][0]["cache"];
        let measured = turn > 0;
        assert_eq!(cache["measured"], measured, "turn {turn}: {decision:#}");
        if measured {
            assert!(cache["hit_rate"].as_f64().expect("a rate") > 0.5, "{decision:#}");
        }
    }
    // Its vendor turns ten times slower: before long that outweighs the cache, and the move is explained.
    let sim = home.split('/').next().expect("a provider");
    let slow = Timing { first_token: 10 * pace, ..Timing::default() };
    stack.sim(sim).set_fault(Some(Fault::Slow(slow)));
    let mut moved = None;
    for _ in 0..20 {
        let reply = ask(&stack, "one", &long).await;
        if reply.header("x-tollgate-model") != home {
            moved = Some(decision(&stack, &reply).await);
            break;
        }
    }
    let notes = moved.expect("it moves in the end")["notes"].to_string();
    assert!(notes.contains(&format!("moves from `{home}`, whose prompt cache is warm")), "{notes}");
}
