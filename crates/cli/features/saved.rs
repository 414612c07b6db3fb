//! Statistics in files.

use std::path::Path;

use anyhow::{Context, bail};
use ddim_data::{Array, Values, decode_array, encode_arrays, read_array};
use ddim_eval::Statistics;
use ddim_features::{EmbeddedSet, embedded_statistics};

/// Mean and covariance of a set's features, under the names that pytorch-fid (`mu`, `sigma`) and guided-diffusion
/// (`mu_s`, `sigma_s`, of spatial features) give them.
#[derive(Clone, Debug)]
pub(crate) struct Saved {
    /// The file or set they come from.
    pub(crate) name: String,
    pub(crate) pooled: Statistics,
    pub(crate) spatial: Option<Statistics>,
}

impl Saved {
    /// What a file holds, `None` if it is not an .npz with `mu`.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Option<Self>> {
        let is_npz = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("npz"));
        if !is_npz || path.is_dir() || read_array(path, "mu")?.is_none() {
            return Ok(None);
        }
        Self::of(path.display().to_string(), |array| Ok(read_array(path, array)?))
    }

    /// Those of the embedded classifier over one of the sets that it knows.
    pub(crate) fn embedded(set: EmbeddedSet) -> anyhow::Result<Self> {
        let model = ddim_checkpoint::embedded_names().first().context("this program was built without a model")?;
        let (file, name) = (embedded_statistics(model, set)?, format!("embedded:{set}"));
        let place = Path::new(&name);
        let saved = Self::of(name.clone(), |array| Ok(decode_array(place, file, array)?))?;
        saved.with_context(|| format!("{name} has no statistics"))
    }

    fn of(name: String, array: impl Fn(&str) -> anyhow::Result<Option<Array>>) -> anyhow::Result<Option<Self>> {
        let identity = match array("identity")? {
            Some(Array { values: Values::Text(text), .. }) => Some(text),
            _ => None,
        };
        let count = match array("count")? {
            Some(Array { values: Values::I64(values), .. }) => {
                values.first().and_then(|n| usize::try_from(*n).ok())
            }
            _ => None,
        };
        let statistics = |mu, sigma| -> anyhow::Result<Option<Statistics>> {
            let Some(mean) = array(mu)? else { return Ok(None) };
            let covariance = array(sigma)?.with_context(|| format!("{name}: has {mu}, but no {sigma}"))?;
            let found = Statistics::from_arrays(&mean, &covariance, identity.clone(), count);
            found.map(Some).with_context(|| name.clone())
        };
        let (pooled, spatial) = (statistics("mu", "sigma")?, statistics("mu_s", "sigma_s")?);
        Ok(pooled.map(|pooled| Self { name: name.clone(), pooled, spatial }))
    }

    /// Refuses statistics of other features than these; those that do not say are taken, with a warning.
    pub(crate) fn check_identity(&self, identity: &str) -> anyhow::Result<()> {
        match self.pooled.identity() {
            Some(own) if own == identity => {}
            Some(own) => bail!(
                "{}: statistics of the features \"{own}\", and --features are \"{identity}\": choose those, or make \
                 the statistics anew",
                self.name
            ),
            None => tracing::warn!(
                "{} does not say what features it is of; it is compared as if they were \"{identity}\"",
                self.name
            ),
        }
        Ok(())
    }

    /// The bytes of a file.
    pub(crate) fn to_bytes(&self) -> anyhow::Result<Vec<u8>> {
        let [mu, sigma] = self.pooled.to_arrays();
        let mut arrays = vec![("mu", mu), ("sigma", sigma)];
        if let Some(spatial) = &self.spatial {
            let [mu, sigma] = spatial.to_arrays();
            arrays.extend([("mu_s", mu), ("sigma_s", sigma)]);
        }
        let single = |values| Array { shape: Vec::new(), values };
        if let Some(identity) = self.pooled.identity() {
            arrays.push(("identity", single(Values::Text(identity.to_owned()))));
        }
        if let Some(count) = self.pooled.count() {
            arrays.push(("count", single(Values::I64(vec![count as i64]))));
        }
        Ok(encode_arrays(&arrays)?)
    }
}

#[cfg(test)]
mod tests {
    use ddim_eval::Features;

    use super::*;

    #[test]
    fn statistics_read_back_and_pictures_are_none() {
        let features = Features { width: 2, values: vec![0.0, 1.0, 3.0, 2.0, 5.0, 9.0] };
        let pooled = Statistics::of(&features, "pixels").expect("three");
        let saved = Saved { name: String::new(), spatial: Some(pooled.clone()), pooled };
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.npz");
        std::fs::write(&path, saved.to_bytes().expect("packs")).expect("writable");
        let again = Saved::read(&path).expect("readable").expect("statistics");
        assert_eq!((again.pooled, again.spatial), (saved.pooled, saved.spatial));
        let picture = ddim_data::Picture { width: 1, height: 1, channels: 1, pixels: vec![0] };
        std::fs::write(&path, ddim_data::encode_npz(&[picture], &[]).expect("packs")).expect("writable");
        assert!(Saved::read(&path).expect("readable").is_none());
        assert!(Saved::read(folder.path()).expect("a folder").is_none());
    }

    #[test]
    fn those_of_pytorch_fid_are_read() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/eval/statistics.npz");
        let saved = Saved::read(&path).expect("readable").expect("statistics");
        assert_eq!((saved.pooled.width(), saved.pooled.identity(), saved.pooled.count()), (24, None, None));
    }
}
