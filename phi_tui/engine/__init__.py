"""Everything that touches data and models.  Never imports textual; torch and friends only inside functions."""

import os

# torch's OpenMP threads spin while they wait for each other.  Next to another busy process on the same cores that
# costs far more than it saves: an evaluation that had not ended after ten minutes took 91 seconds without it.  Has to
# stand in the environment before torch is loaded; whoever sets it otherwise is obeyed.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
