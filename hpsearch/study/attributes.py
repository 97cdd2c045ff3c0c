"""Names of what hpsearch keeps in Optuna's user attributes, so that any Optuna tool shows it too."""

# Of a study
DEFINITION = "hps:definition"  # the resolved definition, flat JSON: what `resume` uses
TARGET = "hps:target"  # int, or None: finished trials asked for by --n-trials or --add-trials
GPU_HOURS = "hps:gpu_hours"  # float, or None: GPU-hours its trials may spend, asked for by --gpu-hours
WARM_START = "hps:warm_start"  # what is reused of another study (warm_start.py)
PREPARED = "hps:prepared"  # prepared.json: data fingerprint, rows, base metrics, versions
ID = "hps:id"  # what tells a study from another one of its name; its folder holds the same
RULES = "hps:rules"  # int: rules of proposing that it began with; absent: 1, LEARNING: failures teach the sampler
EPOCH = "hps:epoch"  # int from 1: how many runs have held the study's lease
CONFIRMED = "hps:confirmed"  # what fresh runs say of its best configurations (docs/confirm.md)
CONFIRMS = "hps:confirms"  # of a study of fresh runs: the searched study, candidates and seeds (candidates.py)
WORKING_DIR = "hps:working_dir"  # absolute path: where a command's relative words lead from

# Of a trial
OUTCOME = "hps:outcome"  # a value of Cause; written before the state, as finished trials are frozen
MESSAGE = "hps:message"  # one line: why it ended so
METRICS = "hps:metrics"  # dict of final metrics (the objective's among them)
SEED = "hps:seed"  # int: the trial's seed, the same in every attempt
ROOT = "hps:root"  # int: number of the trial this one repeats (itself in a first attempt)
ATTEMPT = "hps:attempt"  # int from 1
RETRY_OF = "hps:retry_of"  # int: number of the trial just before it in the chain
REPEATS = "hps:repeats"  # int: number of the trial whose configuration this one runs with a fresh seed
IS_DEFAULT = "hps:default"  # true: the study's default configuration
CANDIDATE = "hps:candidate"  # int from 0: the candidate of hps:confirms whose fresh run this is
CARRIED = "hps:carried"  # int: number of the other study's trial whose point this one tries
TRY_FIRST = "hps:try_first"  # why it was tried before the sampler was asked: one of FIRST
DURATION = "hps:duration_s"  # float, seconds the process tree lived
GPUS = "hps:gpus"  # int from 1: GPUs of its slot; 1 for a slot that names none
FOLDER = "hps:folder"  # the trial's folder, relative to the study's
HALF_ADAPTER = "hps:half_adapter"  # true: its program was ended, or failed, while it was saving the adapter
DEVICE = "hps:device"  # the kind of GPU and software it ran on; absent where that is not known
NOT_TRIED = (
    "hps:not_tried"  # true: never launched, and recorded as out of device memory, as it was sure to run out of it
)

LEARNING = 2  # of RULES, for new studies

FIRST = ("known good", "named in try_first")
