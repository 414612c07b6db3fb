//! Two layers of latents, against closed forms of linear ones.

use super::*;

/// `p(z1 | z2) = N(a z2, s1^2)`, `q(z2 | z1) = N(beta z1, t2^2)`, `p(z2) = N(0, 1)`.
struct Upper {
    a: f64,
    s1_squared: f64,
    beta: f64,
    t2_squared: f64,
}

impl Upper {
    fn q(&self, z1: f64) -> Gaussian {
        Gaussian::alike(self.beta * z1, self.t2_squared, 1)
    }

    /// The parts of z1 and of z2, over z1 = N(mean, variance) and z2 from q: both
    /// have degree 2, so that four points give them exactly.
    fn terms(&self, mean: f64, variance: f64) -> [f64; 2] {
        let points = cubature(2);
        let share = 1.0 / points.len() as f64;
        let mut sums = [0.0; 2];
        for noise in points {
            let z1 = mean + variance.sqrt() * noise[0];
            let z2 = self.q(z1).at(&noise[1..])[0];
            let (lower, p1) =
                (Gaussian::alike(mean, variance, 1), Gaussian::alike(self.a * z2, self.s1_squared, 1));
            sums[0] += share * Told::Draw.lower(&lower, &[z1], &p1);
            sums[1] += share * self.q(z1).divergence(&Gaussian::alike(0.0, 1.0, 1));
        }
        sums
    }
}

/// The three parts of the bound of two layers, of which that of z1 is not a divergence and may be negative.
#[test]
fn two_layers_have_a_bound_of_three_parts() {
    let golden = golden("hierarchical_linear.json");
    let of = |row: &Value| {
        let [a, s1, alpha, t1, beta, t2, x] =
            ["a", "s1", "alpha", "t1", "beta", "t2", "x"].map(|key| number(&row[key]));
        let upper = Upper { a, s1_squared: s1 * s1, beta, t2_squared: t2 * t2 };
        let lower = Gaussian::alike(alpha * x, t1 * t1, 1);
        let parts = upper.terms(alpha * x, t1 * t1);
        (lower, parts, x)
    };
    for row in golden["rows"].as_array().expect("rows") {
        let (lower, [first, second], x) = of(row);
        let [w, sx] = ["w", "sx"].map(|key| number(&row[key]));
        let points = cubature(1);
        let likelihood =
            points.iter().map(|noise| Gaussian::alike(w * lower.at(noise)[0], sx * sx, 1).log_density(&[x]) / 2.0);
        let likelihood: f64 = likelihood.sum();
        let found = [likelihood, first, second, likelihood - first - second];
        let expected = ["likelihood", "part_1", "part_2", "elbo"].map(|key| number(&row[key]));
        assert_close(&found, &expected, 1e-12, "likelihood, parts and bound");
        // The other grouping, whose terms are both divergences.
        let both = ["kl_z1_from_its_prior", "expected_kl_z2_from_conditional_prior"].map(|key| number(&row[key]));
        assert_close(&[first + second], &[both[0] + both[1]], 1e-12, "both groupings");
        let gap = number(&row["log_p"]) - found[3];
        assert_close(&[gap], &[number(&row["gap"])], 1e-11, "gap");
    }
    let row = &golden["part_1_can_be_negative"];
    let (_, [first, _], _) = of(row);
    assert!(first < 0.0);
    assert_close(&[first], &[number(&row["part_1"])], 1e-12, "a negative part");
}

/// The objective of the upper layer, whose divergence has a weight, around the state in which it says nothing:
/// collapse is stable exactly if the weight is above E[z1^2] / s1^2. Second differences of width 1e-3, whose error
/// is some 1e-6.
#[test]
fn the_upper_layer_collapses_above_a_weight_that_is_known() {
    let golden = golden("collapse.json");
    for row in golden["near_collapse"].as_array().expect("rows") {
        let [m2, s1_squared, weight] = ["m2", "s1_squared", "lambda"].map(|key| number(&row[key]));
        let at = |a: f64, beta: f64| {
            let [lower, divergence] = Upper { a, s1_squared, beta, t2_squared: 1.0 }.terms(0.0, m2);
            -lower - weight * divergence
        };
        let h = 1e-3;
        let twice =
            |u: [f64; 2]| (at(h * u[0], h * u[1]) + at(-h * u[0], -h * u[1]) - 2.0 * at(0.0, 0.0)) / (h * h);
        let (aa, bb) = (twice([1.0, 0.0]), twice([0.0, 1.0]));
        let ab = (twice([1.0, 1.0]) - aa - bb) / 2.0;
        let largest = (aa + bb) / 2.0 + ((aa - bb) / 2.0).hypot(ab);
        assert!((largest - number(&row["largest_eigenvalue"])).abs() < 1e-4, "{row}: {largest}");
        let is_stable = weight > number(&row["threshold"]) + 1e-9;
        assert!(!is_stable || largest < -1e-3, "{row}: {largest}");
    }
    for row in golden["optimum_with_s1_held_fixed_below_E_z1_squared"].as_array().expect("rows") {
        let [a, beta, t2_squared] = ["a", "beta", "t2_squared"].map(|key| number(&row[key]));
        let [m2, s1_squared] = ["m2", "s1_squared"].map(|key| number(&row[key]));
        let at = |a: f64, beta: f64, t2_squared: f64| Upper { a, s1_squared, beta, t2_squared }.terms(0.0, m2);
        let [_, divergence] = at(a, beta, t2_squared);
        assert_close(&[divergence], &[number(&row["upper_kl"])], 1e-9, "KL is the information");
        let bound = |[lower, divergence]: [f64; 2]| -lower - divergence;
        let best = bound(at(a, beta, t2_squared));
        assert!(best > bound(at(0.0, 0.0, 1.0)) + 0.1, "{row}");
        for [da, db, dt] in [[0.01, 0.0, 0.0], [0.0, 0.01, 0.0], [0.0, 0.0, 0.01]] {
            for sign in [1.0, -1.0] {
                assert!(bound(at(a + sign * da, beta + sign * db, t2_squared + sign * dt)) < best, "{row}");
            }
        }
    }
}

/// Linear networks of one number each: `decode z1 = w z1`, and those of an [`Upper`].
struct LinearLayers {
    w: f64,
    upper: Upper,
}

impl LinearLayers {
    fn times(factor: f64, tensor: &Tensor) -> Tensor {
        tensor.clone() * factor
    }

    fn model(&self, told: Told) -> UpperModel {
        let log_variance = vec![self.upper.s1_squared.ln()];
        UpperModel { prior: Gaussian::alike(0.0, 1.0, 1), latent: [1, 1, 1], log_variance, told }
    }

    /// What z1 and z2 tell of these pictures.
    fn activity(&mut self, lower: &[Gaussian]) -> [LayerActivity; 2] {
        let model = LatentModel::new([0.0, 1.0], [1, 1, 1], &[1.0]);
        let evidence = Evidence { model: &model, pictures: &[], seed: 3, first: 0, together: 64 };
        let upper = self.model(Told::Draw);
        evidence.layer_activity(&upper, lower, self).unwrap_or_else(|never| match never {}).expect("pictures")
    }
}

impl LayerNetworks for LinearLayers {
    type Error = Infallible;

    fn decode(&mut self, z1: Tensor) -> Result<Tensor, Infallible> {
        Ok(Self::times(self.w, &z1))
    }

    fn encode_upper(&mut self, told: Tensor) -> Result<Vec<Gaussian>, Infallible> {
        Ok(told.values().iter().map(|z1| self.upper.q(f64::from(*z1))).collect())
    }

    fn decode_upper(&mut self, z2: Tensor) -> Result<Tensor, Infallible> {
        Ok(Self::times(self.upper.a, &z2))
    }
}

/// Parts and weights of draws against the closed form: each within four standard errors of 20,000 draws, and the
/// mean of weights as large as p(x). Latents meet f32 on their way, some 1e-6.
#[test]
fn weights_of_two_layers_have_the_mean_p_of_x() {
    let golden = golden("hierarchical_linear.json");
    for row in golden["rows"].as_array().expect("rows") {
        let [a, s1, w, sx, alpha, t1, beta, t2, x, log_p] =
            ["a", "s1", "w", "sx", "alpha", "t1", "beta", "t2", "x", "log_p"].map(|key| number(&row[key]));
        let upper = Upper { a, s1_squared: s1 * s1, beta, t2_squared: t2 * t2 };
        let mut networks = LinearLayers { w, upper };
        let model = LatentModel::new([0.0, 1.0], [1, 1, 1], &[sx * sx]);
        let pictures = [vec![x as f32]];
        let evidence = Evidence { model: &model, pictures: &pictures, seed: 1, first: 0, together: 1000 };
        let q = [Gaussian::alike(alpha * x, t1 * t1, 1)];
        let layers = networks.model(Told::Draw);
        let found = evidence.weigh_layers(&layers, &q, 20_000, &mut networks, || ControlFlow::Continue(()));
        let found = found.unwrap_or_else(|never| match never {}).expect("nobody stops it").remove(0);
        let error = Mean::of(&found.log_weights).and_then(|mean| mean.standard_error).expect("draws");
        let parts = ["likelihood", "part_1", "part_2", "elbo"].map(|key| number(&row[key]));
        let named = [found.reconstruction, found.divergence, found.upper, found.bound()];
        for (found, expected) in named.iter().zip(parts) {
            assert!((found - expected).abs() < 5.0 * error, "{named:?}, {parts:?}, {error}");
        }
        let mean = found.log_weights.iter().sum::<f64>() / 20_000.0;
        assert!((mean - parts[3]).abs() < 4.0 * error, "{mean}: {parts:?}");
        let weights: Vec<f64> = found.log_weights.iter().map(|weight| (weight - log_p).exp()).collect();
        let Mean { mean, standard_error } = Mean::of(&weights).expect("draws");
        // Heavy tails where the encoder is far off: five errors, or a tenth.
        let allowed = (5.0 * standard_error.expect("draws")).max(0.1);
        assert!((mean - 1.0).abs() < allowed, "{row}: {mean} +- {standard_error:?}");
    }
}

/// Differences of width 1e-5 in f64: 1e-8 relative.
#[test]
fn slopes_of_the_lower_part_are_those_of_its_value() {
    let at = |v: &[f64]| {
        let q = Gaussian::new(vec![v[0], v[1]], vec![v[2], v[3]]);
        let p = Gaussian::new(vec![v[4], v[5]], vec![v[6], v[7]]);
        (q, vec![v[8], v[9]], p)
    };
    let base = [0.3, -0.7, -1.2, 0.4, 0.9, 0.1, 0.5, -0.8, 1.1, -0.2];
    for told in [Told::Draw, Told::Mean] {
        let (q, draw, p) = at(&base);
        let slopes = told.lower_slopes(&q, &draw, &p);
        let parts = [slopes.mean, slopes.log_variance, slopes.of_mean, slopes.of_log_variance, slopes.draw];
        for (k, found) in parts.concat().into_iter().enumerate() {
            let value = |h: f64| {
                let mut moved = base;
                moved[k] += h;
                let (q, draw, p) = at(&moved);
                told.lower(&q, &draw, &p)
            };
            let expected = (value(1e-5) - value(-1e-5)) / 2e-5;
            assert!(
                (found - expected).abs() < 1e-8 * (1.0 + expected.abs()),
                "{told:?}, {k}: {found}, {expected}"
            );
        }
    }
    let (q, draw, p) = at(&base);
    assert_eq!(Told::Mean.lower(&q, &draw, &p), q.divergence(&p));
}

/// At the optimum of collapse.json with s1^2 held at half, z2 tells 1/2 log 2 nats; a layer that copies noise is
/// not active although its mean moves with each draw of z1; a collapsed one is named.
#[test]
fn a_layer_that_says_nothing_is_told_from_one_that_does() {
    let z1 = normals(600, 2);
    let lower: Vec<Gaussian> = z1.iter().map(|z1| Gaussian::alike(*z1, 1e-4, 1)).collect();
    let nats = std::f64::consts::LN_2 / 2.0;
    let of = |a: f64, beta: f64, t2_squared: f64| LinearLayers {
        w: 1.0,
        upper: Upper { a, s1_squared: 0.5, beta, t2_squared },
    };
    let half = 0.5f64.sqrt();
    let [below, above] = of(half, half, 0.5).activity(&lower);
    assert!(!above.is_unused() && !below.is_unused() && above.active == 1, "{above:?}");
    // 600 pictures: three standard errors of some 0.03.
    assert!((above.divergence - nats).abs() < 0.05 && (above.information.nats - nats).abs() < 0.1, "{above:?}");
    let [below, above] = of(0.0, 0.0, 1.0).activity(&lower);
    assert!(above.is_unused() && above.divergence == 0.0 && !below.is_unused(), "{above:?}");
    // z1 says nothing of pictures, and z2 says all of z1: the expectation of z2 is the same for every picture.
    let noise: Vec<Gaussian> = z1.iter().map(|_| Gaussian::alike(0.0, 1.0, 1)).collect();
    let [below, above] = of(half, half, 0.5).activity(&noise);
    assert!(below.is_unused() && above.active == 0, "{below:?}, {above:?}");
}
