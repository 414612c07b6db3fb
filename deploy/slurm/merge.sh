#!/usr/bin/env bash
# Puts the parts of a run together, once all of its tasks are done:
#
#   sbatch --dependency=afterok:JOB deploy/slurm/merge.sh run               the folder `run`
#   sbatch --dependency=afterok:JOB deploy/slurm/merge.sh run --out run.npz
#
# The first word is what the tasks were given as --out; the others are those of `ddim merge`.
#SBATCH --job-name=ddim-merge
#SBATCH --requeue
set -euo pipefail

: "${1:?what the tasks were given as --out, as in: sbatch --dependency=afterok:JOB deploy/slurm/merge.sh run}"
out=${1%/}
shift
# What a merge has left that was taken from its machine is written over.
if [ "${SLURM_RESTART_COUNT:-0}" -gt 0 ]; then set -- "$@" --force; fi
case " $* " in
    *" --out"* | *" -o"*) exec "${DDIM:-ddim}" merge "$out.parts" "$@" ;;
    *) exec "${DDIM:-ddim}" merge "$out.parts" --out "$out" "$@" ;;
esac
