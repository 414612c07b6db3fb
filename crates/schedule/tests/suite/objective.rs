//! Why a network trained for DDPM serves every sigma: the variational bound of the DDIM process is the
//! weighted eps loss plus a constant (DDIM, theorem 1), checked on linear networks
//! `eps_theta(x, t) = u_t x + w_t` and Gaussian pictures, where both sides are closed forms.

use std::f64::consts::{E, PI};

use ddim_schedule::solvers::Ddim;
use ddim_schedule::{BetaSchedule, Convention, Eta, NoiseSchedule, Plan, Prediction, Settings};
use ddim_schedule::{Step, StepNoise};

/// Pictures: N(0.3, 0.5^2).
const MEAN: f64 = 0.3;
const VARIANCE: f64 = 0.25;
/// The last step's standard deviation, which the theorem needs above 0.
const SIGMA_1: f64 = 0.1;

/// One slope and one offset for each kept step.
type Network = Vec<(f64, f64)>;

fn plan(eta: f64) -> Plan {
    let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000).unwrap();
    let method = Ddim { eta: Eta::new(eta).unwrap() };
    Plan::new(&schedule, &Settings::new(Convention::Exact, method, 12)).unwrap()
}

/// Variance of x over pictures and noise.
fn spread(alpha_bar: f64) -> f64 {
    alpha_bar * VARIANCE + 1.0 - alpha_bar
}

/// Eq. (16), written out once more.
fn sigma_squared(eta: f64, a: f64, prev: f64) -> f64 {
    eta * eta * (1.0 - prev) / (1.0 - a) * (1.0 - a / prev)
}

/// `p_theta(x_prev | x)`'s mean as slope and offset in x: the plan's row with the network put in.
fn model_mean(step: &Step, (u, w): (f64, f64)) -> (f64, f64) {
    let from = Prediction::Epsilon.coefficients(step.alpha_bar);
    let slope = step.c_x + step.c_x0 * (from.x0_from_x + from.x0_from_out * u) + step.c_eps * u;
    (slope, step.c_x0 * from.x0_from_out * w + step.c_eps * w)
}

/// `-E log p_theta(x_prev | x)` for means `slope x + offset`, where q gives x and x_prev this covariance.
fn cross_entropy(step: &Step, (slope, offset): (f64, f64), covariance: f64, sigma: f64) -> f64 {
    let (a, prev) = (step.alpha_bar, step.alpha_bar_prev);
    let bias = (prev.sqrt() - slope * a.sqrt()) * MEAN - offset;
    let square = spread(prev) - 2.0 * slope * covariance + slope * slope * spread(a) + bias * bias;
    (2.0 * PI * sigma * sigma).ln() / 2.0 + square / (2.0 * sigma * sigma)
}

/// Eq. (11): `E_q[log q(x_tau | x0) - log p_theta(x_0, x_tau)]`, term by term.
fn bound(plan: &Plan, eta: f64, network: &Network) -> f64 {
    let (last, inner) = plan.steps().split_last().unwrap();
    let mut bound = prior(plan.steps()[0].alpha_bar);
    for (step, &line) in inner.iter().zip(network) {
        let (a, prev) = (step.alpha_bar, step.alpha_bar_prev);
        let fresh = sigma_squared(eta, a, prev);
        let covariance = (a * prev).sqrt() * VARIANCE + ((1.0 - prev - fresh) * (1.0 - a)).sqrt();
        let StepNoise::Fixed { sigma } = step.noise else { panic!("{step:?}") };
        bound += cross_entropy(step, model_mean(step, line), covariance, sigma);
        bound -= (2.0 * PI * E * fresh).ln() / 2.0; // the entropy of q(x_prev | x, x0)
    }
    let line = model_mean(last, *network.last().unwrap());
    bound + cross_entropy(last, line, last.alpha_bar.sqrt() * VARIANCE, SIGMA_1)
}

/// `E[log q(x_T | x0) - log p(x_T)]`.
fn prior(a: f64) -> f64 {
    let own = -(2.0 * PI * E * (1.0 - a)).ln() / 2.0;
    own + (2.0 * PI).ln() / 2.0 + (spread(a) + a * MEAN * MEAN) / 2.0
}

/// `E (eps - eps_theta)^2` at a step.
fn eps_loss(a: f64, (u, w): (f64, f64)) -> f64 {
    let bias = u * a.sqrt() * MEAN + w;
    1.0 - 2.0 * u * (1.0 - a).sqrt() + u * u * spread(a) + bias * bias
}

/// The weight of a step: a wrong eps moves x0 by `sqrt(1-a)/sqrt(a)` times its error, and that moves the
/// mean of q by `sqrt(a') - sqrt(1 - a' - sigma^2) sqrt(a)/sqrt(1-a)` times as much.
fn gamma(eta: f64, a: f64, prev: f64) -> f64 {
    let fresh = sigma_squared(eta, a, prev);
    let pull = prev.sqrt() - ((1.0 - prev - fresh) * a / (1.0 - a)).sqrt();
    pull * pull * (1.0 - a) / a / (2.0 * fresh)
}

/// `sum gamma_t E (eps - eps_theta)^2`.
fn weighted_loss(plan: &Plan, eta: f64, network: &Network) -> f64 {
    let (last, inner) = plan.steps().split_last().unwrap();
    let weighted = inner
        .iter()
        .zip(network)
        .map(|(s, &line)| gamma(eta, s.alpha_bar, s.alpha_bar_prev) * eps_loss(s.alpha_bar, line));
    let a = last.alpha_bar;
    let last_gamma = (1.0 - a) / a / (2.0 * SIGMA_1 * SIGMA_1);
    weighted.sum::<f64>() + last_gamma * eps_loss(a, *network.last().unwrap())
}

/// The best network, moved by `by` in a different way at each step.
fn moved(plan: &Plan, by: f64) -> Network {
    let lines = plan.steps().iter().enumerate().map(|(i, step)| {
        let slope = (1.0 - step.alpha_bar).sqrt() / spread(step.alpha_bar);
        let wave = by * (i as f64 + 1.0).sin();
        (slope + wave, -slope * step.alpha_bar.sqrt() * MEAN - 0.5 * wave)
    });
    lines.collect()
}

/// The constant is the prior's term and the last step's normalisation; it does not depend on the network.
#[test]
fn the_bound_is_the_weighted_loss_and_a_constant() {
    for eta in [0.1, 0.5, 1.0] {
        let plan = plan(eta);
        let constant = prior(plan.steps()[0].alpha_bar) + (2.0 * PI * SIGMA_1 * SIGMA_1).ln() / 2.0;
        for by in [0.0, 0.01, -0.2, 1.0] {
            let network = moved(&plan, by);
            let (bound, loss) = (bound(&plan, eta, &network), weighted_loss(&plan, eta, &network));
            // Both sides are sums of terms up to |bound|, and x0 amplifies rounding by up to 160.
            let tolerance = 1e-11 * bound.abs().max(1.0);
            let difference = bound - loss - constant;
            assert!(difference.abs() < tolerance, "eta {eta}, moved by {by}: {bound}, {loss}: {difference:e}");
        }
    }
}

/// At eta 1 the weights are those of DDPM, `beta^2/(2 sigma^2 alpha (1 - alpha_bar))` (Ho et al. 2020, Eq. 12).
#[test]
fn at_eta_one_the_weights_are_ddpms() {
    let plan = plan(1.0);
    for step in &plan.steps()[..11] {
        let (a, prev) = (step.alpha_bar, step.alpha_bar_prev);
        let beta = 1.0 - a / prev;
        let expected = beta * beta / (2.0 * sigma_squared(1.0, a, prev) * (a / prev) * (1.0 - a));
        assert!((gamma(1.0, a, prev) / expected - 1.0).abs() < 1e-10);
    }
}

/// Every sigma is served best by the same network: E[eps | x].
#[test]
fn one_network_is_best_for_every_sigma() {
    for eta in [0.1, 0.5, 1.0] {
        let plan = plan(eta);
        let best = bound(&plan, eta, &moved(&plan, 0.0));
        for by in [-0.1, -0.001, 0.001, 0.1] {
            assert!(bound(&plan, eta, &moved(&plan, by)) > best, "eta {eta}, moved by {by}");
        }
    }
}
