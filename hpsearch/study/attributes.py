"""Names of what hpsearch keeps in Optuna's user attributes, so that any Optuna tool shows it too."""

# Of a study
DEFINITION = "hps:definition"  # the resolved definition, flat JSON: what `resume` uses
TARGET = "hps:target"  # int, or None: finished trials asked for by --n-trials or --add-trials
PREPARED = "hps:prepared"  # what the prepare job found: data fingerprint, rows, base metrics, versions
ID = "hps:id"  # what tells a study from another one of its name; its folder holds the same
WORKING_DIR = "hps:working_dir"  # absolute path: where a command's relative words lead from

# Of a trial
OUTCOME = "hps:outcome"  # a value of Cause; written before the trial is told, as finished trials are frozen
MESSAGE = "hps:message"  # one line: why it ended so
METRICS = "hps:metrics"  # dict of final metrics (the objective's among them)
SEED = "hps:seed"  # int: the trial's seed, the same in every attempt
ROOT = "hps:root"  # int: number of the trial this one repeats (itself in a first attempt)
ATTEMPT = "hps:attempt"  # int from 1
RETRY_OF = "hps:retry_of"  # int: number of the trial just before it in the chain
IS_DEFAULT = "hps:default"  # true: the study's default configuration
DURATION = "hps:duration_s"  # float, seconds the process tree lived
FOLDER = "hps:folder"  # the trial's folder, relative to the study's
