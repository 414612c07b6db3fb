//! Damaged files of every kind that the program reads: an answer of any kind, but no crash, no hang, and no more memory
//! than an honest file would take. The damage is drawn from a fixed seed, so a failure can be looked at.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::cases::pickled;
use crate::program::{autoencoders, copy, ddim, folder, golden};

/// Damaged copies of each file.
const EACH: u64 = 40;
/// A damaged file that is looked at for longer is a hang.
const PATIENCE: Duration = Duration::from_secs(20);
/// In KiB: the program and any of the small files here need a twentieth of it.
const MEMORY: u64 = 2 << 20;

/// A file that the program has written or that it was given, and a command that reads it.
struct Target {
    file: &'static str,
    command: &'static str,
}

const fn target(file: &'static str, command: &'static str) -> Target {
    Target { file, command }
}

/// What is damaged; every command succeeds while its file is whole.
const TARGETS: [Target; 30] = [
    target(
        "model/unet/diffusion_pytorch_model.safetensors",
        "sample --model model --steps 1 --num 1 --out o.npz --force",
    ),
    target("model/unet/config.json", "sample --model model --steps 1 --num 1 --out o.npz --force"),
    target("model/scheduler/scheduler_config.json", "sample --model model --steps 1 --num 1 --out o.npz --force"),
    target("model/model_index.json", "sample --model model --steps 1 --num 1 --out o.npz --force"),
    target("pickled/unet/last.ckpt", "sample --model pickled --steps 1 --num 1 --out o.npz --force"),
    target("noise.safetensors", "sample --model model --steps 1 --noise noise.safetensors --out o.npz --force"),
    target("drawn/run.json", "sample --model model --steps 1 --num 3 --out drawn --resume"),
    target("drawn/000001.png", "sample --model model --steps 1 --num 3 --out drawn --resume"),
    target("set.npz", "eval set.npz drawn --metrics sliced --projections 2"),
    target("images-idx3-ubyte", "eval images-idx3-ubyte images-idx3-ubyte --metrics sliced --projections 2"),
    target("data_batch_1.bin", "eval data_batch_1.bin data_batch_1.bin --metrics sliced --projections 2"),
    target("a.png", "encode a.png --model model --steps 1 --out o.safetensors --force"),
    target("a.gif", "encode a.gif --model model --steps 1 --out o.safetensors --force"),
    target("a.jpg", "encode a.jpg --model model --steps 1 --out o.safetensors --force"),
    target("a.bmp", "encode a.bmp --model model --steps 1 --out o.safetensors --force"),
    target("a.pgm", "encode a.pgm --model model --steps 1 --out o.safetensors --force"),
    target("a.webp", "encode a.webp --model model --steps 1 --out o.safetensors --force"),
    target("latents.safetensors", "decode latents.safetensors --steps 1 --model model --out o.npz --force"),
    target("statistics.npz", "eval drawn statistics.npz --metrics frechet"),
    target("tuned.json", "sample --model model --spacing tuned:tuned.json --steps 2 --num 1 --out o.npz --force"),
    target("recipe.json", "train --recipe recipe.json --data images-idx3-ubyte --out trained"),
    target("trained/train.safetensors", "train --recipe recipe.json --data images-idx3-ubyte --out trained"),
    target("ldm/model_index.json", "sample --model ldm --steps 1 --num 1 --out o.npz --force"),
    target("ldm/vqvae/config.json", "sample --model ldm --steps 1 --num 1 --out o.npz --force"),
    target(
        "ldm/vqvae/diffusion_pytorch_model.safetensors",
        "autoencode a.png --model ldm --out o.safetensors --force",
    ),
    target("dit/model_index.json", "sample --model dit --steps 1 --num 1 --out o.npz --force"),
    target("dit/transformer/config.json", "sample --model dit --steps 1 --num 1 --out o.npz --force"),
    target(
        "dit/transformer/diffusion_pytorch_model.safetensors",
        "sample --model dit --steps 1 --num 1 --out o.npz --force",
    ),
    target("numbers.safetensors", "autoencode numbers.safetensors --model ldm --out o.safetensors --force"),
    target("trained/model/ddim.json", "sample --model trained/model --steps 1 --num 1 --out o.npz --force"),
];

/// Whole numbers that decide everything else (Vigna 2014, xorshift64*).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end.max(1)
    }

    /// The start and end of a part of so many bytes.
    fn span(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.below(length);
        start..(start + 1 + self.below(32)).min(length)
    }
}

/// What stands in place of a number of a text: too much, too little, and no number at all.
const NUMBERS: [&str; 10] =
    ["0", "-1", "1e308", "1e-320", "4096", "4294967296", "18446744073709551615", "null", "\"x\"", "[[]]"];

/// One way of damaging a file.
fn damaged(bytes: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut damaged = bytes.to_vec();
    let at = dice.below(bytes.len());
    let ways = if bytes.starts_with(b"{\n") || bytes.starts_with(b"{ ") { 12 } else { 7 };
    match dice.below(ways) {
        0 => damaged[at] ^= 1 << dice.below(8),
        1 => damaged[at] = [0, 1, 0x7f, 0x80, 0xff][dice.below(5)],
        2 => damaged.truncate(at),
        3 => drop(damaged.drain(dice.span(bytes.len()))),
        4 => {
            let twice = bytes[dice.span(bytes.len())].to_vec();
            damaged.splice(at..at, twice);
        }
        5 => {
            // Where headers are: a count or an offset of 4 or 8 bytes.
            let at = dice.below(bytes.len().min(64));
            let end = (at + [4, 8][dice.below(2)]).min(bytes.len());
            damaged[at..end].fill([0, 0x7f, 0xff][dice.below(3)]);
        }
        _ => replace_number(&mut damaged, at, NUMBERS[dice.below(NUMBERS.len())]),
    }
    damaged
}

/// Replaces the first run of digits from a place on, if there is one.
fn replace_number(bytes: &mut Vec<u8>, from: usize, by: &str) {
    if let Some(start) = (from..bytes.len()).find(|&at| bytes[at].is_ascii_digit()) {
        let end = (start..bytes.len()).find(|&at| !bytes[at].is_ascii_digit()).unwrap_or(bytes.len());
        bytes.splice(start..end, by.bytes());
    }
}

#[cfg(unix)]
#[test]
fn damaged_files_end_in_an_answer() {
    let whole = folder();
    lay_out(whole.path());
    let next = Mutex::new(TARGETS.iter());
    let failures = Mutex::new(String::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(target) = { next.lock().expect("no panic").next() } {
                    let said = endure(target, whole.path());
                    failures.lock().expect("no panic").push_str(&said);
                }
            });
        }
    });
    let failures = failures.into_inner().expect("no panic");
    assert!(failures.is_empty(), "{failures}");
}

/// Damages one file again and again; what crashed or hung.
fn endure(target: &Target, whole: &Path) -> String {
    let work = folder();
    copy(whole, work.path());
    let bytes = fs::read(whole.join(target.file)).unwrap_or_else(|error| panic!("{}: {error}", target.file));
    assert_eq!(run(work.path(), target.command), Some(0), "{} as it is: {}", target.file, target.command);
    let top = target.file.split('/').next().expect("a name");
    let (mut failures, mut answered) = (String::new(), [0; 2]);
    for seed in 1..=EACH {
        if whole.join(top).is_dir() {
            fs::remove_dir_all(work.path().join(top)).expect("a folder");
            copy(&whole.join(top), &work.path().join(top));
        }
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        fs::write(work.path().join(target.file), damaged(&bytes, &mut dice)).expect("writable");
        match run(work.path(), target.command) {
            // 2 where a damaged schedule has no room for the steps that were typed.
            Some(code @ 0..=2) => answered[code.min(1) as usize] += 1,
            code => {
                failures.push_str(&format!("{}, seed {seed}: {code:?} from {}\n", target.file, target.command))
            }
        }
    }
    println!("{}: {} read, {} refused", target.file, answered[0], answered[1]);
    failures
}

/// Headers that announce more pictures than any machine holds: an error, at once and in little memory.
#[cfg(unix)]
#[test]
fn lying_counts_end_in_an_error() {
    let folder = folder();
    copy(&golden("no_attention_two_layers_odd_channels"), &folder.path().join("model"));
    let text = "{'descr': '|u1', 'fortran_order': False, 'shape': (4611686018427387904, 28, 28), }\n";
    let npy = [b"\x93NUMPY\x01\0", &[text.len() as u8, 0][..], text.as_bytes(), &[7; 2 * 784]].concat();
    let mut archive = zip::ZipWriter::new(fs::File::create(folder.path().join("lie.npz")).expect("writable"));
    archive.start_file("arr_0.npy", zip::write::SimpleFileOptions::default()).expect("writable");
    std::io::Write::write_all(&mut archive, &npy).expect("writable");
    archive.finish().expect("writable");
    // Packed in one stored block, whose checksum is as wrong as the count.
    let idx = [&[0, 0, 8, 3, 255, 255, 255, 255, 0, 0, 0, 28, 0, 0, 0, 28][..], &[7; 2 * 784]].concat();
    let length = idx.len() as u16;
    let block = [&[1][..], &length.to_le_bytes(), &(!length).to_le_bytes(), &idx, &[0; 8]].concat();
    let gzip = [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255][..], &block].concat();
    fs::write(folder.path().join("lie-images-idx3-ubyte.gz"), gzip).expect("writable");
    for file in ["lie.npz", "lie-images-idx3-ubyte.gz"] {
        for command in [
            format!("encode {file} --model model --steps 1 --out o.safetensors"),
            format!("eval {file} {file} --metrics sliced --projections 2"),
            format!("train --data {file} --out trained"),
        ] {
            assert_eq!(run(folder.path(), &command), Some(1), "{command}");
        }
    }
}

/// Files of every kind, made by the program where it writes them.
fn lay_out(folder: &Path) {
    copy(&golden("no_attention_two_layers_odd_channels"), &folder.join("model"));
    copy(&pickled().path().join("model"), &folder.join("pickled"));
    for pipeline in ["ldm", "dit"] {
        copy(&autoencoders().join(pipeline), &folder.join(pipeline));
    }
    fs::copy(
        autoencoders().with_file_name("outputs").join("vq_codes/encode_decode.safetensors"),
        folder.join("numbers.safetensors"),
    )
    .expect("writable");
    let picture = image::RgbImage::from_fn(16, 16, |x, y| image::Rgb([(x * 16) as u8, (y * 16) as u8, 99]));
    for ending in ["gif", "jpg", "bmp", "webp"] {
        picture.save(folder.join(format!("a.{ending}"))).expect("writable");
    }
    let plain = image::DynamicImage::from(picture.clone()).to_luma8();
    ["a.png", "a.pgm"].iter().for_each(|name| plain.save(folder.join(name)).expect("writable"));
    let grey = (0..4 * 256).map(|at| (at * 7) as u8).collect::<Vec<_>>();
    let header = [0, 0, 8, 3, 0, 0, 0, 4, 0, 0, 0, 16, 0, 0, 0, 16];
    fs::write(folder.join("images-idx3-ubyte"), [&header[..], &grey].concat()).expect("writable");
    let record = (0..2 * 3073).map(|at| if at % 3073 == 0 { 3 } else { at as u8 }).collect::<Vec<_>>();
    fs::write(folder.join("data_batch_1.bin"), record).expect("writable");
    fs::write(folder.join("recipe.json"), RECIPE).expect("writable");
    for made in [
        "sample --model model --steps 1 --num 3 --out drawn",
        "sample --model model --steps 1 --num 3 --out set.npz",
        "encode a.png --model model --steps 1 --out latents.safetensors",
        "eval drawn drawn --metrics frechet --save-stats statistics.npz",
        "tune --model model --steps 2 --solver ddim --pictures 1 --held-out 1 --rounds 1 --out tuned.json",
        "train --recipe recipe.json --data images-idx3-ubyte --out trained",
    ] {
        assert_eq!(run(folder, made), Some(0), "{made}");
    }
    noise(&folder.join("noise.safetensors"));
}

const RECIPE: &str = r#"{ "name": "tiny", "steps": 1, "batch_size": 1,
    "unet": { "in_channels": 1, "out_channels": 1, "sample_size": 16, "block_out_channels": [8], "norm_num_groups": 4,
              "layers_per_block": 1, "down_block_types": ["DownBlock2D"], "up_block_types": ["UpBlock2D"] },
    "scheduler": { "_class_name": "DDIMScheduler" } }"#;

/// Noise for one picture, in the format that `--noise` reads.
fn noise(file: &Path) {
    let values: Vec<u8> = (0..256).flat_map(|at| (at as f32 / 128.0 - 1.0).to_le_bytes()).collect();
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![1, 1, 16, 16], &values);
    let file_of_one = safetensors::serialize([("initial_noise", view.expect("256 numbers"))], None);
    fs::write(file, file_of_one.expect("a file")).expect("writable");
}

/// Runs a command with little memory; its exit code, or `None` when it crashed or hung.
fn run(folder: &Path, words: &str) -> Option<i32> {
    let mut command = limited(ddim(folder), words);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().expect("a shell");
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("a child") {
            return status.code();
        }
        if started.elapsed() > PATIENCE {
            child.kill().and_then(|()| child.wait()).expect("a child");
            return None;
        }
        sleep(Duration::from_millis(2));
    }
}

/// The program under a shell that limits its memory.
fn limited(program: Command, words: &str) -> Command {
    let mut shell = Command::new("sh");
    let limited = format!("ulimit -v {MEMORY}; exec \"$0\" {words} --device cpu");
    shell.arg("-c").arg(limited).arg(program.get_program()).stdin(Stdio::null());
    shell.current_dir(program.get_current_dir().expect("a folder"));
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell
}
