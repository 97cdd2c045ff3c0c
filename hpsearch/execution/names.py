"""Names both sides of the door agree on: variables in a program's environment, and files in a job's folder.

Only constants: the supervisor loads this module before it has started the job's program.
"""

from __future__ import annotations

JOB_VARIABLE = "HPSEARCH_JOB"
REPORT_VARIABLE = "HPSEARCH_REPORT"
ANSWER_VARIABLE = "HPSEARCH_ANSWER"
TAG_VARIABLE = "HPSEARCH_TAG"  # marks every process of a job, so that leftovers can be found and ended
SUPERVISES_VARIABLE = "HPSEARCH_SUPERVISES"  # marks a supervisor: the tag of the job it looks after

JOB_FILE = "job.json"  # the job, without its environment: variables may hold tokens
LOG_FILE = "log.txt"  # what the program printed; head and tail where it is too long
METRICS_FILE = "metrics.jsonl"  # one line for each accepted report
OUTCOME_FILE = "outcome.json"  # how the job ended; there once every process of it is gone
REPORT_FIFO = "report.fifo"  # lives as long as the job
ANSWER_FILE = "answer.json"  # the answer to the latest step; lives as long as the job
RANK0_SUFFIX = ".rank0"  # of the answer file's name: what rank 0 made of the answer, for the other ranks

# Beside an adapter, and in a merged model: how pictures were sized, and what the model was asked.
ADAPTER_CARD = "hpsearch.json"

# What a fine-tune outside a search ends with, beside its adapter.
TRAIN_RESULTS_FILE = "train_results.json"
RESULT_FILES = ("predictions.jsonl", TRAIN_RESULTS_FILE)

WHOLE = ".whole"  # in an output folder: a result that is whole, and to be put in the place of an earlier one
CHECKPOINTS = "checkpoints"  # the folder of what a fine-tune goes on from

# What jobs of other kinds leave in their folders for the searching side.
PREFLIGHT_FILE = "preflight.json"
SURVEY_FILE = "survey.json"
LEFT_OUT_FILE = "left_out.jsonl"
TEXTS_FILE = "texts.jsonl"
