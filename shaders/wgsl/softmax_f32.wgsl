// Generated, not to be edited: what burn's compiler makes of shaders/softmax/kernel.rs (f32)
// for wgpu, in the versions of Cargo.lock. shaders/wgsl/tests.rs writes it and compares it.

var<workgroup> shared_v14: array<f32, 72>;
@group(0) @binding(1) var<storage, read_write> v7: array<f32>;
@group(0) @binding(0) var<storage, read_write> v1: array<f32>;
struct info_st { scalars_usize: array<u32, 6>, static_meta: array<u32, 6>, dynamic_meta: array<u32> }
@group(0) @binding(2) var<storage, read> info_var: info_st;
@compute @workgroup_size(64, 1, 1)
fn softmax_kernel_f_f32(@builtin(workgroup_id) v223: vec3<u32>, @builtin(num_workgroups) v225: vec3<u32>, @builtin(local_invocation_index) v230: u32) {
    let v238 = &v7;
    let v239 = &v1;
    let v13 = info_var.scalars_usize[4];
    let v209 = &shared_v14;
    let v224 = v223[2];
    let v226 = v225[1];
    let v20 = v224 * v226;
    let v227 = v223[1];
    let v22 = v20 + v227;
    let v23 = u32(v22);
    let v228 = v225[0];
    let v25 = u32(v228);
    let v26 = v23 * v25;
    let v229 = v223[0];
    let v28 = u32(v229);
    let v29 = v26 + v28;
    let v30 = v29 * v13;
    let v34 = &(*v239)[v30];
    let v35 = *v34;
    var<function> v210_store: f32;
    let v210 = &v210_store;
    *v210 = v35;
    let v231 = v230;
    let v38 = u32(v231);
    let v39 = u32(64);
    for(var v40: u32 = v38; v40 < v13; v40 += v39) {
        let v42 = v30 + v40;
        let v46 = &(*v239)[v42];
        let v47 = *v46;
        let v48 = *v210;
        let v49 = max(v48, v47);
        *v210 = v49;
    }
    let v55 = &(*v209)[v38];
    let v56 = *v210;
    *v55 = v56;
    workgroupBarrier();
    let v57 = u32(8);
    let v58 = v38 < v57;
    if v58 {
        let v63 = *v55;
        var<function> v212_store: f32;
        let v212 = &v212_store;
        *v212 = v63;
        let v65 = u32(1);
        for(var v68: u32 = v65; v68 < v57; v68 += v65) {
            let v71 = v68 * v57;
            let v72 = v38 + v71;
            let v76 = &(*v209)[v72];
            let v77 = *v76;
            let v78 = *v212;
            let v79 = max(v78, v77);
            *v212 = v79;
        }
        let v81 = v39 + v38;
        let v85 = &(*v209)[v81];
        let v86 = *v212;
        *v85 = v86;
    }
    workgroupBarrier();
    let v91 = &(*v209)[v39];
    let v92 = *v91;
    var<function> v214_store: f32;
    let v214 = &v214_store;
    *v214 = v92;
    let v94 = u32(1);
    for(var v97: u32 = v94; v97 < v57; v97 += v94) {
        let v100 = v39 + v97;
        let v104 = &(*v209)[v100];
        let v105 = *v104;
        let v106 = *v214;
        let v107 = max(v106, v105);
        *v214 = v107;
    }
    let v108 = f32(0.0);
    var<function> v216_store: f32;
    let v216 = &v216_store;
    *v216 = v108;
    for(var v114: u32 = v38; v114 < v13; v114 += v39) {
        let v116 = v30 + v114;
        let v120 = &(*v239)[v116];
        let v121 = *v120;
        let v122 = *v214;
        let v123 = v121 - v122;
        let v124 = exp(v123);
        let v125 = *v216;
        let v126 = v125 + v124;
        *v216 = v126;
    }
    let v133 = *v216;
    *v55 = v133;
    workgroupBarrier();
    if v58 {
        let v140 = *v55;
        var<function> v218_store: f32;
        let v218 = &v218_store;
        *v218 = v140;
        for(var v145: u32 = v94; v145 < v57; v145 += v94) {
            let v148 = v145 * v57;
            let v149 = v38 + v148;
            let v153 = &(*v209)[v149];
            let v154 = *v153;
            let v155 = *v218;
            let v156 = v155 + v154;
            *v218 = v156;
        }
        let v158 = v39 + v38;
        let v162 = &(*v209)[v158];
        let v163 = *v218;
        *v162 = v163;
    }
    workgroupBarrier();
    let v169 = *v91;
    var<function> v220_store: f32;
    let v220 = &v220_store;
    *v220 = v169;
    for(var v174: u32 = v94; v174 < v57; v174 += v94) {
        let v177 = v39 + v174;
        let v181 = &(*v209)[v177];
        let v182 = *v181;
        let v183 = *v220;
        let v184 = v183 + v182;
        *v220 = v184;
    }
    for(var v188: u32 = v38; v188 < v13; v188 += v39) {
        let v190 = v30 + v188;
        let v194 = &(*v239)[v190];
        let v195 = *v194;
        let v196 = *v214;
        let v197 = v195 - v196;
        let v198 = exp(v197);
        let v199 = *v220;
        let v200 = v198 / v199;
        let v205 = &(*v238)[v190];
        *v205 = v200;
    }
    return;
}
