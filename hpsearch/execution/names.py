"""Names both sides of the door agree on: variables in a program's environment, and files in a job's folder.

Only constants, apart from job.py: the supervisor loads this module before it has started the job's program.
"""

JOB_VARIABLE = "HPSEARCH_JOB"
REPORT_VARIABLE = "HPSEARCH_REPORT"
ANSWER_VARIABLE = "HPSEARCH_ANSWER"
TAG_VARIABLE = "HPSEARCH_TAG"  # marks every process of a job, so that leftovers can be found and ended
SUPERVISES_VARIABLE = "HPSEARCH_SUPERVISES"  # marks a supervisor: the tag of the job it looks after
GUARDS_VARIABLE = "HPSEARCH_GUARDS"  # marks the guard of a supervisor: the same tag

JOB_FILE = "job.json"  # the job, without its environment: variables may hold tokens
LOG_FILE = "log.txt"  # what the program printed; head and tail where it is too long
METRICS_FILE = "metrics.jsonl"  # one line for each accepted report
OUTCOME_FILE = "outcome.json"  # how the job ended; there once every process of it is gone
REPORT_FIFO = "report.fifo"  # lives as long as the job
ANSWER_FILE = "answer.json"  # the answer to the latest step; lives as long as the job
RANK0_SUFFIX = ".rank0"  # of the answer file's name: what rank 0 made of the answer, for the other ranks
