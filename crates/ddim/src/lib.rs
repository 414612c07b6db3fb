//! Diffusion sampling to embed.
