"""What does early stopping cost on the quickstart, by which rule?

Its rows with twice the search trials, none of which is stopped: on whole curves `python -m benchmarks.early_stopping`
and `python -m platform.replay` can replay any rule.
"""

from dataclasses import replace

from platform.study import ASHA
from studies import quickstart

study = replace(quickstart.study, search=ASHA(trials=8, grace=1.0))
