//! The part of a first stage's recipe that trains its decoder against a discriminator.

use crate::recipe::Problems;
use ddim_eval::{Divergence, GeneratorLoss, Patches};
use serde::{Deserialize, Serialize};

/// A discriminator of patches that learns to tell what comes back from pictures, and that the first stage is
/// trained against (MATH.md section 39). Every key has a default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AdversaryRecipe {
    /// The divergence that the discriminator's least risk says, and so the loss it is trained with.
    pub loss: AdversaryLoss,
    /// What the first stage is told by its scores.
    pub generator: GeneratorChoice,
    /// What the adversary counts beside log p(x | z): in the decoder's last layer, or as it is.
    pub weight: f64,
    /// Whether the weight is in units of the likelihood's gradient by the decoder's last layer.
    pub adaptive: bool,
    /// Steps after which the discriminator begins to learn.
    pub start_step: u64,
    /// Steps that it then learns alone, before the first stage is told what it says.
    pub head_start_steps: u64,
    /// The largest learning rate of its AdamW; over the run it does what the other one does.
    pub learning_rate: f64,
    /// Its AdamW's beta1 and beta2.
    pub betas: [f64; 2],
    /// Channels behind its first convolution.
    pub width: usize,
    /// How often it halves the sides: 16 pixels each way make a score with 1, then 34, 70, 142.
    pub layers: usize,
    /// Groups of its normalisations; 0 for none.
    pub norm_num_groups: usize,
}

/// A divergence by the loss of a discriminator.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdversaryLoss {
    /// The hinge loss in place of the 0-1 loss.
    #[default]
    TotalVariation,
    /// The squared loss.
    Triangular,
    /// The logistic loss.
    JensenShannon,
}

/// What is made of scores; see [`GeneratorLoss`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GeneratorChoice {
    /// Minus the score.
    #[default]
    Linear,
    /// The loss of a picture of the other set.
    NonSaturating,
    /// Minus the discriminator's loss.
    Saturating,
}

impl AdversaryLoss {
    pub(crate) fn divergence(self) -> Divergence {
        match self {
            AdversaryLoss::TotalVariation => Divergence::TotalVariation,
            AdversaryLoss::Triangular => Divergence::Triangular,
            AdversaryLoss::JensenShannon => Divergence::JensenShannon,
        }
    }
}

impl GeneratorChoice {
    pub(crate) fn loss(self) -> GeneratorLoss {
        match self {
            GeneratorChoice::Linear => GeneratorLoss::Linear,
            GeneratorChoice::NonSaturating => GeneratorLoss::NonSaturating,
            GeneratorChoice::Saturating => GeneratorLoss::Saturating,
        }
    }
}

impl Default for AdversaryRecipe {
    fn default() -> Self {
        AdversaryRecipe {
            loss: AdversaryLoss::default(),
            generator: GeneratorChoice::default(),
            weight: 0.5,
            adaptive: true,
            start_step: 0,
            head_start_steps: 100,
            learning_rate: 1e-3,
            betas: [0.5, 0.9],
            width: 32,
            layers: 2,
            norm_num_groups: 8,
        }
    }
}

/// Halvings at most.
const MOST_LAYERS: usize = 8;
/// Channels behind the first convolution at most.
const WIDEST: usize = 1024;

impl AdversaryRecipe {
    /// Its network.
    pub(crate) fn patches(&self) -> Patches {
        let groups = Some(self.norm_num_groups).filter(|groups| *groups > 0);
        Patches { width: self.width, layers: self.layers, norm_num_groups: groups }
    }

    /// Whether the discriminator is trained in a step, the first of which is 1.
    pub(crate) fn learns_at(&self, step: u64) -> bool {
        step > self.start_step
    }

    /// Whether the first stage is told in a step what it says.
    pub(crate) fn tells_at(&self, step: u64) -> bool {
        step > self.start_step.saturating_add(self.head_start_steps)
    }

    /// What is wrong with its numbers, in a run of so many steps.
    pub(crate) fn look_for(&self, steps: u64, problems: &mut Problems) {
        let weight = (0.0..=1000.0).contains(&self.weight);
        problems.check(&["adversary.weight"], self.weight, weight, "from 0 to 1000");
        let rate = self.learning_rate > 0.0 && self.learning_rate <= 1.0;
        problems.check(&["adversary.learning_rate"], self.learning_rate, rate, "above 0, at most 1");
        let betas = self.betas.iter().all(|beta| (0.0..1.0).contains(beta));
        let said = format!("{:?}", self.betas);
        problems.check(&["adversary.betas"], said, betas, "two numbers from 0 up to but not 1");
        let head = self.head_start_steps;
        let allowed = format!("below steps, which is {steps}");
        problems.check(&["adversary.head_start_steps", "steps"], head, head < steps, allowed);
        let allowed = format!(
            "from 0 to {}: the first stage is told from step start_step + head_start_steps + 1 on, and there are \
             {steps}",
            steps.saturating_sub(head + 1)
        );
        let keys = ["adversary.start_step", "adversary.head_start_steps", "steps"];
        problems.check(&keys, self.start_step, self.tells_at(steps), allowed);
        let width = (1..=WIDEST).contains(&self.width);
        problems.check(&["adversary.width"], self.width, width, format!("from 1 to {WIDEST}"));
        let layers = (1..=MOST_LAYERS).contains(&self.layers);
        problems.check(&["adversary.layers"], self.layers, layers, format!("from 1 to {MOST_LAYERS}"));
        let divides = self.norm_num_groups == 0 || self.width.is_multiple_of(self.norm_num_groups);
        let allowed = format!("0 for none, or a divisor of adversary.width, which is {}", self.width);
        let keys = ["adversary.norm_num_groups", "adversary.width"];
        problems.check(&keys, self.norm_num_groups, divides, allowed);
    }

    /// What is wrong with it for pictures of this height and width.
    pub(crate) fn look_at_size(&self, size: [usize; 2], problems: &mut Problems) {
        let fits = self.patches().scores(size).is_some();
        problems.check(&["adversary.layers"], self.layers, fits, self.allowed_layers(size));
    }

    /// How many layers pictures of this size allow.
    pub(crate) fn allowed_layers(&self, [height, width]: [usize; 2]) -> String {
        let fits =
            |layers: &usize| Patches { layers: *layers, ..self.patches() }.scores([height, width]).is_some();
        match (1..=MOST_LAYERS).rev().find(fits) {
            Some(most) => format!("at most {most} for pictures of {height}x{width}"),
            None => {
                format!("beside pictures of at least 6x6, and these are {height}x{width}: leave adversary out")
            }
        }
    }
}
