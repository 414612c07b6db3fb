# One-line recipes; `just` lists them.
_default:
    @just --list

# Draw pictures: `just run --class bag --show`
run *options:
    cargo run --release -- sample {{options}}

# The whole test suite
test *options:
    cargo test --release --workspace {{options}}

# The processor's crate under valgrind, half a minute; it has no AVX-512, so AVX2 and plain Rust are what is tested
memcheck:
    CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER="valgrind -q --error-exitcode=1" cargo test --release -p ddim-cpu --tests

# The processor's crate on 64-bit ARM, in an emulator (rustup target add aarch64-unknown-linux-gnu; Debian: gcc-aarch64-linux-gnu qemu-user)
neon:
    CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
        CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64 -L /usr/aarch64-linux-gnu" \
        cargo test --release -p ddim-cpu --target aarch64-unknown-linux-gnu --tests

# Speed: sampler overhead, network, start to first picture
bench *options:
    cargo bench {{options}}

# One network call beside PyTorch on this CPU (`pip install torch==2.15.0 diffusers==0.42.1` first)
bench-cpu *options:
    python3 benches/peer/call.py {{options}}

# The same on a GPU: a call, and a run of 20 steps (PyTorch with CUDA first)
bench-gpu *options:
    python3 benches/peer/call.py --device cuda --ours-device vulkan --networks ddpm-cifar10,embedded \
        --modes eager,eager+tf32,compile+tf32,bf16,compile+bf16 --steps 0,20 {{options}}

# Programs for `benches/peer/first_gpu.py`, which wants no compiler where the GPU is: WGSL, then SPIR-V, in dist/
gpu-programs:
    for compiler in wgsl spirv; do \
        features=$([ $compiler = spirv ] && echo "--features spirv" || true); \
        cargo build --release $features && \
        call=$(cargo bench --no-run --bench call $features --message-format json | sed -n 's/.*"executable":"\([^"]*call-[^"]*\)".*/\1/p') && \
        mkdir -p dist/$compiler && cp target/release/ddim dist/$compiler/ && cp "$call" dist/$compiler/call || exit 1; \
    done

# All that docs/results.md wants to know of a GPU, in ten minutes, into gpu.json and gpu.md: `just gpu-programs` first
first-gpu *options:
    python3 benches/peer/first_gpu.py --programs wgsl=dist/wgsl --programs spirv=dist/spirv {{options}}

# The same script on a software Vulkan device, with next to nothing to do
gpu-rehearsal *options:
    python3 benches/peer/first_gpu.py --programs wgsl=dist/wgsl --device cpu --networks embedded --batches 1,2 --steps 0,2 \
        --repeats 1 --doctor "--steps 1" --out rehearsal {{options}}

# Format, then what CI refuses
lint:
    cargo fmt --all && cargo clippy --release --workspace --all-targets -- -D warnings

# The book, in a browser
doc:
    cargo doc --release --workspace --no-deps --open

# Everything a change has to pass
ci:
    .ci/run

# What is given to people, for this platform, into dist/release: `just release`, or some of: program wheel web c
release *parts:
    .ci/release {{parts}}

# Train the embedded model anew (resumes): `just train train-images-idx3-ubyte.gz`
train data out="runs/fashion-mnist":
    cargo run --release -- train --recipe assets/recipes/fashion-mnist.json --data {{data}} --out {{out}}

# The first picture of the README
picture:
    cargo run --release -- sample --eta 0 --steps 20 --num 40 --out assets/samples.png --force
