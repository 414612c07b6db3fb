/* Draws six coats, step by step, and writes them side by side as a PGM:
 *
 *     cargo build --release -p ddim-c
 *     cc -std=c11 -I bindings/c/include bindings/c/examples/draw.c -L target/release -lddim_c -o draw
 *     LD_LIBRARY_PATH=target/release ./draw coats.pgm
 */
#include "ddim.h"
#include <stdio.h>

enum { COUNT = 6, SIDE = 28 };

static int failed(void) {
    fprintf(stderr, "draw: %s\n", ddim_last_error());
    return 1;
}

int main(int argc, char **argv) {
    unsigned char pixels[COUNT * SIDE * SIDE];
    ddim_model *model = ddim_model_embedded(NULL, "cpu");
    ddim_run *run = ddim_run_new(model, "{\"seed\": 7, \"steps\": 20, \"class\": \"coat\"}", 0, COUNT);
    if (run == NULL) return failed();
    ddim_model_free(model); /* the run goes on */
    for (int more = 1, step = 1; more == 1; step++) {
        more = ddim_run_step(run);
        if (more < 0) return failed();
        fprintf(stderr, "\rstep %d", step);
    }
    if (ddim_run_pixels(run, DDIM_STATE, pixels, sizeof pixels) < 0) return failed();
    ddim_run_free(run);
    FILE *file = fopen(argc > 1 ? argv[1] : "coats.pgm", "wb");
    if (file == NULL) return perror("draw"), 1;
    fprintf(file, "P5 %d %d 255\n", COUNT * SIDE, SIDE);
    for (int row = 0; row < SIDE; row++)
        for (int k = 0; k < COUNT; k++) fwrite(pixels + (k * SIDE + row) * SIDE, 1, SIDE, file);
    fputs("\n", stderr);
    return fclose(file) != 0;
}
