//! The client programs hold against a vendor itself, so that a failure through the gate is the gate's.

use sim::{ModelSpec, Sim, VendorSpec};
use tollgate_tests::Sdk;

async fn hold(sdk: Sdk) {
    let spec =
        VendorSpec::openai("vendor").models([ModelSpec::new("chat"), ModelSpec::embedding("embed", 16)]);
    let vendor = Sim::start(spec).await.expect("a port");
    let report = sdk.drive(&format!("http://{}", vendor.addr()), &["chat", "embed"]).await;
    assert!(report.values().filter(|seen| seen.usage.is_some()).count() >= 5, "{report:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openai_python_against_the_vendor_itself() {
    hold(Sdk::Python).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openai_node_against_the_vendor_itself() {
    hold(Sdk::Node).await;
}
