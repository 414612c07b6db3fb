//! Whether a batch fits into memory, asked before any is taken.

use ddim_sampler::Guidance;

use crate::{Error, Model, device};

/// Tensors of a batch besides what the network takes: its state, the output, x0 and the next state.
const OF_SAMPLER: u64 = 4;

impl Model {
    /// Bytes that drawing takes at least with so many pictures at once, the weights apart. None for a model on a
    /// GPU, whose memory is its own ([`Error::Room`]), and for one that does not say how large its pictures are.
    pub fn memory(&self, pictures: usize) -> Option<u64> {
        if !device::is_cpu(self.device()) {
            return None;
        }
        let [channels, height, width] = self.shape().ok()?;
        let bytes = |values: usize| (values as u64).saturating_mul(size_of::<f32>() as u64);
        let network = match self.engine().processor() {
            Some(network) => network.memory([pictures, height, width])?,
            None => {
                let each = self.checkpoint().denoiser.graph().largest_value([height, width]).ok()?;
                bytes(each).saturating_mul(pictures as u64)
            }
        };
        // Pictures are made of latents when the network is done.
        let stage = self.first_stage().and_then(|stage| stage.decoder_memory(pictures, [height, width]));
        let network = network.max(stage.unwrap_or(0));
        let batch = bytes(channels * height * width).saturating_mul(pictures as u64);
        Some(network.saturating_add(batch.saturating_mul(OF_SAMPLER)))
    }

    /// Whether so many pictures at once, drawn with this guidance, fit into so many bytes. How many there are is
    /// for the caller to find out.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`], which says how many pictures do.
    pub fn check_memory(&self, pictures: usize, guidance: &Guidance, available: u64) -> Result<(), Error> {
        let copies = if guidance.is_off() { 1 } else { 2 };
        let needed = |pictures: usize| self.memory(pictures.saturating_mul(copies));
        let fits = |pictures: usize| needed(pictures).is_none_or(|needed| needed <= available);
        if fits(pictures) {
            return Ok(());
        }
        // More pictures never take less, but for the last bits of rounding up.
        let (mut fit, mut too_many) = (0, pictures);
        while too_many - fit > 1 {
            let middle = fit + (too_many - fit) / 2;
            if fits(middle) { fit = middle } else { too_many = middle }
        }
        let needed = needed(pictures).unwrap_or(0);
        Err(Error::Memory { pictures, needed, available, fit })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Error, device};

    #[test]
    fn what_does_not_fit_is_refused_with_what_does() {
        let model = Model::embedded(ddim_checkpoint::embedded_names()[0], &device::cpu()).expect("embedded");
        let of = |pictures| model.memory(pictures).expect("on the processor");
        assert!(of(1) > 4 * 28 * 28 && of(64) > of(1) && of(usize::MAX) > 1 << 62);
        let check = |pictures, available| model.check_memory(pictures, &Guidance::OFF, available);
        assert!(check(64, of(64)).is_ok());
        let Err(Error::Memory { fit, needed, .. }) = check(64, of(64) - 1) else { panic!("one byte too few") };
        assert!(fit < 64 && of(fit) < of(64) && needed == of(64));
        assert!(check(fit, of(64) - 1).is_ok());
        let error = check(1, 1000).expect_err("no room").to_string();
        assert!(
            error.contains("1 picture at once needs") && error.contains("not one of this size fits"),
            "{error}"
        );
        let Err(Error::Memory { fit, .. }) = check(usize::MAX, of(64)) else { panic!("too many") };
        assert!(fit >= 64);
    }
}
