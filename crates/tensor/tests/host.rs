//! What a tensor in host memory does, by hand.

use ddim_tensor::{Device, Tensor, weighted_sum};

fn counted(dims: [usize; 4]) -> Tensor {
    Tensor::new((0..dims.iter().product()).map(|k: usize| k as f32).collect(), dims)
}

#[test]
fn an_axis_of_one_is_stretched() {
    let x = counted([2, 2, 1, 3]);
    let by_picture = Tensor::new(vec![1.0, 10.0], [2, 1, 1, 1]);
    let scaled = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 60.0, 70.0, 80.0, 90.0, 100.0, 110.0];
    assert_eq!((x.clone() * by_picture).values(), scaled);
    let mask = Tensor::new(vec![1.0, 0.0, 1.0], [1, 1, 1, 3]);
    let masked = [0.0, 0.0, 2.0, 3.0, 0.0, 5.0, 6.0, 0.0, 8.0, 9.0, 0.0, 11.0];
    assert_eq!((x.clone() * mask.clone()).values(), masked);
    assert_eq!((mask * x).values(), masked, "on either side");
    let both = Tensor::new(vec![1.0, 2.0], [2, 1, 1, 1]) + Tensor::new(vec![10.0, 20.0], [1, 2, 1, 1]);
    assert_eq!((both.dims(), both.values()), ([2, 2, 1, 1], vec![11.0, 21.0, 12.0, 22.0]));
}

#[test]
#[should_panic(expected = "do not fit each other")]
fn other_shapes_are_refused() {
    let _ = counted([2, 1, 1, 3]) + counted([3, 1, 1, 3]);
}

#[test]
fn pictures_and_channels_are_taken_out_and_put_together() {
    let x = counted([3, 2, 1, 2]);
    assert_eq!(x.pictures(1..3).values(), [4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0]);
    assert_eq!(x.select(&[2, 0, 2]).values(), [8.0, 9.0, 10.0, 11.0, 0.0, 1.0, 2.0, 3.0, 8.0, 9.0, 10.0, 11.0]);
    assert_eq!(x.channels(1..2).values(), [2.0, 3.0, 6.0, 7.0, 10.0, 11.0]);
    assert_eq!(x.channels(0..1).join_channels(&x.channels(1..2)).values(), x.values());
    assert_eq!(Tensor::cat(&[x.pictures(0..1), x.pictures(1..3)]).values(), x.values());
    assert_eq!(x.pictures(0..1).values_by_pixel(), [0.0, 2.0, 1.0, 3.0]);
}

/// Of [0, 1, 2, 3] the half lies at 1.5; of one number every quantile is that number.
#[test]
fn numbers_of_pictures() {
    let x = Tensor::new(vec![3.0, -1.0, 0.0, -2.0], [1, 1, 2, 2]);
    assert_eq!(x.quantile_of_abs(0.5).values(), [1.5]);
    assert_eq!([0.0, 1.0].map(|ratio| x.quantile_of_abs(ratio).values()[0]), [0.0, 3.0]);
    assert_eq!(Tensor::full(-4.0, [2, 1, 1, 1]).quantile_of_abs(0.9).values(), [4.0, 4.0]);
    let y = Tensor::cat(&[x.clone(), x * 2.0]);
    assert_eq!((y.sums(), y.mean_each().values()), (vec![0.0, 0.0], vec![0.0, 0.0]));
    assert_eq!(y.square().sum_each().values(), [14.0, 56.0]);
}

#[test]
fn sums_leave_out_what_has_no_weight() {
    let (x, broken) = (counted([1, 1, 1, 3]), Tensor::full(f32::NAN, [1, 1, 1, 3]));
    let sum = weighted_sum([(0.5, &x), (0.0, &broken), (-2.0, &x)]).expect("two weights");
    assert_eq!(sum.values(), [0.0, -1.5, -3.0]);
    assert!(weighted_sum([(0.0, &broken)]).is_none());
}

#[test]
fn nothing_divided_by_nothing_is_what_was_said() {
    let [x, y] = [[1.0, 2.0], [0.0, 4.0]].map(|values| Tensor::new(values.to_vec(), [2, 1, 1, 1]));
    assert_eq!(x.divided_or(y, 7.0).values(), [7.0, 0.5]);
}

/// A copy is the same numbers until one of the two changes.
#[test]
fn copies_share_until_one_changes() {
    let mut x = counted([1, 1, 1, 2]);
    let copy = x.clone();
    assert_eq!(x.host().expect("in host memory").as_ptr(), copy.host().expect("there, too").as_ptr());
    x.host_mut().expect("in host memory")[0] = 9.0;
    assert_eq!((x.values(), copy.values()), (vec![9.0, 1.0], vec![0.0, 1.0]));
    assert_eq!((x.device(), Device::Cpu.sync()), (Device::Cpu, Ok(())));
}
