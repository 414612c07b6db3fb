//! Which latents say something about pictures.

use super::gaussian::Gaussian;
use super::importance::log_mean_exp;

/// The variance, in units of the prior's, from which on a latent number counts as active (Burda et al. 2016,
/// arXiv:1509.00519, appendix C).
pub const ACTIVE: f64 = 0.01;

/// The divergences of groups of latents, each the mean over some pictures, none of which counts below `least`
/// (Kingma et al. 2016, arXiv:1606.04934, appendix C.8): their sum, and for each group whether it is above and so
/// has a slope.
///
/// ```
/// assert_eq!(ddim_eval::free_bits(&[0.5, 0.1], 0.2), (0.7, vec![true, false]));
/// ```
pub fn free_bits(groups: &[f64], least: f64) -> (f64, Vec<bool>) {
    (groups.iter().map(|group| group.max(least)).sum(), groups.iter().map(|group| *group > least).collect())
}

/// How far each latent number moves from picture to picture: the variance of its mean over the pictures, divided
/// by the variance of the prior. Those above [`ACTIVE`] are of use.
///
/// # Panics
/// Distributions of other numbers than the prior's.
pub fn unit_variances(posteriors: &[Gaussian], prior: &Gaussian) -> Vec<f64> {
    let n = posteriors.len() as f64;
    let spread = |(k, log_variance): (usize, &f64)| {
        let mean = posteriors.iter().map(|q| q.mean()[k]).sum::<f64>() / n;
        let variance = posteriors.iter().map(|q| (q.mean()[k] - mean).powi(2)).sum::<f64>() / n;
        variance * (-log_variance).exp()
    };
    prior.log_variance().iter().enumerate().map(spread).collect()
}

/// How many nats latents tell about which picture they came from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MutualInformation {
    /// The estimate.
    pub nats: f64,
    /// The most that it can be, the logarithm of the number of pictures: an estimate close to it says "at least".
    pub ceiling: f64,
}

/// `E log q(z | x) - E log (1/M) sum_j q(z | x_j)` over M pictures, with a draw of each picture's latents (Hoffman
/// and Johnson 2016): what is left of KL(q(z | x), p(z)) when the whole set's distribution is told. None of no
/// pictures.
///
/// # Panics
/// Other numbers of draws than pictures.
pub fn mutual_information(posteriors: &[Gaussian], draws: &[Vec<f64>]) -> Option<MutualInformation> {
    assert_eq!(posteriors.len(), draws.len(), "a draw of each picture's latents");
    if posteriors.is_empty() {
        return None;
    }
    let of = |(q, z): (&Gaussian, &Vec<f64>)| {
        let all: Vec<f64> = posteriors.iter().map(|q| q.log_density(z)).collect();
        q.log_density(z) - log_mean_exp(&all)
    };
    let n = posteriors.len() as f64;
    let nats = posteriors.iter().zip(draws).map(of).sum::<f64>() / n;
    Some(MutualInformation { nats, ceiling: n.ln() })
}
