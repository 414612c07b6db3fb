//! Tests of the whole program. None needs a network or a GPU: every run asks for the CPU.

mod architecture;
mod goldens;
mod gpu;
mod program;
mod reproducible;
mod transcripts;
