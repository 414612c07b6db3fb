//! What stays of the pictures of a set once they were looked at.

use ddim_data::{Picture, Size};
use ddim_eval::{Directions, EvalError, Extractor, Features, Moments, Pixels, Statistics};

use crate::args::{EvalArgs, Metric, SetName};
use crate::features::Saved;

/// The features of a set, `n x d` numbers of 4 bytes, and what else the figures need.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) name: String,
    /// The size of the pictures, once there is one.
    pub(super) size: Option<Size>,
    /// Pictures that were left out.
    pub(super) skipped: usize,
    pub(super) pooled: Features,
    pub(super) probabilities: Features,
    /// Pixels along random directions.
    pub(super) projected: Features,
    /// Those of the spatial features, or why these have none: the other figures do not need them.
    spatial: Option<Result<Moments, EvalError>>,
    /// Spatial features that wait for enough company to be added at once.
    waiting: Features,
    projections: usize,
    directions: Option<Directions>,
    /// Of the directions: the same for both sets.
    seed: u64,
    wants_spatial: bool,
    /// Whether nothing is wanted but what needs a covariance: pictures need not be looked at where there can be none.
    is_for_covariance: bool,
}

/// Spatial features that are added at once.
const TOGETHER: usize = 512;

impl Kept {
    pub(super) fn new(name: &SetName, metrics: &[Metric], args: &EvalArgs) -> Self {
        let options = &args.distances;
        let projections = if metrics.contains(&Metric::Sliced) { options.projections } else { 0 };
        Self {
            name: name.to_string(),
            size: None,
            skipped: 0,
            pooled: Features::default(),
            probabilities: Features::default(),
            projected: Features::default(),
            spatial: None,
            waiting: Features::default(),
            projections,
            directions: None,
            seed: args.seed,
            wants_spatial: metrics.contains(&Metric::Sfid) || options.save_stats.is_some(),
            is_for_covariance: metrics == [Metric::Frechet] || options.save_stats.is_some(),
        }
    }

    pub(super) fn pictures(&self) -> usize {
        self.pooled.len()
    }

    /// Looks at a batch.
    pub(super) fn add(&mut self, pictures: &[Picture], extractor: &dyn Extractor) -> Result<(), EvalError> {
        let found = extractor.extract(pictures)?;
        if self.is_for_covariance {
            Moments::check_width(found.pooled.width)?;
        }
        found.pooled.check_finite()?;
        self.pooled.append(&found.pooled)?;
        if let Some(probabilities) = found.probabilities {
            self.probabilities.append(&probabilities)?;
        }
        if let (true, Some(spatial)) = (self.wants_spatial, found.spatial) {
            self.add_spatial(&spatial)?;
        }
        if self.projections > 0 {
            let pixels = Pixels.extract(pictures)?.pooled;
            let new = || Directions::new(pixels.width, self.projections, self.seed);
            self.projected.append(&self.directions.get_or_insert_with(new).project(&pixels)?)?;
        }
        Ok(())
    }

    fn add_spatial(&mut self, found: &Features) -> Result<(), EvalError> {
        if self.spatial.get_or_insert_with(|| Moments::new(found.width)).is_err() {
            return Ok(());
        }
        self.waiting.append(found)?;
        if self.waiting.len() >= TOGETHER { self.finish() } else { Ok(()) }
    }

    /// Ends a set.
    pub(super) fn finish(&mut self) -> Result<(), EvalError> {
        let waiting = std::mem::take(&mut self.waiting);
        match &mut self.spatial {
            Some(Ok(moments)) => moments.add(&waiting),
            Some(Err(_)) | None => Ok(()),
        }
    }

    /// Mean and covariance of what was seen.
    pub(super) fn statistics(&self, identity: &str) -> Result<Statistics, EvalError> {
        Statistics::of(&self.pooled, identity)
    }

    /// The same of the spatial features, if there are any.
    pub(super) fn spatial(&self, identity: &str) -> Result<Option<Statistics>, EvalError> {
        match &self.spatial {
            None => Ok(None),
            Some(Ok(moments)) => moments.statistics(identity).map(Some),
            Some(Err(too_wide)) => Err(too_wide.clone()),
        }
    }

    /// What can be kept in a file: without spatial features where these are too many.
    pub(super) fn saved(&self, identity: &str) -> Result<Saved, EvalError> {
        let pooled = self.statistics(identity)?;
        let spatial = self.spatial(identity).or_else(|error| match error {
            EvalError::TooWide { .. } => {
                tracing::warn!("{}: mu_s and sigma_s, for sfid, are left out: {error}", self.name);
                Ok(None)
            }
            other => Err(other),
        })?;
        Ok(Saved { name: self.name.clone(), pooled, spatial })
    }
}

/// The error, and where a covariance is too large, what to type instead.
pub(super) fn advised(error: EvalError) -> anyhow::Error {
    match error {
        EvalError::TooWide { .. } => anyhow::anyhow!(
            "{error}: choose features that are fewer, --features classifier:FOLDER or inception:FILE, or measure what \
             needs no covariance, --metrics kernel,pr,dc,sliced"
        ),
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use ddim_eval::{Extracted, MOST_FEATURES};

    use super::*;

    /// Of every picture two features, and a spatial one more than a covariance has.
    struct Wide;

    impl Extractor for Wide {
        fn identity(&self) -> String {
            "wide".to_owned()
        }

        fn extract(&self, pictures: &[Picture]) -> Result<Extracted, EvalError> {
            let of = |width: usize| Features { width, values: vec![0.5; width * pictures.len()] };
            Ok(Extracted { pooled: of(2), spatial: Some(of(MOST_FEATURES + 1)), probabilities: None })
        }
    }

    #[test]
    fn too_many_spatial_features_cost_nothing_but_what_needs_them() {
        let mut kept = Kept {
            name: "set".to_owned(),
            size: None,
            skipped: 0,
            pooled: Features::default(),
            probabilities: Features::default(),
            projected: Features::default(),
            spatial: None,
            waiting: Features::default(),
            projections: 0,
            directions: None,
            seed: 0,
            wants_spatial: true,
            is_for_covariance: true,
        };
        let picture = Picture { width: 1, height: 1, channels: 1, pixels: vec![9] };
        for _ in 0..2 {
            kept.add(&[picture.clone(), picture.clone()], &Wide).expect("the others are kept");
        }
        kept.finish().expect("nothing waits");
        assert_eq!((kept.pictures(), kept.waiting.len()), (4, 0));
        let error = kept.spatial("wide").expect_err("too wide");
        assert!(matches!(error, EvalError::TooWide { found, .. } if found == MOST_FEATURES + 1), "{error}");
        assert!(kept.saved("wide").expect("the rest").spatial.is_none());
    }
}
