"""Everything that touches data and models.  Never imports textual; torch and friends only inside functions."""

import os

# torch's OpenMP threads spin while they wait for each other, by default for so long that a second busy program on the
# same cores can bring training nearly to a halt.  Measured on 2 cores with the embedded base, tokens a second: alone
# 3,832 and 2,751 by default against 3,505 and 2,705 with this count (PASSIVE: 2,100); beside a busy program 989, or
# not done in 100 s, against 1,371 and 1,384.  Has to stand in the environment before torch is loaded; whoever sets
# either variable is obeyed.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")
