//! Statistics in files.

use std::path::Path;

use anyhow::Context;
use ddim_data::{Array, Values, encode_arrays, read_array};
use ddim_eval::Statistics;

/// Mean and covariance of a set's features, under the names that pytorch-fid (`mu`, `sigma`) and guided-diffusion
/// (`mu_s`, `sigma_s`, of spatial features) give them.
#[derive(Clone, Debug)]
pub(super) struct Saved {
    /// The file or set they come from.
    pub(super) name: String,
    pub(super) pooled: Statistics,
    pub(super) spatial: Option<Statistics>,
}

impl Saved {
    /// What a file holds, `None` if it is no .npz with `mu`.
    ///
    /// # Errors
    /// A file that cannot be read, and a `mu` without its `sigma`.
    pub(super) fn read(path: &Path) -> anyhow::Result<Option<Self>> {
        let is_npz = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("npz"));
        if !is_npz || !path.is_file() || read_array(path, "mu")?.is_none() {
            return Ok(None);
        }
        let name = path.display().to_string();
        let identity = match read_array(path, "identity")? {
            Some(Array { values: Values::Text(text), .. }) => Some(text),
            _ => None,
        };
        let count = match read_array(path, "count")? {
            Some(Array { values: Values::I64(values), .. }) => {
                values.first().and_then(|n| usize::try_from(*n).ok())
            }
            _ => None,
        };
        let statistics = |mu, sigma| -> anyhow::Result<Option<Statistics>> {
            let Some(mean) = read_array(path, mu)? else { return Ok(None) };
            let covariance =
                read_array(path, sigma)?.with_context(|| format!("{name}: has {mu}, but no {sigma}"))?;
            let found = Statistics::from_arrays(&mean, &covariance, identity.clone(), count);
            found.map(Some).with_context(|| name.clone())
        };
        let (pooled, spatial) = (statistics("mu", "sigma")?, statistics("mu_s", "sigma_s")?);
        Ok(pooled.map(|pooled| Self { name: name.clone(), pooled, spatial }))
    }

    /// The bytes of a file.
    ///
    /// # Errors
    /// When they cannot be packed.
    pub(super) fn to_bytes(&self) -> anyhow::Result<Vec<u8>> {
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
