//! Part of ddim.
