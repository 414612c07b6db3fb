use burn::tensor::{Device, Distribution, Tensor};
use ddim_unet::*;
use std::time::Instant;
fn main() {
    let config = UNet2DConfig {
        in_channels: 1,
        out_channels: 1,
        block_out_channels: vec![16, 32, 64],
        layers_per_block: 1,
        norm_num_groups: 8,
        down_block_types: vec![DownBlockType::Plain, DownBlockType::Plain, DownBlockType::Attention],
        up_block_types: vec![UpBlockType::Attention, UpBlockType::Plain, UpBlockType::Plain],
        num_class_embeds: Some(11),
        ..Default::default()
    };
    let device = Device::flex();
    let unet = config.init(&device).unwrap();
    for batch in [1usize, 16] {
        let x = Tensor::<4>::random([batch, 1, 28, 28], Distribution::Default, &device);
        let t = Instant::now();
        let c = unet.condition(&vec![10.0; batch], &Labels::Index(&vec![3; batch]), &device);
        let ct = t.elapsed();
        for _ in 0..5 {
            let _ = unet.forward(x.clone(), &c).into_data();
        }
        let mut times: Vec<f64> = (0..40)
            .map(|_| {
                let t = Instant::now();
                let _ = unet.forward(x.clone(), &c).into_data();
                t.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        times.sort_by(f64::total_cmp);
        println!("batch {batch}: min {:.2} median {:.2} ms; condition {ct:?}", times[0], times[20]);
    }
    let ad = Device::flex().autodiff();
    let unet = config.init(&ad).unwrap();
    let x = Tensor::<4>::random([64, 1, 28, 28], Distribution::Default, &ad);
    let mut times = vec![];
    for _ in 0..8 {
        let t = Instant::now();
        let c = unet.condition(&vec![10.0; 64], &Labels::Index(&vec![3; 64]), &ad);
        let out = unet.forward(x.clone(), &c);
        let loss = out.square().mean();
        let f = t.elapsed();
        let g = loss.backward();
        std::hint::black_box(&g);
        times.push((f.as_secs_f64() * 1e3, t.elapsed().as_secs_f64() * 1e3));
    }
    println!("train batch 64 (fwd, total ms): {times:.1?}");
}
