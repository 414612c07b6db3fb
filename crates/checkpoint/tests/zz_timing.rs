use burn::tensor::Device; use ddim_checkpoint::*; use ddim_unet::UNet2DConfig; use std::time::Instant;
#[test] fn t(){
 let c=UNet2DConfig::from_json(r#"{"in_channels":1,"out_channels":1,"block_out_channels":[32,64,96],"norm_num_groups":8,"layers_per_block":1,"down_block_types":["DownBlock2D","AttnDownBlock2D","AttnDownBlock2D"],"up_block_types":["AttnUpBlock2D","AttnUpBlock2D","UpBlock2D"]}"#).unwrap();
 let d=Device::flex(); let dir=tempfile::tempdir().unwrap(); let m=dir.path().join("m");
 let ck=Checkpoint{unet:c.init(&d).unwrap(),scheduler:SchedulerConfig::default(),card:Card::default()};
 let t=Instant::now(); save(&ck,&m).unwrap(); println!("save {:?} {}",t.elapsed(), std::fs::metadata(m.join("unet/diffusion_pytorch_model.safetensors")).unwrap().len());
 for _ in 0..5 { let t=Instant::now(); let k=load(&m,&d).unwrap(); println!("load {:?}",t.elapsed()); drop(k);
 let t=Instant::now(); let _=c.init(&d).unwrap(); println!("init {:?}",t.elapsed()); 
 let t=Instant::now(); let _=inspect(&m).unwrap(); println!("inspect {:?}",t.elapsed()); }
}
