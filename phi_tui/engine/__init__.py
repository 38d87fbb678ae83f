"""Everything that touches data and models.  Never imports textual; torch and friends only inside functions."""
