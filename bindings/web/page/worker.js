// Draws off the page's thread. Each message is a request with a number; a newer request for the same place ends an older.
import { Model, solvers } from "./ddim.js";

let model;
/** The number of the newest request for each place on the page. */
const newest = {};

const answers = {
  async open({ files }) {
    const opened = files ? await Model.load(files) : await Model.embedded();
    model?.free();
    model = opened;
    return { about: model.about, solvers: await solvers() };
  },

  /** Tells the noise at the start, and every step. */
  async draw({ options, place }, number, tell) {
    const start = performance.now();
    const run = model.run(options);
    try {
      const { calls, state } = run;
      tell({ taken: 0, calls, state, prediction: null });
      for (let goesOn = true; goesOn; ) {
        goesOn = run.step();
        tell({ taken: run.taken, calls, state: run.state, prediction: run.prediction });
        // Hear whether something newer is asked for.
        await new Promise((resolve) => setTimeout(resolve));
        if (newest[place] !== number) return { givenUp: true };
      }
    } finally {
      run.free();
    }
    return { milliseconds: performance.now() - start };
  },
};

onmessage = async ({ data: { number, kind, request } }) => {
  newest[request.place ?? kind] = number;
  const tell = (step) => postMessage({ number, step });
  try {
    postMessage({ number, done: await answers[kind](request, number, tell) });
  } catch (error) {
    postMessage({ number, failed: error.message });
  }
};
