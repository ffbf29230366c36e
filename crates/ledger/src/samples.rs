//! Records for the tests of this crate's insides.

use std::sync::Arc;

use catalog::{Basis, Bucket, Cost, Money, PriceLine, Usage};
use jiff::Timestamp;
use ulid::Ulid;

use crate::{AttemptClose, CostBasis, Intent, Outcome, RequestClose, RequestOpen};

const START: u64 = 1_772_366_400_000;

pub(crate) fn open(n: u64) -> Arc<RequestOpen> {
    Arc::new(RequestOpen {
        id: Ulid::from_parts(START, u128::from(n) << 8),
        client_request_id: None,
        started_at: Timestamp::from_millisecond(START.cast_signed()).unwrap(),
        key: Some("k".to_owned()),
        route: Some("auto".to_owned()),
        requested_model: "auto".to_owned(),
        op: "chat",
        stream: false,
        tags: Vec::new(),
        session: n,
        config_version: 1,
    })
}

/// The id of the only attempt of the n-th request.
pub(crate) fn attempt_id(n: u64) -> Ulid {
    Ulid::from_parts(START, (u128::from(n) << 8) + 1)
}

pub(crate) fn intent(open: &Arc<RequestOpen>) -> Intent {
    Intent {
        id: attempt_id(open.session),
        request: Arc::clone(open),
        seq: 0,
        provider: "p".to_owned(),
        model: "m".to_owned(),
        upstream_key: 0,
        started_at: open.started_at,
        estimate: Usage { input: 10, ..Usage::default() },
        estimated_cost: Some(Money::from_pico(5)),
        catalogue_version: "1".to_owned(),
    }
}

pub(crate) fn close(intent: &Intent) -> AttemptClose {
    AttemptClose {
        id: intent.id,
        request: intent.request.id,
        outcome: Outcome::Ok,
        status: Some(200),
        error: None,
        excerpt: None,
        ttft_us: None,
        duration_us: 1,
        usage: Usage { input: 10, basis: Basis::Reported, ..Usage::default() },
        cost: Cost::Known(vec![PriceLine { bucket: Bucket::Input, units: 10, pico_per_unit: 3 }]),
        cost_basis: CostBasis::Reported,
        vendor_cost: None,
        served_model: None,
        finish: None,
    }
}

pub(crate) fn request_close(open: &Arc<RequestOpen>) -> RequestClose {
    RequestClose {
        open: Arc::clone(open),
        status: 200,
        reason: "default".to_owned(),
        provider: Some("p".to_owned()),
        model: Some("m".to_owned()),
        duration_us: 2,
        ttft_us: None,
        attempts: 1,
        saving: None,
        decision: "{}".to_owned(),
    }
}
