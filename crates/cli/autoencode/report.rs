//! How close pictures came to themselves, in numbers.

use std::path::Path;

use ddim::autoencoder::AutoencoderConfig;
use ddim::first_stage::{Reconstruction, decibels};
use ddim::{ErrorSummary, FirstStage};
use ddim_bench::units;
use ddim_tensor::Tensor;
use serde_json::{Value, json};

use super::diagnosis::Diagnosed;
use super::kind;

/// What is printed.
pub(super) struct Report {
    class: &'static str,
    kind: &'static str,
    pictures: usize,
    /// Channels, height, width.
    shape: [usize; 3],
    latents: [usize; 3],
    errors: ErrorSummary,
    /// The mean over the pictures, in decibels.
    psnr: f64,
    divergence: Option<ErrorSummary>,
    codes: Option<CodeUse>,
    /// Mean and standard deviation of the latents as a diffusion model has them.
    scaled: [f64; 2],
    diagnosis: Option<Diagnosed>,
}

struct CodeUse {
    used: usize,
    rows: usize,
    perplexity: f64,
    /// What the codes of a picture need at least when each is written alone, in bits.
    bits: f64,
}

impl Report {
    pub(super) fn new(
        stage: &FirstStage,
        pictures: &Tensor,
        back: &Reconstruction,
        diagnosis: Option<Diagnosed>,
    ) -> Self {
        let errors = back.squared_errors(pictures);
        let n = back.latents.dims()[0];
        let codes = stage.codebook().zip(back.codes.as_ref()).map(|(codebook, codes)| {
            let rows = codebook.len();
            let used = codes.counts(rows).into_iter().filter(|count| *count > 0).count();
            CodeUse { used, rows, perplexity: codes.perplexity(rows), bits: codes.bits(rows) }
        });
        let config: &AutoencoderConfig = stage.config();
        let of = |tensor: &Tensor| -> [usize; 3] { tensor.dims()[1..].try_into().expect("three axes") };
        Self {
            class: config.class(),
            kind: kind(config),
            pictures: n,
            shape: of(pictures),
            latents: of(&back.latents),
            psnr: errors.iter().map(|error| decibels(*error)).sum::<f64>() / n as f64,
            errors: ErrorSummary::new(&errors),
            // That from N(0, I), which two layers do not have.
            divergence: back.divergence.as_deref().filter(|_| stage.upper().is_none()).map(ErrorSummary::new),
            codes,
            scaled: stage.scaled_moments(back),
            diagnosis,
        }
    }

    pub(super) fn to_text(&self) -> String {
        let [numbers, of] = [self.latents, self.shape].map(|shape| shape.iter().product::<usize>());
        let sides = |[c, h, w]: [usize; 3]| format!("{c}x{h}x{w}");
        let mut lines = vec![
            ("autoencoder", format!("{}, latents are {}", self.class, self.kind)),
            ("pictures", format!("{} of {}", self.pictures, sides(self.shape))),
            ("latents", format!("{}: {numbers} numbers for {of}", sides(self.latents))),
            ("squared error", summary(&self.errors, 7)),
            (
                "PSNR",
                format!("{:.2} dB of the mean error, {:.2} dB on average", decibels(self.errors.mean), self.psnr),
            ),
        ];
        if let Some(divergence) = &self.divergence {
            lines.push(("KL", format!("{} nats a picture", summary(divergence, 2))));
        }
        if let Some(CodeUse { used, rows, perplexity, bits }) = &self.codes {
            lines.push(("codes", format!("{used} of {rows} used, perplexity {perplexity:.1}")));
            lines.push(("bits", format!("{bits:.0} a picture")));
        }
        let [mean, deviation] = self.scaled.map(|number| units::fixed(number, 3));
        lines.push(("for diffusion", format!("mean {mean}, deviation {deviation}; a prior expects 0 and 1")));
        let lines = lines.into_iter().map(|(name, value)| (name.to_owned(), value));
        let diagnosis = self.diagnosis.iter().flat_map(Diagnosed::lines);
        lines.chain(diagnosis).map(|(name, value)| format!("{name:<14} {value}\n")).collect()
    }

    pub(super) fn to_json(&self, out: Option<&Path>) -> Value {
        let both =
            |summary: &ErrorSummary| json!({ "mean": summary.mean, "standard_error": summary.standard_error });
        json!({
            "program": format!("ddim {}", env!("CARGO_PKG_VERSION")),
            "autoencoder": self.class,
            "pictures": self.pictures,
            "shape": self.shape,
            "latents": self.latents,
            "squared_error": both(&self.errors),
            "psnr_of_mean_error": decibels(self.errors.mean),
            "psnr": self.psnr,
            "kl": self.divergence.as_ref().map(both),
            "codes": self.codes.as_ref().map(|codes| json!({
                "used": codes.used, "rows": codes.rows, "perplexity": codes.perplexity, "bits": codes.bits,
            })),
            "scaled_mean": self.scaled[0],
            "scaled_deviation": self.scaled[1],
            "diagnosis": self.diagnosis.as_ref().map(Diagnosed::to_json),
            "out": out.map(Path::to_string_lossy),
        })
    }
}

fn summary(ErrorSummary { mean, standard_error, .. }: &ErrorSummary, places: usize) -> String {
    match standard_error {
        Some(spread) => format!("{mean:.places$} +- {spread:.places$}"),
        None => format!("{mean:.places$}"),
    }
}
