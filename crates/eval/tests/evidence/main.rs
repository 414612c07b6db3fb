//! Models with latents whose every number is known (`tests/goldens/latent/closed_form`).

mod layers;

use std::path::Path;

use std::convert::Infallible;
use std::ops::ControlFlow;

use ddim_eval::{
    ACTIVE, Diagnosis, Draw, EncoderSlope, Estimator, Evidence, Gaussian, LatentModel, LayerActivity,
    LayerNetworks, Mean, Told, UpperModel, importance_bounds, log_mean_exp, mutual_information, normalised,
    unit_variances,
};
use ddim_sampler::fill_normals;
use ddim_tensor::Tensor;
use serde_json::Value;

fn golden(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/goldens/latent/closed_form").join(name);
    serde_json::from_str(&std::fs::read_to_string(path).expect("there")).expect("JSON")
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

fn list(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(number).collect()
}

fn table(value: &Value) -> Vec<Vec<f64>> {
    value.as_array().expect("rows").iter().map(list).collect()
}

fn normals(count: usize, seed: u64) -> Vec<f64> {
    let mut values = vec![0.0; count];
    fill_normals(seed, 0, 0, &mut values);
    values.into_iter().map(f64::from).collect()
}

/// Relative where numbers are large.
fn assert_close(found: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        let off = (found - expected).abs() / (1.0 + expected.abs());
        assert!(off <= tolerance, "{what}: {found} is not {expected}, off by {off:.1e}");
    }
}

fn times(matrix: &[Vec<f64>], x: &[f64]) -> Vec<f64> {
    matrix.iter().map(|row| row.iter().zip(x).map(|(a, b)| a * b).sum()).collect()
}

fn transposed(matrix: &[Vec<f64>]) -> Vec<Vec<f64>> {
    (0..matrix[0].len()).map(|k| matrix.iter().map(|row| row[k]).collect()).collect()
}

fn plus(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

/// `z ~ N(mu_z, s_z^2 I)`, `x | z ~ N(W z + b, diag v)`, `q(z | x) = N(A x + c, diag s^2)`.
struct Linear {
    w: Vec<Vec<f64>>,
    b: Vec<f64>,
    log_v: Vec<f64>,
    prior: Gaussian,
    a: Vec<Vec<f64>>,
    c: Vec<f64>,
    log_variance: Vec<f64>,
}

impl Linear {
    fn read(golden: &Value, set: &Value) -> Self {
        let logs = |values: Vec<f64>, times: f64| values.into_iter().map(|v| times * v.ln()).collect();
        let (mu, s_z) = (list(&golden["mu_z"]), number(&golden["s_z"]));
        Linear {
            w: table(&golden["W"]),
            b: list(&golden["b"]),
            log_v: logs(list(&golden["v"]), 1.0),
            prior: Gaussian::new(mu.clone(), vec![2.0 * s_z.ln(); mu.len()]),
            a: table(&set["A"]),
            c: list(&set["c"]),
            log_variance: logs(list(&set["s"]), 2.0),
        }
    }

    fn q(&self, x: &[f64]) -> Gaussian {
        Gaussian::new(plus(&times(&self.a, x), &self.c), self.log_variance.clone())
    }

    fn decoder(&self, z: &[f64]) -> Gaussian {
        Gaussian::new(plus(&times(&self.w, z), &self.b), self.log_v.clone())
    }

    /// The logarithm of p(x, z) / q(z | x), and the slope of log p(x, z) by z.
    fn drawn(&self, x: &[f64], q: &Gaussian, noise: &[f64]) -> Drawn {
        let z = q.at(noise);
        let decoder = self.decoder(&z);
        let log_weight = decoder.log_density(x) + self.prior.log_density(&z) - q.log_density(&z);
        // By the decoder's mean, which is W z + b.
        let by_mean: Vec<f64> = decoder.slope(x).iter().map(|slope| -slope).collect();
        (log_weight, plus(&times(&transposed(&self.w), &by_mean), &self.prior.slope(&z)))
    }
}

/// Points of equal weight that integrate every polynomial of degree 3 exactly against N(0, I): +-sqrt(d) along
/// each axis.
fn cubature(d: usize) -> Vec<Vec<f64>> {
    let point = |axis: usize, sign: f64| {
        (0..d).map(|k| if k == axis { sign * (d as f64).sqrt() } else { 0.0 }).collect::<Vec<f64>>()
    };
    (0..d).flat_map(|axis| [point(axis, 1.0), point(axis, -1.0)]).collect()
}

/// The divergence of N(m, diag v) from N(mean, covariance), whose covariance is not a diagonal.
fn divergence_from_full(q: &Gaussian, mean: &[f64], covariance: &[Vec<f64>]) -> f64 {
    let n = mean.len();
    let mut l = vec![vec![0.0; n]; n];
    for i in 0..n {
        for j in 0..=i {
            let rest = covariance[i][j] - (0..j).map(|k| l[i][k] * l[j][k]).sum::<f64>();
            l[i][j] = if i == j { rest.sqrt() } else { rest / l[j][j] };
        }
    }
    let solved = |x: &[f64]| {
        let mut y = vec![0.0; n];
        for i in 0..n {
            y[i] = (x[i] - (0..i).map(|k| l[i][k] * y[k]).sum::<f64>()) / l[i][i];
        }
        y.iter().map(|y| y * y).sum::<f64>()
    };
    let axis = |k: usize| (0..n).map(move |i| if i == k { (q.log_variance()[k] / 2.0).exp() } else { 0.0 });
    let trace: f64 = (0..n).map(|k| solved(&axis(k).collect::<Vec<_>>())).sum();
    let apart: Vec<f64> = q.mean().iter().zip(mean).map(|(a, b)| a - b).collect();
    let log_det: f64 = (0..n).map(|k| 2.0 * l[k][k].ln()).sum();
    (trace + solved(&apart) - n as f64 + log_det - q.log_variance().iter().sum::<f64>()) / 2.0
}

/// log p(x) = bound + KL(q, exact posterior), the bound from draws, and all its gradients. In f64; the goldens
/// have 15 digits.
#[test]
fn a_linear_model_is_known_to_the_last_digit() {
    let golden = golden("linear_gaussian_vae.json");
    let covariance = table(&golden["posterior_covariance"]);
    for set in golden["sets"].as_array().expect("sets") {
        let model = Linear::read(&golden, set);
        for row in set["rows"].as_array().expect("rows") {
            let x = list(&row["x"]);
            let q = model.q(&x);
            let points = cubature(3);
            let drawn: Vec<_> = points.iter().map(|noise| model.drawn(&x, &q, noise)).collect();
            let bound = drawn.iter().map(|(log_weight, _)| log_weight).sum::<f64>() / drawn.len() as f64;
            let (log_p, kl) = (number(&row["log_p"]), q.divergence(&model.prior));
            assert_close(&[bound, kl], &[number(&row["elbo"]), number(&row["kl"])], 1e-12, "bound and KL");
            let gap = divergence_from_full(&q, &list(&row["posterior_mean"]), &covariance);
            assert_close(&[log_p - bound], &[gap], 1e-12, "gap");
            assert_close(&[gap], &[number(&row["gap"])], 1e-12, "gap of the golden");
            let expected = &row["gradient_of_elbo"];
            let found = mean_slope(&model, &x, (&points, &drawn), Estimator::Reparameterised);
            assert_close(&found.mean, &list(&expected["c"]), 1e-12, "by the encoder's mean");
            let by_log_s: Vec<f64> = found.log_variance.iter().map(|slope| 2.0 * slope).collect();
            assert_close(&by_log_s, &list(&expected["log_s"]), 1e-12, "by its log deviation");
            let by_a: Vec<Vec<f64>> = found.mean.iter().map(|m| x.iter().map(|x| m * x).collect()).collect();
            assert_close(&by_a.concat(), &table(&expected["A"]).concat(), 1e-12, "by its matrix");
            let by_decoder = decoder_slope(&model, &x, &q, &points);
            for (name, found) in ["W", "b", "log_v", "mu_z", "log_s_z"].iter().zip(by_decoder) {
                let expected = match &expected[*name] {
                    rows @ Value::Array(all) if all[0].is_array() => table(rows).concat(),
                    Value::Number(_) => vec![number(&expected[*name])],
                    row => list(row),
                };
                assert_close(&found, &expected, 1e-12, name);
            }
        }
    }
}

/// log p(x, z) / q(z | x) of a draw, and the slope of log p(x, z) by z.
type Drawn = (f64, Vec<f64>);

/// The mean over points of what an estimator says of a draw.
fn mean_slope(
    model: &Linear,
    x: &[f64],
    (points, drawn): (&[Vec<f64>], &[Drawn]),
    estimator: Estimator,
) -> EncoderSlope {
    let (q, share) = (model.q(x), 1.0 / points.len() as f64);
    let mut total = EncoderSlope { mean: vec![0.0; 3], log_variance: vec![0.0; 3] };
    for (noise, (log_weight, slope)) in points.iter().zip(drawn) {
        let draw = Draw { noise, log_weight: *log_weight, slope };
        let found = estimator.encoder_slope(&q, &[draw], 1.0, 0.0);
        for k in 0..3 {
            total.mean[k] += share * found.mean[k];
            total.log_variance[k] += share * found.log_variance[k];
        }
    }
    total
}

/// By W, b, log v, mu_z and log s_z: slopes of Gaussians at draws, averaged.
fn decoder_slope(model: &Linear, x: &[f64], q: &Gaussian, points: &[Vec<f64>]) -> [Vec<f64>; 5] {
    let share = 1.0 / points.len() as f64;
    let mut found = [15, 5, 5, 3, 1].map(|len| vec![0.0; len]);
    for noise in points {
        let z = q.at(noise);
        let decoder = model.decoder(&z);
        let by_mean: Vec<f64> = decoder.slope(x).iter().map(|slope| -slope).collect();
        let [w, b, log_v, mu_z, log_s_z] = &mut found;
        for (k, by_mean) in by_mean.iter().enumerate() {
            let off = x[k] - decoder.mean()[k];
            b[k] += share * by_mean;
            log_v[k] += share * (off * by_mean - 1.0) / 2.0;
            (0..3).for_each(|j| w[3 * k + j] += share * by_mean * z[j]);
        }
        for (k, slope) in model.prior.slope(&z).iter().enumerate() {
            mu_z[k] -= share * slope;
            log_s_z[0] += share * ((model.prior.mean()[k] - z[k]) * slope - 1.0);
        }
    }
    found
}

/// The problem of `importance_weighted.json`: p(z) = N(0, 1), p(x | z) = N(w z, v), q = N(m, s^2).
struct Scalar {
    w: f64,
    v: f64,
    x: f64,
    prior: Gaussian,
    q: Gaussian,
}

impl Scalar {
    fn read(golden: &Value) -> Self {
        let of = |key: &str| number(&golden[key]);
        let q = Gaussian::new(vec![of("m")], vec![2.0 * of("s").ln()]);
        Scalar { w: of("w"), v: of("v"), x: of("x"), prior: Gaussian::alike(0.0, 1.0, 1), q }
    }

    fn log_weight(&self, noise: f64) -> f64 {
        self.drawn(noise).0
    }

    fn drawn(&self, noise: f64) -> (f64, f64) {
        let z = self.q.at(&[noise]);
        let decoder = Gaussian::alike(self.w * z[0], self.v, 1);
        let weight = decoder.log_density(&[self.x]) + self.prior.log_density(&z) - self.q.log_density(&z);
        (weight, self.w * (self.x - self.w * z[0]) / self.v - z[0])
    }

    /// An estimate of the gradient by mean and log variance, from k draws.
    fn slope(&self, estimator: Estimator, noise: &[f64]) -> [f64; 2] {
        let drawn: Vec<(f64, f64)> = noise.iter().map(|noise| self.drawn(*noise)).collect();
        let draws: Vec<Draw> = noise
            .iter()
            .zip(&drawn)
            .map(|(noise, (log_weight, slope))| Draw {
                noise: std::slice::from_ref(noise),
                log_weight: *log_weight,
                slope: std::slice::from_ref(slope),
            })
            .collect();
        let slope = estimator.encoder_slope(&self.q, &draws, 1.0, 0.0);
        [slope.mean[0], slope.log_variance[0]]
    }
}

/// Points and weights for integrals against N(0, 1): equally spaced ones, whose error for such smooth functions is
/// below rounding.
fn quadrature() -> Vec<(f64, f64)> {
    let step = 0.05;
    let point = |k: i32| {
        let x = step * f64::from(k);
        (x, step * (-x * x / 2.0).exp() / std::f64::consts::TAU.sqrt())
    };
    (-200..=200).map(point).collect()
}

/// One weight and two by quadrature; the golden's are exact to 1e-9.
#[test]
fn bounds_of_one_and_two_weights_are_the_integrals() {
    let golden = golden("importance_weighted.json");
    let problem = Scalar::read(&golden);
    let points: Vec<(f64, f64)> =
        quadrature().into_iter().map(|(noise, share)| (problem.log_weight(noise), share)).collect();
    let one: f64 = points.iter().map(|(log_weight, share)| share * log_mean_exp(&[*log_weight])).sum();
    let pairs = points.iter().flat_map(|a| points.iter().map(move |b| (a, b)));
    let two: f64 = pairs.map(|((a, p), (b, q))| p * q * log_mean_exp(&[*a, *b])).sum();
    let expected = [0, 1].map(|row| number(&golden["rows"][row]["bound"]));
    assert_close(&[one, two], &expected, 2e-9, "one and two weights");
}

/// Bounds from draws within four standard errors of the golden's, rising, with a gap of chi^2 / 2k at last.
#[test]
fn bounds_rise_to_log_p_as_the_weights_grow_more() {
    let golden = golden("importance_weighted.json");
    let problem = Scalar::read(&golden);
    let (log_p, ks) = (number(&golden["log_p"]), [1, 5, 10, 50, 500, 5000]);
    let noise = normals(200 * 5000, 1);
    let log_weights: Vec<Vec<f64>> =
        noise.chunks(5000).map(|part| part.iter().map(|noise| problem.log_weight(*noise)).collect()).collect();
    let bounds = importance_bounds(&log_weights, &ks);
    for bound in &bounds {
        let row = golden["rows"].as_array().expect("rows").iter().find(|row| row["k"] == bound.k).expect("a row");
        let error = bound.standard_error.expect("many").hypot(number(&row["standard_error"]));
        let off = (bound.mean - number(&row["bound"])).abs();
        assert!(off < 4.0 * error, "{bound:?}: {off} with an error of {error}");
        assert!(bound.effective <= bound.k as f64 * (1.0 + 1e-12), "{bound:?}");
    }
    assert!(bounds.windows(2).all(|pair| pair[0].mean < pair[1].mean), "{bounds:?}");
    // 2000 groups of 500; the mean weight is 1 exactly, which takes most of the spread away.
    let groups = noise.chunks(500).map(|part| {
        let weights: Vec<f64> = part.iter().map(|noise| problem.log_weight(*noise) - log_p).collect();
        let bound = log_mean_exp(&weights);
        bound - bound.exp_m1()
    });
    let gap = Mean::of(&groups.collect::<Vec<_>>()).expect("groups");
    let leading = number(&golden["chi_square"]) / 1000.0;
    assert!((-gap.mean / leading - 1.0).abs() < 0.05, "{gap:?}, {leading}");
    // All draws alike say as much as their number: E w^2 = 1 + chi^2.
    let effective = bounds.last().expect("bounds").effective / 5000.0;
    assert!((effective * (1.0 + number(&golden["chi_square"])) - 1.0).abs() < 0.01, "{effective}");
}

/// E[-|z - a|^2 / 2] by one mean: both estimates have the same mean, and variances that are known. 40,000 draws:
/// means within five standard errors; the spread of a variance is some 2 %, so 8 % are four of it.
#[test]
fn the_score_function_costs_what_the_closed_form_says() {
    let golden = golden("gradient_variance.json");
    for (seed, row) in (5..).zip(golden["rows"].as_array().expect("rows")) {
        let [sigma, delta] = ["sigma", "delta"].map(|key| number(&row[key]));
        let (d, times) = (row["d"].as_u64().expect("whole") as usize, 40_000);
        let q = Gaussian::alike(delta, sigma * sigma, d);
        let noise = normals(d * times, seed);
        let found = [Estimator::Reparameterised, Estimator::Score].map(|estimator| {
            let each = noise.chunks(d).map(|noise| {
                let z = q.at(noise);
                let slope: Vec<f64> = z.iter().map(|z| -z).collect();
                let log_weight = z.iter().map(|z| -z * z / 2.0).sum();
                estimator.encoder_slope(&q, &[Draw { noise, log_weight, slope: &slope }], 0.0, 0.0).mean[0]
            });
            Mean::of(&each.collect::<Vec<_>>()).expect("draws")
        });
        let variance = found.map(|mean| mean.standard_error.expect("many").powi(2) * times as f64);
        for mean in found {
            let off = (mean.mean - number(&row["mean_of_both"])).abs();
            assert!(off < 5.0 * mean.standard_error.expect("many"), "{d} numbers: {mean:?}");
        }
        let ratio = variance[1] / variance[0] / number(&row["ratio"]);
        assert!((ratio - 1.0).abs() < 0.08, "{d} numbers: {variance:?}, {ratio}");
    }
}

/// Estimates of one gradient from k draws, over and over: the mean, its error, and the spread of one estimate.
fn repeated(problem: &Scalar, estimator: Estimator, k: usize, part: usize) -> (Mean, f64) {
    let times = 20_000;
    let noise = normals(k * times, 31 + k as u64);
    let each: Vec<f64> = noise.chunks(k).map(|noise| problem.slope(estimator, noise)[part]).collect();
    let mean = Mean::of(&each).expect("draws");
    (mean, mean.standard_error.expect("many") * (times as f64).sqrt())
}

/// All unbiased estimators agree with the slope of the bound, and so do those that are biased for several draws
/// with one. Differences within five standard errors of both.
#[test]
fn estimators_agree_where_they_are_unbiased() {
    let problem = Scalar::read(&golden("importance_weighted.json"));
    let all = [Estimator::Score, Estimator::StickTheLanding, Estimator::DoublyReparameterised];
    for (k, part) in [(1, 0), (1, 1), (5, 0), (5, 1)] {
        let (expected, _) = repeated(&problem, Estimator::Reparameterised, k, part);
        for estimator in all {
            let (found, _) = repeated(&problem, estimator, k, part);
            let error = found.standard_error.expect("many").hypot(expected.standard_error.expect("many"));
            let is_far = (found.mean - expected.mean).abs() > 5.0 * error;
            let is_biased = estimator == Estimator::StickTheLanding && k > 1;
            assert_eq!(is_far, is_biased, "{estimator:?}, k {k}, part {part}: {found:?}, {expected:?}");
        }
    }
}

/// Rainforth et al. 2018, arXiv:1802.04537: with more draws the encoder's gradient fades faster than its noise, as
/// k^-1/2. Doubly reparameterised it does not.
#[test]
fn more_draws_drown_the_gradient_of_one_estimator_and_not_of_the_other() {
    let problem = Scalar::read(&golden("importance_weighted.json"));
    let ratio = |estimator, k| {
        let (mean, spread) = repeated(&problem, estimator, k, 0);
        mean.mean.abs() / spread
    };
    let slope = |estimator| (f64::ln(ratio(estimator, 64)) - f64::ln(ratio(estimator, 4))) / f64::ln(16.0);
    let [plain, doubly] = [Estimator::Reparameterised, Estimator::DoublyReparameterised].map(slope);
    assert!((plain + 0.5).abs() < 0.1, "{plain}");
    assert!((doubly - 0.5).abs() < 0.1, "{doubly}");
}

/// Where q is the exact posterior every weight is p(x), and the slope of a draw without that of log q is 0
/// exactly.
#[test]
fn nothing_is_left_to_learn_at_the_posterior() {
    let golden = golden("importance_weighted.json");
    let (mean, variance) = (number(&golden["posterior_mean"]), number(&golden["posterior_variance"]));
    let problem = Scalar { q: Gaussian::new(vec![mean], vec![variance.ln()]), ..Scalar::read(&golden) };
    for noise in [-2.0, 0.3, 1.5] {
        assert!((problem.log_weight(noise) - number(&golden["log_p"])).abs() < 1e-12);
        let [a, b] = problem.slope(Estimator::StickTheLanding, &[noise]);
        assert!(a.abs() < 1e-12 && b.abs() < 1e-12, "{a} {b}");
        let [a, _] = problem.slope(Estimator::Reparameterised, &[noise]);
        assert!(a.abs() > 0.1, "{a}");
    }
}

/// A constant mean, one that copies the picture, and noise around nothing: not active, active, not active, in any
/// units.
#[test]
fn active_units_do_not_depend_on_units() {
    let pictures = normals(500, 3);
    for scale in [1.0, 1e-3, 40.0] {
        let of = |x: &f64| {
            let variances = [0.2, 0.1, 1.0].map(|v: f64| (v * scale * scale).ln());
            Gaussian::new([2.0, 0.9 * x, 0.0].map(|m| m * scale).to_vec(), variances.to_vec())
        };
        let q: Vec<Gaussian> = pictures.iter().map(of).collect();
        let found = unit_variances(&q, &Gaussian::alike(0.0, scale * scale, 3));
        let active: Vec<bool> = found.iter().map(|variance| *variance > ACTIVE).collect();
        assert_eq!(active, [false, true, false], "{found:?}");
        assert!((found[1] - 0.81).abs() < 0.2, "{found:?}");
    }
}

/// Two far clusters: latents that tell which have log 2 nats, latents that say nothing have none, and latents that
/// tell every picture have as many as can be seen.
#[test]
fn latents_that_tell_one_of_two_have_one_bit() {
    let n = 400;
    let noise = normals(n, 8);
    let told = |place: fn(usize) -> f64| {
        let q: Vec<Gaussian> = (0..n).map(|k| Gaussian::alike(place(k), 1.0, 1)).collect();
        let draws: Vec<Vec<f64>> = q.iter().zip(&noise).map(|(q, noise)| q.at(&[*noise])).collect();
        mutual_information(&q, &draws).expect("pictures")
    };
    let two = told(|k| if k.is_multiple_of(2) { -20.0 } else { 20.0 });
    assert!((two.nats - 2f64.ln()).abs() < 1e-9, "{two:?}");
    assert!(told(|_| 3.0).nats.abs() < 1e-12);
    let all = told(|k| 100.0 * k as f64);
    assert!((all.nats - all.ceiling).abs() < 1e-9 && all.ceiling == (n as f64).ln(), "{all:?}");
}

/// Also where they are as small as those of a picture.
#[test]
fn weights_add_up_to_one() {
    let found = normalised(&[-70_000.0, -70_001.0, -80_000.0]);
    let sum: f64 = found.iter().sum();
    assert!((sum - 1.0).abs() < 1e-15 && (found[0] / found[1] - 1f64.exp()).abs() < 1e-12, "{found:?}");
}

/// A linear model whose encoder is off: fitted to each picture it becomes the best diagonal one, and its bound
/// misses log p by the gap that the golden has for that; the bound of many weights misses it by less. Draws: means
/// within four standard errors of theirs.
#[test]
fn an_encoder_fitted_to_each_picture_closes_the_gap_that_one_for_all_leaves() {
    let golden = golden("linear_gaussian_vae.json");
    let [best, off] = [0, 1].map(|set| Linear::read(&golden, &golden["sets"][set]));
    let rows = golden["sets"][1]["rows"].as_array().expect("rows");
    let model = LatentModel { prior: off.prior.clone(), latent: [3, 1, 1], log_variance: off.log_v.clone() };
    let x: Vec<Vec<f64>> = rows.iter().map(|row| list(&row["x"])).collect();
    let pictures: Vec<Vec<f32>> = x.iter().map(|x| x.iter().map(|x| *x as f32).collect()).collect();
    let evidence = Evidence { model: &model, pictures: &pictures, seed: 3, first: 0, together: 64 };
    let decode = |z: Tensor| {
        let values = z.values();
        let each = values.chunks_exact(3).flat_map(|z| {
            let z: Vec<f64> = z.iter().map(|z| f64::from(*z)).collect();
            off.decoder(&z).mean().iter().map(|x| *x as f32).collect::<Vec<_>>()
        });
        Ok::<_, Infallible>(Tensor::new(each.collect(), [z.dims()[0], 5, 1, 1]))
    };
    let back = |z: Tensor, slope: &dyn Fn(&Tensor) -> Tensor| {
        let Ok(decoded) = decode(z);
        let each = slope(&decoded).into_values();
        let w = transposed(&off.w);
        let back = each.chunks_exact(5).flat_map(|slope| {
            let slope: Vec<f64> = slope.iter().map(|s| f64::from(*s)).collect();
            times(&w, &slope).into_iter().map(|s| s as f32).collect::<Vec<_>>()
        });
        Ok::<_, Infallible>(Tensor::new(back.collect(), [decoded.dims()[0], 3, 1, 1]))
    };
    let go_on = || ControlFlow::Continue(());
    let q: Vec<Gaussian> = x.iter().map(|x| off.q(x)).collect();
    let Ok(fitted) = evidence.fitted(&q, 2000, back, go_on);
    let fitted = fitted.expect("nobody stops it");
    for (q, x) in fitted.iter().zip(&x) {
        // What a fall of the rate to 0 leaves of the noise of Adam's steps.
        let best = best.q(x);
        assert_close(q.mean(), best.mean(), 0.02, "mean");
        assert_close(q.log_variance(), best.log_variance(), 0.05, "log variance");
    }
    let weighed = |q: &[Gaussian], draws| {
        let Ok(found) = evidence.weigh(q, draws, decode, go_on);
        found.expect("nobody stops it")
    };
    for ((found, row), q) in weighed(&q, 4000).iter().zip(rows).zip(&q) {
        let error = Mean::of(&found.log_weights).and_then(|mean| mean.standard_error).expect("draws");
        let elbo = number(&row["elbo"]);
        assert!((found.bound() - elbo).abs() < 4.0 * error, "{found:?}: {elbo}");
        assert!((found.divergence - q.divergence(&off.prior)).abs() < 1e-12);
        let bounds = importance_bounds(std::slice::from_ref(&found.log_weights), &[1, 4000]);
        assert!((bounds[0].mean - elbo).abs() < 4.0 * error);
        // Draws of an encoder this far off seldom meet the posterior: most of the gap goes, not all.
        let left = number(&row["log_p"]) - bounds[1].mean;
        assert!(left > -0.1 && left < 0.5 * number(&row["gap"]), "{left} of {}", number(&row["gap"]));
    }
    let gap = number(&golden["sets"][0]["rows"][0]["gap"]);
    for (found, row) in weighed(&fitted, 4000).iter().zip(rows) {
        let error = Mean::of(&found.log_weights).and_then(|mean| mean.standard_error).expect("draws");
        let left = number(&row["log_p"]) - found.bound();
        assert!((left - gap).abs() < 4.0 * error + 0.005, "{left}, {gap}");
    }
}

/// Two channels of two numbers: the first copies one number of a picture into each, the second says nothing.
#[test]
fn a_channel_that_says_nothing_is_named() {
    let pictures = normals(2 * 300, 5);
    let of = |silent: bool| {
        let q = pictures.chunks_exact(2).map(|x| {
            let x = if silent { [0.0; 2] } else { [0.8 * x[0], 0.8 * x[1]] };
            let log = if silent { 0.0 } else { 0.36f64.ln() };
            Gaussian::new(vec![x[0], x[1], 0.0, 0.0], vec![log, log, 0.0, 0.0])
        });
        Diagnosis::of(&q.collect::<Vec<_>>(), &Gaussian::alike(0.0, 1.0, 4), 2, 1).expect("pictures")
    };
    let found = of(false);
    assert_eq!((found.channels[0].active, found.channels[1].active, found.unused()), (2, 0, vec![1]));
    assert!(!found.is_collapsed() && found.channels[1].divergence == 0.0, "{found:?}");
    // Where x is N(0, 1), q = N(0.8 x, 0.36) is N(0, 1) on average: KL and information are both log(1 / 0.6) a
    // number. 300 pictures; three standard errors of some 0.05 each.
    let nats = 2.0 * (1.0 / 0.6f64).ln();
    assert!((found.divergence() - nats).abs() < 0.15, "{found:?}, {nats}");
    assert!((found.information.nats - nats).abs() < 0.2, "{found:?}, {nats}");
    assert!(of(true).is_collapsed());
}
