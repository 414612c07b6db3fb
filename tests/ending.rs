//! How the program ends when it is told to, and what it leaves in other people's folders and terminals.
#![cfg(unix)]

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::program::{Ran, ddim, finish, folder, golden, sample};

const MODEL: &str = "no_attention_two_layers_odd_channels";
const CLASSES: &str = "classes_scale_shift";

/// Far more than the second that an ending may take: machines that run tests have other things to do.
const LONG: Duration = Duration::from_secs(20);

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([format!("-{name}"), child.id().to_string()]).status();
    assert!(sent.expect("kill is there").success());
}

fn fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().expect("mkfifo is there").success());
}

/// The program, running.
fn start(folder: &Path, words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Child {
    let mut command = ddim(folder);
    command.args(words).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("the program starts")
}

/// The other end of a pipe, once the program reads it: by then it listens. None if the program refuses it.
fn opened_by(child: &mut Child, pipe: &Path) -> Option<File> {
    loop {
        match OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(pipe) {
            Ok(pipe) => return Some(pipe),
            Err(_) if child.try_wait().expect("a child").is_some() => return None,
            Err(_) => std::thread::sleep(Duration::from_millis(2)),
        }
    }
}

/// Waits for its end, and fails rather than wait for ever.
fn ended(mut child: Child) -> Output {
    let begin = Instant::now();
    while child.try_wait().expect("a child").is_none() {
        if begin.elapsed() > LONG {
            child.kill().expect("it runs");
            panic!("it does not end: {:?}", child.wait_with_output());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.wait_with_output().expect("it has ended")
}

/// Reads stderr up to a line that begins so; what follows is taken in by a thread.
fn wait_for(child: &mut Child, beginning: &str) {
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    let found = lines.by_ref().any(|line| line.expect("UTF-8").starts_with(beginning));
    assert!(found, "it ended before it said {beginning}");
    std::thread::spawn(move || lines.for_each(drop));
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<String> = entries.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Every command that reads, in the middle of a file that never ends.
#[test]
fn the_first_signal_ends_a_read_that_would_last_for_ever() {
    let folder = folder();
    let (here, never) = (folder.path(), folder.path().join("never"));
    fifo(&never);
    let model = golden(MODEL).display().to_string();
    let mut unread = Vec::new();
    for words in [
        "sample --model MODEL --noise never --out a.png --device cpu",
        "sample --model MODEL --scheduler-config never --device cpu",
        "schedule --scheduler-config never",
        "encode never --model MODEL --out a.safetensors --device cpu",
        "decode never --device cpu",
        "doctor --model MODEL --scheduler-config never --device cpu",
        "train --data never --recipe never --out run --device cpu",
        "bench --model MODEL --scheduler-config never --device cpu",
    ] {
        let mut child = start(here, words.replace("MODEL", &model).split(' '));
        let Some(pipe) = opened_by(&mut child, &never) else {
            unread.push(words);
            continue;
        };
        signal(&child, "TERM");
        let output = ended(child);
        drop(pipe);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(130), "{words}: {said}");
        assert!(said.contains("interrupted"), "{words}: {said}");
        let left: Vec<String> = names(here).into_iter().filter(|name| name.starts_with(".a")).collect();
        assert!(left.is_empty(), "{words} has left {left:?}");
    }
    assert!(unread.is_empty(), "{unread:?} did not read such a file");
}

#[test]
fn the_first_signal_ends_what_computes() {
    let folder = folder();
    for words in [
        "warmup --batch-size 512 --device cpu",
        "doctor --batch-size 512 --device cpu",
        "sample --batch-size 512 --num 512 --device cpu",
        "tune --steps 5 --batch-size 512 --pictures 512 --out a.json --device cpu",
        "bench --batch-size 512 --num 512 --device cpu",
    ] {
        let mut child = start(folder.path(), words.split(' '));
        wait_for(&mut child, "device:");
        signal(&child, "TERM");
        let output = ended(child);
        assert_eq!(output.status.code(), Some(130), "{words}");
        assert!(output.stdout.is_empty(), "{words}: {output:?}");
    }
    assert!(names(folder.path()).iter().all(|name| name == "bench"), "{:?}", names(folder.path()));
}

/// As `nohup` and a shell's `&` start programs.
#[test]
fn a_signal_that_is_ignored_at_the_start_stays_ignored() {
    let folder = folder();
    fifo(&folder.path().join("noise"));
    sample(folder.path(), MODEL, "--num 1 --steps 2 --out a.safetensors --trajectory").expect_success();
    for name in ["HUP", "INT"] {
        let mut command = Command::new("sh");
        let program = env!("CARGO_BIN_EXE_ddim");
        let words = format!("trap '' {name}; exec {program} schedule --steps 2 --scheduler-config noise");
        command.args(["-c", &words]).current_dir(folder.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("a shell");
        let mut pipe = opened_by(&mut child, &folder.path().join("noise")).expect("it reads what is named");
        signal(&child, name);
        let config = fs::read(golden(MODEL).join("scheduler/scheduler_config.json")).expect("a golden");
        pipe.write_all(&config).expect("it still reads");
        drop(pipe);
        let output = ended(child);
        assert_eq!(output.status.code(), Some(0), "{name}: {output:?}");
    }
}

/// `timeout` and some terminals send each signal twice.
#[test]
fn two_signals_at_once_are_one() {
    let folder = folder();
    let words = "sample --num 200 --steps 100 --batch-size 1 --out a.png --device cpu -v --model";
    let mut child = start(folder.path(), words.split(' ').map(OsStr::new).chain([golden(MODEL).as_os_str()]));
    wait_for(&mut child, "finished:");
    signal(&child, "TERM");
    signal(&child, "TERM");
    let output = ended(child);
    assert_eq!(output.status.code(), Some(130));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "a.png\n", "the finished pictures are kept");
    assert_eq!(names(folder.path()), ["a.png"]);
}

const RECIPE: &str = r#"{
    "name": "grey", "steps": 40, "batch_size": 2, "checkpoint_steps": 1000, "warmup_steps": 0, "images": null,
    "unet": { "sample_size": 4, "in_channels": 1, "out_channels": 1, "block_out_channels": [4], "norm_num_groups": 2,
        "layers_per_block": 1, "down_block_types": ["DownBlock2D"], "up_block_types": ["UpBlock2D"],
        "add_attention": false },
    "scheduler": { "_class_name": "DDIMScheduler" }
}"#;

/// A recipe, and six pictures as IDX.
fn training(folder: &Path, steps: usize) {
    fs::write(folder.join("recipe.json"), RECIPE.replace("40", &steps.to_string())).expect("writable");
    let head = [0, 0, 8, 3, 0, 0, 0, 6, 0, 0, 0, 4, 0, 0, 0, 4];
    let pixels = (0..6 * 16).map(|k| (k * 37 % 256) as u8);
    let bytes: Vec<u8> = head.into_iter().chain(pixels).collect();
    fs::write(folder.join("train-images-idx3-ubyte"), bytes).expect("writable");
}

const TRAIN: &str = "train --data train-images-idx3-ubyte --recipe recipe.json --device cpu --out";

#[test]
fn training_saves_its_step_and_goes_on_with_the_same_bits() {
    let folder = folder();
    training(folder.path(), 3000);
    let whole = start(folder.path(), format!("{TRAIN} whole").split(' '));
    let mut child = start(folder.path(), format!("{TRAIN} part").split(' '));
    // The curve is opened when the first step begins.
    let begin = Instant::now();
    while !folder.path().join("part/loss.csv").exists() {
        assert!(begin.elapsed() < LONG, "no curve");
        std::thread::sleep(Duration::from_millis(2));
    }
    signal(&child, "TERM");
    assert_eq!(child.wait().expect("a child").code(), Some(130));
    let again = ended(start(folder.path(), format!("{TRAIN} part").split(' ')));
    assert!(again.status.success(), "{again:?}");
    assert!(whole.wait_with_output().expect("a child").status.success());
    let weights = |run: &str| {
        let file = format!("{run}/model/unet/diffusion_pytorch_model.safetensors");
        fs::read(folder.path().join(file)).expect("a model")
    };
    assert!(weights("part") == weights("whole"), "other weights");
}

/// A link where a hidden file or a lock is to be: nothing is made where it leads.
#[test]
fn links_in_the_way_are_named_and_not_followed() {
    let folder = folder();
    let here = folder.path();
    fs::create_dir_all(here.join("pictures")).expect("writable");
    fs::create_dir_all(here.join("run")).expect("writable");
    training(here, 2);
    for link in [".a.png.tmp", "pictures/.ddim.lock", "run/.lock"] {
        symlink(here.join("elsewhere"), here.join(link)).expect("writable");
    }
    let train = || {
        let mut command = ddim(here);
        command.args(format!("{TRAIN} run").split(' '));
        finish(command)
    };
    let refused = |ran: Ran, link: &str| {
        assert_eq!(ran.code, 1, "{}", ran.stderr);
        assert!(ran.stderr.contains(link) && ran.stderr.contains("symbolic link"), "{}", ran.stderr);
        assert!(!here.join("elsewhere").exists(), "{link} was followed");
    };
    refused(sample(here, MODEL, "--num 1 --steps 1 --out a.png"), ".a.png.tmp");
    refused(sample(here, MODEL, "--num 1 --steps 1 --out pictures"), ".ddim.lock");
    refused(train(), ".lock");
    fs::write(here.join("elsewhere"), "mine").expect("writable");
    assert_eq!(sample(here, MODEL, "--num 1 --steps 1 --out a.png").code, 1);
    assert_eq!(fs::read(here.join("elsewhere")).expect("there"), b"mine");
}

/// Names that would rename the window of a terminal or clear it.
#[test]
fn no_name_controls_the_terminal() {
    let folder = folder();
    let evil = "\u{1b}]0;x\u{7}\u{9b}2J";
    let model = folder.path().join("model");
    Command::new("cp").arg("-r").args([golden(CLASSES), model.clone()]).status().expect("cp is there");
    let classes: Vec<String> = (0..3).map(|k| format!("{evil}{k}")).collect();
    fs::write(model.join("ddim.json"), serde_json::json!({ "name": evil, "classes": classes }).to_string())
        .expect("writable");
    let recipe = folder.path().join(format!("{evil}.json"));
    File::create(&recipe).expect("writable");
    for words in [
        vec!["inspect", "model"],
        vec!["inspect", "model", "--json"],
        vec!["sample", "--model", "model", "--class", "none", "--device", "cpu"],
        vec!["sample", "--model", evil, "--device", "cpu"],
        vec!["sample", "--solver", evil],
        vec!["train", "--data", "x", "--recipe", recipe.to_str().expect("UTF-8"), "--out", evil],
        vec!["sample", "--noise", evil, "--model", "model", "--device", "cpu"],
        vec!["eval", evil, evil, "--device", "cpu"],
        vec!["reconstruct", evil, "--device", "cpu"],
        vec![evil],
    ] {
        let output = ddim(folder.path()).args(&words).output().expect("the program starts");
        let said = String::from_utf8([output.stdout, output.stderr].concat()).expect("UTF-8");
        let controls = |character: char| character.is_control() && !"\n\t".contains(character);
        assert!(!said.contains(controls), "{words:?}: {said:?}");
        assert!(said.contains("\\u001b") || said.contains("\\x1b"), "{words:?} names nothing: {said}");
    }
}

/// Names are bytes: a folder from another time or another country works in every command.
#[cfg(target_os = "linux")]
#[test]
fn names_need_not_be_utf8() {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};

    let folder = folder();
    let here = folder.path();
    let odd = |word: &str| {
        std::ffi::OsString::from_vec(word.bytes().map(|b| if b == b'@' { 0xff } else { b }).collect())
    };
    Command::new("cp").arg("-r").args([golden(MODEL), here.join(odd("m@"))]).status().expect("cp is there");
    training(here, 2);
    for name in ["recipe.json", "train-images-idx3-ubyte"] {
        let target = here.join(odd("t@")).join(name);
        fs::create_dir_all(target.parent().expect("a folder")).expect("writable");
        fs::rename(here.join(name), target).expect("writable");
    }
    for words in [
        "sample --model m@ --num 2 --steps 2 --out p@ --json --device cpu",
        "sample --model m@ --num 1 --steps 2 --out o@.png --animate a@.gif --json --device cpu",
        "sample --model m@ --init p@/000000.png --mask p@/000000.png --steps 4 --out i@.npz --json --device cpu",
        "encode p@/000000.png --model m@ --steps 2 --out l@.safetensors --json --device cpu",
        "decode l@.safetensors --model m@ --out d@ --json --device cpu",
        "sample --model m@ --noise l@.safetensors --steps 2 --out n@.png --json --device cpu",
        "reconstruct p@/000000.png --model m@ --steps 2 --out r@ --json --device cpu",
        "interpolate --from p@/000000.png --to p@/000001.png --model m@ --steps 2 --out x@ --json --device cpu",
        "interpolate --corners p@/000000.png,1,2,3 --grid 2 --model m@ --steps 2 --out c@ --json --device cpu",
        "schedule --scheduler-config m@/scheduler/scheduler_config.json --steps 2",
        "inspect m@ --json",
        "eval p@/ p@/ --metrics frechet --save-stats s@.npz --json --device cpu",
        "eval p@/:0..2 s@.npz --metrics frechet --json --device cpu",
        "eval model:m@ s@.npz --num 2 --steps 1 --metrics frechet --json --device cpu",
        "eval --likelihood p@/000000.png --model m@ --steps 1 --json --device cpu",
        "train --data t@/train-images-idx3-ubyte --recipe t@/recipe.json --out u@ --json --device cpu",
        "train --data t@/train-images-idx3-ubyte --recipe t@/recipe.json --init u@/model --out v@ --json --device cpu",
        "tune --model m@ --steps 2 --pictures 1 --held-out 1 --rounds 0 --solver ddim --json --device cpu",
        "sample --model m@ --spacing tuned:m@/tuned.json --steps 2 --num 1 --out y@.png --json --device cpu",
        "warmup --model m@ --batch-size 1 --json --device cpu",
        "doctor --model m@ --steps 1 --batch-size 1 --json --device cpu",
        "bench --model m@ --num 2 --steps 1,2 --eta 0 --clock fake --out b@ --json --device cpu",
    ] {
        let mut command = ddim(here);
        let output = command.args(words.split(' ').map(odd)).output().expect("the program starts");
        assert_eq!(output.status.code(), Some(0), "{words}: {}", String::from_utf8_lossy(&output.stderr));
        if words.contains("--json") {
            let json: Result<serde_json::Value, _> = serde_json::from_slice(&output.stdout);
            assert!(json.is_ok(), "{words}: {json:?}");
        }
    }
    let mut found: Vec<_> =
        fs::read_dir(here).expect("a folder").map(|entry| entry.expect("an entry").file_name()).collect();
    found.retain(|name| !name.as_bytes().contains(&0xff));
    assert!(found.is_empty(), "written under another name: {found:?}");
}
