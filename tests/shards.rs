//! Pictures of one run drawn in several places: the same bytes as of one process, whatever is killed; and what
//! `ddim merge` refuses.
#![cfg(unix)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command};
use std::thread;
use std::time::Duration;

use crate::program::{Ran, ddim, finish, folder};

/// A run whose steps add noise, in batches that no border of a shard respects.
const RUN: &str = "--num 23 --steps 3 --eta 1 --seed 5 --batch-size 4";

/// Draws with the embedded model, which has ten classes.
fn sample(folder: &Path, words: &str) -> Ran {
    let mut command = ddim(folder);
    command.args(["sample", "--device", "cpu"]).args(words.split_whitespace());
    finish(command)
}

fn merge(folder: &Path, words: &str) -> Ran {
    let mut command = ddim(folder);
    command.arg("merge").args(words.split_whitespace());
    finish(command)
}

fn shards(folder: &Path, count: usize, out: &str) {
    for index in 0..count {
        sample(folder, &format!("{RUN} --shard {index}/{count} --out {out}")).expect_success();
    }
}

/// Every file of a folder, by name.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let file = |entry: fs::DirEntry| {
        (entry.file_name().into_string().expect("UTF-8"), fs::read(entry.path()).expect("readable"))
    };
    entries.map(|entry| file(entry.expect("an entry"))).collect()
}

/// A worker that draws a shard by itself.
fn worker(folder: &Path, words: &str) -> Child {
    let mut command = ddim(folder);
    command.args(["-q", "sample", "--device", "cpu"]).args(words.split_whitespace());
    command.spawn().expect("the program starts")
}

#[test]
fn shards_merge_into_what_one_process_leaves() {
    let folder = folder();
    let here = folder.path();
    sample(here, &format!("{RUN} --out one")).expect_success();
    sample(here, &format!("{RUN} --out one.npz")).expect_success();
    let one = files(&here.join("one"));
    assert_eq!(one.len(), 25, "23 pictures, a grid and a record");
    // One, some, and more than there are pictures.
    for count in [1, 8, 25] {
        let run = format!("run{count}");
        shards(here, count, &run);
        merge(here, &format!("{run}.parts --out {run}")).expect_success();
        assert_eq!(files(&here.join(&run)), one, "{count} shards");
        merge(here, &format!("{run}.parts --out {run}.npz")).expect_success();
        let bytes = |name: &str| fs::read(here.join(name)).expect("written");
        assert_eq!(bytes(&format!("{run}.npz")), bytes("one.npz"), "{count} shards");
    }
    // What one process left can be gone on with, and so can what was merged.
    sample(here, &format!("{} --out run8 --resume", RUN.replace("23", "24"))).expect_success();
    assert!(here.join("run8/000023.png").is_file());
}

#[test]
fn ranges_merge_as_shards_do_and_a_file_holds_them_alone() {
    let folder = folder();
    let here = folder.path();
    let draw = |words: &str| sample(here, &format!("{RUN} {words}"));
    draw("--out one").expect_success();
    let one = files(&here.join("one"));
    for (range, out) in [("9..23", "b"), ("..9", "a")] {
        draw(&format!("--pictures {range} --out {out}")).expect_success();
    }
    assert_eq!(files(&here.join("a"))["000008.png"], one["000008.png"]);
    merge(here, "b a --out merged").expect_success();
    assert_eq!(files(&here.join("merged")), one);
    // A file, and the record of a sheet draws these pictures once more.
    draw("--pictures 7..8 --out seven.png").expect_success();
    let pixels = |name: &str| image::open(here.join(name)).expect("a picture").into_bytes();
    assert_eq!(pixels("seven.png"), pixels("one/000007.png"));
    sample(here, "--like seven.png --out again.png").expect_success();
    assert_eq!(pixels("again.png"), pixels("seven.png"));
    // A folder that is completed is the whole run, and no part any more.
    draw("--out a --resume").expect_success();
    assert_eq!(files(&here.join("a")), one);
    let refused = merge(here, "a b --out twice");
    assert!(
        refused.code == 1 && refused.stderr.contains("a is not a finished part: it has no part.json"),
        "{}",
        refused.stderr
    );
}

/// Noise, pictures to begin with, seeds, classes and sizes are those of a picture's number.
#[test]
fn whatever_a_run_is_of_its_shards_have_their_share() {
    let folder = folder();
    let here = folder.path();
    sample(here, "--num 7 --steps 2 --out begin").expect_success();
    fs::write(here.join("begin/000003.png"), "no picture").expect("writable");
    let mut encode = ddim(here);
    encode.args("encode --device cpu begin --on-corrupt skip --steps 2 --out noise.safetensors".split(' '));
    finish(encode).expect_success();
    for (name, run) in [
        ("noise", "--noise noise.safetensors --steps 3"),
        ("seeds", "--seeds 3-8,99 --steps 3 --class coat"),
        ("begun", "--init begin --on-corrupt skip --steps 10 --num 9"),
        ("large", "--num 5 --steps 2 --scale 3"),
        ("again", "--like begin/run.json --num 12 --steps 2"),
    ] {
        sample(here, &format!("{run} --out {name}")).expect_success();
        for index in 0..3 {
            sample(here, &format!("{run} --shard {index}/3 --out s")).expect_success();
        }
        merge(here, &format!("s.parts --out s_{name}")).expect_success();
        assert_eq!(files(&here.join(format!("s_{name}"))), files(&here.join(name)), "{run}");
        fs::remove_dir_all(here.join("s.parts")).expect("there");
    }
}

#[test]
fn the_cost_of_adaptive_runs_and_labels_survive_a_merge() {
    let folder = folder();
    let here = folder.path();
    let run = "--solver adaptive:tol=0.1 --num 5";
    sample(here, &format!("{run} --out one")).expect_success();
    for shard in ["0/2", "1/2"] {
        sample(here, &format!("{run} --out two --shard {shard}")).expect_success();
    }
    merge(here, "two.parts --out two").expect_success();
    assert_eq!(files(&here.join("two")), files(&here.join("one")));
}

/// Workers are killed at moments that differ from run to run, and begun again until each has ended by itself.
#[test]
fn workers_that_are_killed_lose_nothing() {
    let folder = folder();
    let here = folder.path();
    let run = "--num 40 --steps 12 --eta 1 --batch-size 2";
    sample(here, &format!("{run} --out one")).expect_success();
    let mut kills = 0;
    for shard in 0..3 {
        for attempt in 0.. {
            assert!(attempt < 60, "shard {shard} does not end");
            let mut worker = worker(here, &format!("{run} --shard {shard}/3 --out run"));
            thread::sleep(Duration::from_millis(fastrand::u64(5..60) * (1 + attempt / 3)));
            worker.kill().expect("SIGKILL");
            if worker.wait().expect("ended").success() {
                break;
            }
            kills += 1;
        }
    }
    merge(here, "run.parts --out run").expect_success();
    assert_eq!(files(&here.join("run")), files(&here.join("one")), "after {kills} kills");
    assert!(kills > 0, "no worker was killed");
    let left: Vec<String> = files_in(&here.join("run.parts"));
    assert!(left.iter().all(|name| !name.ends_with(".unfinished")), "{left:?}");
}

fn files_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect()
}

/// Two workers of one shard at once: one draws, the other is refused or finds it done, and neither does harm.
#[test]
fn two_workers_of_one_shard_are_harmless() {
    let folder = folder();
    let here = folder.path();
    let words = "--num 12 --steps 40 --eta 1 --shard 0/1 --out run";
    let workers: Vec<Child> = (0..3).map(|_| worker(here, words)).collect();
    let ended: Vec<bool> = workers.into_iter().map(|mut worker| worker.wait().expect("ended").success()).collect();
    assert!(ended.contains(&true), "{ended:?}");
    sample(here, words).expect_success();
    sample(here, "--num 12 --steps 40 --eta 1 --out one").expect_success();
    merge(here, "run.parts --out run").expect_success();
    assert_eq!(files(&here.join("run")), files(&here.join("one")));
}

/// SIGTERM, as Slurm and Kubernetes send it before they take a machine away.
#[test]
fn a_shard_that_is_told_to_end_keeps_what_is_finished() {
    let folder = folder();
    let here = folder.path();
    let words = "--num 400 --steps 50 --eta 1 --batch-size 1 --shard 0/2 --out run";
    let mut worker = worker(here, words);
    let unfinished = here.join("run.parts/part-00000-of-00002.unfinished");
    while !unfinished.join("000002.png").exists() {
        assert!(worker.try_wait().expect("known").is_none(), "ended early");
        thread::sleep(Duration::from_millis(5));
    }
    let killed = Command::new("kill").arg(worker.id().to_string()).status().expect("kill");
    assert!(killed.success());
    assert_eq!(worker.wait().expect("ended").code(), Some(130));
    let kept = fs::read(unfinished.join("000002.png")).expect("kept");
    // Of another number of pictures it would be another share.
    let other = sample(here, &words.replace("400", "8"));
    assert!(other.code == 1 && other.stderr.contains("num was 400 and is now 8"), "{}", other.stderr);
    let mut again = self::worker(here, words);
    while !unfinished.join("000004.png").exists() {
        assert!(again.try_wait().expect("known").is_none(), "ended early");
        thread::sleep(Duration::from_millis(5));
    }
    again.kill().expect("SIGKILL");
    again.wait().expect("ended");
    assert_eq!(fs::read(unfinished.join("000002.png")).expect("kept"), kept);
}

/// The command behind the last colon of an error.
fn advised(ran: &Ran) -> String {
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let (_, command) = ran.stderr.split_once(": ddim ").unwrap_or_else(|| panic!("no command in {}", ran.stderr));
    command.trim().replace('\'', "")
}

#[test]
fn what_is_missing_or_damaged_is_named_and_the_command_draws_it() {
    let folder = folder();
    let here = folder.path();
    shards(here, 4, "run");
    let part = |index: usize| here.join(format!("run.parts/part-0000{index}-of-00004"));
    let redraw = |ran: &Ran| {
        let command = advised(ran);
        let mut again = ddim(here);
        again.args(command.split_whitespace()).args(["--device", "cpu"]);
        finish(again).expect_success();
        command
    };
    fs::remove_dir_all(part(2)).expect("there");
    let gap = merge(here, "run.parts --out run");
    assert!(gap.stderr.contains("shard 2/4 is missing, pictures 11..17 of 23; this draws it"), "{}", gap.stderr);
    assert!(redraw(&gap).ends_with("--shard 2/4 --out run"));
    for (file, change) in [("000013.png", "damaged"), ("000013.png", "gone"), ("run.json", "damaged")] {
        let path = part(2).join(file);
        match change {
            "gone" => fs::remove_file(&path).expect("there"),
            _ => {
                let mut bytes = fs::read(&path).expect("there");
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
                fs::write(&path, bytes).expect("writable");
            }
        }
        let refused = merge(here, "run.parts --out run");
        assert!(refused.stderr.contains(file), "{}", refused.stderr);
        assert!(!here.join("run").exists(), "nothing is written");
        assert!(redraw(&refused).ends_with("--shard 2/4 --out run --force"));
    }
    fs::write(part(1).join("part.json"), "{}").expect("writable");
    let refused = merge(here, "run.parts --out run");
    assert!(
        refused.stderr.contains("part-00001-of-00004/part.json is not a manifest of a part"),
        "{}",
        refused.stderr
    );
    assert!(redraw(&refused).ends_with("--shard 1/4 --out run --force"));
    fs::remove_file(part(1).join("part.json")).expect("there");
    assert!(redraw(&merge(here, "run.parts --out run")).ends_with("--shard 1/4 --out run --force"));
    // Parts that were copied are mended where they lie now.
    fs::rename(here.join("run.parts"), here.join("far.parts")).expect("writable");
    fs::write(here.join("far.parts/part-00003-of-00004/000020.png"), "").expect("writable");
    assert!(redraw(&merge(here, "far.parts --out run")).ends_with("--shard 3/4 --out far --force"));
    fs::rename(here.join("far.parts"), here.join("run.parts")).expect("writable");
    for force in ["", " --force"] {
        let into = merge(here, &format!("run.parts --out run.parts{force}"));
        assert!(into.code == 1 && into.stderr.contains("parts of a run lie there"), "{}", into.stderr);
    }
    let file = merge(here, "run.parts/part-00000-of-00004/000000.png --out run");
    assert!(file.code == 1 && file.stderr.contains("it is a file"), "{}", file.stderr);
    merge(here, "run.parts --out run").expect_success();
    let again = merge(here, "run.parts --out run");
    assert!(again.code == 1 && again.stderr.contains("run is not empty"), "{}", again.stderr);
    merge(here, "run.parts --out run --force --no-grid").expect_success();
    assert_eq!(files(&here.join("run")).len(), 24, "23 pictures and a record");
}

#[test]
fn parts_that_do_not_fit_together_are_refused() {
    let folder = folder();
    let here = folder.path();
    shards(here, 2, "run");
    let draw = |words: &str| sample(here, &format!("{RUN} {words}"));
    let part = |index: usize| format!("run.parts/part-0000{index}-of-00002");
    draw("--pictures 9..12 --out more").expect_success();
    let twice = merge(here, "run.parts more --out all");
    assert!(twice.code == 1 && twice.stderr.contains("both hold pictures 9..11"), "{}", twice.stderr);
    for (change, said) in [("--seed 6", "seed was 5 and is now 6"), ("--num 24", "num was 23 and is now 24")] {
        let line = format!("{RUN} {change} --shard 1/2 --out other");
        let line =
            if change.contains("num") { line.replace("--num 23 ", "") } else { line.replace("--seed 5 ", "") };
        sample(here, &line).expect_success();
        let refused = merge(here, &format!("{} other.parts --out all", part(0)));
        assert!(refused.code == 1 && refused.stderr.contains(said), "{}", refused.stderr);
        assert!(refused.stderr.contains("part-00000-of-00002 and other.parts/part-"), "{}", refused.stderr);
        fs::remove_dir_all(here.join("other.parts")).expect("there");
    }
    let refused = merge(here, "nothing --out all");
    assert!(
        refused.stderr.contains("nothing is not a finished part: there is nothing of that name"),
        "{}",
        refused.stderr
    );
    let alone = draw("--shard 0/1 --out run");
    assert!(alone.code == 1 && alone.stderr.contains("of another number of shards"), "{}", alone.stderr);
    let other = sample(here, &format!("{} --shard 0/2 --out run", RUN.replace("--seed 5", "--seed 6")));
    assert!(other.code == 1 && other.stderr.contains("holds pictures of another run"), "{}", other.stderr);
}

/// `--shard auto` reads what Slurm and Kubernetes set.
#[test]
fn a_scheduler_says_which_shard_it_is() {
    let folder = folder();
    let here = folder.path();
    let auto = |variables: &[(&str, &str)]| {
        let mut command = ddim(here);
        command
            .args(["sample", "--device", "cpu"])
            .args(RUN.split_whitespace())
            .args(["--shard", "auto", "--out", "run"]);
        command.envs(variables.iter().copied());
        finish(command)
    };
    let slurm =
        auto(&[("SLURM_ARRAY_TASK_ID", "1"), ("SLURM_ARRAY_TASK_COUNT", "2"), ("SLURM_ARRAY_TASK_MIN", "0")]);
    let slurm = slurm.expect_success();
    let said =
        "shard 1/2 (SLURM_ARRAY_TASK_ID=1, SLURM_ARRAY_TASK_COUNT=2, SLURM_ARRAY_TASK_MIN=0): pictures 11..23";
    assert!(slurm.stderr.contains(said), "{}", slurm.stderr);
    auto(&[("JOB_COMPLETION_INDEX", "0"), ("DDIM_SHARDS", "2")]).expect_success();
    merge(here, "run.parts --out run").expect_success();
    let neither = auto(&[]);
    assert!(neither.code == 2 && neither.stderr.contains("neither SLURM_ARRAY_TASK_ID"), "{}", neither.stderr);
}

/// Whatever is measured of pictures drawn in shards has the digits of those of one process.
#[test]
fn distances_have_the_same_digits_whatever_the_number_of_shards() {
    let folder = folder();
    let here = folder.path();
    sample(here, &format!("{RUN} --out one")).expect_success();
    sample(here, &format!("{} --out other.npz", RUN.replace("--seed 5", "--seed 9"))).expect_success();
    let measured = |set: &str| {
        let mut command = ddim(here);
        command.args([
            "eval",
            set,
            "other.npz",
            "--features",
            "pixels",
            "--metrics",
            "frechet,kernel,sliced",
            "--json",
        ]);
        let json: serde_json::Value =
            serde_json::from_str(&finish(command).expect_success().stdout).expect("JSON");
        let mut distances = json["distances"].as_object().expect("an object").clone();
        // Its name.
        distances.remove("set");
        distances
    };
    let one = measured("one");
    assert!(one.contains_key("frechet"), "{one:?}");
    for count in [3, 5] {
        shards(here, count, &format!("run{count}"));
        for out in [format!("run{count}"), format!("run{count}.npz")] {
            merge(here, &format!("run{count}.parts --out {out}")).expect_success();
            assert_eq!(measured(&out), one, "{out}");
        }
    }
}

/// A value of the manifest for Kubernetes that stands on a line of its own.
fn of_manifest<'a>(manifest: &'a str, key: &str) -> &'a str {
    let mut lines = manifest.lines().map(str::trim_start);
    lines.find_map(|line| line.strip_prefix(key)).unwrap_or_else(|| panic!("no {key}")).trim()
}

/// The command of a manifest in a folder that stands for its volume, with fewer pictures.
fn of_pod(manifest: &str, folder: &Path) -> Command {
    let words: Vec<String> = serde_json::from_str(of_manifest(manifest, "command:")).expect("a list of words");
    let (program, words) = words.split_first().expect("a program");
    assert_eq!(program, "ddim");
    let here = |word: &String| word.replace("/work", ".").replace("50000", "40");
    let mut command = ddim(folder);
    command.args(words.iter().map(here)).args(if words[0] == "sample" {
        ["--device", "cpu"].as_slice()
    } else {
        &[]
    });
    command
}

/// As Kubernetes does it: every number once, all at the same time, and one that was killed once more.
#[test]
fn the_job_for_kubernetes_draws_every_share_and_merges() {
    let folder = folder();
    let here = folder.path();
    let (job, merge) = (include_str!("../deploy/k8s/job.yaml"), include_str!("../deploy/k8s/merge.yaml"));
    let completions: usize = of_manifest(job, "completions:").parse().expect("a number");
    assert_eq!(of_manifest(job, "value:").trim_matches('"'), completions.to_string(), "DDIM_SHARDS");
    let pod = |index: usize| {
        let mut command = of_pod(job, here);
        command.args(["-q", "--batch-size", "1"]);
        command.env("JOB_COMPLETION_INDEX", index.to_string()).env("DDIM_SHARDS", completions.to_string());
        command.spawn().expect("the program starts")
    };
    let mut pods: Vec<Child> = (0..completions).map(pod).collect();
    let begun = here.join(format!("run.parts/part-00005-of-{completions:05}.unfinished/run.json"));
    while !begun.exists() && pods[5].try_wait().expect("known").is_none() {
        thread::sleep(Duration::from_millis(1));
    }
    pods[5].kill().expect("SIGKILL");
    let ended: Vec<bool> = pods.into_iter().map(|mut pod| pod.wait().expect("ended").success()).collect();
    for index in (0..completions).filter(|index| !ended[*index]) {
        assert!(pod(index).wait().expect("ended").success(), "pod {index} once more");
    }
    finish(of_pod(merge, here)).expect_success();
    sample(here, "--num 40 --seed 7 --batch-size 1 --out one").expect_success();
    assert_eq!(files(&here.join("run")), files(&here.join("one")));
}
