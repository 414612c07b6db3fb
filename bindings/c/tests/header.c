/* Calls every function of the header, well and badly; C11 and C++17 compile it. `header PIXELS` writes three pictures. */
#include "ddim.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COUNT = 3, SIZE = 28 * 28 };

#define CHECK(what) \
    do { \
        if (!(what)) { \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #what, ddim_last_error()); \
            exit(1); \
        } \
    } while (0)
#define REFUSED(what, words) \
    do { \
        CHECK(what); \
        CHECK(strstr(ddim_last_error(), words) != NULL); \
    } while (0)

static const char options[] = "{\"num\": 3, \"seed\": 7, \"steps\": 5, \"eta\": 1, \"class\": [\"coat\", 9]}";
static const char scheduler[] = "{\"_class_name\": \"DDIMScheduler\", \"clip_sample\": false}";

static int count(void *user, size_t done, size_t all) {
    *(size_t *)user = done;
    return all == 5 && done == 3; /* stops here in a run of one batch */
}

/* The best network for pictures that are all black: everything in them is noise. */
static void black(ddim_run *run) {
    float values[2 * 16];
    ddim_call call;
    int more = 1;
    CHECK(ddim_run_step(run) == -1);
    while (ddim_run_wants(run, &call) == 1) {
        CHECK(call.shape[0] == 2 && call.shape[1] == 1 && call.shape[2] == 4 && call.shape[3] == 4);
        CHECK(call.steps == 10 && more == 1);
        CHECK(ddim_run_input(run, values, 32) == 0);
        REFUSED(ddim_run_feed(run, values, 31) == -1, "31 numbers");
        more = ddim_run_feed(run, values, 32);
        CHECK(more >= 0);
    }
    CHECK(more == 0 && ddim_run_values(run, DDIM_STATE, values, 32) == 0);
    REFUSED(ddim_run_feed(run, values, 32) == -1, "finished");
    REFUSED(ddim_run_input(run, values, 32) == -1, "finished");
}

static void bad_input(const ddim_model *model, ddim_run *run, unsigned char *pixels) {
    float number;
    const char *torn = "{\"steps\": \xff}";
    REFUSED(ddim_model_embedded("shoe", NULL) == NULL, "shoe");
    REFUSED(ddim_model_embedded(NULL, "abacus") == NULL, "abacus");
    REFUSED(ddim_model_load(NULL, NULL) == NULL, "path is NULL");
    REFUSED(ddim_model_load("no/such/folder", NULL) == NULL, "no/such/folder");
    REFUSED(ddim_model_of_files("{}", "{}", NULL, (const uint8_t *)"x", 1, NULL) == NULL, "model/");
    REFUSED(ddim_model_about(NULL) == NULL, "model is NULL");
    REFUSED(ddim_run_new(NULL, options, 0, 1) == NULL, "model is NULL");
    REFUSED(ddim_run_new(model, "{\"stps\": 5}", 0, 1) == NULL, "the nearest is steps");
    REFUSED(ddim_run_new(model, torn, 0, 1) == NULL, "UTF-8");
    REFUSED(ddim_run_new(model, options, 0, 0) == NULL, "one at least");
    REFUSED(ddim_run_new(model, options, (size_t)-1, 2) == NULL, "one at least");
    REFUSED(ddim_run_of_network(scheduler, NULL, 0, 1, 1, (size_t)-1, 4) == NULL, "no memory");
    REFUSED(ddim_run_of_network(scheduler, NULL, 0, (size_t)1 << 40, 3, 512, 512) == NULL, "no memory");
    REFUSED(ddim_run_of_network(scheduler, NULL, 0, 1, 3, 0, 512) == NULL, "a size of 0");
    REFUSED(ddim_run_of_network(scheduler, "{\"num\": 2}", 0, 1, 1, 4, 4) == NULL, "num: there is no such option");
    REFUSED(ddim_run_new(model, options, 0, (size_t)1 << 44) == NULL, "no memory");
    REFUSED(ddim_run_new(model, "{\"class\": 10}", 0, 1) == NULL, "class: ");
    REFUSED(ddim_run_feed(run, &number, (size_t)-1) == -1, "cannot be");
    REFUSED(ddim_run_of_network("{]", NULL, 0, 1, 1, 4, 4) == NULL, "");
    REFUSED(ddim_run_wants(run, NULL) == -1, "call is NULL");
    REFUSED(ddim_run_values(run, 7, &number, 1) == -1, "what is 7");
    REFUSED(ddim_run_values(run, DDIM_PREDICTION, &number, 1) == -1, "before the first step");
    REFUSED(ddim_run_pixels(run, DDIM_STATE, pixels, 5) == -1, "room for 5");
    REFUSED(ddim_run_pixels(run, DDIM_STATE, NULL, COUNT * SIZE) == -1, "pixels is NULL");
    REFUSED(ddim_run_step(NULL) == -1, "run is NULL");
    REFUSED(ddim_run_plan(NULL) == NULL, "run is NULL");
    REFUSED(ddim_sample(model, options, NULL, NULL, pixels, 5) == -1, "room for 5");
    REFUSED(ddim_normals(0, 0, NULL, 4) == -1, "values is NULL");
    ddim_model_free(NULL);
    ddim_run_free(NULL);
}

int main(int argc, char **argv) {
    static unsigned char whole[COUNT * SIZE], alone[SIZE], before[SIZE];
    float noise[SIZE], state[SIZE];
    size_t done = 0;
    ddim_model *model = ddim_model_embedded(NULL, NULL);
    CHECK(model != NULL && strlen(ddim_version()) >= 5);
    CHECK(strstr(ddim_model_about(model), "\"Coat\"") != NULL || strstr(ddim_model_about(model), "coat") != NULL);
    CHECK(strstr(ddim_solvers(), "\"unipc\"") != NULL);
    CHECK(ddim_sample(model, options, NULL, NULL, whole, sizeof whole) == 0);
    CHECK(ddim_sample(model, options, count, &done, whole, sizeof whole) == 1 && done == 3);

    /* Picture 2 by itself, step by step, has the same bytes. */
    ddim_run *run = ddim_run_new(model, options, 2, 1);
    CHECK(run != NULL && strstr(ddim_run_plan(run), "\"time\"") != NULL);
    bad_input(model, run, whole);
    CHECK(ddim_run_values(run, DDIM_STATE, state, SIZE) == 0 && ddim_normals(7, 2, noise, SIZE) == 0);
    CHECK(memcmp(noise, state, sizeof noise) == 0);
    ddim_model_free(model);
    while (ddim_run_step(run) == 1) CHECK(ddim_run_pixels(run, DDIM_PREDICTION, before, SIZE) == 0);
    CHECK(ddim_run_step(run) == 0);
    CHECK(ddim_run_pixels(run, DDIM_STATE, alone, SIZE) == 0);
    CHECK(memcmp(alone, whole + 2 * SIZE, SIZE) == 0 && memcmp(alone, before, SIZE) != 0);
    ddim_run_free(run);

    run = ddim_run_of_network(scheduler, "{\"steps\": 10, \"solver\": \"unipc\"}", 0, 2, 1, 4, 4);
    CHECK(run != NULL);
    black(run);
    ddim_run_free(run);
    if (argc > 1) {
        FILE *file = fopen(argv[1], "wb");
        CHECK(file != NULL && fwrite(whole, 1, sizeof whole, file) == sizeof whole && fclose(file) == 0);
    }
    puts("every function of the header was called");
    return 0;
}
