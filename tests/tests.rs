//! Tests of the whole program. None needs a network or a GPU; `gpu` compares a software
//! Vulkan device with the CPU where there is one, everything else asks for the CPU.

#![expect(clippy::print_stdout, reason = "tests say how large the differences are that they allow")]

mod architecture;
mod bench;
mod cases;
mod editing;
mod ending;
mod goldens;
mod gpu;
mod latents;
mod layers;
mod like;
mod looking;
mod mutations;
mod options;
mod pictures;
mod priors;
mod program;
mod readme;
mod reproducible;
mod resume;
mod serve;
mod shards;
mod theory;
mod training;
mod transcripts;
