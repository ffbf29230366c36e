//! Two stacks with an escalation.

use super::own::CapacityNote;
use super::{Candidate, Compiler, Infeasible};
use crate::engine::hybrid::Hybrid;
use crate::engine::{Body, Component, Stack, Traffic};
use crate::inputs::{Bounds, Var};
use crate::reader::Quantity;
use crate::scenario::{ApiSpec, HybridSpec, Share, Spec, StackSpec};

/// A side of a hybrid, and how its capacity was found if it has machines.
type Side = (Component, Option<CapacityNote>);

impl Compiler<'_> {
    /// A side of a hybrid: a stack of the scenario, or a model by name.
    fn side(&mut self, path: &str, name: &str, traffic: &Traffic) -> Result<Side, Option<Infeasible>> {
        let bought = |api| (Component::Api(Box::new(api)), None);
        let scenario = self.scenario;
        if let Some(known) = scenario.stacks.iter().find(|stack| stack.name == name) {
            return match &known.spec {
                Spec::Api(api) => self.api(&known.path, api).map(bought).ok_or(None),
                Spec::Own(own) => self
                    .own(&known.path, own, traffic)
                    .map(|(own, note)| (Component::Own(Box::new(own)), Some(note))),
                Spec::Hybrid(_) => {
                    self.problem(path, format!("`{name}` is itself a hybrid"), "one escalation at a time");
                    Err(None)
                }
            };
        }
        if !name.contains('/') {
            let names = scenario.stacks.iter().map(|stack| stack.name.as_str());
            let near = catalog::nearest(name, names, 3).join(", ");
            self.problem(
                path,
                format!("`{name}` is neither a stack nor provider/model"),
                format!("stacks: {near}"),
            );
            return Err(None);
        }
        let spec = ApiSpec { model: name.to_owned(), ..ApiSpec::default() };
        self.api(path, &spec).map(bought).ok_or(None)
    }

    pub(super) fn hybrid(
        &mut self,
        spec: &StackSpec,
        hybrid: &HybridSpec,
        traffic: &Traffic,
    ) -> Option<Candidate> {
        let path = spec.path.as_str();
        let default = self.side(&format!("{path}.default"), &hybrid.default, traffic);
        let escalate = self.side(&format!("{path}.escalate"), &hybrid.escalate, traffic);
        let what = format!("{} → {}", hybrid.default, hybrid.escalate);
        let ((default, capacity), (escalate, other)) = match (default, escalate) {
            (Ok(default), Ok(escalate)) => (default, escalate),
            (Err(None), _) | (_, Err(None)) => return None,
            (Err(why), _) | (_, Err(why)) => {
                let name = spec.name.clone();
                return Some(Candidate {
                    name,
                    kind: "hybrid",
                    what,
                    stack: None,
                    infeasible: why,
                    capacity: None,
                });
            }
        };
        let judge = match &hybrid.judge {
            Some(judge) => {
                let api = ApiSpec { model: judge.model.clone(), ..ApiSpec::default() };
                let api = self.api(&format!("{path}.judge"), &api)?;
                let name = format!("{path}.judge.output_tokens");
                Some((api, self.add(&name, "tokens", Bounds::NONNEGATIVE, &judge.output_tokens)))
            }
            None => None,
        };
        let factor = |this: &mut Self, key: &str, quantity: Option<&Quantity>, bounds| {
            this.option(&format!("{path}.{key}"), "×", bounds, quantity)
        };
        let body = Hybrid {
            routed: self.shares(path, "share_of_requests", hybrid.routed.as_ref()),
            turned_down: self.shares(path, "second_pass_share", hybrid.turned_down.as_ref()),
            input_factor: factor(
                self,
                "escalated_input_factor",
                hybrid.input_factor.as_ref(),
                Bounds::POSITIVE,
            ),
            output_factor: factor(
                self,
                "escalated_output_factor",
                hybrid.output_factor.as_ref(),
                Bounds::POSITIVE,
            ),
            classifier: self.option(
                &format!("{path}.classifier_usd_per_request"),
                "$/request",
                Bounds::NONNEGATIVE,
                hybrid.classifier_usd_per_request.as_ref(),
            ),
            cache_loss: self.option(
                &format!("{path}.cache_loss"),
                "share",
                Bounds::SHARE,
                hybrid.cache_loss.as_ref(),
            ),
            default,
            escalate,
            mechanism: hybrid.mechanism,
            reconsider: hybrid.reconsider,
            judge,
        };
        let machines = body.default.own().is_some() || body.escalate.own().is_some();
        let overhead = if machines { self.overhead() } else { Vec::new() };
        let stack = Stack {
            name: spec.name.clone(),
            what: what.clone(),
            body: Body::Hybrid(Box::new(body)),
            overhead,
            marginal: self.scenario.overhead.marginal,
            accept: None,
            human: None,
        };
        let name = spec.name.clone();
        let capacity = capacity.or(other);
        Some(Candidate { name, kind: "hybrid", what, stack: Some(stack), infeasible: None, capacity })
    }

    fn shares(&mut self, path: &str, key: &str, share: Option<&Share>) -> Vec<Option<Var>> {
        let classes: Vec<String> =
            self.scenario.workload.classes.iter().map(|class| class.name.clone()).collect();
        match share {
            None => vec![None; classes.len()],
            Some(Share::All(quantity)) => {
                let var = self.add(&format!("{path}.{key}"), "share of requests", Bounds::SHARE, quantity);
                vec![Some(var); classes.len()]
            }
            Some(Share::ByClass(of)) => {
                for (name, _) in of.iter().filter(|(name, _)| !classes.contains(name)) {
                    let near = catalog::nearest(name, classes.iter().map(String::as_str), 3).join(", ");
                    self.problem(&format!("{path}.{key}.{name}"), "is no class of the workload", near);
                }
                let mut var = |class: &String| {
                    let (name, quantity) = of.iter().find(|(name, _)| name == class)?;
                    let name = format!("{path}.{key}.{name}");
                    Some(self.add(&name, "share of requests", Bounds::SHARE, quantity))
                };
                classes.iter().map(&mut var).collect()
            }
        }
    }
}
