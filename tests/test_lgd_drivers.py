"""What goes with a loss: a known difference found, calendar and selection kept out, refusals, and who borrows."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import recoverykit as rk
from recoverykit.errors import RefusedColumnError
from recoverykit.portfolio.lgd_drivers import estimate_lgd_drivers
from recoverykit.portfolio.loss import estimate_loss
from recoverykit.portfolio.workout import discount_policy
from recoverykit.refused_columns import known_only_after_the_outcome  # noqa: F401
