// Generated, not to be edited: what burn's compiler makes of shaders/group_norm/kernel.rs (f32, with something added, SiLU behind it)
// for wgpu, in the versions of Cargo.lock. shaders/wgsl/tests.rs writes it and compares it.

var<workgroup> shared_v36: array<f32, 272>;
@group(0) @binding(4) var<storage, read_write> v25: array<f32>;
@group(0) @binding(3) var<storage, read_write> v19: array<f32>;
@group(0) @binding(2) var<storage, read_write> v13: array<f32>;
@group(0) @binding(1) var<storage, read_write> v7: array<f32>;
@group(0) @binding(0) var<storage, read_write> v1: array<f32>;
struct info_st { scalars_usize: array<u32, 14>, scalars_f32: array<f32, 2>, static_meta: array<u32, 16>, dynamic_meta: array<u32> }
@group(0) @binding(5) var<storage, read> info_var: info_st;
@compute @workgroup_size(256, 1, 1)
fn group_norm_kernel_f_f32(@builtin(workgroup_id) v474: vec3<u32>, @builtin(local_invocation_index) v476: u32) {
    let v486 = &v25;
    let v487 = &v19;
    let v488 = &v13;
    let v489 = &v7;
    let v490 = &v1;
    let v31 = info_var.scalars_usize[10];
    let v32 = info_var.scalars_usize[11];
    let v33 = info_var.scalars_usize[12];
    let v34 = info_var.scalars_usize[13];
    let v35 = info_var.scalars_f32[0];
    let v387 = &shared_v36;
    let v475 = v474[0];
    let v41 = u32(v475);
    let v42 = v41 * v31;
    let v477 = v476;
    let v44 = u32(v477);
    let v45 = v44 / v33;
    let v478 = v474[1];
    let v47 = u32(v478);
    let v50 = v44 % v33;
    let v51 = v42 + v50;
    let v52 = v42 + v31;
    let v53 = v45 < v34;
    let v54 = select(v32, v45, v53);
    let v55 = v31 * v32;
    let v56 = u32(v55);
    let v57 = f32(v56);
    let v58 = f32(0.0);
    var<function> v388_store: f32;
    let v388 = &v388_store;
    *v388 = v58;
    for(var v61: u32 = v51; v61 < v52; v61 += v33) {
        var<function> v390_store: f32;
        let v390 = &v390_store;
        *v390 = v58;
        let v391 = info_var.static_meta[11];
        let v393 = info_var.dynamic_meta[v391];
        let v69 = v47 * v393;
        let v70 = u32(1);
        let v395 = v391 + v70;
        let v396 = info_var.dynamic_meta[v395];
        let v73 = v61 * v396;
        let v74 = v69 + v73;
        let v78 = &(*v489)[v74];
        let v79 = *v78;
        *v390 = v79;
        let v397 = info_var.static_meta[10];
        let v399 = info_var.dynamic_meta[v397];
        let v83 = v47 * v399;
        let v401 = v397 + v70;
        let v402 = info_var.dynamic_meta[v401];
        let v87 = v61 * v402;
        let v88 = v83 + v87;
        for(var v89: u32 = v54; v89 < v32; v89 += v34) {
            let v91 = u32(3);
            let v405 = v397 + v91;
            let v406 = info_var.dynamic_meta[v405];
            let v94 = v89 * v406;
            let v95 = v88 + v94;
            let v99 = &(*v490)[v95];
            let v100 = *v99;
            let v101 = *v390;
            let v102 = v100 + v101;
            let v105 = *v388;
            let v106 = v105 + v102;
            *v388 = v106;
        }
    }
    let v112 = &(*v387)[v44];
    let v113 = *v388;
    *v112 = v113;
    workgroupBarrier();
    let v114 = u32(16);
    let v115 = v44 < v114;
    if v115 {
        let v120 = *v112;
        var<function> v407_store: f32;
        let v407 = &v407_store;
        *v407 = v120;
        let v122 = u32(1);
        for(var v125: u32 = v122; v125 < v114; v125 += v122) {
            let v128 = v125 * v114;
            let v129 = v44 + v128;
            let v133 = &(*v387)[v129];
            let v134 = *v133;
            let v135 = *v407;
            let v136 = v135 + v134;
            *v407 = v136;
        }
        let v137 = u32(256);
        let v138 = v137 + v44;
        let v142 = &(*v387)[v138];
        let v143 = *v407;
        *v142 = v143;
    }
    workgroupBarrier();
    let v146 = u32(256);
    let v148 = &(*v387)[v146];
    let v149 = *v148;
    var<function> v409_store: f32;
    let v409 = &v409_store;
    *v409 = v149;
    let v151 = u32(1);
    for(var v154: u32 = v151; v154 < v114; v154 += v151) {
        let v157 = v146 + v154;
        let v161 = &(*v387)[v157];
        let v162 = *v161;
        let v163 = *v409;
        let v164 = v163 + v162;
        *v409 = v164;
    }
    let v165 = *v409;
    let v166 = v165 / v57;
    var<function> v411_store: f32;
    let v411 = &v411_store;
    *v411 = v58;
    for(var v170: u32 = v51; v170 < v52; v170 += v33) {
        var<function> v413_store: f32;
        let v413 = &v413_store;
        *v413 = v58;
        let v414 = info_var.static_meta[11];
        let v416 = info_var.dynamic_meta[v414];
        let v178 = v47 * v416;
        let v418 = v414 + v151;
        let v419 = info_var.dynamic_meta[v418];
        let v182 = v170 * v419;
        let v183 = v178 + v182;
        let v187 = &(*v489)[v183];
        let v188 = *v187;
        *v413 = v188;
        let v420 = info_var.static_meta[10];
        let v422 = info_var.dynamic_meta[v420];
        let v192 = v47 * v422;
        let v424 = v420 + v151;
        let v425 = info_var.dynamic_meta[v424];
        let v196 = v170 * v425;
        let v197 = v192 + v196;
        for(var v198: u32 = v54; v198 < v32; v198 += v34) {
            let v200 = u32(3);
            let v428 = v420 + v200;
            let v429 = info_var.dynamic_meta[v428];
            let v203 = v198 * v429;
            let v204 = v197 + v203;
            let v208 = &(*v490)[v204];
            let v209 = *v208;
            let v210 = *v413;
            let v211 = v209 + v210;
            let v212 = v211 - v166;
            let v214 = *v411;
            let v484 = fma(v212, v212, v214);
            *v411 = v484;
        }
    }
    let v222 = *v411;
    *v112 = v222;
    workgroupBarrier();
    if v115 {
        let v229 = *v112;
        var<function> v430_store: f32;
        let v430 = &v430_store;
        *v430 = v229;
        for(var v234: u32 = v151; v234 < v114; v234 += v151) {
            let v237 = v234 * v114;
            let v238 = v44 + v237;
            let v242 = &(*v387)[v238];
            let v243 = *v242;
            let v244 = *v430;
            let v245 = v244 + v243;
            *v430 = v245;
        }
        let v247 = v146 + v44;
        let v251 = &(*v387)[v247];
        let v252 = *v430;
        *v251 = v252;
    }
    workgroupBarrier();
    let v258 = *v148;
    var<function> v432_store: f32;
    let v432 = &v432_store;
    *v432 = v258;
    for(var v263: u32 = v151; v263 < v114; v263 += v151) {
        let v266 = v146 + v263;
        let v270 = &(*v387)[v266];
        let v271 = *v270;
        let v272 = *v432;
        let v273 = v272 + v271;
        *v432 = v273;
    }
    let v274 = *v432;
    let v275 = v274 / v57;
    let v276 = v275 + v35;
    let v277 = sqrt(v276);
    let v278 = f32(1.0);
    let v279 = v278 / v277;
    for(var v280: u32 = v51; v280 < v52; v280 += v33) {
        var<function> v435_store: f32;
        let v435 = &v435_store;
        *v435 = v58;
        let v436 = info_var.static_meta[11];
        let v438 = info_var.dynamic_meta[v436];
        let v288 = v47 * v438;
        let v440 = v436 + v151;
        let v441 = info_var.dynamic_meta[v440];
        let v292 = v280 * v441;
        let v293 = v288 + v292;
        let v297 = &(*v489)[v293];
        let v298 = *v297;
        *v435 = v298;
        let v442 = info_var.static_meta[10];
        let v444 = info_var.dynamic_meta[v442];
        let v302 = v47 * v444;
        let v446 = v442 + v151;
        let v447 = info_var.dynamic_meta[v446];
        let v306 = v280 * v447;
        let v307 = v302 + v306;
        let v448 = info_var.static_meta[12];
        let v450 = info_var.dynamic_meta[v448];
        let v311 = v47 * v450;
        let v452 = v448 + v151;
        let v453 = info_var.dynamic_meta[v452];
        let v315 = v280 * v453;
        let v316 = v311 + v315;
        let v320 = &(*v488)[v316];
        let v321 = *v320;
        let v322 = v279 * v321;
        let v454 = info_var.static_meta[13];
        let v456 = info_var.dynamic_meta[v454];
        let v326 = v47 * v456;
        let v458 = v454 + v151;
        let v459 = info_var.dynamic_meta[v458];
        let v330 = v280 * v459;
        let v331 = v326 + v330;
        let v335 = &(*v487)[v331];
        let v336 = *v335;
        let v460 = info_var.static_meta[14];
        let v462 = info_var.dynamic_meta[v460];
        let v340 = v47 * v462;
        let v464 = v460 + v151;
        let v465 = info_var.dynamic_meta[v464];
        let v344 = v280 * v465;
        let v345 = v340 + v344;
        for(var v346: u32 = v54; v346 < v32; v346 += v34) {
            let v348 = u32(3);
            let v468 = v442 + v348;
            let v469 = info_var.dynamic_meta[v468];
            let v351 = v346 * v469;
            let v352 = v307 + v351;
            let v356 = &(*v490)[v352];
            let v357 = *v356;
            let v358 = *v435;
            let v359 = v357 + v358;
            let v360 = v359 - v166;
            let v485 = fma(v360, v322, v336);
            var<function> v470_store: f32;
            let v470 = &v470_store;
            *v470 = v485;
            let v364 = *v470;
            let v365 = -v364;
            let v366 = exp(v365);
            let v368 = v278 + v366;
            let v370 = v364 / v368;
            *v470 = v370;
            let v472 = v460 + v348;
            let v473 = info_var.dynamic_meta[v472];
            let v374 = v346 * v473;
            let v375 = v345 + v374;
            let v376 = *v470;
            let v380 = &(*v486)[v375];
            *v380 = v376;
        }
    }
    return;
}
