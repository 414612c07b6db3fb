// Generated, not to be edited: what burn's compiler makes of shaders/group_norm/kernel.rs (f16, with something added, SiLU behind it)
// for wgpu, in the versions of Cargo.lock. shaders/wgsl/tests.rs writes it and compares it.

enable f16;
var<workgroup> shared_v36: array<f32, 272>;
@group(0) @binding(4) var<storage, read_write> v25: array<f16>;
@group(0) @binding(3) var<storage, read_write> v19: array<f32>;
@group(0) @binding(2) var<storage, read_write> v13: array<f32>;
@group(0) @binding(1) var<storage, read_write> v7: array<f32>;
@group(0) @binding(0) var<storage, read_write> v1: array<f16>;
struct info_st { scalars_usize: array<u32, 14>, scalars_f32: array<f32, 2>, static_meta: array<u32, 16>, dynamic_meta: array<u32> }
@group(0) @binding(5) var<storage, read> info_var: info_st;
@compute @workgroup_size(256, 1, 1)
fn group_norm_kernel_f_f16(@builtin(workgroup_id) v478: vec3<u32>, @builtin(local_invocation_index) v480: u32) {
    let v490 = &v25;
    let v491 = &v19;
    let v492 = &v13;
    let v493 = &v7;
    let v494 = &v1;
    let v31 = info_var.scalars_usize[10];
    let v32 = info_var.scalars_usize[11];
    let v33 = info_var.scalars_usize[12];
    let v34 = info_var.scalars_usize[13];
    let v35 = info_var.scalars_f32[0];
    let v391 = &shared_v36;
    let v479 = v478[0];
    let v41 = u32(v479);
    let v42 = v41 * v31;
    let v481 = v480;
    let v44 = u32(v481);
    let v45 = v44 / v33;
    let v482 = v478[1];
    let v47 = u32(v482);
    let v50 = v44 % v33;
    let v51 = v42 + v50;
    let v52 = v42 + v31;
    let v53 = v45 < v34;
    let v54 = select(v32, v45, v53);
    let v55 = v31 * v32;
    let v56 = u32(v55);
    let v57 = f32(v56);
    let v58 = f32(0.0);
    var<function> v392_store: f32;
    let v392 = &v392_store;
    *v392 = v58;
    for(var v61: u32 = v51; v61 < v52; v61 += v33) {
        var<function> v394_store: f32;
        let v394 = &v394_store;
        *v394 = v58;
        let v395 = info_var.static_meta[11];
        let v397 = info_var.dynamic_meta[v395];
        let v69 = v47 * v397;
        let v70 = u32(1);
        let v399 = v395 + v70;
        let v400 = info_var.dynamic_meta[v399];
        let v73 = v61 * v400;
        let v74 = v69 + v73;
        let v78 = &(*v493)[v74];
        let v79 = *v78;
        *v394 = v79;
        let v401 = info_var.static_meta[10];
        let v403 = info_var.dynamic_meta[v401];
        let v83 = v47 * v403;
        let v405 = v401 + v70;
        let v406 = info_var.dynamic_meta[v405];
        let v87 = v61 * v406;
        let v88 = v83 + v87;
        for(var v89: u32 = v54; v89 < v32; v89 += v34) {
            let v91 = u32(3);
            let v409 = v401 + v91;
            let v410 = info_var.dynamic_meta[v409];
            let v94 = v89 * v410;
            let v95 = v88 + v94;
            let v99 = &(*v494)[v95];
            let v100 = *v99;
            let v101 = f32(v100);
            let v102 = *v394;
            let v103 = v101 + v102;
            let v106 = *v392;
            let v107 = v106 + v103;
            *v392 = v107;
        }
    }
    let v113 = &(*v391)[v44];
    let v114 = *v392;
    *v113 = v114;
    workgroupBarrier();
    let v115 = u32(16);
    let v116 = v44 < v115;
    if v116 {
        let v121 = *v113;
        var<function> v411_store: f32;
        let v411 = &v411_store;
        *v411 = v121;
        let v123 = u32(1);
        for(var v126: u32 = v123; v126 < v115; v126 += v123) {
            let v129 = v126 * v115;
            let v130 = v44 + v129;
            let v134 = &(*v391)[v130];
            let v135 = *v134;
            let v136 = *v411;
            let v137 = v136 + v135;
            *v411 = v137;
        }
        let v138 = u32(256);
        let v139 = v138 + v44;
        let v143 = &(*v391)[v139];
        let v144 = *v411;
        *v143 = v144;
    }
    workgroupBarrier();
    let v147 = u32(256);
    let v149 = &(*v391)[v147];
    let v150 = *v149;
    var<function> v413_store: f32;
    let v413 = &v413_store;
    *v413 = v150;
    let v152 = u32(1);
    for(var v155: u32 = v152; v155 < v115; v155 += v152) {
        let v158 = v147 + v155;
        let v162 = &(*v391)[v158];
        let v163 = *v162;
        let v164 = *v413;
        let v165 = v164 + v163;
        *v413 = v165;
    }
    let v166 = *v413;
    let v167 = v166 / v57;
    var<function> v415_store: f32;
    let v415 = &v415_store;
    *v415 = v58;
    for(var v171: u32 = v51; v171 < v52; v171 += v33) {
        var<function> v417_store: f32;
        let v417 = &v417_store;
        *v417 = v58;
        let v418 = info_var.static_meta[11];
        let v420 = info_var.dynamic_meta[v418];
        let v179 = v47 * v420;
        let v422 = v418 + v152;
        let v423 = info_var.dynamic_meta[v422];
        let v183 = v171 * v423;
        let v184 = v179 + v183;
        let v188 = &(*v493)[v184];
        let v189 = *v188;
        *v417 = v189;
        let v424 = info_var.static_meta[10];
        let v426 = info_var.dynamic_meta[v424];
        let v193 = v47 * v426;
        let v428 = v424 + v152;
        let v429 = info_var.dynamic_meta[v428];
        let v197 = v171 * v429;
        let v198 = v193 + v197;
        for(var v199: u32 = v54; v199 < v32; v199 += v34) {
            let v201 = u32(3);
            let v432 = v424 + v201;
            let v433 = info_var.dynamic_meta[v432];
            let v204 = v199 * v433;
            let v205 = v198 + v204;
            let v209 = &(*v494)[v205];
            let v210 = *v209;
            let v211 = f32(v210);
            let v212 = *v417;
            let v213 = v211 + v212;
            let v214 = v213 - v167;
            let v216 = *v415;
            let v488 = fma(v214, v214, v216);
            *v415 = v488;
        }
    }
    let v224 = *v415;
    *v113 = v224;
    workgroupBarrier();
    if v116 {
        let v231 = *v113;
        var<function> v434_store: f32;
        let v434 = &v434_store;
        *v434 = v231;
        for(var v236: u32 = v152; v236 < v115; v236 += v152) {
            let v239 = v236 * v115;
            let v240 = v44 + v239;
            let v244 = &(*v391)[v240];
            let v245 = *v244;
            let v246 = *v434;
            let v247 = v246 + v245;
            *v434 = v247;
        }
        let v249 = v147 + v44;
        let v253 = &(*v391)[v249];
        let v254 = *v434;
        *v253 = v254;
    }
    workgroupBarrier();
    let v260 = *v149;
    var<function> v436_store: f32;
    let v436 = &v436_store;
    *v436 = v260;
    for(var v265: u32 = v152; v265 < v115; v265 += v152) {
        let v268 = v147 + v265;
        let v272 = &(*v391)[v268];
        let v273 = *v272;
        let v274 = *v436;
        let v275 = v274 + v273;
        *v436 = v275;
    }
    let v276 = *v436;
    let v277 = v276 / v57;
    let v278 = v277 + v35;
    let v279 = sqrt(v278);
    let v280 = f32(1.0);
    let v281 = v280 / v279;
    for(var v282: u32 = v51; v282 < v52; v282 += v33) {
        var<function> v439_store: f32;
        let v439 = &v439_store;
        *v439 = v58;
        let v440 = info_var.static_meta[11];
        let v442 = info_var.dynamic_meta[v440];
        let v290 = v47 * v442;
        let v444 = v440 + v152;
        let v445 = info_var.dynamic_meta[v444];
        let v294 = v282 * v445;
        let v295 = v290 + v294;
        let v299 = &(*v493)[v295];
        let v300 = *v299;
        *v439 = v300;
        let v446 = info_var.static_meta[10];
        let v448 = info_var.dynamic_meta[v446];
        let v304 = v47 * v448;
        let v450 = v446 + v152;
        let v451 = info_var.dynamic_meta[v450];
        let v308 = v282 * v451;
        let v309 = v304 + v308;
        let v452 = info_var.static_meta[12];
        let v454 = info_var.dynamic_meta[v452];
        let v313 = v47 * v454;
        let v456 = v452 + v152;
        let v457 = info_var.dynamic_meta[v456];
        let v317 = v282 * v457;
        let v318 = v313 + v317;
        let v322 = &(*v492)[v318];
        let v323 = *v322;
        let v324 = v281 * v323;
        let v458 = info_var.static_meta[13];
        let v460 = info_var.dynamic_meta[v458];
        let v328 = v47 * v460;
        let v462 = v458 + v152;
        let v463 = info_var.dynamic_meta[v462];
        let v332 = v282 * v463;
        let v333 = v328 + v332;
        let v337 = &(*v491)[v333];
        let v338 = *v337;
        let v464 = info_var.static_meta[14];
        let v466 = info_var.dynamic_meta[v464];
        let v342 = v47 * v466;
        let v468 = v464 + v152;
        let v469 = info_var.dynamic_meta[v468];
        let v346 = v282 * v469;
        let v347 = v342 + v346;
        for(var v348: u32 = v54; v348 < v32; v348 += v34) {
            let v350 = u32(3);
            let v472 = v446 + v350;
            let v473 = info_var.dynamic_meta[v472];
            let v353 = v348 * v473;
            let v354 = v309 + v353;
            let v358 = &(*v494)[v354];
            let v359 = *v358;
            let v360 = f32(v359);
            let v361 = *v439;
            let v362 = v360 + v361;
            let v363 = v362 - v167;
            let v489 = fma(v363, v324, v338);
            var<function> v474_store: f32;
            let v474 = &v474_store;
            *v474 = v489;
            let v367 = *v474;
            let v368 = -v367;
            let v369 = exp(v368);
            let v371 = v280 + v369;
            let v373 = v367 / v371;
            *v474 = v373;
            let v476 = v464 + v350;
            let v477 = info_var.dynamic_meta[v476];
            let v377 = v348 * v477;
            let v378 = v347 + v377;
            let v379 = *v474;
            let v380 = f16(v379);
            let v384 = &(*v490)[v378];
            *v384 = v380;
        }
    }
    return;
}
