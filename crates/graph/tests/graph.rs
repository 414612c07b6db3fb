//! What a graph says about itself, and what a builder refuses.

use ddim_graph::{
    Activation, Asked, Border, Builder, Convolution, Cut, CutError, Graph, Initial, Labels, Pooling, Resample,
    SizeError, Value, check_rows, logarithmic_waves, waves, whole_times,
};

/// One level down and up again, with a skip.
fn small() -> Graph {
    let mut builder = Builder::new();
    let x = builder.input(3);
    builder.block("down");
    let first = builder.convolve(x, Convolution::new("in", 4).kernel(3).border(Border::even(1)));
    let h = builder.convolve(first, Convolution::new("down", 8).kernel(3).stride(2).border(Border::behind(1)));
    builder.block("up");
    let h = builder.resample(h, Resample::Double);
    let h = builder.join(h, first);
    let h = builder.convolve(h, Convolution::new("out", 3).residual(x));
    builder.finish(h)
}

#[test]
fn sizes_follow_from_that_of_the_picture() {
    let graph = small();
    assert_eq!(graph.sizes([4, 6]).expect("even sides"), [[4, 6], [4, 6], [2, 3], [4, 6], [4, 6], [4, 6]]);
    let odd = SizeError::Meets { height: 5, width: 6, one: [4, 6], other: [5, 6] };
    assert_eq!(graph.sizes([5, 6]), Err(odd.clone()));
    assert!(odd.to_string().contains("pictures of 5x6 cannot be halved as often"), "{odd}");
    assert_eq!(graph.sizes([0, 6]), Err(SizeError::Vanishes { height: 0, width: 6 }));
}

#[test]
fn work_parameters_and_blocks_are_counted() {
    let graph = small();
    // 3x3 over 3 channels to 4 at 24 pixels, over 4 to 8 at 6 pixels, 1x1 over 12 to 3 at 24 pixels.
    assert_eq!(graph.multiplications([4, 6]), Ok(24 * 27 * 4 + 6 * 36 * 8 + 24 * 12 * 3));
    assert_eq!(graph.largest_value([4, 6]), Ok(24 * 12));
    assert_eq!(graph.parameter_count(), (27 + 1) * 4 + (36 + 1) * 8 + (12 + 1) * 3);
    assert_eq!(["", "down", "down", "up", "up", "up"], [0, 1, 2, 3, 4, 5].map(|layer| graph.block_of(layer)));
    assert_eq!((graph.input_channels(), graph.output_channels()), (3, 3));
    assert_eq!(graph.last_reads(), [Some(5), Some(4), Some(3), Some(4), Some(5), None]);
    assert_eq!(graph.readers(), [2, 2, 1, 1, 1, 0]);
    // An attention's scores are the largest where there are many pixels.
    let mut builder = Builder::new();
    let x = builder.input(4);
    let names = ["q", "k", "v"].map(|name| (name.to_owned(), 4));
    let qkv = builder.convolve(x, Convolution::linear(names));
    let out = builder.attend(qkv, 2, 2);
    let graph = builder.finish(out);
    assert_eq!(graph.largest_value([2, 2]), Ok(3 * 4 * 4));
    assert_eq!(graph.largest_value([4, 4]), Ok(2 * 16 * 16));
    assert_eq!(graph.multiplications([2, 2]), Ok(4 * 4 * 12 + 2 * 4 * 4 * 4));
    assert_eq!(graph.parameters()[0].shape, [4, 4]);
}

#[test]
fn a_graph_is_cut_where_that_saves_work() {
    let mut builder = Builder::new();
    let x = builder.input(3);
    builder.observe("x", x);
    let row = builder.given(4);
    builder.observe_row("row", row);
    let first = builder.convolve(x, Convolution::new("in", 4));
    builder.observe("first", first);
    let inner = builder.convolve(first, Convolution::new("inner", 8));
    builder.observe("inner.last", inner);
    builder.observe("inner", inner);
    let normed = builder.normalize(inner, "norm", 2, 1e-5, None, Activation::Silu);
    builder.observe_before_activation("norm", normed);
    let joined = builder.join(normed, first);
    let late = builder.convolve(joined, Convolution::new("late", 5));
    builder.observe("late", late);
    let out = builder.convolve(late, Convolution::new("out", 3));
    builder.observe("out", out);
    let graph = builder.finish(out);
    let cuts = graph.cuts();
    assert_eq!(cuts.iter().map(Cut::name).collect::<Vec<_>>(), ["inner"]);
    assert_eq!(cuts[0].needed(), [true, true, false, true, true, true, true]);
    let [whole, behind] = [graph.multiplications([2, 3]), graph.multiplications_behind(&cuts[0], [2, 3])];
    assert_eq!(behind, Ok(6 * (3 * 4 + 12 * 5 + 5 * 3)));
    assert_eq!(whole, Ok(6 * (3 * 4 + 4 * 8 + 12 * 5 + 5 * 3)));
    assert_eq!(graph.cut("inner.last").expect("the same value").value(), cuts[0].value());
    let named = |name: &str| name.to_owned();
    assert_eq!(graph.cut("mid"), Err(CutError::Unknown { name: named("mid") }));
    for name in ["row", "norm", "out"] {
        assert_eq!(graph.cut(name), Err(CutError::NotRead { name: named(name) }));
    }
    assert_eq!(graph.cut("late"), Err(CutError::WithoutPicture { name: named("late") }));
    assert_eq!(graph.cut("first"), Err(CutError::WithoutPicture { name: named("first") }));
    assert_eq!(graph.cut("x"), Err(CutError::WithoutPicture { name: named("x") }));
    let mut builder = Builder::new();
    let x = builder.input(3);
    let first = builder.convolve(x, Convolution::new("in", 4));
    let sum = builder.apply(first, Activation::Silu);
    builder.observe("sum", sum);
    let both = builder.join(sum, first);
    let out = builder.convolve(both, Convolution::new("out", 3));
    assert_eq!(builder.finish(out).cut("sum"), Err(CutError::SavesNothing { name: named("sum") }));
}

#[test]
fn a_receptive_field_is_finite_without_normalisation_and_attention() {
    // 3 pixels of the first, then 3 of it two apart; doubled, a pixel sees what half a pixel did, and the skip
    // less.
    let graph = small();
    assert_eq!(graph.receptive_field(), Some([5, 5]));
    let mut builder = Builder::new();
    let x = builder.input(2);
    let x = builder.convolve(x, Convolution::new("row", 2).rectangle([1, 7]));
    let x = builder.resample(x, Resample::Halve);
    let x = builder.convolve(x, Convolution::new("next", 2).kernel(3));
    assert_eq!(builder.finish(x).receptive_field(), Some([6, 12]));
    let mut builder = Builder::new();
    let x = builder.input(2);
    let x = builder.normalize(x, "norm", 1, 1e-5, None, Activation::Silu);
    assert_eq!(builder.finish(x).receptive_field(), None);
}

/// A pool, the sum of what it gives with the means around, and a function of that.
fn pooled(builder: &mut Builder) -> Value {
    let x = builder.input(2);
    let x = builder.pool(x, Pooling::Maximum, [3, 2, 0]);
    let y = builder.pool(x, Pooling::Mean, [3, 1, 1]);
    let sum = builder.sum(x, y);
    builder.apply(sum, Activation::Relu)
}

#[test]
fn pools_and_means_change_sizes_and_what_a_pixel_sees() {
    let mut builder = Builder::new();
    let result = pooled(&mut builder);
    let local = builder.finish(result);
    // Three windows of three pixels, two apart.
    assert_eq!(local.receptive_field(), Some([7, 7]));
    assert_eq!(local.sizes([2, 7]), Err(SizeError::Vanishes { height: 2, width: 7 }));
    let mut builder = Builder::new();
    let result = pooled(&mut builder);
    let mean = builder.mean(result);
    let graph = builder.finish(mean);
    assert_eq!(graph.sizes([7, 9]).expect("it fits"), [[7, 9], [3, 4], [3, 4], [3, 4], [3, 4], [1, 1]]);
    assert_eq!(graph.sizes([0, 9]), Err(SizeError::Vanishes { height: 0, width: 9 }));
    assert_eq!(graph.receptive_field(), None);
    assert_eq!((graph.multiplications([7, 9]), graph.largest_value([7, 9])), (Ok(0), Ok(63 * 2)));
    assert_eq!(graph.readers(), [1, 2, 1, 1, 1, 0]);
}

#[test]
#[should_panic(expected = "windows of 3, 1 apart, in 2")]
fn a_window_holds_pixels() {
    let mut builder = Builder::new();
    let x = builder.input(1);
    builder.pool(x, Pooling::Mean, [3, 1, 2]);
}

#[test]
#[should_panic(expected = "channels of two pictures that are added")]
fn pictures_that_are_added_have_the_same_channels() {
    let mut builder = Builder::new();
    let x = builder.input(1);
    let y = builder.convolve(x, Convolution::new("conv", 2));
    builder.sum(x, y);
}

#[test]
fn times_are_waves_in_the_order_asked_for() {
    let waves = waves(&[2.0], &[1.0, 0.5], 5, true);
    let expected = [2f64.cos(), 1f64.cos(), 2f64.sin(), 1f64.sin(), 0.0].map(|value| value as f32);
    assert_eq!(waves, expected);
    let logarithmic = logarithmic_waves(&[1f64.exp()], &[0.25]);
    assert!((logarithmic[0] - 1.0).abs() < 1e-6 && logarithmic[1].abs() < 1e-6, "{logarithmic:?}");
    assert_eq!(whole_times(&[0.0, 7.0]), [0, 7]);
    check_rows(Asked::Class, &[0, 1], 2);
}

/// A network with classes, and what it says to other labels.
fn with_classes() -> Graph {
    let mut builder = Builder::new();
    let x = builder.input(1);
    let table = builder.parameter("classes.weight", &[3, 1], Initial::Normal { deviation: 1.0 });
    let row = builder.lookup(Asked::Class, table);
    let row = builder.modulation(row);
    let x = builder.multiply(x, row);
    builder.finish(x)
}

#[test]
fn times_and_labels_are_equally_many_or_one() {
    let graph = with_classes();
    assert_eq!(graph.label(), Some(Asked::Class));
    for (times, labels, rows) in [(1, vec![0, 1, 2], 3), (3, vec![1], 3), (2, vec![0, 0], 2)] {
        assert_eq!(graph.rows_asked(&vec![5.0; times], &Labels::Index(&labels)), rows);
    }
}

#[test]
#[should_panic(expected = "2 times and 3 labels")]
fn other_numbers_of_them_are_refused() {
    with_classes().rows_asked(&[1.0, 2.0], &Labels::Index(&[0, 1, 2]));
}

#[test]
#[should_panic(expected = "this network takes Labels::Index, one for each time; got Value([1.0])")]
fn labels_of_another_kind_are_refused() {
    with_classes().rows_asked(&[1.0], &Labels::Value(&[1.0]));
}

#[test]
#[should_panic(expected = "class label 3 is outside the table of this network, which has 3 rows: 0 to 2")]
fn a_row_outside_the_table_is_refused() {
    check_rows(Asked::Class, &[3], 3);
}

#[test]
#[should_panic(expected = "a learned time embedding takes whole timesteps from 0, got 0.5")]
fn a_time_between_rows_is_refused() {
    whole_times(&[0.5]);
}

#[test]
#[should_panic(expected = "two parameters same.weight")]
fn a_name_is_taken_once() {
    let mut builder = Builder::new();
    let x = builder.input(1);
    let x = builder.convolve(x, Convolution::new("same", 1));
    builder.convolve(x, Convolution::new("same", 1));
}

#[test]
#[should_panic(expected = "norm: 3 groups of 4 channels")]
fn groups_divide_channels() {
    let mut builder = Builder::new();
    let x = builder.input(4);
    builder.normalize(x, "norm", 3, 1e-5, None, Activation::Identity);
}

#[test]
#[should_panic(expected = "out: channels of a residual and of its sum")]
fn a_residual_has_the_channels_of_its_sum() {
    let mut builder = Builder::new();
    let x = builder.input(4);
    builder.convolve(x, Convolution::new("out", 3).residual(x));
}
