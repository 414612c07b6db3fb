#!/usr/bin/env bash
# Each task of an array draws one share of a run:
#
#   sbatch --array=0-31 --cpus-per-task=8 deploy/slurm/sample.sh --num 50000 --seed 7 --out run
#
# The words behind the script are those of `ddim sample`. A task that is preempted or killed goes on where it was: Slurm puts it
# back into the queue, and finished pictures stay. One that comes to its time limit puts itself back.
#SBATCH --job-name=ddim
#SBATCH --array=0-7
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@60
set -euo pipefail

: "${SLURM_ARRAY_TASK_ID:?submit an array, as in: sbatch --array=0-31 deploy/slurm/sample.sh --num 50000 --out run}"
# As many threads as the task has cores, also where Slurm does not bind it to them.
if [ -n "${SLURM_CPUS_PER_TASK:-}" ]; then export RAYON_NUM_THREADS="$SLURM_CPUS_PER_TASK"; fi

"${DDIM:-ddim}" sample "$@" --shard auto &
ddim=$!
at_limit=no
trap 'at_limit=yes; kill -TERM "$ddim" 2>/dev/null || true' USR1
trap 'kill -TERM "$ddim" 2>/dev/null || true' TERM INT

# A signal ends `wait` before it ends the program.
code=0
wait "$ddim" || code=$?
while kill -0 "$ddim" 2>/dev/null; do
    code=0
    wait "$ddim" || code=$?
done
if [ "$at_limit" = yes ] && [ "$code" -eq 130 ]; then
    # Of a task its own name: the job's id alone may be that of the whole array.
    scontrol requeue "${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"
fi
exit "$code"
