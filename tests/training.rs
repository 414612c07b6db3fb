//! `ddim train` on pictures of one's own.

use std::fs;
use std::path::Path;

use ddim_data::{Picture, encode_png};
use serde_json::{Value, json};

use crate::program::{Ran, ddim, finish, folder};

/// Trains on the CPU, in `folder`.
fn train(folder: &Path, words: &str) -> Ran {
    let mut command = ddim(folder);
    command.args(["train", "--device", "cpu"]).args(words.split_whitespace());
    finish(command)
}

/// A picture with a slope of grey, of some number of channels.
fn write(path: &Path, [height, width, channels]: [usize; 3], shade: u8) {
    let pixels = (0..height * width * channels).map(|at| (at * 7) as u8 ^ shade).collect();
    let picture = Picture { width, height, channels, pixels };
    fs::create_dir_all(path.parent().expect("a folder")).expect("writable");
    fs::write(path, encode_png(&picture, "{}").expect("encodes")).expect("writable");
}

/// Four pictures of one size in each of three classes, whose names are numbers.
fn classes(folder: &Path) {
    for (class, name) in ["1", "2", "10"].iter().enumerate() {
        for k in 0..4 {
            write(&folder.join(format!("pictures/{name}/{k}.png")), [8, 8, 3], (16 * class + k) as u8);
        }
    }
}

fn json_of(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).expect("there")).expect("JSON")
}

/// A network of a few hundred weights for pictures of this size.
fn tiny_recipe(path: &Path, size: Value, channels: usize) {
    let recipe = json!({
        "name": "tiny", "steps": 2, "batch_size": 4,
        "unet": {
            "sample_size": size, "in_channels": channels, "out_channels": channels, "block_out_channels": [8],
            "norm_num_groups": 4, "layers_per_block": 1, "down_block_types": ["DownBlock2D"],
            "up_block_types": ["UpBlock2D"], "add_attention": false,
        },
        "scheduler": { "_class_name": "DDIMScheduler" },
    });
    fs::write(path, recipe.to_string()).expect("writable");
}

#[test]
fn pictures_of_all_sizes_and_colours_need_no_recipe() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    for (k, shape) in
        [[9, 8, 3], [8, 30, 3], [12, 10, 3], [8, 8, 1], [11, 9, 4], [9, 13, 3]].into_iter().enumerate()
    {
        write(&path(&format!("pictures/{}/{k}.png", ["ant", "bee"][k % 2])), shape, k as u8);
    }
    let whole = fs::read(path("pictures/ant/0.png")).expect("there");
    fs::write(path("pictures/ant/broken.png"), &whole[..whole.len() / 2]).expect("writable");
    let words = "--data pictures --out run --steps 2 --batch-size 2";
    let refused = train(folder.path(), words);
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    assert!(
        refused.stderr.contains("broken.png") && refused.stderr.contains("--on-corrupt skip"),
        "{}",
        refused.stderr
    );
    let ran = train(folder.path(), &format!("{words} --on-corrupt skip")).expect_success();
    // No size is that of half of them, and 8 is in the middle of the shorter sides.
    for said in [
        "1 of 7 left out: 1 cut off",
        "pictures: 6 of 8x8x3 (height x width x channels) in pictures, 2 classes: ant, bee",
        "8x8 by --fit crop",
        "1 grey picture turned into colour",
        "1 transparent picture laid over white (--ground)",
        "network: 8x8x3, levels of 32 channels; 2 steps of 2 pictures",
    ] {
        assert!(ran.stderr.contains(said), "{said}: {}", ran.stderr);
    }
    assert_eq!(json_of(&path("run/model/unet/config.json"))["sample_size"], 8);
    assert_eq!(json_of(&path("run/model/ddim.json"))["classes"], json!(["ant", "bee"]));
    let mut sample = ddim(folder.path());
    sample.args("sample --device cpu --model run/model --steps 2 --num 2 --out drawn".split(' '));
    finish(sample).expect_success();
    assert!(path("drawn/run.json").is_file());
}

#[test]
fn the_printed_recipe_is_the_one_that_is_used() {
    let folder = folder();
    classes(folder.path());
    let options = "--data pictures --steps 3 --batch-size 4 --horizontal-flip";
    let printed = train(folder.path(), &format!("{options} --print-recipe")).expect_success();
    fs::write(folder.path().join("recipe.json"), &printed.stdout).expect("writable");
    train(folder.path(), &format!("{options} --out one")).expect_success();
    train(folder.path(), "--data pictures --recipe recipe.json --out other").expect_success();
    let read = |name: &str| fs::read(folder.path().join(name)).expect("there");
    assert!(read("one/train.safetensors") == read("other/train.safetensors"), "another run");
    assert!(read("one/recipe.json") == printed.stdout.as_bytes(), "another recipe");
    let recipe = json_of(&folder.path().join("recipe.json"));
    assert_eq!((&recipe["flip"], &recipe["unet"]["num_class_embeds"]), (&json!("horizontal"), &json!(4)));
    // The order of the names: 10 stands before 2.
    assert_eq!(json_of(&folder.path().join("one/model/ddim.json"))["classes"], json!(["1", "10", "2"]));
}

/// The clock stops a run after its first step, and the same command goes on; the end is that of a run in one piece.
#[test]
fn a_run_that_the_clock_stops_goes_on() {
    let folder = folder();
    classes(folder.path());
    let options = "--data pictures --batch-size 4 --steps 3";
    let stopped = train(folder.path(), &format!("{options} --out parts --time 0.001s")).expect_success();
    assert!(stopped.stderr.contains("stopped at step 1 of 3, as --time says"), "{}", stopped.stderr);
    assert_eq!(stopped.stdout, "parts/model\n");
    let again = train(folder.path(), "--data pictures --out parts --time 0.001s --json").expect_success();
    assert!(again.stderr.contains("going on from step 1 of 3"), "{}", again.stderr);
    let said: Value = serde_json::from_str(&again.stdout).expect("JSON");
    assert_eq!((&said["steps"], &said["finished"]), (&json!(2), &json!(false)));
    train(folder.path(), "--data pictures --out parts").expect_success();
    train(folder.path(), &format!("{options} --out whole")).expect_success();
    let read = |name: &str| fs::read(folder.path().join(name)).expect("there");
    for file in ["train.safetensors", "loss.csv", "model/unet/diffusion_pytorch_model.safetensors"] {
        assert!(read(&format!("parts/{file}")) == read(&format!("whole/{file}")), "{file} differs");
    }
    // A run that is finished can be made longer.
    let longer = train(folder.path(), "--data pictures --out whole --steps 4").expect_success();
    assert!(longer.stderr.contains("going on from step 3 of 4"), "{}", longer.stderr);
}

#[test]
fn a_model_never_lies_about_its_size() {
    let folder = folder();
    (0..4).for_each(|k| write(&folder.path().join(format!("big/{k}.png")), [24, 32, 3], k));
    tiny_recipe(&folder.path().join("recipe.json"), json!(16), 3);
    let words = "--data big --recipe recipe.json --out run";
    let refused = train(folder.path(), words);
    assert_eq!(refused.code, 1);
    for said in ["24x32", "16x16", "--fit crop", "--resolution 24x32"] {
        assert!(refused.stderr.contains(said), "{said}: {}", refused.stderr);
    }
    for (option, size) in [("--fit pad", json!(16)), ("--resolution 24x32", json!([24, 32]))] {
        train(folder.path(), &format!("{words} {option}")).expect_success();
        assert_eq!(json_of(&folder.path().join("run/model/unet/config.json"))["sample_size"], size, "{option}");
        fs::remove_dir_all(folder.path().join("run")).expect("there");
    }
    tiny_recipe(&folder.path().join("recipe.json"), Value::Null, 3);
    train(folder.path(), words).expect_success();
    assert_eq!(json_of(&folder.path().join("run/model/unet/config.json"))["sample_size"], json!([24, 32]));
}

#[test]
fn other_pictures_and_what_a_kill_left_are_noticed_when_a_run_goes_on() {
    let folder = folder();
    classes(folder.path());
    train(folder.path(), "--data pictures --batch-size 2 --steps 1 --out run").expect_success();
    fs::create_dir_all(folder.path().join("run/.model.123-4.tmp/unet")).expect("writable");
    write(&folder.path().join("pictures/2/0.png"), [8, 8, 3], 99);
    let refused = train(folder.path(), "--data pictures --steps 2 --out run");
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("trained on other pictures"), "{}", refused.stderr);
    assert!(refused.stderr.contains("--other-pictures"), "{}", refused.stderr);
    assert!(!folder.path().join("run/.model.123-4.tmp").exists());
    let ran = train(folder.path(), "--data pictures --steps 2 --out run --other-pictures").expect_success();
    assert!(ran.stderr.contains("other pictures than before: "), "{}", ran.stderr);
}

/// One rule in all commands: the pictures beside a folder with fewer are the set, and what is left out is said.
#[test]
fn what_is_left_out_is_said() {
    let folder = folder();
    (0..6).for_each(|k| write(&folder.path().join(format!("pictures/{k}.png")), [8, 8, 1], k));
    (0..2).for_each(|k| write(&folder.path().join(format!("pictures/old/{k}.png")), [8, 8, 1], k));
    let ran = train(folder.path(), "--data pictures --steps 1 --batch-size 2 --out run").expect_success();
    assert!(ran.stderr.contains("left out: "), "{}", ran.stderr);
    assert!(ran.stderr.contains("pictures: 6 of 8x8x1"), "{}", ran.stderr);
}

/// Nothing is written among the pictures, nor over files of somebody else.
#[test]
fn a_run_writes_neither_among_the_pictures_nor_over_other_files() {
    let folder = folder();
    (0..4).for_each(|k| write(&folder.path().join(format!("pictures/{k}.png")), [8, 8, 1], k));
    for out in ["pictures", "pictures/../pictures/", "pictures/new/run"] {
        let refused = train(folder.path(), &format!("--data pictures --steps 1 --batch-size 2 --out {out}"));
        assert_eq!(refused.code, 1, "{}", refused.stderr);
        assert!(refused.stderr.contains("such as --out pictures-run"), "{}", refused.stderr);
    }
    assert_eq!(fs::read_dir(folder.path().join("pictures")).expect("there").count(), 4);
    fs::create_dir(folder.path().join("other")).expect("writable");
    for name in ["samples.png", "loss.csv", "recipe.json"] {
        let file = folder.path().join("other").join(name);
        fs::write(&file, r#"{"flour": 500}"#).expect("writable");
        let refused = train(folder.path(), "--data pictures --steps 1 --batch-size 2 --out other");
        assert_eq!(refused.code, 1, "{}", refused.stderr);
        assert!(refused.stderr.contains(&format!("{name} exists and is of no run")), "{}", refused.stderr);
        assert_eq!(fs::read_dir(folder.path().join("other")).expect("there").count(), 1);
        fs::remove_file(&file).expect("there");
    }
}
